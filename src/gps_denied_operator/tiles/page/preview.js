"use strict";
// The stored map as pictures at every zoom, frames only around what is old; world pixels are those of the source's zoom.
const canvas = document.getElementById("map"), pen = canvas.getContext("2d"), picker = document.getElementById("source");
const frames = document.getElementById("frames"), ratio = () => window.devicePixelRatio || 1;
const OLD = "#e08a00", GROUND = "#eeeeee", INK = "#0b1116", EQUATOR_M = 40075016.686, PICTURES_KEPT = 1500, LISTED_MAX = 60000;
let sources = [], now = null, centre = [0, 0], scale = 0.25, tiles = [], whole = true, asked = 0, wide = 0, high = 0;
const pictures = new Map(), pointers = new Map();

function box() { // in tiles of the source's zoom
  const w = wide / scale / 2, h = high / scale / 2;
  return [(centre[0] - w) / 256, (centre[1] - h) / 256, (centre[0] + w) / 256, (centre[1] + h) / 256];
}

async function look() {
  if (!now) return;
  const number = ++asked, [x0, y0, x1, y1] = box().map(Math.floor), [bx0, by0, bx1, by1] = now.bounds_tiles;
  const many = Math.max(Math.min(x1 + 1, bx1) - Math.max(x0, bx0), 0) * Math.max(Math.min(y1 + 1, by1) - Math.max(y0, by0), 0);
  if (many > LISTED_MAX) { tiles = []; whole = false; draw(); return; } // too far out to tell one tile from another
  const query = new URLSearchParams({ source: now.source, zoom: now.zoom, x0, y0, x1: x1 + 1, y1: y1 + 1 });
  const answer = await (await fetch("/api/tiles?" + query)).json();
  if (number !== asked) return;
  tiles = answer.tiles || []; whole = answer.all;
  draw();
}

function picture(zoom, x, y) {
  const address = `/tiles/${encodeURIComponent(now.source)}/${zoom}/${x}/${y}.jpg`;
  let made = pictures.get(address);
  if (!made) {
    made = new Image();
    made.onload = later; made.onerror = later;
    made.src = address;
    pictures.set(address, made);
    if (pictures.size > PICTURES_KEPT) pictures.delete(pictures.keys().next().value);
  }
  return made;
}

let waiting = false;
function later() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } }

function draw() {
  pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  pen.fillStyle = GROUND; pen.fillRect(0, 0, wide, high);
  if (!now) return;
  const shown = drawPictures();
  if (frames.checked) drawOld();
  drawScale();
  document.documentElement.dataset.ready = shown.every((p) => p.complete) ? "yes" : "";
}

// Of all zooms the one whose pixels are about those of the screen: the server makes the lower ones.
function drawPictures() {
  const down = Math.min(Math.max(Math.floor(-Math.log2(scale * ratio())), 0), now.zoom), zoom = now.zoom - down, unit = 2 ** down;
  const [x0, y0] = box(), [bx0, by0, bx1, by1] = now.bounds_tiles.map((v, k) => k < 2 ? Math.floor(v / unit) : Math.ceil(v / unit));
  const side = 256 * scale * unit, shown = [];
  for (let x = Math.max(Math.floor(x0 / unit), bx0); x < bx1 && (x - x0 / unit) * side < wide; x++)
    for (let y = Math.max(Math.floor(y0 / unit), by0); y < by1 && (y - y0 / unit) * side < high; y++) {
      const made = picture(zoom, x, y), left = (x - x0 / unit) * side, top = (y - y0 / unit) * side;
      shown.push(made);
      if (made.complete && made.naturalWidth) pen.drawImage(made, Math.round(left), Math.round(top), Math.round(left + side) - Math.round(left), Math.round(top + side) - Math.round(top));
    }
  return shown;
}

function drawOld() { // a tint and the outer edge only: the picture stays to be seen
  const side = 256 * scale, [x0, y0] = box(), old = tiles.filter((t) => t[2] !== "fresh"), is = new Set(old.map(([x, y]) => x + "," + y));
  pen.fillStyle = OLD + "2e"; pen.strokeStyle = OLD; pen.lineWidth = 2; pen.beginPath();
  for (const [x, y] of old) {
    const left = (x - x0) * side, top = (y - y0) * side;
    pen.fillRect(left, top, side, side);
    if (!is.has(x + "," + (y - 1))) { pen.moveTo(left, top); pen.lineTo(left + side, top); }
    if (!is.has(x + "," + (y + 1))) { pen.moveTo(left, top + side); pen.lineTo(left + side, top + side); }
    if (!is.has((x - 1) + "," + y)) { pen.moveTo(left, top); pen.lineTo(left, top + side); }
    if (!is.has((x + 1) + "," + y)) { pen.moveTo(left + side, top); pen.lineTo(left + side, top + side); }
  }
  pen.stroke();
}

function geodetic(x, y) {
  const world = 256 * 2 ** now.zoom;
  return [Math.atan(Math.sinh(Math.PI * (1 - 2 * y / world))) * 180 / Math.PI, x / world * 360 - 180];
}

