// The data field: checked while one types, at once here and then by the server, whose answer counts.
const validity = document.getElementById("validity");
const data = () => document.getElementById("data");
let timer = null;

function quickly() {
  let broken = false;
  try {
    JSON.parse(data().value);
  } catch {
    broken = true;
  }
  data().setAttribute("aria-invalid", broken);
}

function thoroughly() {
  const { value } = data();
  htmx.ajax("POST", validity.dataset.check, { source: validity, target: validity, swap: "innerHTML", values: { data: value } }).catch(() => validity.replaceChildren());
}

// Errors of an earlier text do not apply to this one: remove the one beside it, and that of the last Send.
function forget() {
  validity.replaceChildren();
  document.querySelector("#outcome [data-field=data]")?.remove();
}

function judge() {
  forget();
  quickly();
  clearTimeout(timer);
  timer = setTimeout(thoroughly, 200);
}

function jump(line, column) {
  const before = data().value.split("\n").slice(0, line);
  before.push([...before.pop()].slice(0, column - 1).join("")); // an emoji is one character to the server, two here
  const at = before.join("\n").length;
  data().focus();
  data().setSelectionRange(at, at + 1);
}

if (validity) {
  document.addEventListener("input", (event) => event.target.id === "data" && judge());
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target !== validity) return;
    if (detail.requestConfig.parameters.data !== data().value) detail.shouldSwap = false;
    else if (detail.xhr.status === 413) {
      // Too large: it was refused before a view saw it, with a line of plain text.
      Object.assign(detail, { shouldSwap: true, isError: false, serverResponse: `<p class="invalid">${detail.serverResponse}</p>` });
    }
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target === validity) data().setAttribute("aria-invalid", validity.querySelector(".invalid") !== null);
    if (detail.target.id === "data") judge();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-line]");
    if (link) jump(Number(link.dataset.line), Number(link.dataset.column));
  });
  document.getElementById("format").addEventListener("click", (event) => {
    const source = event.currentTarget;
    htmx.ajax("POST", source.dataset.format, { source, target: "#data", swap: "outerHTML", values: { data: data().value } });
  });
  judge();
}
