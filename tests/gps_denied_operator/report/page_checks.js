// Put before a page's own script by test_pages_in_three_looks.py.

// What canvases write, by their id: axis titles can be read then; and where their last drawing put it.
window.written = {};
const placed = new Map();
const plainFillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
  (window.written[this.canvas.id] ||= new Set()).add(String(text));
  const size = this.measureText(text), to = this.getTransform();
  const corners = [[-size.actualBoundingBoxLeft, -size.actualBoundingBoxAscent], [size.actualBoundingBoxRight, size.actualBoundingBoxDescent]]
    .map(([dx, dy]) => new DOMPoint(x + dx, y + dy).matrixTransform(to));
  const across = corners.map((p) => p.x / devicePixelRatio), down = corners.map((p) => p.y / devicePixelRatio);
  if (this.canvas.id) placed.get(this.canvas)?.push({ text: String(text), left: Math.min(...across), right: Math.max(...across), top: Math.min(...down), bottom: Math.max(...down) });
  return plainFillText.call(this, text, x, y, ...rest);
};
const plainClearRect = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...box) {
  placed.set(this.canvas, []);
  return plainClearRect.apply(this, box);
};

// Elements that reach beyond the right edge, or whose content is wider than they are: it scrolls sideways or is cut.
function beyond() {
  const name = (e) => `${e.tagName}.${e.getAttribute("class") || ""}#${e.id}`;
  return [...document.querySelectorAll("body *")].flatMap((e) => {
    if (e.tagName === "OPTION" || e.parentElement.closest("svg")) return [];
    const past = e.getBoundingClientRect().right > innerWidth + 1, wider = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1;
    return past || wider ? [name(e)] : [];
  });
}

// Words of drawings that leave it, lie on each other, or are too small.
function crowded() {
  const found = [];
  const judge = (where, texts, wide, high) => texts.forEach((one, k) => {
    if (one.left < -1 || one.top < -1 || one.right > wide + 1 || one.bottom > high + 1) found.push([where, "cut", one.text]);
    for (const other of texts.slice(k + 1)) {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left), down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 1.5 && down > 1.5 && one.text !== other.text) found.push([where, "over each other", one.text, other.text]);
    }
  });
  for (const [canvas, texts] of placed)
    if (canvas.isConnected && canvas.clientWidth) judge(canvas.id, texts, canvas.clientWidth, canvas.clientHeight);
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    if (!box.width) continue;
    const texts = [...svg.querySelectorAll("text")].map((text) => {
      const at = text.getBoundingClientRect(), ctm = text.getScreenCTM(), trim = at.width > at.height ? [0, at.height * 0.15] : [at.width * 0.15, 0];
      const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(ctm.a, ctm.b);
      if (size < 10) found.push([svg.id || "svg", `of ${size.toFixed(1)} px`, text.textContent]);
      return { text: text.textContent, left: at.left - box.left + trim[0], right: at.right - box.left - trim[0], top: at.top - box.top + trim[1], bottom: at.bottom - box.top - trim[1] };
    });
    judge(svg.id || "svg", texts, box.width, box.height);
  }
  return found;
}

// Texts below WCAG 2.1 AA, against the colours behind them blended together.
function unreadable() {
  const parse = (colour) => {
    const m = colour.match(/[\d.]+/g).map(Number);
    return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1];
  };
  const over = (a, b) => a.slice(0, 3).map((v, k) => v * a[3] + b[k] * (1 - a[3])).concat(1);
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (e) => {
    const stack = [];
    for (let at = e; at; at = at.parentElement) {
      stack.push(parse(getComputedStyle(at).backgroundColor));
      if (stack[stack.length - 1][3] === 1) break;
    }
    return stack.reduceRight((below, c) => over(c, below), [255, 255, 255, 1]);
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const e = node.parentElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    const hidden = !box.width || !box.height || style.visibility === "hidden";
    if (!node.data.trim() || hidden || e.closest("option, script, style, noscript")) continue;
    const ground = behind(e), svg = e.namespaceURI.endsWith("svg");
    const [a, b] = [light(over(parse(svg ? style.fill : style.color), ground)), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push([node.data.trim().slice(0, 40), ratio.toFixed(2), style.color]);
  }
  return found;
}
