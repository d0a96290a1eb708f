"use strict";
// Small things that all charts share: elements, numbers, colours, scales, axes.
const LABEL_NAMES = ["satellite anchored", "visual propagated", "dead reckoned"];
const HEALTH_NAMES = ["unknown", "stable, not spoofed", "degraded", "spoofed"];
const SOURCE_NAMES = ["companion", "GPS"];
const LEVEL_NAMES = ["3D fix", "2D fix", "no fix: blackout failsafe", "no position"];
const SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
const FONT = '12.5px Inter, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
// Colours keep apart for colour-blind readers too (tests/gps_denied_operator/report/test_look.py); every one of them
// also has a shape, a dash or a word. `labels` by source label; `states` good, warning, bad, none; `pair` by source.
const THEMES = {
  light: { ink: "#0b1116", soft: "#44505c", hair: "#e3e8ed", faint: "#8b97a3", paper: "#ffffff", halo: "rgba(255,255,255,.92)", bad: "#b00020", bound: "#5b6670",
    accent: "#005fb8", none: "#6b7680", labels: ["#005fb8", "#c47a00", "#b3127a"], states: ["#2f7fc1", "#c47a00", "#7d1128", "#7b8794"], pair: ["#005fb8", "#0b7a4b"],
    sources: ["#005fb8", "#f23d00", "#33000d", "#a66c7a", "#7900f2", "#802000", "#000059"], receiver: "#0b7a4b", forged: "#b00020", route: "#3b4650" },
  dark: { ink: "#e8edf2", soft: "#b3bec9", hair: "#2a343e", faint: "#66727e", paper: "#10161c", halo: "rgba(16,22,28,.92)", bad: "#ff8a94", bound: "#93a0ac",
    accent: "#6ab0f7", none: "#8b97a3", labels: ["#5aa9f5", "#f3b04a", "#f07cc4"], states: ["#3f8fd6", "#e9a23b", "#c23a52", "#6b7680"], pair: ["#5aa9f5", "#4cc38a"],
    sources: ["#5aa9f5", "#f27900", "#ffffff", "#805e53", "#9130f2", "#f2c89d", "#b3b3b3"], receiver: "#4cc38a", forged: "#ff8a94", route: "#b3bec9" },
};
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
let T = DARK.matches ? THEMES.dark : THEMES.light;
const M = THEMES.light; // a map is light paper in both

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") node.style.cssText = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const known = (v) => v !== null && v !== undefined;
function metres(v) { return !known(v) ? "–" : v < 9.95 ? v.toFixed(2) : v < 99.5 ? v.toFixed(1) : Math.round(v).toLocaleString("en"); }
function fixed(v, digits) { return known(v) ? v.toFixed(digits) : "–"; }
function milliseconds(v) { return v >= 9950 ? (v / 1000).toFixed(0) + " s" : v.toFixed(v < 9.95 ? 1 : 0) + " ms"; }
function percent(v) {
  if (!known(v)) return "–";
  const p = 100 * v;
  return p >= 99.995 || p === 0 ? p.toFixed(0) : p > 99.9 ? (Math.floor(p * 100) / 100).toFixed(2) : p.toFixed(1);
}
function clock(s) {
  const sign = s < 0 ? "−" : "", a = Math.abs(s), h = Math.floor(a / 3600), m = Math.floor(a / 60) % 60, r = a % 60;
  const seconds = Number.isInteger(Math.round(r * 10) / 10) ? String(Math.round(r)).padStart(2, "0") : r.toFixed(1).padStart(4, "0");
  return sign + (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + seconds;
}
// A moment of a flight: UTC where the recording knows it, else the time since the first position.
function moment(flight, s, tenths) {
  const utc = flight.story && flight.story.utc_ms;
  if (!utc) return clock(s);
  return new Date(utc + s * 1000).toISOString().slice(11, tenths ? 21 : 19);
}
const timeUnit = (flight) => flight.story && flight.story.utc_ms ? "UTC" : "min:s";
function range(values, from) {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (known(v)) { if (v < low) low = v; if (v > high) high = v; }
  }
  return low > high ? from || [0, 1] : [low, high];
}

function niceTicks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw) || power * 10;
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Math.round(k * step * 1e6) / 1e6);
  return ticks;
}
function timeTicks(low, high, count, zero) { // round in the clock that is shown, whose time at 0 is `zero` seconds
  const raw = (high - low) / Math.max(count, 1), off = zero || 0;
  const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find((s) => s >= raw) || 28800;
  const ticks = [];
  for (let k = Math.ceil((low + off) / step); k * step - off <= high; k++) ticks.push(k * step - off);
  return ticks;
}
function logTicks(low, high) {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
    for (const m of [1, 2, 5]) { const v = m * 10 ** e; if (v >= low * 0.999 && v <= high * 1.001) ticks.push(v); }
  return ticks.length > 9 ? ticks.filter((v) => /^1/.test(v.toExponential())) : ticks;
}

// A canvas as sharp as the screen, drawn again when its size changes; nothing is drawn while it is hidden.
class Board {
  constructor(canvas, draw) {
    this.canvas = canvas; this.draw = draw; this.waiting = false;
    new ResizeObserver(() => this.fit()).observe(canvas);
  }
  fit() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!box.width || !box.height) return;
    this.width = box.width; this.height = box.height;
    this.canvas.width = Math.round(box.width * ratio); this.canvas.height = Math.round(box.height * ratio);
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paint();
  }
  paint() {
    if (!this.context) return;
    this.context.clearRect(0, 0, this.width, this.height);
    this.context.font = FONT; this.context.textBaseline = "middle"; this.context.lineJoin = "round";
    this.draw(this.context, this.width, this.height);
  }
  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }
}

function text(c, string, x, y, align, colour, halo) {
  c.textAlign = align || "left";
  if (halo) { c.strokeStyle = T.halo; c.lineWidth = 3.5; c.strokeText(string, x, y); }
  c.fillStyle = colour || T.soft; c.fillText(string, x, y);
}
function readable(colour) { // black or white, whichever can be read on a colour
  const [r, g, b] = [1, 3, 5].map((k) => { const v = parseInt(colour.slice(k, k + 2), 16) / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (light + 0.05) / 0.055 > 1.05 / (light + 0.05) ? "#0b1116" : "#ffffff";
}
function line(c, x0, y0, x1, y1, colour, width, dash) {
  c.beginPath(); c.setLineDash(dash || []); c.moveTo(x0, y0); c.lineTo(x1, y1);
  c.strokeStyle = colour; c.lineWidth = width || 1; c.stroke(); c.setLineDash([]);
}
// One mark a label, so that colour is not the only sign: disc, square, triangle, diamond.
function mark(c, label, x, y, size) {
  c.beginPath();
  if (label === 1) c.rect(x - size, y - size, 2 * size, 2 * size);
  else if (label === 3) { c.moveTo(x, y - 1.4 * size); c.lineTo(x + 1.4 * size, y); c.lineTo(x, y + 1.4 * size); c.lineTo(x - 1.4 * size, y); c.closePath(); }
  else if (label === 2) { c.moveTo(x, y - 1.3 * size); c.lineTo(x + 1.2 * size, y + size); c.lineTo(x - 1.2 * size, y + size); c.closePath(); }
  else c.arc(x, y, size, 0, 7);
  c.fill();
}
function cross(c, x, y, size) {
  c.beginPath(); c.moveTo(x - size, y - size); c.lineTo(x + size, y + size);
  c.moveTo(x + size, y - size); c.lineTo(x - size, y + size); c.stroke();
}
