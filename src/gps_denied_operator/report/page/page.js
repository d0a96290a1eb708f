// Builds the page from the data: overview, table of flights, and one flight at a time.
const DATA = JSON.parse(document.getElementById("data").textContent);
const FLIGHTS = DATA.flights;
const state = { flight: 0, log: true, sigmas: false, hidden: new Set(), layers: { map: true, truth: true, track: true, receiver: true, route: true, others: true, ellipses: false, anchors: false, rejected: true } };
let timeline = null, overview = null;

function swatch(kind, colour) {
  const onMap = ["truth", "map", "ellipse", "anchor", "rejected", "receiver", "route", "others"].includes(kind), P = onMap ? M : T;
  const canvas = el("canvas", { class: onMap ? "key onmap" : "key", width: 44, height: 24 }), c = canvas.getContext("2d");
  c.scale(2, 2); c.fillStyle = colour; c.strokeStyle = colour; c.lineWidth = 2;
  if (kind === "truth") line(c, 0, 6, 22, 6, P.ink, 2.4);
  else if (kind === "map") { c.fillStyle = "#aab3bb"; c.fillRect(3, 1, 16, 10); }
  else if (kind === "ellipse") { c.beginPath(); c.ellipse(11, 6, 9, 5, 0, 0, 7); c.fillStyle = P.accent + "33"; c.fill(); c.lineWidth = 1.3; c.strokeStyle = P.accent; c.stroke(); }
  else if (kind === "anchor") { c.beginPath(); c.arc(11, 6, 3.6, 0, 7); c.strokeStyle = "#00396e"; c.lineWidth = 1.6; c.stroke(); }
  else if (kind === "rejected") { c.strokeStyle = P.bad; cross(c, 11, 6, 4); }
  else if (kind === "receiver") { line(c, 0, 6, 22, 6, P.receiver, 2.4, [6, 4]); }
  else if (kind === "route") { line(c, 0, 6, 22, 6, P.route, 2, [8, 4]); c.fillStyle = P.route; mark(c, 3, 11, 6, 3); }
  else if (kind === "others") line(c, 0, 6, 22, 6, P.none, 2.4);
  else if (kind === "high") line(c, 0, 6, 22, 6, T.accent, 2, [5, 3]);
  else if (kind === "true") line(c, 0, 6, 22, 6, T.ink, 2.4);
  else if (kind === "protection") line(c, 0, 6, 22, 6, T.ink, 2, [8, 4]);
  else if (String(kind).startsWith("dot")) mark(c, Number(kind.slice(3)) % 4, 11, 6, 3.6);
  else if (kind === "none") { for (let x = 0; x < 34; x += 5) line(c, x - 8, 11, x + 3, 1, T.none, 1.2); }
  else { line(c, 0, 6, 22, 6, colour, 2.6); mark(c, kind, 11, 6, 4); }
  return canvas;
}

function cards() {
  return el("div", { class: "cards" }, DATA.cards.map((card) => el("div", { class: "card " + card.level },
    el("div", { class: "k" }, card.name), el("div", { class: "v" }, card.value, card.unit ? el("small", {}, card.unit) : null), el("div", { class: "n", title: card.note }, card.note))));
}
function criteria() {
  const rows = DATA.criteria.map((row) => el("tr", {}, el("td", {}, row.name), el("td", { class: "r" }, el("b", {}, row.value)), el("td", { class: "r", "data-name": "must" }, row.must), el("td", { class: "r", "data-name": "aim" }, row.aim),
    el("td", {}, row.status ? el("span", { class: "tag " + row.level }, row.status) : "")));
  return el("table", { class: "criteria" }, el("thead", {}, el("tr", {}, el("th", {}, "figure"), el("th", { class: "r" }, "measured"), el("th", { class: "r" }, "must"), el("th", { class: "r" }, "aim"), el("th", {}, ""))), el("tbody", {}, rows));
}