function drawScale() {
  const perPixel = EQUATOR_M * Math.cos(geodetic(...centre)[0] * Math.PI / 180) / (256 * 2 ** now.zoom) / scale;
  const most = Math.min(160, wide / 3) * perPixel, power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((m) => m * power).find((m) => m <= most) || power, long = length / perPixel;
  pen.fillStyle = "rgba(255,255,255,.92)"; pen.fillRect(12, high - 48, long + 24, 36);
  pen.strokeStyle = INK; pen.lineWidth = 2; pen.beginPath();
  pen.moveTo(24, high - 27); pen.lineTo(24, high - 20); pen.lineTo(24 + long, high - 20); pen.lineTo(24 + long, high - 27); pen.stroke();
  pen.fillStyle = INK; pen.font = '13px "Segoe UI", Roboto, Arial, "Liberation Sans", "DejaVu Sans", sans-serif'; pen.textAlign = "center"; pen.textBaseline = "middle";
  pen.fillText(length >= 1000 ? length / 1000 + " km" : length >= 1 ? length + " m" : Math.round(length * 100) + " cm", 24 + long / 2, high - 37);
}

function days(source) {
  const [first, last] = [source.captured_first, source.captured_last].map((d) => d && d.slice(0, 10));
  return !first ? "day of capture not known" : first === last ? `taken ${first}` : `taken ${first} to ${last}`;
}
function fitAll() {
  const [x0, y0, x1, y1] = now.bounds_tiles;
  centre = [(x0 + x1) * 128, (y0 + y1) * 128];
  scale = Math.min(1, wide / ((x1 - x0) * 256), high / ((y1 - y0) * 256));
  draw(); look();
}
function choose(number) {
  now = sources[number];
  if (!now) { document.getElementById("total").textContent = "no tiles yet"; draw(); document.documentElement.dataset.ready = "yes"; return; }
  const old = now.downgraded ? `, ${now.downgraded.toLocaleString("en")} old` : "";
  document.getElementById("total").textContent = `${now.tiles.toLocaleString("en")} tiles${old}, ${(now.bytes / 1e6).toFixed(1)} MB, ${days(now)}`;
  document.getElementById("xyz").textContent = `${location.origin}/tiles/${encodeURIComponent(now.source)}/{z}/{x}/{y}.jpg`;
  fitAll();
}

function tell(event) {
  const [x0, y0] = box(), x = x0 + event.offsetX / scale / 256, y = y0 + event.offsetY / scale / 256;
  const [lat, lon] = geodetic(x * 256, y * 256), tile = tiles.find((t) => t[0] === Math.floor(x) && t[1] === Math.floor(y));
  const what = tile ? ` · ${tile[3] ? "taken " + tile[3] : "day not known"}${tile[2] === "fresh" ? "" : ", " + tile[2]}` : whole ? " · no map here" : "";
  document.getElementById("at").textContent = `${lat.toFixed(5)}, ${lon.toFixed(5)}${what}`;
}
function zoomAt(factor, x, y) {
  const to = Math.min(4, Math.max(2 ** -now.zoom, scale * factor)), off = [x - wide / 2, y - high / 2];
  centre = [centre[0] + off[0] * (1 / scale - 1 / to), centre[1] + off[1] * (1 / scale - 1 / to)];
  scale = to;
  later();
}
let pause = 0;
function lookSoon() { clearTimeout(pause); pause = setTimeout(look, 120); }
function fit() {
  wide = canvas.clientWidth; high = canvas.clientHeight;
  canvas.width = Math.round(wide * ratio()); canvas.height = Math.round(high * ratio());
  draw(); look();
}
new ResizeObserver(fit).observe(canvas);
canvas.addEventListener("pointerdown", (e) => { pointers.set(e.pointerId, e); canvas.setPointerCapture(e.pointerId); });
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (e) => { pointers.delete(e.pointerId); lookSoon(); });
canvas.addEventListener("pointermove", (e) => {
  if (!now) return;
  tell(e);
  const before = pointers.get(e.pointerId);
  if (!before) return;
  const other = [...pointers.values()].find((p) => p.pointerId !== e.pointerId);
  if (other) {
    const far = (p) => Math.hypot(p.offsetX - other.offsetX, p.offsetY - other.offsetY) || 1;
    zoomAt(far(e) / far(before), (e.offsetX + other.offsetX) / 2, (e.offsetY + other.offsetY) / 2);
  } else centre = [centre[0] - (e.offsetX - before.offsetX) / scale, centre[1] - (e.offsetY - before.offsetY) / scale];
  pointers.set(e.pointerId, e);
  later();
});
canvas.addEventListener("wheel", (e) => { e.preventDefault(); if (now) { zoomAt(Math.exp(-e.deltaY / 400), e.offsetX, e.offsetY); lookSoon(); } }, { passive: false });
canvas.addEventListener("keydown", (e) => {
  const step = 80 / scale, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (!now) return;
  if (moves[e.key]) centre = [centre[0] + moves[e.key][0], centre[1] + moves[e.key][1]];
  else if (e.key === "+" || e.key === "-") zoomAt(e.key === "+" ? 1.5 : 1 / 1.5, wide / 2, high / 2);
  else return;
  e.preventDefault(); later(); lookSoon();
});
frames.addEventListener("change", draw);
document.getElementById("all").addEventListener("click", () => { if (now) fitAll(); });
picker.addEventListener("change", () => choose(picker.selectedIndex));
fetch("/api/overview").then((answer) => answer.json()).then((found) => {
  sources = found.sources;
  for (const s of sources) picker.add(new Option(`${s.source}, zoom ${s.zoom}`));
  picker.hidden = !sources.length;
  wide = canvas.clientWidth; high = canvas.clientHeight;
  choose(0);
});
