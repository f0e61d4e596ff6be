// Light, dark, or the system's theme. Runs before the first paint, so that the page never flashes.
(() => {
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const ICON = { system: "monitor", light: "sun", dark: "moon" };
  let theme = "system";
  try {
    theme = localStorage.getItem("theme") in NEXT ? localStorage.getItem("theme") : "system";
  } catch { /* storage is switched off: follow the system */ }

  const apply = () => {
    document.documentElement.dataset.theme = theme;
    const button = document.querySelector("[data-theme-switch]");
    if (!button) return;
    button.setAttribute("aria-label", `Theme: ${theme}`);
    button.title = `Theme: ${theme}`;
    button.querySelector("use").setAttribute("href", `#i-${ICON[theme]}`);
  };

  apply();
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    theme = NEXT[theme];
    try {
      localStorage.setItem("theme", theme);
    } catch { /* it lasts until the page is left */ }
    apply();
  });
})();
