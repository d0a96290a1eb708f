// Charts over time with one shared axis, and the two distributions.
const PAD = { left: 66, right: 14, top: 8, bottom: 24 };

// The shared time axis and the shared cursor of one flight.
class Timeline {
  constructor(flight) {
    this.flight = flight; this.members = []; this.frame = null; this.pinned = null; this.listeners = [];
    const span = flight.story ? flight.story.span : [], [low, high] = range([...flight.t, ...span].length ? [flight.t[0], flight.t[flight.t.length - 1], ...span] : [], [0, 1]);
    this.zero = flight.story && flight.story.utc_ms ? flight.story.utc_ms / 1000 % 86400 : 0;
    this.full = [low, Math.max(high, low + 1)]; this.view = this.full.slice();
  }
  point(frame) { if (this.frame !== frame) { this.frame = frame; this.tell(); } }
  pin(frame) { this.pinned = frame; this.frame = frame; this.tell(); }
  leave() { this.point(this.pinned); }
  tell() { for (const member of this.members) member.board.later(); for (const hear of this.listeners) hear(this.frame); }
  zoom(low, high) {
    const span = Math.max(high - low, 2), all = this.full[1] - this.full[0];
    if (span >= all) this.view = this.full.slice();
    else { const start = Math.min(Math.max(low, this.full[0]), this.full[1] - span); this.view = [start, start + span]; }
    this.tell();
  }
  nearest(t) {
    const ts = this.flight.t;
    let low = 0, high = ts.length - 1;
    while (low < high) { const mid = (low + high) >> 1; if (ts[mid] < t) low = mid + 1; else high = mid; }
    return low > 0 && t - ts[low - 1] < ts[low] - t ? low - 1 : low;
  }
}

class TimeChart {
  // `axis` null (a band) or {low, high, log, unit}; `paint` draws between the scales.
  constructor(timeline, canvas, axis, paint, options) {
    this.timeline = timeline; this.axis = axis; this.paintInside = paint; this.options = options || {};
    this.board = new Board(canvas, (c, w, h) => this.draw(c, w, h)); this.canvas = canvas;
    timeline.members.push(this);
    canvas.addEventListener("pointermove", (e) => this.move(e));
    canvas.addEventListener("pointerleave", () => { if (!this.drag) timeline.leave(); });
    canvas.addEventListener("pointerdown", (e) => { this.drag = { from: e.offsetX, to: e.offsetX }; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointerup", (e) => this.release(e));
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.board.later(); });
    canvas.addEventListener("dblclick", () => timeline.zoom(...timeline.full));
    canvas.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.shiftKey) return;
      e.preventDefault();
      const t = this.time(e.offsetX), k = Math.exp((e.deltaY || e.deltaX) * 0.002), [a, b] = timeline.view;
      timeline.zoom(t - (t - a) * k, t + (b - t) * k);
    }, { passive: false });
  }
  x(t) { const [a, b] = this.timeline.view; return PAD.left + (t - a) / (b - a) * (this.board.width - PAD.left - PAD.right); }
  time(x) { const [a, b] = this.timeline.view; return a + (x - PAD.left) / (this.board.width - PAD.left - PAD.right) * (b - a); }
  y(v) {
    const { low, high, log } = this.axis, bottom = this.bottom();
    const share = log ? Math.log(Math.max(v, low) / low) / Math.log(high / low) : (v - low) / (high - low);
    return bottom - share * (bottom - PAD.top);
  }
  bottom() { return this.board.height - PAD.bottom; }
  move(event) {
    if (this.drag) { this.drag.to = event.offsetX; this.board.later(); }
    this.timeline.point(this.timeline.nearest(this.time(event.offsetX)));
  }
  release(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (Math.abs(event.offsetX - drag.from) > 8) {
      const a = this.time(drag.from), b = this.time(event.offsetX);
      this.timeline.zoom(Math.min(a, b), Math.max(a, b));
    } else this.timeline.pin(this.timeline.nearest(this.time(event.offsetX)));
  }
  draw(c, w) {
    const bottom = this.bottom(), [t0, t1] = this.timeline.view, right = w - PAD.right;
    for (const t of timeTicks(t0, t1, (right - PAD.left) / (w < 560 ? 70 : 90), this.timeline.zero)) {
      line(c, this.x(t), PAD.top, this.x(t), bottom, T.hair);
      if (this.x(t) > PAD.left + 26 && this.x(t) < right - 10) text(c, moment(this.timeline.flight, t), this.x(t), bottom + 13, "center");
    }
    text(c, timeUnit(this.timeline.flight), PAD.left - 8, bottom + 13, "right", T.ink);
    if (this.axis) {
      const { low, high, log, unit } = this.axis;
      const ticks = this.axis.ticks || (log ? logTicks(low, high) : niceTicks(low, high, (bottom - PAD.top) / 34));
      for (const v of ticks) {
        line(c, PAD.left, this.y(v), right, this.y(v), T.hair);
        text(c, Math.abs(v) >= 10000 ? (v / 1000).toLocaleString("en") + "k" : String(v), PAD.left - 7, this.y(v), "right");
      }
      if (unit) { c.save(); c.translate(10, (PAD.top + bottom) / 2); c.rotate(-Math.PI / 2); text(c, unit, 0, 0, "center"); c.restore(); }
    }
    c.save(); c.beginPath(); c.rect(PAD.left, PAD.top - 4, right - PAD.left, bottom - PAD.top + 8); c.clip();
    this.paintInside(c, this);
    if (this.drag && Math.abs(this.drag.to - this.drag.from) > 8) {
      c.fillStyle = T.accent + "26"; c.fillRect(this.drag.from, PAD.top, this.drag.to - this.drag.from, bottom - PAD.top);
    }
    const frame = this.timeline.frame;
    if (frame !== null) line(c, this.x(this.timeline.flight.t[frame]), PAD.top - 4, this.x(this.timeline.flight.t[frame]), bottom + 4, T.ink, 1.4);
    c.restore();
    line(c, PAD.left, bottom + 0.5, right, bottom + 0.5, T.soft);
  }
}

