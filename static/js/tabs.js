// Tabs: arrow keys move; the choice is remembered by the tab list's name until the page is left.
const chosen = new Map(); // name of the tab list → id of the tab

function select(tab, focus) {
  for (const other of tab.parentElement.querySelectorAll('[role="tab"]')) {
    const on = other === tab;
    other.setAttribute("aria-selected", on);
    other.tabIndex = on ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
  }
  chosen.set(tab.parentElement.getAttribute("aria-label"), tab.id);
  if (focus) tab.focus();
}

export function restore(root) {
  for (const list of root.querySelectorAll('[role="tablist"]')) {
    const tab = document.getElementById(chosen.get(list.getAttribute("aria-label")));
    if (tab && list.contains(tab)) select(tab);
  }
}

document.addEventListener("htmx:afterSwap", ({ detail }) => restore(detail.target));

document.addEventListener("click", (event) => {
  const tab = event.target.closest('[role="tab"]');
  if (tab) select(tab);
});

document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const tab = step && event.target.closest?.('[role="tab"]');
  if (!tab) return;
  const all = [...tab.parentElement.querySelectorAll('[role="tab"]')];
  select(all[(all.indexOf(tab) + step + all.length) % all.length], true);
});
