// A button that its own request disables or replaces loses the focus. It gets it back, so that Enter works twice.
const pressed = new Map(); // request → the button that had the focus when it was sent, and where the answer goes

const usable = (button) => button && !button.disabled && button.offsetParent !== null;

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, target, xhr } }) => {
  const button = document.activeElement;
  if (button.matches("button") && elt.contains(button)) pressed.set(xhr, [button, target.closest('[tabindex="-1"]')]);
});
document.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => {
  const [button, place] = pressed.get(xhr) ?? [];
  pressed.delete(xhr);
  if (!button || ![button, document.body].includes(document.activeElement)) return; // the focus was moved meanwhile
  // The answer may bring a new button, or none: then its surrounding gets the focus, where Enter does nothing.
  const now = [button, document.getElementById(button.id), place].find(usable);
  now?.focus({ preventScroll: true });
});