function lasting(spans, value) { return spans.filter((s) => s[2] === value).reduce((sum, s) => sum + s[1] - s[0], 0); }
function judgedCells(flight) {
  const g = flight.figures;
  return [g.scored, percent(g.within_m["50"]), percent(g.within_m["20"]), percent(g.within_m["10"]), metres(g.error_m.median), metres(g.error_m.p95), metres(g.error_m.max), g.false_anchors,
    percent(g.coverage_95), fixed(g.odometry.drift_percent, 2), known(g.latency_ms.p95) ? Math.round(g.latency_ms.p95) : "–"];
}
function plainCells(flight) {
  const g = flight.figures, s = flight.story, facts = Object.fromEntries(flight.facts), length = flight.t.length ? flight.t[flight.t.length - 1] - flight.t[0] : 0;
  const told = s ? [lasting(s.health, 3).toFixed(0), lasting(s.health, 2).toFixed(0), lasting(s.source, 1).toFixed(0), LEVEL_NAMES[Math.max(0, ...s.failsafe.slice(1).map((x) => x[2]))], s.alertCount] : ["–", "–", "–", "–", "–"];
  return [facts.flown ? facts.flown.slice(0, 19).replace("T", " ") : "–", facts.recording || "–", clock(length), percent(g.frames ? g.with_estimate / g.frames : null), percent(g.frames ? g.anchored / g.frames : null), ...told];
}
const flightHeads = () => DATA.judged ? ["scored", "≤ 50 m, %", "≤ 20 m, %", "≤ 10 m, %", "median, m", "p95, m", "max, m", "false anchors", "in 95 %, %", "odometry drift, %", "latency p95, ms"]
  : ["flown, UTC", "recording", "length, min:s", "with a position, %", "anchored, %", "GPS spoofed, s", "GPS degraded, s", "GPS in use, s", "worst failsafe level", "alerts"];
function flightRows() {
  const heads = flightHeads();
  return FLIGHTS.map((flight, n) => {
    const choose = () => show(n, true), cells = DATA.judged ? judgedCells(flight) : plainCells(flight);
    return el("tr", { tabindex: 0, onclick: choose, onkeydown: (e) => { if (e.key === "Enter") choose(); } },
      el("td", {}, flight.title), cells.map((v, k) => el("td", { class: "r" + (DATA.judged && k === 7 && flight.figures.false_anchors ? " bad" : ""), "data-name": heads[k] }, v)));
  });
}
function flightTable() {
  return el("section", {}, el("h2", {}, "Flights"), el("p", { class: "note" }, "Choose one to see it below." + (DATA.together ? " The map shows the others in grey." : "")),
    el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "flights stacked" }, el("thead", {}, el("tr", {}, el("th", {}, "flight"), flightHeads().map((h) => el("th", { class: "r" }, h)))), el("tbody", { id: "flights" }, flightRows()))));
}

function check(name, caption, key) {
  const box = el("input", { type: "checkbox", onchange: () => { state.layers[name] = box.checked; timeline.tell(); } });
  box.checked = state.layers[name];
  return el("label", { class: "check" }, box, key ? swatch(key, T.ink) : null, caption);
}
function segment(options, current, choose) {
  const buttons = options.map(([value, caption]) => el("button", { type: "button", "aria-pressed": String(value === current), onclick: () => {
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(options[i][0] === value))); choose(value); } }, caption));
  return el("span", { class: "seg" }, buttons);
}

