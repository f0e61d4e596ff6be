// The one dialog, and the notices beside the page: what went wrong, or was done, in words, until dismissed or faded.
import { say } from "./said.js";

const dialog = document.getElementById("dialog");
const notices = document.getElementById("notices");

let opener = ""; // an id, since the element may be replaced meanwhile

// With unsaved text, neither Escape nor a click beside the dialog closes it: only Close discards the text.
const edited = () => [...dialog.querySelectorAll("textarea")].some((field) => field.value !== field.defaultValue);

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "dialog-body" && !dialog.open) {
    opener = document.activeElement.id;
    dialog.setAttribute("aria-labelledby", dialog.querySelector("h2").id);
    dialog.showModal();
    dialog.append(notices); // behind the backdrop they could be neither read nor clicked
  }
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful && detail.elt.matches("[data-closes]")) dialog.close();
});
document.addEventListener("click", (event) => {
  if (dialog.open && (event.target.closest("[data-close]") || (event.target === dialog && !edited()))) {
    event.preventDefault();
    dialog.close();
  }
  const dismissed = event.target.closest("[data-dismiss]")?.parentElement;
  if (dismissed?.contains(document.activeElement)) (dialog.open ? dialog : document.getElementById("main")).focus({ preventScroll: true });
  dismissed?.remove();
});
dialog.addEventListener("keydown", (event) => event.key === "Escape" && edited() && event.preventDefault());
dialog.addEventListener("close", () => {
  document.getElementById("dialog-body").replaceChildren();
  dialog.before(notices);
  const { activeElement: focused } = document;
  if (focused === document.body || dialog.contains(focused)) document.getElementById(opener)?.focus({ preventScroll: true });
});

function notice(text) {
  const line = document.getElementById("notice").content.firstElementChild.cloneNode(true);
  line.querySelector("span").textContent = text;
  notices.append(line);
}

// Not while somebody is at it.
const fade = (line) => setTimeout(() => (line.matches(":hover, :focus-within") ? fade(line) : line.remove()), 8000);
const said = (line) => line.textContent.trim();

new MutationObserver((changes) => {
  for (const line of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
    if (!line.dataset || !("fades" in line.dataset)) continue;
    for (const older of [...notices.children]) if (older !== line && said(older) === said(line)) older.remove();
    fade(line);
  }
}).observe(notices, { childList: true });

// What the form on the page before has done. It goes out of the address, so that a reload or Back does not say it again.
for (const line of notices.children) {
  say(said(line));
  fade(line);
  history.replaceState(null, "", location.pathname);
}

// Requests that the page makes by itself fail silently: nobody waits for them, and the badge says "reconnecting".
const quiet = ({ elt }) => elt.matches("[data-quiet]");

document.addEventListener("notice", ({ detail }) => notice(detail));
document.addEventListener("htmx:sendError", ({ detail }) => quiet(detail) || notice("The simulator does not answer. Is it still running?"));
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (quiet(detail)) return;
  const { xhr } = detail;
  const plain = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain");
  notice(plain && xhr.responseText.length < 300 ? xhr.responseText : `The simulator answered ${xhr.status}.`);
});
