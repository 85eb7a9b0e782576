"use strict";
// Speed-up over a baseline variant, problem by problem on the same device; and the variants' means beside each other.

const timedNames = () => [...new Set(times.map((time) => nameOf(text("variant", time.row))))].sort();

// The name of the chosen baseline, else of a naive variant, else of the one with the most times.
function baseline() {
  const timed = timedNames();
  if (timed.includes(state.baseline)) return state.baseline;
  if (timed.includes("naive")) return "naive";
  const count = (name) => times.filter((time) => nameOf(text("variant", time.row)) === name).length;
  return timed.map((name) => [count(name), name]).sort(([a], [b]) => b - a)[0]?.[1] ?? "";
}

// [{time, base}] for every case whose problem the baseline was timed on, too. The baseline may be hidden by the filter.
function pairs(shown, name) {
  const where = (row) => `${text("problem", row)}\n${text("device", row)}`;
  const base = new Map();
  for (const time of times)
    if (time.cache === state.cache && time.median > 0 && nameOf(text("variant", time.row)) === name) base.set(where(time.row), time);
  return shown.filter((time) => nameOf(text("variant", time.row)) !== name && base.has(where(time.row)))
    .map((time) => ({time, base: base.get(where(time.row))}));
}

const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

function plotSpeedup(rows) {
  const name = baseline();
  const card = document.querySelector('[data-plot="speedup"]');
  card.querySelector(".controls").replaceChildren(labelled("over", select("baseline", name, timedNames().map((variant) => [variant, variant]),
    (chosen) => change({baseline: chosen, page: state.page}))));
  const points = pairs(timesOf(rows), name).map(({time, base}) => ({x: time.bytes, y: base.median / time.median, row: time.row,
    lines: [`${factor(base.median / time.median)} the speed of ${name}`, `${seconds(time.median)} against ${seconds(base.median)}`]}))
    .filter((point) => point.x > 0);
  const sizes = points.map((point) => point.x);
  const datasets = byVariant(points);
  if (points.length) datasets.push(guide([{x: least(sizes) / 2, y: 1}, {x: most(sizes) * 2, y: 1}], css("--roof")));
  draw("speedup", {
    datasets, lead: points.length ? `Time of ${name} divided by the time of each other variant, on the same problem and device.`
      : "No other variant was timed on a problem of the baseline.",
    x: logAxis("bytes moved at least", tick(kBytes), sizes),
    y: logAxis(`speed-up over ${name}`, (value) => `${plain(value)}×`, points.map((point) => point.y).concat(1)),
  });
}

function showOverview(rows) {
  const name = baseline();
  const shown = timesOf(rows);
  const timesBy = new Map();
  for (const time of shown) {
    const variant = text("variant", time.row);
    (timesBy.get(variant) ?? timesBy.set(variant, []).get(variant)).push(time);
  }
  const speedups = new Map();
  for (const {time, base} of pairs(shown, name)) {
    const variant = text("variant", time.row);
    (speedups.get(variant) ?? speedups.set(variant, []).get(variant)).push(base.median / time.median);
  }
  const counts = new Map();
  for (const row of rows) {
    const of = counts.get(text("variant", row)) ?? counts.set(text("variant", row), {all: 0, passed: 0, worst: null}).get(text("variant", row));
    ++of.all;
    if (text("status", row) === "passed") ++of.passed;
    const share = raw("utilisation", row);
    if (share !== null && !(share <= (of.worst ?? -1))) of.worst = share;
  }
  const heads = ["variant", "cases", "passed", "timed", "of the limit", name ? `speed over ${name}` : "speed-up", "largest error/bound"];
  const number = (...children) => element("td", {className: "number"}, ...children);
  const lines = variants.filter((variant) => counts.has(variant)).map((variant) => {
    const of = counts.get(variant);
    const timed = timesBy.get(variant) ?? [];
    const shares = timed.map((time) => time.share).filter((share) => share > 0);
    const mean = shares.length ? geometricMean(shares) : null;
    const bar = element("span", {className: "bar", "aria-hidden": "true"});
    bar.style.setProperty("--share", Math.min(1, mean ?? 0));
    const up = speedups.get(variant);
    return element("tr", {}, element("th", {scope: "row"}, variantName(variant)), number(of.all.toLocaleString("en-GB")),
      number(of.passed.toLocaleString("en-GB")), number(timed.length.toLocaleString("en-GB")),
      number(...mean === null ? ["–"] : [bar, percent(mean)]),
      number(nameOf(variant) === name && timed.length ? "baseline" : up ? `${factor(geometricMean(up))}` : "–"),
      number(of.worst === null ? "–" : Number.isFinite(of.worst) ? of.worst.toFixed(3) : of.worst > 0 ? "inf" : "nan"));
  });
  byId("overview").querySelector("table").replaceChildren(
    element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", {scope: "col", className: i ? "number" : ""}, head)))),
    element("tbody", {}, ...lines));
  byId("overview").querySelector(".lead").textContent =
    `Geometric means over the cases that the filter leaves${caches.length > 1 ? `, ${state.cache} cache` : ""}.`;
}
