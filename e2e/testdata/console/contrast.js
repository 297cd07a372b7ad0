"use strict";
// Texts that stand out too little from what is behind them (WCAG 2.2, 1.4.3: 4.5 to 1, and 3
// to 1 for large ones), as a list of words.
(() => {
  const parse = (color) => {
    const m = color.match(/^rgba?\(([\d.]+),\s*([\d.]+),\s*([\d.]+)(?:,\s*([\d.]+))?\)$/);
    return m ? [m[1], m[2], m[3], m[4] ?? 1].map(Number) : null;
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (let p = e; p; p = p.parentElement) {
      const c = parse(getComputedStyle(p).backgroundColor);
      if (c && c[3] > 0) layers.push(c);
      if (c && c[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const wrong = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || ["script", "style", "option", "title", "desc"].includes(e.localName)) continue;
    if (!e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) || e.closest(":disabled, .hidden, [aria-hidden=true]")) continue;
    const style = getComputedStyle(e);
    const color = parse(e instanceof SVGElement ? style.fill : style.color);
    if (!color) { wrong.add(`a color that is not understood: ${style.color}`); continue; }
    for (let p = e; p; p = p.parentElement) color[3] *= Number(getComputedStyle(p).opacity);
    const back = behind(e);
    const [a, b] = [light(over(color, back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) wrong.add(`${ratio.toFixed(2)} to 1: <${e.localName}.${e.getAttribute("class") || ""}> "${n.data.trim().slice(0, 40)}" ${style.color} on ${back}`);
  }
  return [...wrong];
})();
