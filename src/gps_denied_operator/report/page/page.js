// Builds the page from the data: overview, table of flights, and one flight at a time.
const DATA = JSON.parse(document.getElementById("data").textContent);
const FLIGHTS = DATA.flights;
const state = { flight: 0, log: true, sigmas: false, hidden: new Set(), layers: { map: true, truth: true, track: true, ellipses: false, anchors: false, rejected: true } };
let timeline = null, overview = null;

function swatch(kind, colour) {
  const canvas = el("canvas", { class: "key", width: 44, height: 24, style: "width:22px;display:inline-block" }), c = canvas.getContext("2d");
  c.scale(2, 2); c.fillStyle = colour; c.strokeStyle = colour; c.lineWidth = 2;
  if (kind === "truth") line(c, 0, 6, 22, 6, INK, 2.4);
  else if (kind === "map") { c.fillStyle = "#aab3bb"; c.fillRect(3, 1, 16, 10); }
  else if (kind === "ellipse") { c.beginPath(); c.ellipse(11, 6, 9, 5, 0, 0, 7); c.fillStyle = "#005fb833"; c.fill(); c.lineWidth = 1.3; c.strokeStyle = "#005fb8"; c.stroke(); }
  else if (kind === "anchor") { c.beginPath(); c.arc(11, 6, 3.6, 0, 7); c.strokeStyle = "#00396e"; c.lineWidth = 1.6; c.stroke(); }
  else if (kind === "rejected") { c.strokeStyle = BAD; cross(c, 11, 6, 4); }
  else if (kind === "dot") mark(c, 0, 11, 6, 3.6);
  else if (kind === "none") { for (let x = 0; x < 34; x += 5) line(c, x - 8, 11, x + 3, 1, NONE_COLOUR, 1.2); }
  else { line(c, 0, 6, 22, 6, colour, 2.6); mark(c, kind, 11, 6, 4); }
  return canvas;
}

function cards() {
  return el("div", { class: "cards" }, DATA.cards.map((card) => el("div", { class: "card " + card.level },
    el("div", { class: "k" }, card.name), el("div", { class: "v" }, card.value, card.unit ? el("small", {}, card.unit) : null), el("div", { class: "n", title: card.note }, card.note))));
}
function criteria() {
  const rows = DATA.criteria.map((row) => el("tr", {}, el("td", {}, row.name), el("td", { class: "r" }, el("b", {}, row.value)), el("td", { class: "r" }, row.must), el("td", { class: "r" }, row.aim),
    el("td", {}, row.status ? el("span", { class: "tag " + row.level }, row.status) : "")));
  return el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "figure"), el("th", { class: "r" }, "measured"), el("th", { class: "r" }, "must"), el("th", { class: "r" }, "aim"), el("th", {}, ""))), el("tbody", {}, rows));
}

function flightRows() {
  return FLIGHTS.map((flight, n) => {
    const g = flight.figures, choose = () => show(n, true);
    const cells = [percent(g.within_m["50"]), percent(g.within_m["20"]), percent(g.within_m["10"]), metres(g.error_m.median), metres(g.error_m.p95), metres(g.error_m.max), percent(g.coverage_95), fixed(g.odometry.drift_percent, 2), known(g.latency_ms.p95) ? Math.round(g.latency_ms.p95) : "–"];
    return el("tr", { tabindex: 0, onclick: choose, onkeydown: (e) => { if (e.key === "Enter") choose(); } },
      el("td", {}, flight.title), el("td", { class: "r" }, g.scored), cells.slice(0, 6).map((v) => el("td", { class: "r" }, v)),
      el("td", { class: "r" + (g.false_anchors ? " bad" : "") }, g.false_anchors), cells.slice(6).map((v) => el("td", { class: "r" }, v)));
  });
}
function flightTable() {
  const heads = ["scored", "≤ 50 m, %", "≤ 20 m, %", "≤ 10 m, %", "median, m", "p95, m", "max, m", "false anchors", "in 95 %, %", "odometry drift, %", "latency p95, ms"];
  return el("section", {}, el("h2", {}, "Flights"), el("p", { class: "note" }, "Choose one to see it below."),
    el("div", { class: "scroll" }, el("table", { class: "flights" }, el("thead", {}, el("tr", {}, el("th", {}, "flight"), heads.map((h) => el("th", { class: "r" }, h)))), el("tbody", { id: "flights" }, flightRows()))));
}

function check(name, caption, key) {
  const box = el("input", { type: "checkbox", onchange: () => { state.layers[name] = box.checked; timeline.tell(); } });
  box.checked = state.layers[name];
  return el("label", { class: "check" }, box, key ? swatch(key, INK) : null, caption);
}
function segment(options, current, choose) {
  const buttons = options.map(([value, caption]) => el("button", { type: "button", "aria-pressed": String(value === current), onclick: () => {
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(options[i][0] === value))); choose(value); } }, caption));
  return el("span", { class: "seg" }, buttons);
}

