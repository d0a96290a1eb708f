// What happened: strips of what was said, the receiver against our position, chapters and alerts that lead to their time.
function valueAt(spans, t) {
  let found = null;
  for (const [from, , value] of spans) { if (from > t) break; found = value; }
  return found;
}
function labelSpans(f) {
  const out = [];
  for (let i = 0; i < f.t.length; ) {
    let j = i;
    while (j + 1 < f.t.length && f.label[j + 1] === f.label[i]) j++;
    const from = i ? (f.t[i - 1] + f.t[i]) / 2 : f.t[i], to = j + 1 < f.t.length ? (f.t[j] + f.t[j + 1]) / 2 : f.t[j];
    out.push([from, to, known(f.label[i]) ? f.label[i] : 3]);
    i = j + 1;
  }
  return out;
}
// name, spans, names and colours by value, and the values that are hatched
function lanes(f) {
  const own = { name: "Source label of our position", spans: labelSpans(f), names: [...LABEL_NAMES, "no position"], colours: [...T.labels, T.states[3]], hatched: [3] };
  if (!f.story) return [own];
  const [good, warn, bad, none] = T.states;
  return [
    { name: "GPS health: the aircraft's own receiver", spans: f.story.health, names: HEALTH_NAMES, colours: [none, good, warn, bad], hatched: [0, 3] },
    { name: "Selected position source: what the autopilot is told to use", spans: f.story.source, names: SOURCE_NAMES, colours: T.pair, hatched: [] },
    { name: "Failsafe level: what the autopilot is sent", spans: f.story.failsafe, names: LEVEL_NAMES, colours: [good, warn, bad, none], hatched: [2, 3] },
    own,
  ];
}
// The strips in words, for who cannot see them.
function laneWords(flight) {
  return lanes(flight).map((lane) => lane.name + ": " + lane.spans.slice(0, 20).map(([from, , value]) => `${lane.names[value]} from ${moment(flight, from)}`).join(", ")).join("; ");
}
const LANE = 44;
function stripChart(timeline, canvas) {
  return new TimeChart(timeline, canvas, null, (c, chart) => {
    lanes(timeline.flight).forEach((lane, n) => {
      const top = PAD.top + n * LANE + 17, right = chart.board.width - PAD.right;
      text(c, chart.board.width < 560 ? lane.name.split(":")[0] : lane.name, PAD.left + 1, top - 8, "left", T.ink, true);
      if (!lane.spans.length) text(c, "not recorded", PAD.left + 6, top + 10.5, "left", T.soft);
      for (const [from, to, value] of lane.spans) {
        const a = Math.max(chart.x(from), PAD.left), b = Math.min(Math.max(chart.x(to), chart.x(from) + 1.5), right), colour = lane.colours[value];
        if (b <= a) continue;
        c.fillStyle = colour; c.fillRect(a, top, b - a, 20);
        if (lane.hatched.includes(value)) {
          c.save(); c.beginPath(); c.rect(a, top, b - a, 20); c.clip();
          for (let x = a - 20 - a % 9; x < b; x += 9) line(c, x, top + 20, x + 20, top, "rgba(255,255,255,.28)", 2);
          c.restore();
        }
        const wide = c.measureText(lane.names[value]).width;
        if (b - a > wide + 10) {
          if (lane.hatched.includes(value)) { c.fillStyle = colour; c.fillRect(a + 2, top + 2, wide + 8, 16); }
          text(c, lane.names[value], a + 6, top + 10.5, "left", readable(colour));
        }
      }
    });
  });
}

