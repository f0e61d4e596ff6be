// The list: follows the newest, holds still while somebody is reading, and keeps new rows behind the pill meanwhile.
import { note } from "./address.js";
import { localize } from "./clock.js";
import { isPaused, rewind, togglePause, watch } from "./live.js";
import { MOST, beyond, find, insert, mark, parse, renew, rows, trim } from "./rows.js";
import { say } from "./said.js";

const ASKED = 200;
const box = document.getElementById("list");
const pill = document.querySelector(".pill");
const section = pill?.parentElement; // takes a focus that would be lost; having it does not hold the list still
const held = new Map(); // id → row that waits behind the pill
let missed = false; // more came than is worth holding: the pill then reloads the list
let stale = false; // fetching the rows shown here failed: it is tried again with the next frame
let looking = false; // rows are being fetched: never twice at a time
let again = false; // fetch once more when that is done
let reading = Boolean(document.querySelector("#detail [data-open]")); // somebody chose a row

const isHeld = () => reading || box.scrollTop > 8 || box.contains(document.activeElement);

// Too much happened while somebody reads to be sent row by row: fetch the rows shown here, the rest waits.
function refresh() {
  missed = true;
  tell();
  lookAtAll();
}

async function lookAtAll() {
  again = true;
  if (looking) return;
  looking = true;
  while (again) {
    again = false;
    const here = [...rows().querySelectorAll("[data-delivery-id]")].map((row) => row.dataset.deliveryId);
    await look(missed ? here : [...here, ...held.keys()]);
  }
  looking = false;
}

async function look(ids) {
  for (let at = 0; at < ids.length; at += ASKED) {
    const answer = await fetch(`/deliveries/rows/some/?ids=${ids.slice(at, at + ASKED)}`).catch(() => null);
    if (!answer?.ok) return void (stale = true);
    const holder = document.createElement("ol");
    holder.innerHTML = await answer.text();
    localize(holder);
    for (const fresh of holder.children) {
      const row = find(fresh.dataset.deliveryId) ?? held.get(fresh.dataset.deliveryId);
      if (row) renew(row, fresh);
    }
  }
}

// An endpoint was edited and may have another name; that changes no delivery, so no frame brings its rows.
function rename({ endpoints }) {
  if (endpoints === null || endpoints === rows().dataset.edition) return;
  rows().dataset.edition = endpoints;
  const searched = new URLSearchParams(rows().dataset.query).has("q"); // in the names, too
  searched && !isHeld() ? reload() : lookAtAll();
}

// Older rows were loaded: the newest make room, and come back through the pill. Changes of the older ones while they
// were on their way are sent again.
function makeRoom(older) {
  rewind(Number(older.dataset.seq));
  mark();
  const all = [...rows().querySelectorAll("[data-delivery-id]")];
  for (const row of all.slice(0, Math.max(0, all.length - MOST))) {
    if (!row.querySelector("[aria-current]")) row.remove();
    missed = true;
  }
  tell();
}

function apply(frame) {
  if (!pill.hidden && !isHeld()) follow(); // nobody is reading any more
  if (frame.reload || stale) {
    stale = false;
    isHeld() ? refresh() : reload();
  }
  const still = isHeld(); // asked once: after each inserted row it would lay out the whole list
  for (const { id, html } of frame.rows) {
    const row = find(id);
    const fresh = parse(html);
    if (row) renew(row, fresh);
    else if (beyond(fresh)) continue;
    else if (still) held.set(id, fresh);
    else insert(fresh);
  }
  const kept = []; // they no longer match the filter, but are open or have the focus
  for (const id of frame.gone) {
    held.delete(id);
    const row = find(id);
    if (row?.querySelector("[aria-current]") || row?.contains(document.activeElement)) kept.push(id);
    else row?.remove();
  }
  if (kept.length) look(kept);
  if (held.size > MOST) (missed = true), held.clear();
  trim();
  tell();
}

function tell() {
  if (pill.hidden && (missed || held.size)) say("New deliveries wait above the list.");
  pill.hidden = !missed && held.size === 0;
  pill.firstElementChild.textContent = missed ? "Newest" : `${held.size} new`;
}