// A line of values over time that breaks where there is none for long.
function curve(c, chart, values, colour, width, dash) {
  const ts = chart.timeline.flight.t, gap = chart.timeline.flight.gap;
  c.beginPath(); c.setLineDash(dash || []);
  let last = null;
  for (let i = 0; i < ts.length; i++) {
    if (!known(values[i])) continue;
    if (last !== null && ts[i] - last <= gap) c.lineTo(chart.x(ts[i]), chart.y(values[i]));
    else c.moveTo(chart.x(ts[i]), chart.y(values[i]));
    last = ts[i];
  }
  c.strokeStyle = colour; c.lineWidth = width; c.stroke(); c.setLineDash([]);
}
function band(c, chart, lower, upper, colour) {
  const ts = chart.timeline.flight.t;
  c.fillStyle = colour;
  for (let i = 0; i < ts.length; ) {
    if (!known(upper[i])) { i++; continue; }
    let j = i;
    while (j + 1 < ts.length && known(upper[j + 1])) j++;
    c.beginPath();
    for (let k = i; k <= j; k++) c.lineTo(chart.x(ts[k]), chart.y(upper[k]));
    for (let k = j; k >= i; k--) c.lineTo(chart.x(ts[k]), lower ? chart.y(lower[k]) : chart.bottom());
    c.fill();
    i = j + 1;
  }
}

function errorChart(timeline, canvas, log) {
  const f = timeline.flight, scored = f.err.some(known), top = Math.max(range(scored ? f.err : [...f.major, ...f.protection])[1], 5) * 1.25, unit = scored ? "error, m" : "radius, m";
  const axis = log ? { low: 0.2, high: Math.max(top, 60), log: true, unit, ticks: [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].filter((v) => v <= Math.max(top, 60)) } : { low: 0, high: top, unit };
  return new TimeChart(timeline, canvas, axis, (c, chart) => {
    band(c, chart, null, f.major, T.bound + "22");
    for (const limit of [10, 20, 50]) if (limit < axis.high) line(c, PAD.left, chart.y(limit), chart.board.width, chart.y(limit), T.faint, 1, [2, 4]);
    curve(c, chart, f.major, T.bound, 1.2);
    curve(c, chart, f.protection, T.ink, 1.6, [8, 4]);
    curve(c, chart, f.err, T.faint, 1);
    for (let i = 0; i < f.t.length; i++) {
      if (!known(f.err[i])) continue;
      const x = chart.x(f.t[i]), y = chart.y(f.err[i]);
      c.fillStyle = T.labels[f.label[i]]; mark(c, f.label[i], x, y, 2.3);
      if (f.hazard[i] === 1) { c.beginPath(); c.arc(x, y, 8, 0, 7); c.strokeStyle = T.bad; c.lineWidth = 3; c.stroke(); }
      if (f.inside[i] === 0) { c.beginPath(); c.arc(x, y, 5, 0, 7); c.strokeStyle = T.bad; c.lineWidth = 1.5; c.stroke(); }
    }
  });
}

