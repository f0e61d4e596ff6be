// On a narrow screen one pane shows at a time.
const panes = document.querySelector(".panes");

function show(name) {
  panes.dataset.pane = name;
  for (const button of document.querySelectorAll("[data-show]")) {
    button.setAttribute("aria-pressed", button.dataset.show === name);
  }
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
  document.addEventListener("delivery:closed", () => panes.dataset.pane === "open" && show("list"));
  document.addEventListener("address:back", ({ detail }) => detail.open && show("open"));
  if (document.querySelector("#detail :is([data-open], .missing)")) show("open");
}