function receiverOff(f, t) {
  const { t: times, d } = f.story.apart;
  let best = null;
  for (let k = 0; k < times.length; k++) if (Math.abs(times[k] - t) < 1 && (best === null || Math.abs(times[k] - t) < Math.abs(times[best] - t))) best = k;
  return best === null ? null : metres(d[best]) + " m";
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
      row("time, " + timeUnit(f), moment(f, f.t[i], true)),
      row("label", known(f.label[i]) ? el("span", {}, swatch(f.label[i], T.labels[f.label[i]]), " ", LABEL_NAMES[f.label[i]]) : "no estimate"),
      row("error", known(f.err[i]) ? el("b", {}, metres(f.err[i]) + " m") : known(f.tx[i]) ? "missed: no estimate" : "no truth"),
      row("95 % ellipse", known(f.major[i]) ? metres(f.major[i]) + " × " + metres(f.minor[i]) + " m" + (f.inside[i] === 0 ? ", error outside" : "") : null),
      row("protection level", known(f.protection[i]) ? metres(f.protection[i]) + " m" + (f.hazard[i] === 1 ? ", error beyond" : "") : null),
      row("NEES", known(f.nees[i]) ? fixed(f.nees[i], 1) : null),
      row("anchor age", known(f.age[i]) ? (f.age[i] < 0 ? "never anchored" : (f.age[i] / 1000).toFixed(1) + " s") : null),
      row(f.aboveGround ? "above ground" : "altitude", known(f.z[i]) ? fixed(f.z[i], 0) + (known(f.tz[i]) ? " m, true " + fixed(f.tz[i], 0) + " m" : " m") : null),
      row("map fix", fix ? (fix[1] ? "taken" : "refused: " + fix[4]) : "none"),
      fix ? row("agreeing patches", fix[5] + " of " + fix[6] + (known(fix[7]) ? ", " + fixed(fix[7], 2) + " px" : "")) : null,
      fix ? row("evidence", fix[8]) : null,
      f.story ? row("GPS health", HEALTH_NAMES[valueAt(f.story.health, f.t[i])]) : null,
      f.story ? row("GPS receiver is off", receiverOff(f, f.t[i])) : null,
      f.story ? row("position source", SOURCE_NAMES[valueAt(f.story.source, f.t[i])]) : null,
      f.story ? row("failsafe level", LEVEL_NAMES[valueAt(f.story.failsafe, f.t[i])]) : null,
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
  return el("div", { class: "shares" }, names.map((name, k) => el("div", {}, el("span", {}, swatch(k < 3 ? k : "none", T.labels[k]), " ", name), el("b", {}, percent(count[k] / total) + " %"),
    el("div", { class: "track" }, el("i", { style: `width:${100 * count[k] / total}%;background:${T.labels[k] || T.none}` })))));
}

function mapPart(flight) {
  const canvas = el("canvas", { class: "map", id: "map", tabindex: 0, role: "img", "aria-label": "map of the flight" }), tip = el("div", { class: "tip" });
  const wrap = el("div", { class: "mapwrap" }, canvas, tip), view = new MapView(timeline, canvas, tip, state.layers);
  const tools = el("div", { class: "bar" }, el("div", { class: "tools" }, flight.map ? check("map", "map", "map") : null, flight.tx.some(known) ? check("truth", "truth", "truth") : null, check("track", "our position"),
    flight.story && flight.story.receiver.length ? check("receiver", "GPS receiver", "receiver") : null, flight.story && flight.story.route.length ? check("route", "planned route", "route") : null,
    DATA.together ? check("others", "other flights", "others") : null, check("ellipses", "95 % ellipses", "ellipse"),
    check("anchors", "fixes taken", "anchor"), check("rejected", "fixes refused", "rejected")), el("button", { type: "button", onclick: () => view.reset() }, "Whole flight"));
  return el("div", {}, tools, wrap);
}

