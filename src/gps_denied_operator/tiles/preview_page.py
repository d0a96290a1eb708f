"""The page of `tiles serve`: one canvas, no library, nothing from elsewhere, in the look of the reports."""

from __future__ import annotations

from gps_denied_operator.report.html import page_style


def preview_page() -> str:
    """The page as text."""
    return PAGE.replace("$style", page_style())


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tile store</title>
<style>
$style
body { height: 100vh; display: flex; flex-direction: column; }
header { padding: 10px 20px; display: flex; gap: 8px 20px; align-items: center; flex-wrap: wrap; }
header h1 { font-size: 18px; margin: 0; }
canvas { flex: 1; width: 100vw; min-height: 0; cursor: grab; background: #eef1f3; }
#at { margin-left: auto; }
</style></head><body>
<header><h1>Tile store</h1><select id="source" aria-label="Source"></select><span id="total"></span>
<span><i class="key" style="background:#0b6b33"></i> fresh &nbsp; <i class="key" style="background:#e08a00"></i>
stale, downgraded</span><span id="at"></span></header><canvas id="map"></canvas>
<script>
const canvas = document.getElementById('map'), pen = canvas.getContext('2d');
const picker = document.getElementById('source');
const COLOURS = {fresh: '#0b6b33', downgraded: '#e08a00'}, PICTURES_MAX = 500;
let sources = [], now = null, centre = [0, 0], scale = 0.25, tiles = [], asked = 0, drag = null;
const pictures = new Map();

function box() {
  const w = canvas.width / scale / 2, h = canvas.height / scale / 2;
  return [(centre[0] - w) / 256, (centre[1] - h) / 256, (centre[0] + w) / 256, (centre[1] + h) / 256];
}

async function look() {
  if (!now) return;
  const number = ++asked, [x0, y0, x1, y1] = box().map(Math.floor);
  const query = new URLSearchParams({source: now.source, zoom: now.zoom, x0, y0, x1: x1 + 1, y1: y1 + 1});
  const answer = await (await fetch('/api/tiles?' + query)).json();
  if (number !== asked) return;
  tiles = answer.tiles;
  draw();
}

function draw() {
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = '#eef1f3';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const side = 256 * scale, [x0, y0] = box();
  for (const [x, y, label] of tiles) {
    const left = (x - x0) * side, top = (y - y0) * side;
    if (tiles.length <= PICTURES_MAX) {
      const address = `/tiles/${now.source}/${now.zoom}/${x}/${y}.jpg`;
      let picture = pictures.get(address);
      if (!picture) {
        picture = new Image();
        picture.onload = draw;
        picture.src = address;
        pictures.set(address, picture);
        if (pictures.size > 3000) pictures.delete(pictures.keys().next().value);
      }
      if (picture.complete && picture.naturalWidth) pen.drawImage(picture, left, top, side, side);
      pen.lineWidth = 3;
      pen.strokeStyle = COLOURS[label];
      pen.strokeRect(left + 2, top + 2, side - 4, side - 4);
    } else {
      pen.fillStyle = COLOURS[label];
      pen.fillRect(left, top, Math.max(side - 0.5, 1), Math.max(side - 0.5, 1));
    }
  }
  document.documentElement.dataset.ready = [...pictures.values()].every((p) => p.complete) ? 'yes' : '';
}

function choose(number) {
  now = sources[number];
  if (!now) { document.getElementById('total').textContent = 'no tiles yet'; draw(); return; }
  const [x0, y0, x1, y1] = now.bounds_tiles;
  centre = [(x0 + x1) * 128, (y0 + y1) * 128];
  scale = Math.min(1, canvas.width / ((x1 - x0) * 256), canvas.height / ((y1 - y0) * 256));
  document.getElementById('total').textContent = `${now.tiles} tiles, ${(now.bytes / 1e6).toFixed(1)} MB`;
  look();
}

function place(event) {
  const [x0, y0] = box(), x = (x0 * 256 + event.offsetX / scale), y = (y0 * 256 + event.offsetY / scale);
  const world = 256 * 2 ** now.zoom, lon = x / world * 360 - 180;
  const lat = Math.atan(Math.sinh(Math.PI * (1 - 2 * y / world))) * 180 / Math.PI;
  document.getElementById('at').textContent = `${lat.toFixed(5)}, ${lon.toFixed(5)}`;
}

function fit() { canvas.width = canvas.clientWidth; canvas.height = canvas.clientHeight; draw(); look(); }
addEventListener('resize', fit);
canvas.addEventListener('pointerdown', (e) => {
  drag = [e.offsetX, e.offsetY];
  canvas.setPointerCapture(e.pointerId);
});
canvas.addEventListener('pointerup', () => { drag = null; look(); });
canvas.addEventListener('pointermove', (e) => {
  if (!now) return;
  place(e);
  if (!drag) return;
  centre = [centre[0] - (e.offsetX - drag[0]) / scale, centre[1] - (e.offsetY - drag[1]) / scale];
  drag = [e.offsetX, e.offsetY];
  draw();
});
canvas.addEventListener('wheel', (e) => {
  e.preventDefault();
  const factor = Math.exp(-e.deltaY / 400), to = Math.min(4, Math.max(0.002, scale * factor));
  const off = [e.offsetX - canvas.width / 2, e.offsetY - canvas.height / 2];
  centre = [centre[0] + off[0] * (1 / scale - 1 / to), centre[1] + off[1] * (1 / scale - 1 / to)];
  scale = to;
  draw();
  look();
}, {passive: false});
picker.addEventListener('change', () => choose(picker.selectedIndex));
fetch('/api/overview').then((answer) => answer.json()).then((found) => {
  sources = found.sources;
  for (const s of sources) picker.add(new Option(`${s.source}, zoom ${s.zoom}`));
  canvas.width = canvas.clientWidth;
  canvas.height = canvas.clientHeight;
  choose(0);
});
</script></body></html>
"""
