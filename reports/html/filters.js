"use strict";
// The bar of filters: it governs the counts, every plot and the table alike.

function showFilters() {
  const choices = (key) => [["", `all ${key === "status" ? "statuses" : `${key}s`}`], ...distinct(key).sort().map((value) => [value, value])];
  const boxes = ["op", "device", "status"].filter((key) => distinct(key).length > 1 || state[key])
    .map((key) => select(key, state[key], choices(key), (value) => change({[key]: value})));
  if (caches.length > 1)
    boxes.push(select("cache state of the plots", state.cache, caches.map((cache) => [cache, `${cache} cache`]),
      (value) => change({cache: value})));
  byId("selects").replaceChildren(...boxes);
  byId("variants").replaceChildren(...variants.map((variant) => {
    const hidden = state.hidden.includes(variant);
    const chip = element("button", {type: "button", className: "chip", "aria-pressed": !hidden}, variantMark(variant), variant);
    chip.title = "Press to hide or show it; with Shift, to see it alone";
    chip.addEventListener("click", (event) => change({hidden: event.shiftKey ? variants.filter((name) => name !== variant)
      : hidden ? state.hidden.filter((name) => name !== variant) : [...state.hidden, variant]}));
    return chip;
  }));
  if (byId("search").value !== state.q) byId("search").value = state.q;
}

function listenToFilters() {
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({q: byId("search").value}), 120);
  });
  byId("reset").addEventListener("click", () => {
    byId("search").value = "";
    change({...kDefaults, x: state.x, y: state.y, baseline: state.baseline, problem: state.problem, columns: state.columns});
  });
}

const kThemes = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = {system: "◐ Auto", light: "○ Light", dark: "● Dark"}[theme];
}
function listenToTheme() {
  let theme = "system";
  // A file may be denied its storage.
  try { theme = localStorage.getItem("assay-theme") ?? theme; } catch {}
  if (!kThemes.includes(theme)) theme = "system";
  setTheme(theme);
  byId("theme").addEventListener("click", () => {
    theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
    try { localStorage.setItem("assay-theme", theme); } catch {}
    setTheme(theme);
    drawPlots();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawPlots());
}