function inspector(flight) {
  const box = el("div", { class: "inspect" });
  const row = (name, value) => known(value) && value !== "" ? el("tr", {}, el("td", {}, name), el("td", {}, value)) : null;
  const fixes = new Map(flight.fixes.map((fix) => [fix[0], fix])), pictures = new Map(flight.worst.map((w) => [w.i, w]));
  const fill = (i) => {
    if (i === null) {
      box.replaceChildren(el("div", { class: "name" }, "No frame chosen"), el("p", { class: "note" }, "Point at the map or at a chart to read a frame, click to keep it. On the map the wheel zooms and dragging moves; on a chart dragging zooms into a time, a double click goes back."));
      return;
    }
    const fix = fixes.get(i), f = flight, picture = pictures.get(i);
    box.replaceChildren(el("div", { class: "name" }, f.name[i] || "frame"), el("table", {},
      row("time", clock(f.t[i])),
      row("label", known(f.label[i]) ? el("span", {}, swatch(f.label[i], LABEL_COLOURS[f.label[i]]), " ", LABEL_NAMES[f.label[i]]) : "no estimate"),
      row("error", known(f.err[i]) ? el("b", {}, metres(f.err[i]) + " m") : known(f.tx[i]) ? "missed: no estimate" : "no truth"),
      row("95 % ellipse", known(f.major[i]) ? metres(f.major[i]) + " × " + metres(f.minor[i]) + " m" + (f.inside[i] === 0 ? ", error outside" : "") : null),
      row("protection level", known(f.level[i]) ? metres(f.level[i]) + " m" + (f.hazard[i] === 1 ? ", error beyond" : "") : null),
      row("NEES", known(f.nees[i]) ? fixed(f.nees[i], 1) : null),
      row("anchor age", known(f.age[i]) ? (f.age[i] < 0 ? "never anchored" : (f.age[i] / 1000).toFixed(1) + " s") : null),
      row("altitude", known(f.z[i]) ? fixed(f.z[i], 0) + (known(f.tz[i]) ? " m, true " + fixed(f.tz[i], 0) + " m" : " m") : null),
      row("map fix", fix ? (fix[1] ? "accepted" : "rejected: " + fix[4]) : "none"),
      fix ? row("inliers", fix[5] + " of " + fix[6] + (known(fix[7]) ? ", " + fixed(fix[7], 2) + " px" : "")) : null,
      row("odometry", ["", "registered", "lost" + (f.lost[i] ? ": " + f.lost[i] : "")][f.odometry[i]]),
      row("latency", known(f.latency[i]) ? milliseconds(f.latency[i]) : null)),
      picture && picture.frame ? el("div", { class: "pic" }, el("img", { src: picture.frame, alt: "frame" }), picture.map ? el("img", { src: picture.map, alt: "map place" }) : null) : "",
      el("p", { class: "note", style: "margin-top:9px" }, "Point to read another frame, click to keep it. Drag or turn the wheel on the map to move; drag on a chart to zoom, double click to go back."));
  };
  timeline.listeners.push(fill); fill(null);
  return box;
}
function shares(flight) {
  const count = [0, 0, 0, 0];
  flight.share.forEach((v, k) => { count[k] = v; });
  const names = [...LABEL_NAMES, "no estimate"], total = count.reduce((a, b) => a + b, 0) || 1;
  return el("div", { class: "shares" }, names.map((name, k) => el("div", {}, el("span", {}, swatch(k < 3 ? k : "none", LABEL_COLOURS[k]), " ", name), el("b", {}, percent(count[k] / total) + " %"),
    el("div", { class: "track" }, el("i", { style: `width:${100 * count[k] / total}%;background:${LABEL_COLOURS[k] || NONE_COLOUR}` })))));
}

function mapPart(flight) {
  const canvas = el("canvas", { class: "map", id: "map", tabindex: 0, role: "img", "aria-label": "map of the flight" }), tip = el("div", { class: "tip" });
  const wrap = el("div", { class: "mapwrap" }, canvas, tip), view = new MapView(timeline, canvas, tip, state.layers);
  const tools = el("div", { class: "bar" }, el("div", { class: "tools" }, flight.map ? check("map", "map", "map") : null, check("truth", "truth", "truth"), check("track", "track"), check("ellipses", "95 % ellipses", "ellipse"),
    check("anchors", "anchors", "anchor"), check("rejected", "rejected", "rejected")), el("button", { type: "button", onclick: () => view.reset() }, "Whole flight"));
  return el("div", {}, tools, wrap);
}

