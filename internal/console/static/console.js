"use strict";
// What pages do by themselves, each where a page has the attribute. Without this file
// every form and link works as it stands.
for (const e of document.querySelectorAll("[data-noscript]")) e.hidden = true;
const showCopy = (part) => { for (const e of part.querySelectorAll("[data-copy]")) e.hidden = false; };
showCopy(document);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// data-chooses="ID": what is filled in there belongs to the choice with the ID.
document.addEventListener("input", (event) => {
  const choice = event.target.dataset.chooses;
  if (choice) document.getElementById(choice).checked = true;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.parentElement.querySelector("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange(); // no clipboard without TLS: the text is marked, for Ctrl+C
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return;
  }
  button.classList.add("did");
  setTimeout(() => button.classList.remove("did"), 1500);
});

// data-live="URL": the element's content is what the URL sends, while somebody can see the
// page: a browser has few connections for a host. data-still="ID": an element that says
// since when nothing came, where that is so.
for (const e of document.querySelectorAll("[data-live]")) {
  const still = document.getElementById(e.dataset.still);
  let source, last = new Date();
  const stands = (does) => {
    if (!still) return;
    still.querySelector("time").textContent = last.toLocaleTimeString();
    still.hidden = !does;
  };
  const put = (message) => {
    last = new Date();
    stands(false);
    // What had the focus has it again, if it is still there; tables stay where they were scrolled to.
    const stops = () => [...e.querySelectorAll("a, [tabindex]")];
    const at = stops().indexOf(document.activeElement);
    const scrolled = stops().map((x) => x.scrollLeft);
    e.innerHTML = message.data;
    stops().forEach((x, i) => { if (scrolled[i]) x.scrollLeft = scrolled[i]; });
    if (at >= 0) stops()[at]?.focus({ preventScroll: true });
  };
  let again;
  const open = () => {
    clearTimeout(again);
    source?.close();
    source = undefined;
    if (document.hidden) return;
    source = new EventSource(e.dataset.live);
    source.onmessage = put;
    source.addEventListener("same", () => { last = new Date(); stands(false); });
    source.onerror = () => {
      stands(true);
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, 10000); // it was refused: the browser does not ask again
    };
  };
  document.addEventListener("visibilitychange", open);
  open();
}

// form data-search="ID": as somebody types, the element ID is taken from the page that the
// form leads to.
for (const form of document.querySelectorAll("form[data-search]")) {
  let timer, asked = 0;
  const search = async () => {
    const n = ++asked;
    const url = new URL(form.action);
    url.search = new URLSearchParams(new FormData(form)).toString();
    let text;
    try {
      const response = await fetch(url);
      if (!response.ok || response.redirected) return;
      text = await response.text();
    } catch {
      return; // the button still works, and says what is wrong
    }
    if (n !== asked) return;
    const found = new DOMParser().parseFromString(text, "text/html").getElementById(form.dataset.search);
    const here = document.getElementById(form.dataset.search);
    if (found && here) {
      showCopy(found);
      here.replaceWith(found);
      history.replaceState(null, "", url);
    }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 150); });
}
