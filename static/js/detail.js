// The open delivery: only the parts that changed are put in, so that focus, scroll and the tab in use survive.
import { localize } from "./clock.js";
import { watch } from "./live.js";
import { say } from "./said.js";
import { restore } from "./tabs.js";

const pane = document.getElementById("detail");
const known = new Map(); // part → what the server last said about it
let told = ""; // the result that is known to whoever does not see it
const article = () => pane.querySelector("[data-open]");

// Without what differs in every rendering: ticking times and form tokens.
const essence = (part) =>
  part.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1").replace(/<input type="hidden" name="csrf[^>]*>/g, "").replace(/ class=""/g, "");

function remember() {
  known.clear();
  told = result(article().dataset);
  for (const part of pane.querySelectorAll("[data-part]")) known.set(part.dataset.part, essence(part));
}

// Each attempt's result is said once: not what it was when opened, nor that one is under way.
const result = ({ attempts, said }) => `${attempts} ${said}`;

function tell(data) {
  if (data.status === "sending" || result(data) === told) return;
  told = result(data);
  say(data.said);
}

function merge(fresh) {
  Object.assign(article().dataset, fresh.dataset);
  tell(fresh.dataset);
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    const now = essence(part);
    if (known.get(name) === now) continue;
    known.set(name, now);
    replace(article().querySelector(`[data-part="${name}"]`), part);
  }
}

const name = (element) => element.tagName + (element.href ?? (element.matches("pre") ? "" : element.textContent));
const views = (part) => [...part.querySelectorAll(".views button")];
const pressed = (button) => button.getAttribute("aria-pressed") === "true";

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) && document.activeElement;
  const view = views(old).find(pressed)?.textContent;
  old.replaceChildren(...fresh.childNodes);
  localize(old);
  restore(old);
  htmx.process(old);
  views(old).find((button) => button.textContent === view && !pressed(button))?.click();
  if (!focused) return;
  // What has gone leaves the focus to none that does something else: Enter may be pressed once more.
  const now = [...old.querySelectorAll("a,button,summary,pre")].find((each) => !each.disabled && name(each) === name(focused));
  (now ?? pane).focus({ preventScroll: true });
}

function parse(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("[data-open]");
}

const load = (id, attempt = 0) =>
  htmx.ajax("GET", `/deliveries/${id}/detail/${attempt ? `?attempt=${attempt}` : ""}`, { source: pane, target: pane, swap: "innerHTML" });

function opened() {
  const { open, chosen, seq } = article().dataset;
  watch({ open, attempt: Number(chosen), seen: Number(seq) }); // the list may be further than what was just fetched
  document.dispatchEvent(new CustomEvent("delivery:opened", { detail: open }));
  address();
}

// What is open stands in the address, so that the view survives a reload and can be shared.
function address() {
  const url = new URL(location);
  const open = article()?.dataset.open;
  if (!document.body.classList.contains("console")) url.pathname = `/deliveries/${open}/`;
  else if (open) url.searchParams.set("open", open);
  else url.searchParams.delete("open");
  history.replaceState(null, "", url);
}

export function close() {
  if (!document.body.classList.contains("console") || !article()) return;
  pane.replaceChildren();
  watch({ open: null });
  address();
  document.dispatchEvent(new CustomEvent("delivery:closed"));
}

if (pane) {
  if (article()) {
    remember();
    opened();
  }
  document.addEventListener("delivery:open", ({ detail: id }) => load(id));
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== pane || !event.detail.shouldSwap) return;
    const fresh = parse(event.detail.serverResponse);
    if (!fresh || fresh.dataset.open !== article()?.dataset.open) return;
    event.detail.shouldSwap = false;
    merge(fresh);
    opened();
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target !== pane) return;
    known.clear();
    if (article()) {
      remember();
      pane.scrollTop = 0;
      opened();
    }
  });
  document.addEventListener("htmx:replacedInHistory", address);
  // What its endpoint's button has changed is asked for: the socket does not tell while it is paused.
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
    if (successful && elt.matches("[data-renews]")) load(article().dataset.open, Number(article().dataset.chosen));
  });
  document.addEventListener("live:frame", ({ detail: frame }) => {
    const open = article()?.dataset.open;
    if (!open || frame.open !== open) return;
    if (frame.detail) merge(parse(frame.detail));
    else if (frame.large) load(open, article().dataset.chosen);
  });
}
