// The rows: keyed by id, changed in place, inserted in order, never more than MOST.
import { localize } from "./clock.js";

export const MOST = 500;
export const rows = () => document.querySelector("#list .rows");
export const find = (id) => rows().querySelector(`[data-delivery-id="${CSS.escape(id)}"]`);

export function parse(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  localize(holder.content);
  return holder.content.firstElementChild;
}

export function renew(row, fresh) {
  if (Number(fresh.dataset.seq) < Number(row.dataset.seq)) return; // something newer came first
  row.className = fresh.className;
  Object.assign(row.dataset, fresh.dataset);
  row.firstElementChild.replaceChildren(...fresh.firstElementChild.childNodes);
}

const next = (fresh) => [...rows().children].find((row) => !row.dataset.deliveryId || row.dataset.deliveryId < fresh.dataset.deliveryId);

/** Older than everything loaded: it belongs to a page that is not here yet. */
export const beyond = (fresh) => next(fresh).matches(".older:not([hidden])");

export function insert(fresh) {
  if (beyond(fresh)) return;
  fresh.classList.add("fresh");
  rows().insertBefore(fresh, next(fresh));
  mark();
}

export function trim() {
  const all = rows().querySelectorAll("[data-delivery-id]");
  for (let index = all.length - 1; index >= MOST; index -= 1) {
    if (!all[index].querySelector("[aria-current]")) all[index].remove();
    rows().querySelector(".older").hidden = false;
  }
}

export function mark(id = document.querySelector("#detail [data-open]")?.dataset.open) {
  for (const link of rows().querySelectorAll("[aria-current]")) link.removeAttribute("aria-current");
  if (id) find(id)?.firstElementChild.setAttribute("aria-current", "true");
}
