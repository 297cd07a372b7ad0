"use strict";
// Every text of the page that people read or hear, but what is marked as English and what is
// to be copied.
(() => {
  const said = new Set();
  const add = (text) => { text = (text || "").trim().replace(/\s+/g, " "); if (text) said.add(text); };
  const foreign = (e) => e.closest("[lang=en], code, pre, textarea, script, style, .mono, kbd");
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) if (!foreign(n.parentElement)) add(n.data);
  for (const e of document.querySelectorAll("[title], [aria-label], [placeholder], [alt]")) {
    if (!foreign(e)) for (const a of ["title", "aria-label", "placeholder", "alt"]) add(e.getAttribute(a));
  }
  return [...said];
})();
