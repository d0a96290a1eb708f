// The map: truth, track by label, 95 % ellipses and anchors over the map that was flown with.
class MapView {
  constructor(timeline, canvas, tip, layers) {
    this.timeline = timeline; this.flight = timeline.flight; this.canvas = canvas; this.tip = tip; this.layers = layers;
    this.view = null; this.picture = null; this.pointers = new Map();
    this.receiver = this.flight.story ? this.flight.story.receiver : []; this.route = this.flight.story ? this.flight.story.route : [];
    if (this.flight.map) { this.picture = new Image(); this.picture.onload = () => this.board.paint(); this.picture.src = this.flight.map.jpeg; }
    this.board = new Board(canvas, (c, w, h) => this.draw(c, w, h));
    timeline.members.push(this);
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.zoom(Math.exp(-e.deltaY * 0.0015), e.offsetX, e.offsetY); }, { passive: false });
    canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); this.pointers.set(e.pointerId, e); this.moved = 0; });
    canvas.addEventListener("pointermove", (e) => this.move(e));
    canvas.addEventListener("pointerup", (e) => this.up(e));
    canvas.addEventListener("pointercancel", (e) => this.pointers.delete(e.pointerId));
    canvas.addEventListener("pointerleave", () => { this.tip.style.display = "none"; timeline.leave(); });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (e) => this.key(e));
  }
  reset() { this.view = null; this.board.later(); }
  fit() {
    const f = this.flight, w = this.board.width, h = this.board.height;
    let [x0, x1] = range([...f.x, ...f.tx]), [y0, y1] = range([...f.y, ...f.ty]);
    const placed = f.x.some(known) || f.tx.some(known), reach = placed ? 2000 + Math.max(x1 - x0, y1 - y0) : Infinity;
    const near = [...this.receiver.map((p) => [p[1], p[2]]), ...this.route].filter(([x, y]) => known(x) && (!placed || Math.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) < reach));
    if (near.length) [[x0, x1], [y0, y1]] = [range([...near.map((p) => p[0]), ...(placed ? [x0, x1] : [])]), range([...near.map((p) => p[1]), ...(placed ? [y0, y1] : [])])];
    else if (!placed && f.map) [x0, y0, x1, y1] = [f.map.x0, f.map.y0, f.map.x1, f.map.y1];
    const scale = Math.min((w - 60) / Math.max(x1 - x0, 20), (h - 60) / Math.max(y1 - y0, 20));
    this.view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale };
  }
  px(x) { return this.board.width / 2 + (x - this.view.x) * this.view.scale; }
  py(y) { return this.board.height / 2 - (y - this.view.y) * this.view.scale; }
  zoom(factor, ox, oy) {
    const v = this.view, x = v.x + (ox - this.board.width / 2) / v.scale, y = v.y - (oy - this.board.height / 2) / v.scale;
    v.scale = Math.min(Math.max(v.scale * factor, 0.002), 60);
    v.x = x - (ox - this.board.width / 2) / v.scale; v.y = y + (oy - this.board.height / 2) / v.scale;
    this.board.later();
  }
  key(event) {
    const step = 60 / this.view.scale, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) { this.view.x += moves[event.key][0]; this.view.y += moves[event.key][1]; }
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.4 : 1 / 1.4, this.board.width / 2, this.board.height / 2);
    else if (event.key === "0") this.view = null;
    else return;
    event.preventDefault(); this.board.later();
  }
  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) { this.hover(event); return; }
    const others = [...this.pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    if (others.length) {
      const o = others[0], d = (p) => Math.hypot(p.offsetX - o.offsetX, p.offsetY - o.offsetY) || 1;
      this.zoom(d(event) / d(before), (event.offsetX + o.offsetX) / 2, (event.offsetY + o.offsetY) / 2);
    } else {
      this.view.x -= (event.offsetX - before.offsetX) / this.view.scale; this.view.y += (event.offsetY - before.offsetY) / this.view.scale;
    }
    this.moved += Math.abs(event.offsetX - before.offsetX) + Math.abs(event.offsetY - before.offsetY);
    this.pointers.set(event.pointerId, event); this.tip.style.display = "none"; this.board.later();
  }
  up(event) {
    this.pointers.delete(event.pointerId);
    if (this.moved < 4) { const i = this.near(event); this.timeline.pin(i === this.timeline.pinned ? null : i); }
  }
  near(event) {
    const f = this.flight;
    let best = null, least = 22;
    for (let i = 0; i < f.t.length; i++) {
      for (const [x, y] of [[f.x[i], f.y[i]], [f.tx[i], f.ty[i]]]) {
        if (!known(x)) continue;
        const d = Math.hypot(this.px(x) - event.offsetX, this.py(y) - event.offsetY);
        if (d < least) { least = d; best = i; }
      }
    }
    return best;
  }
  hover(event) {
    const i = this.near(event), f = this.flight;
    if (i === null) { this.tip.style.display = "none"; this.timeline.leave(); return; }
    this.timeline.point(i);
    this.tip.replaceChildren(f.name[i] + "  " + moment(f, f.t[i], true), el("br"), known(f.label[i]) ? LABEL_NAMES[f.label[i]] + (known(f.err[i]) ? ", " + metres(f.err[i]) + " m off" : "") : "no estimate");
    this.tip.style.display = "block";
    const box = this.tip.getBoundingClientRect();
    this.tip.style.left = Math.min(event.offsetX + 16, this.board.width - box.width - 6) + "px";
    this.tip.style.top = Math.min(event.offsetY + 16, this.board.height - box.height - 6) + "px";
  }
  draw(c, w, h) {
    if (!this.view) this.fit();
    const f = this.flight, on = (name) => this.layers[name];
    if (on("map") && f.map && this.picture.complete && this.picture.naturalWidth) {
      const x = this.px(f.map.x0), y = this.py(f.map.y1);
      c.globalAlpha = 0.72; c.drawImage(this.picture, x, y, this.px(f.map.x1) - x, this.py(f.map.y0) - y); c.globalAlpha = 1;
    }
    if (on("route")) this.planned(c);
    if (on("others")) this.others(c);
    if (on("receiver")) this.claimed(c);
    if (on("ellipses")) this.ellipses(c);
    if (on("truth")) this.truth(c, on("track"));
    if (on("track")) this.track(c);
    if (on("truth") && on("track")) this.truth(c, false, 1);
    if (on("anchors")) this.anchors(c, 1);
    if (on("rejected")) this.anchors(c, 0);
    this.cursor(c);
    this.scale(c, w, h);
  }
  truth(c, below, thin) { // under the track with a halo, and thin above it: where the two agree both are seen
    const f = this.flight;
    for (const [colour, width] of thin ? [[M.ink, thin]] : [["rgba(255,255,255,.95)", 5], [M.ink, below ? 2.4 : 2]]) {
      c.beginPath();
      let last = null;
      for (let i = 0; i < f.t.length; i++) {
        if (!known(f.tx[i])) continue;
        if (last !== null && f.t[i] - last <= f.gap) c.lineTo(this.px(f.tx[i]), this.py(f.ty[i])); else c.moveTo(this.px(f.tx[i]), this.py(f.ty[i]));
        last = f.t[i];
      }
      c.strokeStyle = colour; c.lineWidth = width; c.stroke();
    }
  }
  path(c, points, colour, width, dash) { // points [x, y], null to lift the pen
    c.beginPath(); c.setLineDash(dash || []);
    let down = false;
    for (const p of points) { if (!p || !known(p[0])) { down = false; continue; } if (down) c.lineTo(this.px(p[0]), this.py(p[1])); else c.moveTo(this.px(p[0]), this.py(p[1])); down = true; }
    c.strokeStyle = colour; c.lineWidth = width; c.stroke(); c.setLineDash([]);
  }
  planned(c) {
    this.path(c, this.route, "rgba(255,255,255,.9)", 4.5); this.path(c, this.route, M.route, 2, [11, 6]);
    this.route.forEach(([x, y], n) => { if (known(x)) { c.fillStyle = "#fff"; mark(c, 1, this.px(x), this.py(y), 4.5); c.fillStyle = M.route; mark(c, n ? 3 : 1, this.px(x), this.py(y), 3); } });
  }
  others(c) {
    for (const other of FLIGHTS) {
      if (other === this.flight) continue;
      const points = other.t.map((t, i) => i && t - other.t[i - 1] > other.gap ? null : [other.x[i], other.y[i]]);
      this.path(c, points, "rgba(255,255,255,.8)", 4.5); this.path(c, points, M.none, 2);
    }
  }
  claimed(c) { // the receiver's own track: dotted; with crosses where it was called spoofed
    const jump = 5, runs = [[], []];
    let last = null;
    for (const p of this.receiver) {
      const bad = p[3] === 3 ? 1 : 0, broken = last && (p[0] - last[0] > jump || Math.hypot(p[1] - last[1], p[2] - last[2]) > 300);
      if (broken) { runs[0].push(null); runs[1].push(null); } else if (last && (last[3] === 3 ? 1 : 0) !== bad) runs[1 - bad].push(null);
      runs[bad].push([p[1], p[2]]); last = p;
    }
    for (const [k, colour] of [[0, M.receiver], [1, M.forged]]) { this.path(c, runs[k], "rgba(255,255,255,.85)", 4); this.path(c, runs[k], colour, 2.4, k ? [2, 4] : [6, 4]); }
    let at = null;
    for (const p of this.receiver) if (p[3] === 3) {
      const x = this.px(p[1]), y = this.py(p[2]);
      if (at && Math.hypot(x - at[0], y - at[1]) < 26) continue;
      c.strokeStyle = M.forged; c.lineWidth = 1.8; cross(c, x, y, 3.4); at = [x, y];
    }
  }
  claim(i) { // where the receiver was at a frame's time
    const t = this.flight.t[i];
    let best = null;
    for (const p of this.receiver) if (Math.abs(p[0] - t) < 1 && (!best || Math.abs(p[0] - t) < Math.abs(best[0] - t))) best = p;
    return best;
  }
  track(c) {
    const f = this.flight, dots = this.view.scale * this.spacing() > 5;
    for (const halo of [true, false]) {
      for (let i = 1; i < f.t.length; i++) {
        if (!known(f.x[i]) || !known(f.x[i - 1]) || f.t[i] - f.t[i - 1] > f.gap) continue;
        line(c, this.px(f.x[i - 1]), this.py(f.y[i - 1]), this.px(f.x[i]), this.py(f.y[i]), halo ? "rgba(255,255,255,.9)" : M.labels[f.label[i]], halo ? 6 : 2.8);
      }
    }
    for (let i = 0; i < f.t.length; i++) {
      const alone = !(i && known(f.x[i - 1])) && !known(f.x[i + 1]);
      if (!known(f.x[i]) || !(dots || alone)) continue;
      c.fillStyle = "#fff"; mark(c, f.label[i], this.px(f.x[i]), this.py(f.y[i]), 5);
      c.fillStyle = M.labels[f.label[i]]; mark(c, f.label[i], this.px(f.x[i]), this.py(f.y[i]), 3.6);
    }
  }
  spacing() {
    if (this.mean === undefined) {
      const f = this.flight, steps = [];
      for (let i = 1; i < f.t.length; i++) if (known(f.x[i]) && known(f.x[i - 1])) steps.push(Math.hypot(f.x[i] - f.x[i - 1], f.y[i] - f.y[i - 1]));
      this.mean = steps.length ? steps.sort((a, b) => a - b)[steps.length >> 1] : 1;
    }
    return this.mean;
  }
  ellipses(c) {
    const f = this.flight, seen = [];
    for (let i = 0; i < f.t.length; i++) {
      if (!known(f.x[i])) continue;
      const reach = f.major[i] * this.view.scale, x = this.px(f.x[i]), y = this.py(f.y[i]);
      if (x > -reach && y > -reach && x < this.board.width + reach && y < this.board.height + reach) seen.push(i);
    }
    const stride = Math.max(1, Math.round(seen.length / 160));
    for (let k = 0; k < seen.length; k += stride) this.ellipse(c, seen[k], false);
  }
  ellipse(c, i, strong) {
    const f = this.flight, turn = (f.azimuth[i] - 90) * Math.PI / 180;
    c.beginPath();
    c.ellipse(this.px(f.x[i]), this.py(f.y[i]), f.major[i] * this.view.scale, Math.max(f.minor[i] * this.view.scale, 0.5), turn, 0, 7);
    c.fillStyle = M.labels[f.label[i]] + (strong ? "40" : "1f"); c.fill();
    c.strokeStyle = M.labels[f.label[i]] + (strong ? "" : "b0"); c.lineWidth = strong ? 2.2 : 1.1; c.stroke();
  }
  anchors(c, wanted) {
    for (const [i, ok, x, y] of this.flight.fixes) {
      if (ok !== wanted || !known(x)) continue;
      const px = this.px(x), py = this.py(y);
      if (wanted) {
        c.beginPath(); c.arc(px, py, 3.4, 0, 7); c.fillStyle = "#fff"; c.fill(); c.strokeStyle = "#00396e"; c.lineWidth = 1.5; c.stroke();
      } else {
        if (this.timeline.frame === i && known(this.flight.tx[i])) line(c, px, py, this.px(this.flight.tx[i]), this.py(this.flight.ty[i]), M.bad, 1.2, [4, 3]);
        c.strokeStyle = "#fff"; c.lineWidth = 4.5; cross(c, px, py, 4); c.strokeStyle = M.bad; c.lineWidth = 2; cross(c, px, py, 4);
      }
    }
  }
  cursor(c) {
    const f = this.flight, i = this.timeline.frame;
    if (i === null) return;
    const claim = this.layers.receiver ? this.claim(i) : null;
    if (claim) {
      const x = this.px(claim[1]), y = this.py(claim[2]), colour = claim[3] === 3 ? M.forged : M.receiver;
      if (known(f.x[i])) { line(c, x, y, this.px(f.x[i]), this.py(f.y[i]), "rgba(255,255,255,.85)", 3.4); line(c, x, y, this.px(f.x[i]), this.py(f.y[i]), colour, 1.6, [4, 3]); }
      c.fillStyle = "#fff"; mark(c, 3, x, y, 7); c.fillStyle = colour; mark(c, 3, x, y, 4.6);
    }
    if (known(f.x[i])) this.ellipse(c, i, true);
    if (known(f.x[i]) && known(f.tx[i])) line(c, this.px(f.x[i]), this.py(f.y[i]), this.px(f.tx[i]), this.py(f.ty[i]), M.ink, 1.6);
    for (const [x, y, colour, label] of [[f.tx[i], f.ty[i], M.ink, 0], [f.x[i], f.y[i], M.labels[f.label[i]], f.label[i]]]) {
      if (!known(x)) continue;
      c.fillStyle = "#fff"; mark(c, label, this.px(x), this.py(y), 7.5); c.fillStyle = colour; mark(c, label, this.px(x), this.py(y), 5);
    }
  }
  scale(c, w, h) {
    const metresWide = 130 / this.view.scale, power = 10 ** Math.floor(Math.log10(metresWide));
    const length = [5, 2, 1].map((m) => m * power).find((m) => m <= metresWide) || power, wide = length * this.view.scale;
    c.fillStyle = "rgba(255,255,255,.9)"; c.fillRect(12, h - 40, wide + 22, 30);
    for (const [a, b, e, g] of [[22, h - 16, 22 + wide, h - 16], [22, h - 21, 22, h - 12], [22 + wide, h - 21, 22 + wide, h - 12]]) line(c, a, b, e, g, M.ink, 1.6);
    text(c, length >= 1000 ? length / 1000 + " km" : length + " m", 22 + wide / 2, h - 29, "center", M.ink);
    c.fillStyle = "rgba(255,255,255,.9)"; c.fillRect(w - 40, 12, 28, 40);
    text(c, "N", w - 26, 22, "center", M.ink);
    c.beginPath(); c.moveTo(w - 26, 29); c.lineTo(w - 20, 47); c.lineTo(w - 26, 42.5); c.lineTo(w - 32, 47); c.closePath(); c.fillStyle = M.ink; c.fill();
  }
}
