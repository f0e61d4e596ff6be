// A narrow screen shows one pane at a time; a wider one shows the detail beside each of the others.
const panes = document.querySelector(".panes");
const narrow = matchMedia("(max-width: 780px)");

function show(name) {
  const left = document.activeElement.closest(".pane");
  panes.dataset.pane = name;
  const shown = name === "open" && !narrow.matches ? "list" : name;
  for (const button of document.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-pressed", button.dataset.show === shown);
  }
  // What is hidden loses the focus: it goes along.
  if (left?.offsetParent === null) panes.querySelector(`[data-name="${name}"]`).focus({ preventScroll: true });
}

if (panes) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-show]");
    if (button) show(button.dataset.show);
    if (event.target.closest(".row > a, [data-opens]")) show("open");
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.querySelector(":scope > .registered")) show("open");
  });
  // Before others hear of it: while the list is hidden they could not put the focus there.
  document.addEventListener("delivery:closed", () => panes.dataset.pane === "open" && show("list"), { capture: true });
  document.addEventListener("address:back", ({ detail }) => detail.open && show("open"));
  narrow.addEventListener("change", () => show(panes.dataset.pane));
  if (document.querySelector("#detail :is([data-open], .missing)")) show("open");
  else if (document.querySelector("#list .rows").dataset.query) show("list"); // a link to a filtered list
}