function apartChart(timeline, canvas) {
  const { t, d, h } = timeline.flight.story.apart, most = Math.max(range(d, [0, 20])[1] * 1.3, 20);
  return new TimeChart(timeline, canvas, { low: 0.5, high: most, log: true, unit: "distance, m" }, (c, chart) => {
    const colours = [T.none, T.accent, T.labels[1], T.bad];
    for (const value of [1, 0, 2, 3]) {
      c.fillStyle = c.strokeStyle = colours[value]; c.lineWidth = 1.5;
      for (let i = 0; i < t.length; i++) {
        if (h[i] !== value) continue;
        const x = chart.x(t[i]), y = chart.y(Math.max(d[i], 0.5));
        if (value === 3) cross(c, x, y, 2.4); else mark(c, value === 2 ? 1 : 0, x, y, value ? 1.9 : 1.5);
      }
    }
  });
}
function apartKeys() {
  const key = (value) => { const canvas = el("canvas", { class: "key", width: 44, height: 24 }), c = canvas.getContext("2d"); c.scale(2, 2); c.fillStyle = c.strokeStyle = [T.none, T.accent, T.labels[1], T.bad][value]; c.lineWidth = 2; if (value === 3) cross(c, 11, 6, 4); else mark(c, value === 2 ? 1 : 0, 11, 6, 3.6); return canvas; };
  return [1, 2, 3, 0].map((value) => el("span", {}, key(value), " " + HEALTH_NAMES[value]));
}

function goTo(t) {
  timeline.pin(timeline.nearest(t));
  const [a, b] = timeline.view;
  if (t < a || t > b) timeline.zoom(t - (b - a) / 2, t + (b - a) / 2);
}
function chapterList(flight) {
  const items = flight.story.chapters.map(([t, , level, at, title, said]) => el("li", {}, el("button", { type: "button", class: "told " + level, onclick: () => goTo(t) },
    el("span", { class: "at" }, at), el("b", {}, title), el("span", { class: "said" }, said))));
  const more = flight.story.chapterCount - items.length, note = more > 0 ? el("small", {}, `the gravest ${items.length} of ${flight.story.chapterCount}`) : null;
  return el("div", {}, el("h3", {}, "In the order of time", note), items.length ? el("ol", { class: "chapters" }, items) : el("p", { class: "note" }, "Neither GPS nor failsafe changed anything in this flight."));
}
function alertList(flight) {
  const { alerts, alertCount } = flight.story, class_of = (severity) => severity <= 3 ? "bad" : severity === 4 ? "warn" : "none";
  const items = alerts.map(([t, severity, at, said]) => el("li", {}, el("button", { type: "button", class: "alert", onclick: () => goTo(t) },
    el("span", { class: "at" }, at), el("span", { class: "tag " + class_of(severity) }, SEVERITIES[severity]), el("span", {}, said))));
  const some = alerts.length < alertCount ? ` The ${alerts.length} most severe of ${alertCount}.` : "";
  return el("div", {}, el("h3", {}, "Alerts", el("small", {}, "as the ground station got them; choose one to go to its time." + some)),
    items.length ? el("ol", { class: "alerts", tabindex: 0, "aria-label": "alerts" }, items) : el("p", { class: "note" }, "No alert was told."));
}

// The whole story of a flight; null where there is no recording behind it.
function storyPart(flight) {
  if (!flight.story) return null;
  const [strips, stripsPart] = chart("What was said over time", null, lanes(flight).length * LANE + 34, null, "strips");
  stripChart(timeline, strips); strips.setAttribute("aria-label", laneWords(flight));
  const parts = [stripsPart];
  if (flight.story.apart.t.length) {
    const [apart, part] = chart("GPS receiver against our position", "horizontal distance; log scale", 170, apartKeys(), "apart");
    apartChart(timeline, apart); parts.push(part);
  }
  const told = document.querySelector(".verdict").textContent.includes(flight.story.sentence); // the head says it already
  return el("section", { class: "story" }, el("h2", {}, "What happened"), told ? null : el("p", { class: "lead" }, flight.story.sentence), flight.story.utc_from ? el("p", { class: "note" }, flight.story.utc_from) : el("p", { class: "note" }, "No clock of this flight knew UTC: times are since its first position."),
    el("div", { class: "two" }, chapterList(flight), alertList(flight)), el("div", { class: "storycharts" }, parts));
}
