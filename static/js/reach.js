// The dots that show whether a receiver can be reached: checked when the choice changes and every few seconds.
const EVERY = 5000;
const endpoint = () => document.getElementById("endpoint");
const yours = () => document.getElementById("yours");
let timer = null;

// Each request names its source: those without one share a queue, in which a later one replaces another.
function ask(dot, values) {
  if (!dot || document.hidden) return;
  htmx.ajax("POST", dot.dataset.reach, { source: dot, target: dot, swap: "innerHTML", values }).catch(() => dot.replaceChildren());
}

function askAboutEndpoint() {
  const dot = document.getElementById("endpoint-reach");
  if (endpoint().value === "everyone") dot.replaceChildren();
  else ask(dot, { endpoint: endpoint().value });
}

function askAboutYours() {
  const dot = document.getElementById("yours-reach");
  if (yours()?.value.trim()) ask(dot, { url: yours().value });
  else dot?.replaceChildren();
}

const holds = {
  "endpoint-reach": ({ endpoint: asked }) => asked === endpoint().value,
  "yours-reach": ({ url }) => url === yours()?.value,
};

if (endpoint()) {
  // An answer about another endpoint or URL than the one chosen now is dropped.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (holds[detail.target.id]?.(detail.requestConfig.parameters) === false) detail.shouldSwap = false;
  });
  document.addEventListener("change", (event) => {
    if (event.target !== endpoint()) return;
    document.getElementById("endpoint-reach").replaceChildren();
    askAboutEndpoint();
  });
  document.addEventListener("input", (event) => {
    if (event.target !== yours()) return;
    clearTimeout(timer);
    timer = setTimeout(askAboutYours, 300);
  });
  document.addEventListener("htmx:oobAfterSwap", askAboutEndpoint);
  const both = () => (askAboutEndpoint(), askAboutYours());
  both();
  setInterval(both, EVERY);
  document.addEventListener("visibilitychange", () => document.hidden || both());
}
