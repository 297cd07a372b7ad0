(kind, name) => {
  // Where a person would press who looks for a text: the middle of what has it.
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 1;
  const clean = (text) => (text || "").trim().replace(/\s+/g, " ");
  const own = (label) => {
    const copy = label.cloneNode(true);
    for (const e of copy.querySelectorAll("select, textarea, .hint")) e.remove();
    return clean(copy.textContent);
  };
  const best = (all, text) => all.find((e) => text(e) === name) || all.find((e) => text(e).startsWith(name)) || all.find((e) => text(e).includes(name));
  let found;
  if (kind === "press") {
    found = best([...document.querySelectorAll("a[href], button, summary")].filter(shown), (e) => clean(e.getAttribute("aria-label") || e.textContent));
  } else {
    const labels = [...document.querySelectorAll("label")].filter((l) => l.control && ["radio", "checkbox"].includes(l.control.type) === (kind === "choice") && shown(l.control));
    found = best(labels, own)?.control;
  }
  if (!found) return null;
  found.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  const box = found.getClientRects()[0];
  const at = { X: box.left + box.width / 2, Y: box.top + box.height / 2 };
  const top = document.elementFromPoint(at.X, at.Y); // nothing may lie above it
  return top && (found.contains(top) || top.contains(found)) ? at : null;
}
