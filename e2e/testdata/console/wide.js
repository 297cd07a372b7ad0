"use strict";
// What makes the page wider than its window (WCAG 2.2, 1.4.10), and what scrolls in it and is
// not reached by the keyboard, as a list of words.
(() => {
  const width = document.documentElement.clientWidth, wrong = [];
  for (const e of document.querySelectorAll("main *")) { // by itself, or by what is in it (2.1.1)
    const style = getComputedStyle(e);
    if (!e.checkVisibility({ visibilityProperty: true }) || !/auto|scroll/.test(style.overflowX + style.overflowY)) continue;
    if (e.scrollWidth <= e.clientWidth + 1 && e.scrollHeight <= e.clientHeight + 1) continue;
    if (e.tabIndex < 0 && !e.querySelector("a[href], button, input, select, textarea, [tabindex]")) wrong.push(`what scrolls is not reached by the keyboard: <${e.localName}.${e.getAttribute("class") || ""}> "${e.textContent.trim().slice(0, 40)}"`);
  }
  if (document.documentElement.scrollWidth <= width) return wrong;
  wrong.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
  const held = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  for (const e of document.querySelectorAll("body *")) {
    if (e.getBoundingClientRect().right > width + 1 && !held(e)) wrong.push(`<${e.localName}.${e.getAttribute("class") || ""}> "${e.textContent.trim().slice(0, 40)}"`);
  }
  return wrong.slice(0, 6);
})();
