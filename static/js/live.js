// The page's socket: says what the page shows, hands on each frame, acknowledges it, and comes back by itself.
// Not htmx's hx-ws: that has no acknowledgement, no "since", and no insertion by key.
const QUICKEST = 250;
const SLOWEST = 5000;

const wish = { since: 0, filter: null, open: null, attempt: 0, seen: 0 };
const badge = document.querySelector("[data-live]");
let socket = null;
let pause = QUICKEST;
let timer = null;
let round = 0; // frames of an earlier subscription are none of ours
let waiting = null; // a frame that came while paused, not acknowledged: the server sends no further one
let paused = false;

export const isPaused = () => paused;

export function show(state) {
  badge.dataset.live = state;
  badge.lastElementChild.textContent = state;
}

export function watch(change) {
  Object.assign(wish, change);
  waiting = null;
  if (socket?.readyState === WebSocket.OPEN) subscribe();
}

function subscribe() {
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
    timer = setTimeout(connect, pause * (0.75 + Math.random() / 2));
    pause = Math.min(SLOWEST, pause * 2);
  });
}

function take(frame) {
  if (frame.round !== round) return;
  if (paused) {
    waiting = frame;
    return;
  }
  wish.since = frame.seq;
  document.dispatchEvent(new CustomEvent("live:frame", { detail: frame }));
  if (frame.round === round) socket.send(JSON.stringify({ ack: frame.seq }));
}

export function togglePause() {
  paused = !paused;
  show(socket?.readyState !== WebSocket.OPEN ? "reconnecting" : paused ? "paused" : "live");
  if (!paused && waiting) {
    const frame = waiting;
    waiting = null;
    take(frame);
  }
  return paused;
}

const hurry = () => socket?.readyState === WebSocket.CLOSED && ((pause = QUICKEST), connect());
addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => document.hidden || hurry());

document.addEventListener("live:frame", ({ detail: frame }) => {
  for (const name of ["counters", "banners"]) {
    if (frame[name] !== null) document.getElementById(name).innerHTML = frame[name];
  }
});
