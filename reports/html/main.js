"use strict";
// What happens when: the page is made once, then remade in parts whenever the state changes.

let rows = [];

function change(changes) {
  if (!("page" in changes)) state.page = 0;
  Object.assign(state, changes);
  refresh();
}

function refresh() {
  rows = filteredRows();
  writeState();
  showFilters();
  showCounts(rows);
  showFailures(rows);
  showOverview(rows);
  showTableControls();
  showTable(rows);
  drawPlots();
}

function listenToPrinter() {
  // On paper: light, every plot, the whole table up to a bound.
  let theme;
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    showTable(rows, true);
    drawPlots({all: true, width: 680});
  });
  addEventListener("afterprint", () => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    showTable(rows);
    drawPlots({resize: true});
  });
}

function start() {
  readState();
  showHead();
  listenToFilters();
  listenToTheme();
  listenToTable();
  listenToPrinter();
  watchPlots();
  refresh();
  addEventListener("hashchange", () => { Object.assign(state, kDefaults); readState(); refresh(); });
}