function chart(title, note, height, tools, id) {
  const canvas = el("canvas", { id, style: `height:${height}px`, role: "img", "aria-label": title + (note ? ": " + note : "") });
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
  if (!flight.story) { const [strips, stripsPart] = chart("Source label", null, LANE + 34, null, "strips"); stripChart(timeline, strips); strips.setAttribute("aria-label", laneWords(flight)); parts.push(stripsPart); }
  const scored = flight.err.some(known), bounded = flight.protection.some(known) ? [el("span", {}, swatch("protection"), " protection level")] : [];
  const sure = scored || flight.major.some(known), high = flight.z.some(known) || flight.tz.some(known);
  [error.canvas, part] = chart(scored ? "Horizontal error" : "How sure our position was", scored ? "grey area: long axis of the 95 % ellipse; ring: error outside the ellipse, thick: hazardous" : "grey area: long axis of the 95 % ellipse", 250, [...bounded, segment([[true, "log"], [false, "linear"]], state.log, (v) => { state.log = v; again(); })], "error");
  if (sure) parts.push(part);
  const again = sure ? swap(() => errorChart(timeline, fresh(error), state.log)) : () => {};
  const names = Object.keys(flight.aids);
  if (names.length) {
    const keys = names.map((name, n) => { const box = el("input", { type: "checkbox", onchange: () => { if (box.checked) state.hidden.delete(name); else state.hidden.add(name); timeline.tell(); } }); box.checked = !state.hidden.has(name);
      return el("label", { class: "check" }, box, swatch("dot" + n, T.sources[n % T.sources.length]), name); });
    [aid.canvas, part] = chart("Measurements", "dot: used, cross: rejected; what is only watched is not here", 210, [...keys, segment([[false, "test ratio"], [true, "innovation"]], state.sigmas, (v) => { state.sigmas = v; aidAgain(); })], "aids");
    parts.push(part);
    const aidAgain = swap(() => aidChart(timeline, fresh(aid), state.hidden, state.sigmas));
  }
  let canvas;
  [canvas, part] = chart(flight.aboveGround ? "Height above ground" : "Altitude", flight.aboveGround ? "taken as flat" : null, 170, [scored && !flight.aboveGround ? el("span", {}, swatch("true"), " truth") : "", el("span", {}, swatch("high"), " ours ± 2σ")], "height");
  if (high) { heightChart(timeline, canvas); parts.push(part); }
  const side = [];
  if (Object.values(flight.stages).some(Boolean)) {
    [canvas, part] = chart("Stage latency", "p5, p25, median, p75, p95", 216, null, "stages");
    stageChart(canvas, flight.stages); side.push(part);
  }
  if (flight.latency.some(known)) { [canvas, part] = chart("Frame in to message out", null, 170, null, "latency"); latencyChart(timeline, canvas); parts.push(part); }
  side.push(el("div", { class: "chart", style: "margin-top:22px" }, el("h3", {}, "Odometry"), el("table", { style: "margin-top:4px" },
    [["registered pairs", known(flight.figures.odometry.registered) ? percent(flight.figures.odometry.registered) + " %" : "–"], ["drift of the distance", known(flight.figures.odometry.drift_percent) ? fixed(flight.figures.odometry.drift_percent, 2) + " %" : "–"],
      ["map fixes found / refused", flight.fixCount.join(" / ")], ["frames", String(flight.figures.frames)]].map(([k, v]) => el("tr", {}, el("td", {}, k), el("td", { class: "r" }, el("b", {}, v)))))));
  if (names.length) side.push(el("div", { class: "chart", style: "margin-top:22px" }, el("h3", {}, "Measurements", el("small", {}, "RMS 1: honest variances")), el("table", { style: "margin-top:4px" },
    el("thead", {}, el("tr", {}, ["source", "count", "rejected", "RMS, σ"].map((h, k) => el("th", { class: k ? "r" : null }, h)))),
    el("tbody", {}, names.map((name) => el("tr", {}, el("td", {}, name), [flight.aids[name].count, percent(flight.aids[name].rejected / flight.aids[name].count) + " %", fixed(flight.aids[name].rms, 2)].map((v) => el("td", { class: "r" }, v))))))));
  return el("div", { class: "charts" }, el("div", { style: "display:grid;gap:16px;min-width:0" }, parts), el("div", { style: "min-width:0" }, side));
}

function worstStrip(flight) {
  const shown = flight.worst.filter((w) => w.frame || w.map);
  if (!shown.length) return null;
  const picture = (source, caption, over) => source ? el("figure", {}, el("img", { src: source, alt: caption }), over ? el("img", { class: "over", src: over, alt: "" }) : null, el("figcaption", {}, caption)) : null;
  const pairs = shown.map((w) => {
    const i = w.i, value = known(flight.err[i]) ? metres(flight.err[i]) + " m off" : known(flight.label[i]) ? "not placed on the map" : "no estimate";
    const both = [picture(w.frame, "frame"), picture(w.map, w.place, w.frame)].filter(Boolean);
    return el("div", { class: "pair", tabindex: 0, onclick: () => { timeline.pin(i); document.getElementById("map").scrollIntoView({ block: "nearest" }); }, onkeydown: (e) => { if (e.key === "Enter") timeline.pin(i); } },
      el("div", { class: both.length > 1 ? "imgs" : "imgs one" }, both),
      el("div", { class: "cap" }, el("b", {}, value), " · " + (known(flight.label[i]) ? LABEL_NAMES[flight.label[i]] : "no label") + " · " + moment(flight, flight.t[i]) + " " + timeUnit(flight), el("div", { class: "why" }, flight.name[i] + (w.why ? ": " + w.why : ""))));
  });
  timeline.listeners.push((frame) => pairs.forEach((pair, k) => pair.classList.toggle("on", shown[k].i === frame)));
  return el("section", {}, el("h2", {}, DATA.judged && shown.some((w) => w.map) ? "Worst frames beside the map place that they were put at" : !shown.every((w) => !w.map) ? "Frames beside the map place that they were put at" : "Pictures that were kept of frames without a place"),
    el("p", { class: "note" }, !shown.some((w) => w.map) ? "Small ones, one in ten seconds at most, of frames that found no place." : "Right: the map as the camera would see it from the estimated pose. The same ground in both pictures means that the place is right; point at the right one to see the two in turn."), el("div", { class: "strip" }, pairs));
}

