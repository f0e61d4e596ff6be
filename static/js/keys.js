// The keyboard: a key presses the button marked with it, j and k walk the rows, g and another key go to a page.
import { close } from "./detail.js";

let going = false;

const typing = (target) => target.closest?.("input:not([type=radio]), textarea, select, [contenteditable]");
const visible = (element) => element.offsetParent !== null && !element.disabled;

function walk(step) {
  const links = [...document.querySelectorAll(".row > a")];
  const at = links.indexOf(document.activeElement.closest?.(".row > a") ?? document.querySelector(".row > a[aria-current]"));
  const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function go(key) {
  going = false;
  document.querySelector(`[data-go="${CSS.escape(key)}"]`)?.click();
}

function press(key) {
  const target = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(visible);
  if (!target) return false;
  if (target.matches("input")) target.select();
  else target.click();
  return true;
}

// Ctrl+Enter sends what is being written.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
  const form = event.target.matches?.("#send *, dialog textarea") && event.target.form;
  if (!form) return;
  event.preventDefault();
  form.querySelector("[type=submit]").click(); // does nothing while it is disabled
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur(), event.preventDefault(); // otherwise Escape empties a search field
  if (event.key === "Escape") return close(event);
  if (typing(event.target)) return;
  if (going) return go(event.key);
  if (event.key === "j" || event.key === "k") walk(event.key === "j" ? 1 : -1);
  else if (event.key === "g") (going = true), setTimeout(() => (going = false), 1500);
  else if (event.key.length > 1 || event.repeat || !press(event.key)) return; // a key held down counts once
  event.preventDefault();
});
