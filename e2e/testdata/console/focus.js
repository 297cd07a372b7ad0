"use strict";
// What the keyboard reaches and does not show (WCAG 2.2, 2.4.7), as a list of words. The
// page has had a key pressed before, or a browser shows no focus at all.
(() => {
  const wrong = [];
  const before = document.activeElement;
  for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")) {
    if (e.disabled || !e.checkVisibility({ visibilityProperty: true })) continue;
    const say = (what) => wrong.push(`${what}: <${e.localName} ${e.getAttribute("name") || e.getAttribute("href") || ""}> "${(e.textContent || "").trim().slice(0, 40)}"`);
    e.focus({ preventScroll: true });
    if (document.activeElement !== e) { say("cannot have the focus"); continue; }
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) say("shows nothing when it has the focus");
    if (box.width < 1 || box.height < 1) say("is not to be seen when it has the focus");
  }
  if (before && before !== document.body) before.focus({ preventScroll: true }); else document.activeElement.blur();
  return wrong;
})();
