// Sending: one event per click, a draft kept for each type, and a preview of who gets it.
import { parse } from "./rows.js";

const form = document.getElementById("send");
const drafts = new Map();

const data = () => document.getElementById("data");
const type = () => form.elements.type.value;
const chosen = () => form.elements.endpoint.value;
const line = document.getElementById("audience");
const who = () => {
  const values = { endpoint: chosen(), type: type() };
  htmx.ajax("GET", line.dataset.who, { source: line, target: line, swap: "innerHTML", values });
};

// The second click of a double click sends nothing, even if the first was already answered.
document.addEventListener("click", (event) => event.detail > 1 && event.target.closest("[type=submit]") && event.preventDefault());
// Nor does a key that is held down.
document.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.target.matches?.("[type=submit], input") && event.preventDefault());

if (form) {
  let current = type();
  let edited = false;

  form.addEventListener("input", (event) => (edited ||= event.target === data()));
  form.addEventListener("change", (event) => {
    const { name } = event.target;
    if (name !== "endpoint" && name !== "type") return;
    if (name === "endpoint" || chosen() === "everyone") line.ariaBusy = true; // it is about what was chosen before
    who();
    if (name === "endpoint") return;
    if (edited) drafts.set(current, data().value);
    current = type();
    edited = drafts.has(current);
    if (edited) {
      data().value = drafts.get(current);
      data().dispatchEvent(new Event("input", { bubbles: true }));
    } else document.getElementById("fresh").click();
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== line) return;
    const { endpoint, type: asked } = detail.requestConfig.parameters;
    if (endpoint === chosen() && asked === type()) line.ariaBusy = false;
    else detail.shouldSwap = false; // it has been asked again since
  });
  document.addEventListener("live:open", () => line.ariaBusy === "true" && who()); // nobody had answered
  // A sample or formatted data that comes late must not replace what was typed or chosen meanwhile.
  const typed = () => `${type()} ${data().value}`;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.target === data()) detail.requestConfig.typed = typed();
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target.id === "data" && detail.requestConfig.typed !== typed()) detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id === "data") {
      edited = false;
      drafts.delete(current);
    }
  });
  document.addEventListener("htmx:oobAfterSwap", who);
  // An endpoint was changed: renew the choice, and with it who gets it. The pane asks, since it is not replaced.
  const pane = form.closest("[data-renew]");
  const filtered = () => document.getElementById("filter-endpoint");
  const waiting = () => document.querySelector("#outcome .held[data-started]");
  function renew() {
    const values = { endpoint: chosen(), filter: filtered().value, waits: waiting()?.dataset.started ?? "" };
    htmx.ajax("GET", pane.dataset.renew, { source: pane, target: pane, swap: "none", values });
  }
  document.addEventListener("live:frame", ({ detail: frame }) => {
    const old = ({ dataset }) => dataset.edition !== frame.endpoints;
    if (frame.endpoints !== null && [document.getElementById("endpoint-field"), filtered()].some(old)) renew();
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== pane) return;
    const { endpoint, filter } = detail.requestConfig.parameters;
    if (endpoint === chosen() && filter === filtered().value) return;
    detail.shouldSwap = false; // another one was chosen meanwhile
    renew();
  });
  // The outcome of the last sending is removed when the next begins; the token beside it stays.
  const forget = () => document.querySelectorAll("#outcome p").forEach((line) => line.remove());
  form.addEventListener("htmx:beforeRequest", (event) => event.target === form && forget());
  // The line saying that it is held goes once its endpoint is resumed, here or elsewhere, or it is stopped.
  const goesOn = (id) => document.querySelector(`#outcome .held[data-started="${id}"]`)?.remove();
  document.addEventListener("batch:goes-on", ({ detail }) => goesOn(detail.id));
  document.addEventListener("live:frame", ({ detail: frame }) => {
    goesOn(/data-ended="(\w+)"/.exec(frame.batch)?.[1]);
    for (const line of document.querySelectorAll("#outcome .held[data-sent]")) {
      const row = frame.rows.find(({ id }) => id === line.dataset.sent);
      if (row && parse(row.html).dataset.state !== "held") line.remove();
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    const sent = document.querySelector("#outcome [data-sent]:not([data-told])");
    if (!sent) return;
    sent.dataset.told = "";
    document.dispatchEvent(new CustomEvent("delivery:sent", { detail: sent.dataset.sent }));
  });
}
