// The cards of the endpoints: what happens to one elsewhere, as the pause after a 410, is seen here, too. Each part is
// renewed by itself, so that an answer in the card stays, and the focus. None comes or goes: no button moves away.
import { localize } from "./clock.js";

const cards = document.querySelector(".cards");
let looking = false;
let again = false;

function put(fresh) {
  const old = document.getElementById(fresh.id);
  if (!old || old.outerHTML === fresh.outerHTML) return;
  const focused = old.contains(document.activeElement);
  old.replaceWith(fresh);
  if (focused) (fresh.matches("button") ? fresh : fresh.querySelector("a"))?.focus({ preventScroll: true });
}

function renew(card, fresh) {
  if (!fresh || Number(fresh.dataset.revision) < Number(card.dataset.revision)) return; // a click was answered meanwhile
  card.className = fresh.className;
  Object.assign(card.dataset, fresh.dataset);
  fresh.ownerDocument.querySelectorAll(`[id^="${fresh.id}-"]:not(.said)`).forEach(put);
}

async function look() {
  again = true;
  if (looking) return;
  looking = true;
  while (again) {
    again = false;
    const answer = await fetch(location).catch(() => null);
    if (!answer?.ok) break; // it is asked again with the next change
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    localize(page);
    cards.dataset.edition = page.querySelector(".cards").dataset.edition;
    for (const card of cards.children) renew(card, page.getElementById(card.id));
  }
  looking = false;
}

if (cards) {
  document.addEventListener("live:frame", ({ detail: { endpoints } }) => {
    if (endpoints !== null && endpoints !== cards.dataset.edition) look();
  });
}
