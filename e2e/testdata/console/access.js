"use strict";
// What is wrong with the page for people who do not see it, or see little, or have no mouse:
// a list of words. Each rule says of which success criterion of WCAG 2.2 it is a part. It
// guarantees no conformance; it finds what can be found without judgement.
(() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (e) => {
    const id = e.id ? "#" + e.id : "";
    const text = (e.textContent || e.getAttribute("name") || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${e.localName}${id}${e.getAttribute("class") ? "." + e.getAttribute("class") : ""}> "${text}"`;
  };
  const say = (what, e) => wrong.push(e ? `${what}: ${name(e)}` : what);
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const labelled = (e) => {
    if ((e.getAttribute("aria-label") || "").trim()) return true;
    const by = e.getAttribute("aria-labelledby");
    return !!by && by.split(/\s+/).some((id) => (document.getElementById(id)?.textContent || "").trim());
  };

  // 3.1.1, 2.4.2, 1.3.1
  if (!/^(en|ja)$/.test(document.documentElement.lang)) say("the page has no language");
  if (!document.title.trim()) say("the page has no title");
  if (all("main").length !== 1) say(`${all("main").length} main`);
  const headings = all("h1, h2, h3, h4, h5, h6").filter(shown);
  if (headings.filter((h) => h.localName === "h1").length !== 1) say(`${headings.filter((h) => h.localName === "h1").length} h1`);
  let level = 0;
  for (const h of headings) {
    const next = Number(h.localName[1]);
    if (next > level + 1) say(`a heading of level ${next} follows one of level ${level}`, h);
    if (!h.textContent.trim()) say("a heading has no text", h);
    level = next;
  }
  const ids = new Set();
  for (const e of all("[id]")) {
    if (ids.has(e.id)) say("an id is there twice", e);
    ids.add(e.id);
  }
  for (const t of all("table")) {
    if (!t.querySelector("th")) say("a table has no th", t);
    for (const th of t.querySelectorAll("thead th")) if (!th.textContent.trim() && !labelled(th)) say("a column has no heading", t);
  }
  for (const l of all("ul, ol")) for (const c of l.children) if (!["li", "script", "template"].includes(c.localName)) say("a list has what is no item", c);
  for (const l of all("dl")) for (const c of l.children) if (!["dt", "dd", "div"].includes(c.localName)) say("a list of facts has what is none", c);

  // 1.1.1, 4.1.2, 3.3.2
  for (const e of all("img, svg")) {
    if (e.getAttribute("aria-hidden") === "true" || e.closest("[aria-hidden=true]") || e.getAttribute("alt") === "") continue;
    if (!labelled(e) && !e.getAttribute("alt") && !e.querySelector(":scope > title")?.textContent.trim()) say("a picture has no name", e);
    if (e.localName === "svg" && e.getAttribute("role") !== "img") say("a picture has not the role of one", e);
  }
  for (const e of all("input, select, textarea")) {
    if (e.type === "hidden") continue;
    const labels = [...(e.labels || [])].some((l) => l.textContent.trim());
    if (!labels && !labelled(e)) say(`a field ${e.name} has no label`, e);
  }
  for (const e of all("progress, meter")) if (![...e.labels].length && !labelled(e)) say("a bar has no label", e);
  for (const l of all("label")) if (!l.control) say("a label has no field", l);
  for (const e of all("a[href], button, summary")) {
    if (!shown(e)) continue;
    if (!e.textContent.trim() && !labelled(e)) say("a link or button has no text", e);
  }
  for (const e of all("fieldset")) if (!e.querySelector(":scope > legend")?.textContent.trim()) say("a group of fields has no legend", e);
  for (const e of all("[aria-labelledby], [aria-describedby], [aria-controls]")) {
    for (const a of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
      for (const id of (e.getAttribute(a) || "").split(/\s+/)) if (id && !document.getElementById(id)) say(`${a} names what is not there`, e);
    }
  }
  for (const e of all("a[href^='#']")) if (!document.getElementById(e.getAttribute("href").slice(1))) say("a link leads to a place that is not there", e);

  // 2.4.3
  for (const e of all("[tabindex]")) if (e.tabIndex > 0) say("an order of its own for the keyboard", e);
  return wrong;
})();