function aidChart(timeline, canvas, hidden, sigmas) {
  const f = timeline.flight, names = Object.keys(f.aids), all = names.flatMap((name) => sigmas ? f.aids[name].s : f.aids[name].r);
  const extreme = range(all, [-1, 1]), reach = Math.min(Math.max(3.5, Math.abs(extreme[0]), Math.abs(extreme[1])), 12);
  const axis = sigmas ? { low: -reach, high: reach, unit: "innovation, σ" }
    : { low: 0.01, high: Math.max(3, Math.min(extreme[1] * 1.2, 1000)), log: true, unit: "test ratio" };
  return new TimeChart(timeline, canvas, axis, (c, chart) => {
    if (sigmas) line(c, PAD.left, chart.y(0), chart.board.width, chart.y(0), T.soft, 1);
    else {
      c.fillStyle = T.bad + "14"; c.fillRect(PAD.left, PAD.top, chart.board.width, chart.y(1) - PAD.top);
      line(c, PAD.left, chart.y(1), chart.board.width, chart.y(1), T.bad, 1.4, [6, 4]);
    }
    names.forEach((name, n) => {
      if (hidden.has(name)) return;
      const aid = f.aids[name], values = sigmas ? aid.s : aid.r, colour = T.sources[n % T.sources.length];
      c.fillStyle = colour; c.strokeStyle = T.bad; c.lineWidth = 1.6;
      for (let i = 0; i < aid.t.length; i++) {
        if (!known(values[i])) continue;
        const x = chart.x(aid.t[i]), y = chart.y(Math.max(Math.min(values[i], axis.high), axis.low));
        if (aid.ok[i]) { c.globalAlpha = 0.75; mark(c, n % 4, x, y, 1.7); c.globalAlpha = 1; } else { c.strokeStyle = colour; cross(c, x, y, 3.2); }
      }
    });
  });
}

function heightChart(timeline, canvas) {
  const f = timeline.flight, low = f.z.map((z, i) => known(z) ? z - f.zs[i] : null), high = f.z.map((z, i) => known(z) ? z + f.zs[i] : null);
  const [a, b] = range([...f.z, ...f.tz]), space = Math.max((b - a) * 0.15, 5);
  return new TimeChart(timeline, canvas, { low: a - space, high: b + space, unit: f.aboveGround ? "above ground, m" : "altitude AMSL, m" }, (c, chart) => {
    band(c, chart, low, high, T.accent + "29");
    curve(c, chart, f.tz, T.ink, 1.8);
    curve(c, chart, f.z, T.accent, 1.6, [5, 3]);
  });
}

function latencyChart(timeline, canvas) {
  const f = timeline.flight, p95 = f.figures.latency_ms.p95, high = Math.max(50, Math.min(range(f.latency, [0, 50])[1] * 1.1, 3 * (p95 || 1e9)));
  return new TimeChart(timeline, canvas, { low: 0, high, unit: "latency, ms" }, (c, chart) => {
    c.fillStyle = T.soft;
    for (let i = 0; i < f.t.length; i++) {
      if (!known(f.latency[i])) continue;
      if (f.latency[i] <= high) mark(c, 0, chart.x(f.t[i]), chart.y(f.latency[i]), 1.8);
      else { mark(c, 2, chart.x(f.t[i]), PAD.top + 4, 3.5); text(c, (f.latency[i] / 1000).toFixed(1) + " s", chart.x(f.t[i]) + 8, PAD.top + 4, "left", T.ink, true); c.fillStyle = T.soft; }
    }
    if (known(p95)) {
      line(c, PAD.left, chart.y(p95), chart.board.width, chart.y(p95), T.accent, 1.5, [6, 4]);
      text(c, "p95 " + milliseconds(p95), chart.board.width - PAD.right - 6, chart.y(p95) - 9, "right", T.accent, true);
    }
  });
}

