// The page's socket: subscribes to what is shown, passes on each frame, acknowledges it, and reconnects by itself.
// Not htmx's hx-ws: that has no acknowledgement, no "since", and no insertion by key.
const QUICKEST = 250;
const SLOWEST = 5000;

const wish = { since: 0, filter: null, open: null, attempt: 0, seen: 0, revision: 0 };
const badge = document.querySelector("[data-live]");
let socket = null;
let pause = QUICKEST;
let timer = null;
let round = 0; // frames of earlier subscriptions are ignored
let paused = false; // then frames are not acknowledged, and the server sends no more

export const isPaused = () => paused;

function show(state) {
  if (badge.dataset.live === state) return; // announced only once
  badge.dataset.live = state;
  badge.lastElementChild.textContent = state;
}

const silence = () => document.dispatchEvent(new CustomEvent("live:silent"));

export function watch(change) {
  Object.assign(wish, change);
  subscribe();
}

/** Have the changes after `seq` sent again: rows were on their way meanwhile. */
export const rewind = (seq) => watch({ since: Math.min(wish.since, seq) });

function subscribe() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  round += 1;
  socket.send(JSON.stringify({ subscribe: { round, ...wish } }));
}

export function connect() {
  clearTimeout(timer);
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/console/`);
  socket.addEventListener("open", () => {
    pause = QUICKEST;
    show(paused ? "paused" : "live");
    subscribe();
    document.dispatchEvent(new CustomEvent("live:open"));
  });
  socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    show("reconnecting");
    silence();
    timer = setTimeout(connect, pause * (0.75 + Math.random() / 2));
    pause = Math.min(SLOWEST, pause * 2);
  });
}

function take(frame) {
  if (frame.round !== round || paused) return;
  wish.since = frame.seq;
  document.dispatchEvent(new CustomEvent("live:frame", { detail: frame }));
  if (frame.round === round) socket.send(JSON.stringify({ ack: frame.seq }));
}

export function togglePause() {
  paused = !paused;
  show(socket?.readyState !== WebSocket.OPEN ? "reconnecting" : paused ? "paused" : "live");
  if (paused) silence();
  else subscribe(); // the frame that waited may be older than answers the page has got since
}

const hurry = () => socket?.readyState === WebSocket.CLOSED && ((pause = QUICKEST), connect());
addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.hidden || hurry());

document.addEventListener("live:frame", ({ detail: frame }) => {
  for (const name of ["counters", "banners"]) {
    const [place, fresh] = [document.getElementById(name), document.createElement("div")];
    fresh.innerHTML = frame[name];
    if (frame[name] !== null && fresh.innerHTML !== place.innerHTML) place.replaceChildren(...fresh.childNodes);
  }
});