function chart(title, note, height, tools, id) {
  const canvas = el("canvas", { id, style: `height:${height}px`, role: "img", "aria-label": title });
  return [canvas, el("div", { class: "chart" }, el("div", { class: "bar" }, el("h3", {}, title, note ? el("small", {}, note) : null), tools ? el("div", { class: "tools" }, tools) : null), canvas)];
}
function swap(make) { // a chart that is built again when its scale changes
  let current = make();
  return () => { timeline.members = timeline.members.filter((m) => m !== current); current = make(); current.board.fit(); };
}
function fresh(holder) { const old = holder.canvas, next = old.cloneNode(); old.replaceWith(next); holder.canvas = next; return next; }

function charts(flight) {
  const error = { canvas: null }, aid = { canvas: null }, parts = [];
  let part;
  const [labelCanvas, labelPart] = chart("Source label", null, 50, [0, 1, 2].map((k) => el("span", {}, swatch(k, LABEL_COLOURS[k]), " " + LABEL_NAMES[k])).concat(el("span", {}, swatch("none"), " no estimate")), "labels");
  labelChart(timeline, labelCanvas); parts.push(labelPart);
  [error.canvas, part] = chart("Horizontal error", "grey area: long axis of the 95 % ellipse; red line: protection level; red ring: error outside the ellipse, thick: hazardous", 250, segment([[true, "log"], [false, "linear"]], state.log, (v) => { state.log = v; again(); }), "error");
  parts.push(part);
  const again = swap(() => errorChart(timeline, fresh(error), state.log));
  const names = Object.keys(flight.aids);
  if (names.length) {
    const keys = names.map((name, n) => { const box = el("input", { type: "checkbox", onchange: () => { if (box.checked) state.hidden.delete(name); else state.hidden.add(name); timeline.tell(); } }); box.checked = !state.hidden.has(name);
      return el("label", { class: "check" }, box, swatch("dot", SOURCE_COLOURS[n % SOURCE_COLOURS.length]), name); });
    [aid.canvas, part] = chart("Measurements", "dot: used, cross: rejected", 210, [...keys, segment([[false, "test ratio"], [true, "innovation"]], state.sigmas, (v) => { state.sigmas = v; aidAgain(); })], "aids");
    parts.push(part);
    const aidAgain = swap(() => aidChart(timeline, fresh(aid), state.hidden, state.sigmas));
  }
  let canvas;
  [canvas, part] = chart("Altitude", null, 170, [el("span", {}, swatch("truth"), " truth"), el("span", {}, swatch("ellipse"), " estimate ± 2σ")], "height");
  heightChart(timeline, canvas); parts.push(part);
  const side = [];
  [canvas, part] = chart("Stage latency", "p5, p25, median, p75, p95", 216, null, "stages");
  stageChart(canvas, flight.stages); side.push(part);
  if (flight.latency.some(known)) { [canvas, part] = chart("Frame in to message out", null, 170, null, "latency"); latencyChart(timeline, canvas); parts.push(part); }
  side.push(el("div", { class: "chart", style: "margin-top:22px" }, el("h3", {}, "Odometry"), el("table", { style: "margin-top:4px" },
    [["registered pairs", percent(flight.figures.odometry.registered) + " %"], ["drift of the distance", known(flight.figures.odometry.drift_percent) ? fixed(flight.figures.odometry.drift_percent, 2) + " %" : "–"],
      ["map fixes accepted / rejected", flight.fixCount.join(" / ")], ["frames", String(flight.figures.frames)]].map(([k, v]) => el("tr", {}, el("td", {}, k), el("td", { class: "r" }, el("b", {}, v)))))));
  if (names.length) side.push(el("div", { class: "chart", style: "margin-top:22px" }, el("h3", {}, "Measurements", el("small", {}, "RMS 1: honest variances")), el("table", { style: "margin-top:4px" },
    el("thead", {}, el("tr", {}, ["source", "count", "rejected", "RMS, σ"].map((h, k) => el("th", { class: k ? "r" : null }, h)))),
    el("tbody", {}, names.map((name) => el("tr", {}, el("td", {}, name), [flight.aids[name].count, percent(flight.aids[name].rejected / flight.aids[name].count) + " %", fixed(flight.aids[name].rms, 2)].map((v) => el("td", { class: "r" }, v))))))));
  return el("div", { class: "charts" }, el("div", { style: "display:grid;gap:16px;min-width:0" }, parts), el("div", { style: "min-width:0" }, side));
}

