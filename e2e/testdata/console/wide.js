"use strict";
// What makes the page wider than its window, as a list of words.
(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wrong = [`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`];
  const held = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  for (const e of document.querySelectorAll("body *")) {
    if (e.getBoundingClientRect().right > width + 1 && !held(e)) wrong.push(`<${e.localName}.${e.getAttribute("class") || ""}> "${e.textContent.trim().slice(0, 40)}"`);
  }
  return wrong.slice(0, 6);
})();
