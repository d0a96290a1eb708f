// Put before a page's own script by test_pages_in_three_looks.py.

// What canvases write, by their id: axis titles can be read then.
window.written = {};
const plainFillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  (window.written[this.canvas.id] ||= new Set()).add(String(text));
  return plainFillText.call(this, text, ...rest);
};

// Elements that reach beyond the right edge, and do not scroll within their own box.
function beyond() {
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .alerts, pre"))
    .map((e) => e.tagName + "." + e.className);
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
