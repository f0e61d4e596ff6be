// The open delivery: only parts that changed are replaced, so that focus, scroll position and chosen tab survive.
import { note } from "./address.js";
import { localize } from "./clock.js";
import { watch } from "./live.js";
import { say } from "./said.js";
import { restore } from "./tabs.js";

const pane = document.getElementById("detail");
const known = new Map(); // part → what the server last said about it
let told = ""; // the result that a screen reader was last told
let sent = null; // what was sent a moment ago: its result is told even if it came before the detail
const article = () => pane.querySelector("[data-open]");

// Its HTML without what differs in every rendering: ticking times and form tokens.
const essence = (part) =>
  part.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1").replace(/<input type="hidden" name="csrf[^>]*>/g, "").replace(/ class=""/g, "");

function remember() {
  known.clear();
  told = result(article().dataset);
  for (const part of pane.querySelectorAll("[data-part]")) known.set(part.dataset.part, essence(part));
}

// Each attempt's result is told once, but not the one it was opened with, nor that an attempt is under way.
const result = ({ attempts, said }) => `${attempts} ${said}`;

function tell(data) {
  if (data.status === "sending" || result(data) === told) return;
  told = result(data);
  say(`${data.said} ${data.next}`.trim());
}

function tellOfSent() {
  const { open, attempts } = article().dataset;
  if (open !== sent) return;
  sent = null;
  if (attempts === "0") return;
  told = "";
  tell(article().dataset);
}

// A rendering overtaken by a newer one, as a click's answer by the result of that click, must not undo it.
function merge(fresh) {
  const { seq, chosen } = article().dataset;
  const overtaken = Number(fresh.dataset.seq) < Number(seq);
  if (overtaken && fresh.dataset.chosen === chosen) return;
  Object.assign(article().dataset, fresh.dataset);
  if (!overtaken) tell(fresh.dataset);
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
  // If the focused element is gone, no other one may get the focus: Enter may be pressed once more.
  const now = [...old.querySelectorAll("a,button,summary,pre")].find((each) => !each.disabled && name(each) === name(focused));
  (now ?? pane).focus({ preventScroll: true });
}

function parse(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("[data-open]");
}

// What is to be shown, from the request on: an answer is too late once something else was asked for.
const DETAIL = /^\/deliveries\/(\w+)\/detail\/(?:\?attempt=(\d+))?$/;
const asked = () => `${pane.dataset.asked} ${pane.dataset.attempt}`;

function ask(id, attempt = 0) {
  if (id) Object.assign(pane.dataset, { asked: id, attempt });
  else delete pane.dataset.asked;
}

function load(id, attempt = 0, event = null) {
  ask(id, attempt);
  pane.classList.toggle("leaving", id !== article()?.dataset.open);
  const path = `/deliveries/${id}/detail/${attempt ? `?attempt=${attempt}` : ""}`;
  htmx.ajax("GET", path, { source: pane, event, target: pane, swap: "innerHTML" });
}

// Unless something else has been asked for.
function renew() {
  const { open, chosen } = article()?.dataset ?? {};
  if (open && open === pane.dataset.asked) load(open, chosen);
}

function opened(event) {
  const { open, chosen, seq, revision } = article().dataset;
  ask(open, chosen);
  watch({ open, attempt: Number(chosen), seen: Number(seq), revision: Number(revision) }); // the list may be newer than this detail
  document.dispatchEvent(new CustomEvent("delivery:opened", { detail: open }));
  note(event);
}

function closed(event) {
  ask(null);
  watch({ open: null });
  note(event);
  document.dispatchEvent(new CustomEvent("delivery:closed"));
}

export function close(event) {
  if (!document.body.classList.contains("console") || !pane.dataset.asked) return;
  if (article()) pane.replaceChildren(document.getElementById("welcome").content.cloneNode(true));
  closed(event);
}

if (pane) {
  if (article()) {
    remember();
    opened();
  }
  document.addEventListener("delivery:sent", ({ detail }) => (sent = detail));
  document.addEventListener("delivery:open", ({ detail: { id, event } }) => load(id, 0, event));
  document.addEventListener("address:back", ({ detail: { open, attempt } }) => {
    if (!open) close();
    else if (open !== pane.dataset.asked || attempt !== Number(pane.dataset.attempt)) load(open, attempt);
  });
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt, target, requestConfig } }) => {
    if (target !== pane) return;
    const [, id, attempt = 0] = DETAIL.exec(requestConfig.path) ?? [];
    if (id && elt !== pane) ask(id, attempt); // another attempt was chosen
    requestConfig.asked = id ? `${id} ${attempt}` : asked();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target !== pane || !event.detail.shouldSwap) return;
    const { asked: question = asked(), triggeringEvent } = event.detail.requestConfig;
    const fresh = parse(event.detail.serverResponse);
    const late = question !== asked();
    const same = fresh && fresh.dataset.open === article()?.dataset.open;
    event.detail.shouldSwap = !late && !same;
    if (late || !same) return;
    merge(fresh);
    opened(triggeringEvent);
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target !== pane) return;
    known.clear();
    if (article()) {
      remember();
      if (detail.requestConfig.verb === "post") sent = article().dataset.open; // sent again
      tellOfSent();
      pane.scrollTop = 0;
      opened(detail.requestConfig.triggeringEvent);
    } else if (pane.dataset.asked) closed(detail.requestConfig.triggeringEvent);
  });
  // The request failed: what is there stays shown.
  document.addEventListener("htmx:afterRequest", ({ detail: { xhr, requestConfig } }) => {
    if (xhr.status === 200 || requestConfig.asked !== asked()) return;
    ask(article()?.dataset.open, article()?.dataset.chosen);
    if (xhr.status) note(); // 0: nobody answered, or the page is being left; a reload asks again
  });
  // After a button of its endpoint the detail is fetched: while paused, the socket would not bring the change.
  document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
    if (successful && elt.matches("[data-renews]")) renew();
  });
  document.addEventListener("live:frame", ({ detail: frame }) => {
    if (!article() || frame.open !== article().dataset.open) return;
    if (frame.detail) merge(parse(frame.detail));
    else if (frame.large) renew();
  });
}