// Each stage as whisker p5 to p95, box p25 to p75, median and maximum.
function stageChart(canvas, stages) {
  const rows = Object.entries(stages).filter(([, q]) => q), most = Math.max(1, ...rows.map(([, q]) => q[4]));
  const board = new Board(canvas, (c, w, h) => {
    const left = 76, right = w - 62, unit = most > 9950 ? 1000 : 1, x = (v) => left + Math.min(v / most, 1.04) * (right - left), step = (h - 26) / Math.max(rows.length, 1);
    for (const v of niceTicks(0, most / unit, 4)) { line(c, x(v * unit), 2, x(v * unit), h - 24, T.hair); text(c, String(v), x(v * unit), h - 11, "center"); }
    text(c, unit > 1 ? "time, s" : "time, ms", 4, h - 11, "left", T.ink);
    rows.forEach(([name, q], n) => {
      const y = (n + 0.5) * step + 2;
      text(c, name, left - 9, y, "right", T.ink);
      line(c, x(q[0]), y, x(q[4]), y, T.ink, 1.6);
      for (const v of [q[0], q[4]]) line(c, x(v), y - 4, x(v), y + 4, T.ink, 1.6);
      c.fillStyle = T.accent + "55"; c.strokeStyle = T.accent; c.lineWidth = 1.2;
      c.fillRect(x(q[1]), y - 8, x(q[3]) - x(q[1]), 16); c.strokeRect(x(q[1]), y - 8, x(q[3]) - x(q[1]), 16);
      line(c, x(q[2]), y - 9, x(q[2]), y + 9, T.ink, 2.4);
      text(c, milliseconds(q[4]), x(q[4]) + 7, y, "left", T.ink, true);
    });
    if (!rows.length) text(c, "no stage was timed", w / 2, h / 2, "center");
  });
  return board;
}

// Share of scored frames within an error: every flight, and all of them together.
function shareChart(canvas, flights, all, chosen) {
  return new Board(canvas, (c, w, h) => {
    const left = 50, right = w - 16, top = 10, bottom = h - 40;
    const most = Math.max(110, ...flights.map((f) => range(f.cdf, [0, 60])[1])), low = 0.1, high = Math.min(most * 1.1, 5000);
    const x = (v) => left + Math.log(Math.min(Math.max(v, low), high) / low) / Math.log(high / low) * (right - left), y = (p) => bottom - p * (bottom - top);
    for (let p = 0; p <= 1.001; p += 0.2) { line(c, left, y(p), right, y(p), T.hair); text(c, Math.round(100 * p) + " %", left - 7, y(p), "right"); }
    for (const v of logTicks(low, high)) { line(c, x(v), top, x(v), bottom, T.hair); text(c, String(v), x(v), bottom + 13, "center"); }
    text(c, "horizontal error, m; share of frames, %", (left + right) / 2, bottom + 30, "center");
    const draw = (cdf, colour, width) => {
      c.beginPath();
      cdf.forEach((v, k) => { if (known(v)) c.lineTo(x(v), y(k / (cdf.length - 1))); });
      c.strokeStyle = colour; c.lineWidth = width; c.stroke();
    };
    if (flights.length > 1) {
      flights.forEach((f) => draw(f.cdf, "#8b97a3aa", 1.2));
      draw(flights[chosen()].cdf, T.accent, 2.4);
    }
    draw(all, T.ink, 2.8);
    for (const [limit, share, must] of [[50, 0.8, 1], [20, 0.6, 1], [10, 0.95, 0], [5, 0.8, 0]]) {
      const px = x(limit), py = y(share);
      c.beginPath(); c.moveTo(px, py - 6); c.lineTo(px + 6, py); c.lineTo(px, py + 6); c.lineTo(px - 6, py); c.closePath();
      c.fillStyle = must ? T.bad : T.paper; c.strokeStyle = must ? T.bad : T.ink; c.lineWidth = 1.6; c.fill(); c.stroke();
      if (must) text(c, "must " + limit + " m", Math.min(px, w - 38), py + 15, "center", T.bad, true);
      else text(c, "aim " + limit + " m", px + 10, py + 1, "left", T.ink, true);
    }
  });
}