function worstStrip(flight) {
  if (!DATA.judged) flight.worst = flight.worst.filter((w) => w.frame);
  if (!flight.worst.length) return null;
  const picture = (source, caption, missing, over) => el("figure", {}, source ? el("img", { src: source, alt: caption }) : el("div", { class: "nopic" }, missing),
    source && over ? el("img", { class: "over", src: over, alt: "" }) : null, el("figcaption", {}, caption));
  const pairs = flight.worst.map((w) => {
    const i = w.i, value = known(flight.err[i]) ? metres(flight.err[i]) + " m off" : known(flight.label[i]) ? "no truth" : "no estimate";
    return el("div", { class: "pair", tabindex: 0, onclick: () => { timeline.pin(i); document.getElementById("map").scrollIntoView({ block: "nearest" }); }, onkeydown: (e) => { if (e.key === "Enter") timeline.pin(i); } },
      el("div", { class: "imgs" }, picture(w.frame, "frame", "picture not kept"), picture(w.map, w.map ? w.place : "map", "no place to show", w.frame)),
      el("div", { class: "cap" }, el("b", {}, value), " · " + (known(flight.label[i]) ? LABEL_NAMES[flight.label[i]] : "no label") + " · " + clock(flight.t[i]), el("div", { class: "why" }, flight.name[i] + (w.why ? ": " + w.why : ""))));
  });
  timeline.listeners.push((frame) => pairs.forEach((pair, k) => pair.classList.toggle("on", flight.worst[k].i === frame)));
  return el("section", {}, el("h2", {}, DATA.judged ? "Worst frames beside the map place that they were put at" : "Pictures that were kept of frames without a place"),
    el("p", { class: "note" }, !DATA.judged ? "Small ones, one in ten seconds at most." : "Right: the map as the camera would see it from the estimated pose. The same ground in both pictures means that the place is right; point at the right one to see the two in turn."), el("div", { class: "strip" }, pairs));
}

function flightPart(flight) {
  const g = flight.figures, bar = el("div", { class: "bar flightbar" }, el("h2", {}, flight.title),
    el("div", { class: "tools" }, !DATA.judged ? "" : `${g.scored} scored · ≤ 50 m ${percent(g.within_m["50"])} % · ≤ 10 m ${percent(g.within_m["10"])} % · median ${metres(g.error_m.median)} m · false anchors ${g.false_anchors}`,
      FLIGHTS.length > 1 ? el("span", { class: "seg" }, el("button", { type: "button", onclick: () => show((state.flight + FLIGHTS.length - 1) % FLIGHTS.length) }, "◀ previous"), el("button", { type: "button", onclick: () => show((state.flight + 1) % FLIGHTS.length) }, "next ▶")) : null));
  return [bar, flight.note ? el("p", { class: "note", style: "margin:-6px 0 10px" }, flight.note) : null, el("div", { class: "detail" }, mapPart(flight), el("div", {}, inspector(flight), shares(flight))), charts(flight), worstStrip(flight)];
}

function show(n, scroll) {
  state.flight = n; state.hidden = new Set();
  timeline = new Timeline(FLIGHTS[n]);
  const place = document.getElementById("flight");
  place.replaceChildren(...flightPart(FLIGHTS[n]).filter(Boolean));
  document.querySelectorAll("#flights tr").forEach((row, k) => row.classList.toggle("on", k === n));
  if (overview) overview.later();
  if (FLIGHTS[n].worst.length) timeline.pin(FLIGHTS[n].worst[0].i);
  if (scroll) place.scrollIntoView({ behavior: "smooth" });
}

function start() {
  const canvas = el("canvas", { id: "share", style: "height:330px", role: "img", "aria-label": "share of frames within an error" });
  const left = el("div", {}, el("h2", { style: "margin-bottom:6px" }, "Figures against the acceptance criteria"), criteria());
  const right = el("div", {}, el("h2", { style: "margin-bottom:6px" }, "Share of scored frames within an error"), canvas, el("p", { class: "note" }, (FLIGHTS.length > 1 ? "Black: all flights; blue: the flight chosen below; grey: the others. " : "") + "A frame without an estimate never counts. The curve should pass above the diamonds."));
  const judged = DATA.judged ? [cards(), el("section", { class: "two" }, left, right)] : [];
  document.getElementById("main").append(...judged, ...(FLIGHTS.length > 1 ? [flightTable()] : []), el("section", { id: "flight" }),
    el("details", {}, el("summary", {}, "How the figures are defined"), el("dl", {}, DATA.definitions.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))));
  if (DATA.judged && FLIGHTS.length) overview = shareChart(canvas, FLIGHTS, DATA.cdf, () => state.flight);
  if (FLIGHTS.length) show(0);
  document.documentElement.dataset.ready = "yes";
}
start();