function flightPart(flight) {
  const g = flight.figures, bar = el("div", { class: "bar flightbar" }, el("h2", {}, flight.title),
    el("div", { class: "tools" }, !DATA.judged ? "" : `${g.scored} scored · ≤ 50 m ${percent(g.within_m["50"])} % · ≤ 10 m ${percent(g.within_m["10"])} % · median ${metres(g.error_m.median)} m · false anchors ${g.false_anchors}`,
      FLIGHTS.length > 1 ? el("span", { class: "seg" }, el("button", { type: "button", onclick: () => show((state.flight + FLIGHTS.length - 1) % FLIGHTS.length) }, "◀ previous"), el("button", { type: "button", onclick: () => show((state.flight + 1) % FLIGHTS.length) }, "next ▶")) : null));
  const story = FLIGHTS.length > 1 ? storyPart(flight) : null;
  return [bar, story, flight.note ? el("p", { class: "note", style: "margin:6px 0 10px" }, flight.note) : null, el("div", { class: "detail" }, mapPart(flight), el("div", {}, inspector(flight), shares(flight))), charts(flight), worstStrip(flight)];
}

function show(n, scroll) {
  state.flight = n; state.hidden = new Set();
  timeline = new Timeline(FLIGHTS[n]);
  const place = document.getElementById("flight");
  place.replaceChildren(...flightPart(FLIGHTS[n]).filter(Boolean));
  document.querySelectorAll("#flights tr").forEach((row, k) => row.classList.toggle("on", k === n));
  if (overview) overview.later();
  if (FLIGHTS.length === 1) { const part = storyPart(FLIGHTS[n]); document.getElementById("story").replaceChildren(...(part ? [part] : [])); }
  const story = FLIGHTS[n].story, forged = story && story.chapters.find((c) => c[2] === "bad");
  if (forged) timeline.pin(timeline.nearest(forged[0] + 2)); else if (FLIGHTS[n].worst.length) timeline.pin(FLIGHTS[n].worst[0].i);
  if (scroll) place.scrollIntoView({ behavior: "smooth" });
}

function start() {
  const canvas = el("canvas", { id: "share", style: "height:330px", role: "img", "aria-label": "share of frames within an error" });
  const left = el("div", {}, el("h2", { style: "margin-bottom:6px" }, "Figures against the acceptance criteria"), criteria());
  const right = el("div", {}, el("h2", { style: "margin-bottom:6px" }, "Share of scored frames within an error"), canvas, el("p", { class: "note" }, (FLIGHTS.length > 1 ? "Thick: all flights; blue: the flight chosen below; grey: the others. " : "") + "A frame without an estimate never counts. The curve should pass above the diamonds."));
  const judged = DATA.judged ? [cards(), el("section", { class: "two" }, left, right)] : [];
  document.getElementById("main").append(el("div", { id: "story" }), ...judged, ...(FLIGHTS.length > 1 ? [flightTable()] : []), el("section", { id: "flight" }),
    el("details", {}, el("summary", {}, "How the figures are defined"), el("dl", {}, DATA.definitions.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))));
  if (DATA.judged && FLIGHTS.length) overview = shareChart(canvas, FLIGHTS, DATA.cdf, () => state.flight);
  if (FLIGHTS.length) show(0);
  document.documentElement.dataset.ready = "yes";
}
DARK.addEventListener("change", () => { T = DARK.matches ? THEMES.dark : THEMES.light; if (FLIGHTS.length) show(state.flight); if (overview) overview.later(); });
start();
