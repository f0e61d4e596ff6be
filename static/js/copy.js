// Copy buttons: they copy the element beside them, or what a URL returns: the whole text, where the page shows a part.
import { say } from "./said.js";

const near = {
  prev: (button) => button.previousElementSibling.textContent,
  next: (button) => button.nextElementSibling.textContent,
};
const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a BOM is part of the text

async function text(button) {
  if (!button.dataset.copyFrom) return near[button.dataset.copy](button);
  const answer = await fetch(button.dataset.copyFrom).catch(() => null);
  if (!answer) throw new Error("The simulator does not answer. Is it still running?");
  if (!answer.ok) throw new Error(`The simulator answered ${answer.status}.`);
  return decoder.decode(await answer.arrayBuffer());
}

// The button may be drawn anew meanwhile: it is known by what it copies.
const source = (button) => button.dataset.copyFrom ?? button;
let copied = null; // the source of what was copied a moment ago
let timer = null;

function mark() {
  for (const button of document.querySelectorAll("[data-copy], [data-copy-from]")) {
    button.classList.toggle("copied", source(button) === copied);
  }
}

function show(what) {
  copied = what;
  mark();
}

const detail = document.getElementById("detail");
if (detail) new MutationObserver(mark).observe(detail, { childList: true, subtree: true });

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  try {
    if (!navigator.clipboard) throw new Error("over http, a browser allows that only on localhost and 127.0.0.1.");
    await navigator.clipboard.writeText(await text(button));
    show(source(button));
    say("Copied.");
    clearTimeout(timer);
    timer = setTimeout(show, 1500, null);
  } catch (error) {
    document.dispatchEvent(new CustomEvent("notice", { detail: `Could not copy: ${error.message}` }));
  }
});
