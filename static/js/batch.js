// The batch line: updated in place, so that the Stop button stays under the finger and keeps the focus.
import { parse } from "./rows.js";

const place = document.getElementById("batch");
const copies = document.getElementById("copies");

function count(line, fresh) {
  line.className = fresh.className;
  line.querySelector("progress").value = fresh.querySelector("progress").value;
  line.querySelector(".said").replaceChildren(...fresh.querySelector(".said").childNodes);
}

function tell(html) {
  const line = place.firstElementChild;
  const fresh = parse(html);
  const batch = fresh?.dataset.batch;
  if (batch && batch === line?.dataset.batch) return count(line, fresh);
  if (batch && batch === line?.dataset.ended) return; // a frame from before it was stopped
  if (!batch && line?.textContent === fresh?.textContent) return; // the same as before
  const focused = line?.contains(document.activeElement);
  place.replaceChildren(...(fresh ? [fresh] : []));
  htmx.process(place);
  if (focused) place.focus();
}

if (place) {
  document.addEventListener("live:frame", ({ detail: frame }) => frame.batch !== null && tell(frame.batch));
  // The answer to the click may come after the socket has shown the batch: then it is old, and must change nothing.
  document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
    if (detail.target !== place) return;
    detail.shouldSwap = false;
    const html = detail.fragment.innerHTML.trim();
    if (parse(html)?.dataset.batch !== place.firstElementChild?.dataset.batch) tell(html);
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== place || !detail.shouldSwap) return;
    detail.shouldSwap = false;
    const html = detail.serverResponse;
    if (parse(html)?.dataset.ended === place.firstElementChild?.dataset.batch) tell(html);
  });
  document.addEventListener("htmx:afterSwap", () => {
    copies.setAttribute("aria-invalid", document.querySelector("#outcome [data-field=copies]") !== null);
  });
}
