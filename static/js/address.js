// The address says what is filtered and open, so that a view survives a reload and can be shared. Each choice of a
// person is a step in the browser's history; what the page does by itself, and each letter of a search, is not.
const shown = () => {
  const list = document.querySelector("#list .rows");
  const { asked, attempt } = document.getElementById("detail").dataset;
  const query = new URLSearchParams(list?.dataset.query);
  if (list && asked) query.set("open", asked);
  if (asked && Number(attempt)) query.set("attempt", attempt);
  return `${list ? "/" : `/deliveries/${asked}/`}${query.size ? `?${query}` : ""}`;
};

const searched = (address) => new URL(address, location).searchParams.get("q");

/** `event` is what a person did; without one the address is only corrected. */
export function note(event) {
  const now = shown();
  if (now === location.pathname + location.search) return;
  const typing = event?.type === "input" && searched(now) && searched(location);
  history[event && event.type !== "reload" && !typing ? "pushState" : "replaceState"](null, "", now);
}

// Back and Forward: the page is not reloaded, keeps what was typed, and shows what the address says.
addEventListener("popstate", () => {
  const query = new URLSearchParams(location.search);
  const open = query.get("open") ?? /^\/deliveries\/(\w+)/.exec(location.pathname)?.[1];
  document.dispatchEvent(new CustomEvent("address:back", { detail: { query, open, attempt: Number(query.get("attempt")) } }));
});
