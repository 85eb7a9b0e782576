"use strict";
// The table of cases: every column of the report, sorted by any, a page at a time; and one case in full.

// Without a choice: those of the other reports in which anything stands.
const shownColumns = () => data.columns.filter((column) => state.columns ? state.columns.includes(column.key)
  : column.shown && column.distinct.some((value) => value !== ""));

// Missing values and NaN stand last, whichever way it is sorted.
function sorted(rows) {
  if (!state.sort) return rows;
  const column = columns.get(state.sort);
  const sign = state.desc ? -1 : 1;
  if (!column.numeric) {
    const order = column.distinct.map((value, i) => [value, i]).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
    const rank = [];
    order.forEach(([, i], place) => { rank[i] = place; });
    const empty = column.distinct.indexOf("");
    return rows.slice().sort((a, b) => {
      const [x, y] = [column.at[a], column.at[b]];
      return (x === empty) - (y === empty) || sign * (rank[x] - rank[y]) || a - b;
    });
  }
  const missing = (value) => value === null || Number.isNaN(value);
  return rows.slice().sort((a, b) => {
    const [x, y] = [raw(state.sort, a), raw(state.sort, b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b;
    return x === y ? a - b : sign * (x < y ? -1 : 1);
  });
}

function cell(column, row) {
  const value = text(column.key, row);
  const made = element("td", {className: column.numeric ? "number" : "", data: {label: column.heading, key: column.key}});
  if (column.key === "status") made.append(statusPill(value));
  else if (column.key === "variant") made.append(variantName(value));
  else if (column.key === "fraction_of_limit" && value !== "") {
    const bar = element("span", {className: "bar", "aria-hidden": "true"});
    bar.style.setProperty("--share", Math.min(1, Math.max(0, raw(column.key, row))));
    made.append(bar, value);
  } else made.textContent = value;
  return made;
}

function sortBy(key) {
  if (state.sort !== key) change({sort: key, desc: columns.get(key).numeric, page: 0});
  else if (state.desc === columns.get(key).numeric) change({desc: !state.desc, page: 0});
  else change({sort: "", desc: false, page: 0});
}

function tableHead(shown) {
  return element("thead", {}, element("tr", {}, ...shown.map((column) => {
    const by = state.sort === column.key;
    const button = element("button", {type: "button"}, column.heading, element("span", {"aria-hidden": "true"}, by ? (state.desc ? " ↓" : " ↑") : ""));
    button.addEventListener("click", () => sortBy(column.key));
    return element("th", {scope: "col", className: column.numeric ? "number" : "", data: {key: column.key},
      "aria-sort": by ? (state.desc ? "descending" : "ascending") : "none"}, button);
  })));
}

// all: for paper, every row up to a bound.
function showTable(rows, all = false) {
  const order = sorted(rows);
  const kMostPrinted = 2000;
  const size = all ? kMostPrinted : state.rows;
  const last = Math.max(0, Math.ceil(order.length / size) - 1);
  const page = all ? 0 : Math.min(state.page, last);
  const shown = shownColumns();
  const body = element("tbody");
  let before = "";
  for (const row of order.slice(page * size, (page + 1) * size)) {
    const line = element("tr", {tabIndex: 0, data: {row}}, ...shown.map((column) => cell(column, row)));
    line.classList.toggle("again", before === text("problem", row));  // only its variant is new
    before = text("problem", row);
    body.append(line);
  }
  byId("table").replaceChildren(tableHead(shown), body);
  const from = order.length ? page * size + 1 : 0;
  const to = Math.min(order.length, (page + 1) * size);
  const turn = (label, to_page, off) => {
    const button = element("button", {type: "button", disabled: off}, label);
    button.addEventListener("click", () => { change({page: to_page}); byId("cases").scrollIntoView(); });
    return button;
  };
  byId("pages").replaceChildren(
    element("span", {id: "range"}, order.length ? `${from.toLocaleString("en-GB")} to ${to.toLocaleString("en-GB")} of ${several(order.length, "case")}`
      : "No case is left: loosen the filters."),
    ...last > 0 ? [turn("‹ Back", page - 1, page === 0), turn("Next ›", page + 1, page === last)] : [],
    select("rows a page", String(state.rows), ["50", "100", "500"].map((n) => [n, `${n} rows`]),
      (value) => change({rows: Number(value), page: 0})));
}

function showTableControls() {
  const chooser = element("details", {className: "columns"}, element("summary", {}, "Columns"));
  for (const column of data.columns) {
    const box = element("input", {type: "checkbox", checked: shownColumns().includes(column)});
    box.addEventListener("change", () => {
      const keys = shownColumns().map((other) => other.key).filter((key) => key !== column.key);
      change({columns: data.columns.map((other) => other.key).filter((key) => keys.includes(key) || (key === column.key && box.checked))});
    });
    chooser.append(element("label", {}, box, column.heading));
  }
  const sortable = [["", "as recorded"], ...data.columns.map((column) => [column.key, column.heading])];
  const direction = element("button", {type: "button", title: "Turn the order round", className: "direction"}, state.desc ? "↓" : "↑");
  direction.addEventListener("click", () => change({desc: !state.desc}));
  const old = byId("cases").querySelector(".columns");
  chooser.open = old?.open ?? false;
  byId("cases").querySelector(".controls").replaceChildren(
    labelled("sorted by", select("sorted by", state.sort, sortable, (value) => change({sort: value, page: 0}))), direction, chooser);
}

function listenToTable() {
  const open = (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row && !event.target.closest("button") && !String(getSelection())) showCase(Number(row.dataset.row));
  };
  byId("table").addEventListener("click", open);
  byId("table").addEventListener("keydown", (event) => { if (event.key === "Enter") open(event); });
  byId("case").addEventListener("click", (event) => { if (event.target === byId("case")) byId("case").close(); });
}

// One case in full: every column, its times in every cache state, the error of each family, what failed.
function showCase(row) {
  const close = element("button", {type: "button", className: "close", "aria-label": "Close"}, "✕");
  close.addEventListener("click", () => byId("case").close());
  const values = element("dl", {className: "values"});
  for (const column of data.columns) {
    const value = text(column.key, row);
    if (value !== "" && !["problem", "variant", "status", "repro", "reason"].includes(column.key))
      values.append(element("div", {}, element("dt", {}, column.heading), element("dd", {}, value)));
  }
  const checks = data.failures.filter((check) => check.record === row);
  const families = data.utilisation.of[row];
  const shares = element("dl", {className: "values"});
  for (let i = 0; i < families.length; i += 2)
    shares.append(element("div", {}, element("dt", {}, data.utilisation.families[families[i]]),
      element("dd", {}, String(families[i + 1]))));
  let samples = null;
  if ((timesOfRow[row] ?? []).some((i) => times[i].kept)) {
    samples = element("button", {type: "button"}, "Show its samples");
    samples.addEventListener("click", () => {
      byId("case").close();
      change({problem: text("problem", row), page: state.page});
      document.querySelector('[data-plot="distribution"]').scrollIntoView();
    });
  }
  byId("case").replaceChildren(...[close,
    element("h2", {}, text("problem", row)),
    element("p", {}, statusPill(text("status", row)), " ", variantName(text("variant", row))),
    text("reason", row) ? element("p", {className: "reason"}, text("reason", row)) : null,
    ...checks.map((check) => element("p", {className: "check"}, element("b", {}, check.what), ` ${check.reason} ${check.where}`)),
    element("h3", {}, "Run it again"), reproLine(row), samples,
    element("h3", {}, "Numbers"), values,
    families.length ? element("h3", {}, "Largest error / bound by input family") : null, families.length ? shares : null,
  ].filter(Boolean));
  byId("case").showModal();
  byId("case").scrollTop = 0;
}
