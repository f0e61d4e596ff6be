// Times as people read them: local, counting down to what is due and up from what has begun.
const two = (number) => String(number).padStart(2, "0");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const LEAST = "at least ";
let silent = false; // nobody tells whether what was under way has ended

export function localize(root) {
  for (const time of root.querySelectorAll("time[data-clock]")) {
    const at = new Date(time.dateTime);
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? clock : `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock}`;
    time.title = at.toLocaleString([], { dateStyle: "medium", timeStyle: "long" });
  }
  tick(root);
}

function seconds(value) {
  if (value < 60) return `${value.toFixed(1)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

function tick(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-due]")) {
    const left = (Date.parse(time.dateTime) - now) / 1000;
    time.textContent = left > 0.05 ? `in ${seconds(left)}` : "now";
  }
  for (const time of root.querySelectorAll("time[data-since]")) {
    if (!silent) time.textContent = seconds(Math.max(0, now - Date.parse(time.dateTime)) / 1000);
    else if (!time.textContent.startsWith(LEAST)) time.prepend(LEAST);
  }
}

localize(document);
document.addEventListener("htmx:load", (event) => localize(event.detail.elt));
document.addEventListener("live:silent", () => {
  tick();
  silent = true;
  tick();
});
document.addEventListener("live:frame", () => (silent = false)); // it brings the open delivery as it is now
let day = new Date().toDateString();
setInterval(() => {
  if (document.hidden) return;
  const today = new Date().toDateString();
  if (today === day) return tick();
  day = today; // past midnight, times of yesterday need their date
  localize(document);
}, still.matches ? 1000 : 100);
