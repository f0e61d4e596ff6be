// The data field: judged while one types, at once here and then by the server, whose word counts.
const validity = document.getElementById("validity");
const data = () => document.getElementById("data");
let timer = null;

function place(text, message) {
  const position = /position (\d+)/.exec(message)?.[1];
  const named = /line (\d+) column (\d+)/.exec(message);
  if (named) return [Number(named[1]), Number(named[2])];
  if (!position) return null;
  const before = text.slice(0, Number(position)).split("\n");
  return [before.length, before.at(-1).length + 1];
}

function quickly() {
  let problem = null;
  try {
    JSON.parse(data().value);
  } catch (error) {
    problem = place(data().value, error.message);
  }
  data().setAttribute("aria-invalid", problem !== null);
  if (problem) validity.dataset.near = `Line ${problem[0]}, column ${problem[1]}`;
  else delete validity.dataset.near;
}

function thoroughly() {
  const { value } = data();
  htmx.ajax("POST", validity.dataset.check, { target: validity, swap: "innerHTML", values: { data: value } });
}

export function judge() {
  quickly();
  clearTimeout(timer);
  timer = setTimeout(thoroughly, 200);
}

function jump(line, column) {
  const lines = data().value.split("\n");
  const at = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
  data().focus();
  data().setSelectionRange(at, at + 1);
}

if (validity) {
  document.addEventListener("input", (event) => event.target.id === "data" && judge());
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target === validity) data().setAttribute("aria-invalid", validity.querySelector(".invalid") !== null);
    if (detail.target.id === "data") judge();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-line]");
    if (link) jump(Number(link.dataset.line), Number(link.dataset.column));
  });
  document.getElementById("format").addEventListener("click", (event) => {
    htmx.ajax("POST", event.currentTarget.dataset.format, { target: "#data", swap: "outerHTML", values: { data: data().value } });
  });
  judge();
}
