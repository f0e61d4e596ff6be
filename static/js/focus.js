// A button that is disabled while its request runs loses the focus. It gets it back, so that Enter works twice.
const pressed = new Map(); // request → the button that had the focus when it left

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr } }) => {
  const button = document.activeElement;
  if (button.matches("button") && elt.contains(button)) pressed.set(xhr, button);
});
document.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => {
  const button = pressed.get(xhr);
  pressed.delete(xhr);
  if (!button || document.activeElement !== document.body) return; // somebody went elsewhere meanwhile
  const now = button.isConnected ? button : button.id && document.getElementById(button.id); // the answer may bring a new one
  if (now) now.focus({ preventScroll: true });
});