function tellFound() {
  const found = rows().querySelectorAll("[data-delivery-id]").length;
  const more = rows().querySelector(".older:not([hidden])") ? " or more" : "";
  say(found ? `${found}${more} ${found === 1 && !more ? "delivery" : "deliveries"}.` : box.querySelector(".empty h3").textContent);
}

export function follow() {
  if (missed) reload();
  else for (const fresh of held.values()) insert(fresh);
  held.clear();
  missed = false;
  box.scrollTop = 0;
  trim();
  tell();
}

const filter = document.getElementById("filter");
const reload = () => filter.dispatchEvent(new Event("reload"));
let unanswered = false; // the last request of the filter failed

function open(id, event = null) {
  reading = Boolean(event); // chosen by a person
  document.dispatchEvent(new CustomEvent("delivery:open", { detail: { id, event } }));
}

if (box) {
  watch({ since: Number(rows().dataset.seq), filter: rows().dataset.query });
  mark();
  document.addEventListener("live:frame", ({ detail }) => (apply(detail), rename(detail)));
  document.addEventListener("delivery:opened", ({ detail }) => mark(detail));
  document.addEventListener("delivery:closed", () => {
    reading = false;
    const { activeElement: focused } = document;
    if (focused === document.body || focused.id === "detail" || box.contains(focused)) section.focus({ preventScroll: true });
    mark(null);
    follow();
  });
  document.addEventListener("delivery:sent", ({ detail }) => isHeld() || open(detail));
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target !== box) return;
    held.clear();
    missed = false;
    tell();
    mark();
    watch({ since: Number(rows().dataset.seq), filter: rows().dataset.query });
    note(detail.requestConfig.triggeringEvent);
    if (["input", "change", "submit"].includes(detail.requestConfig.triggeringEvent?.type)) tellFound();
  });
  document.addEventListener("address:back", ({ detail }) => {
    reading = Boolean(detail.open);
    const fields = [...filter.querySelectorAll("[name]")].filter(({ name, value }) => value !== (detail.query.get(name) ?? ""));
    for (const field of fields) field.value = detail.query.get(field.name) ?? "";
    if (!fields.length) return;
    for (const other of ["open", "attempt"]) detail.query.delete(other);
    rows().dataset.query = detail.query;
    reload();
  });
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt, requestConfig } }) => {
    if (elt === filter) box.classList.toggle("leaving", requestConfig.triggeringEvent?.type !== "reload");
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => detail.elt === filter && (unanswered = !detail.successful));
  document.addEventListener("htmx:responseError", ({ detail }) => detail.elt === filter && ((missed = true), tell()));
  document.addEventListener("live:open", () => unanswered && reload());
  document.addEventListener("htmx:load", ({ detail: { elt } }) => elt.matches(".older") && makeRoom(elt));
  // Ask for rows older than the last one shown: since the page was loaded, rows were removed at the end.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const last = [...rows().querySelectorAll("[data-delivery-id]")].at(-1);
    if (detail.elt.id === "older" && last) detail.path = detail.path.replace(/cursor=\w*/, `cursor=${last.dataset.deliveryId}`);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".row > a, [data-opens]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    // Enter on the row that is open leads into its detail: the way there goes by all other rows.
    if (!event.detail && link.ariaCurrent) document.querySelector('#detail [role="tab"][aria-selected="true"]')?.focus();
    open(link.dataset.opens ?? link.parentElement.dataset.deliveryId, event);
  });
  pill.addEventListener("click", () => {
    reading = false;
    section.focus({ preventScroll: true });
    follow();
  });
  box.addEventListener("scroll", () => held.size && !isHeld() && follow(), { passive: true });
  document.querySelector("[data-pause]").addEventListener("click", (event) => {
    togglePause();
    const button = event.currentTarget;
    button.setAttribute("aria-pressed", isPaused());
    button.querySelector("use").setAttribute("href", isPaused() ? "#i-play" : "#i-pause");
    button.querySelector("span").textContent = isPaused() ? "Resume" : "Pause";
  });
}
