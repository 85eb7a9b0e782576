"use strict";
// The largest error of each case on each input family, as a share of what its declared arithmetic may make.

function plotErrors(rows) {
  const {families, of} = data.utilisation;
  const kTop = 1.5;  // what lies above is drawn at this height
  const all = [];
  for (const row of rows)
    for (let i = 0; i < of[row].length; i += 2) all.push({family: of[row][i], share: number(of[row][i + 1]), row});
  const drawn = thinned(all);
  const used = families.map((_, i) => i).filter((i) => all.some((point) => point.family === i));
  const at = new Map(used.map((family, i) => [family, i]));
  const shownVariants = variants.filter((variant) => drawn.some((point) => text("variant", point.row) === variant));
  const lane = new Map(shownVariants.map((variant, i) => [variant, (i + 0.5) / shownVariants.length - 0.5]));
  const points = drawn.map((point) => ({
    x: at.get(point.family) + 0.7 * lane.get(text("variant", point.row)) + spread(point.row) * 0.35 / shownVariants.length,
    y: point.share <= kTop ? point.share : kTop, row: point.row,
    lines: [`${families[point.family]}: error/bound ${Number.isFinite(point.share) ? point.share.toPrecision(3) : point.share}`],
  }));
  const highest = most(points.map((point) => point.y));
  const datasets = byVariant(points);
  if (points.length) datasets.push(guide([{x: -0.5, y: 1}, {x: used.length - 0.5, y: 1}], css("--bad"), {words: "the bound: above it a case fails"}));
  const above = drawn.filter((point) => !(point.share <= kTop)).length;
  draw("errors", {
    datasets, lead: "The largest error of any element, by family of inputs; a case fails above 1.",
    x: {type: "linear", min: -0.5, max: Math.max(used.length, 1) - 0.5, ...axisStyle("family of inputs"),
      afterBuildTicks: (scale) => { scale.ticks = used.map((_, i) => ({value: i})); },
      ticks: {color: css("--soft"), autoSkip: false, maxRotation: 60, callback: (i) => families[used[i]]}},
    y: linearAxis("error / bound", (value) => value > kTop ? "" : plain(value), {min: 0, max: highest > 1.05 ? kTop + 0.1 : 1.1}),
    note: [all.length > drawn.length ? `Of ${all.length.toLocaleString("en-GB")} points the largest ${kMostOfGroup} of each family and variant are drawn.` : "",
      above ? `${several(above, "point")} above ${kTop} drawn at the top.` : ""].filter(Boolean).join(" "),
  });
}

// A fixed place in its lane for each row, so that equal shares lie beside each other.
const spread = (row) => ((row * 0.6180339887) % 1) * 2 - 1;

const kMostOfGroup = 60;
// Many points hide each other and take long to draw: then only the largest of each family and variant.
function thinned(all) {
  if (all.length <= 4000) return all;
  const groups = new Map();
  for (const point of all) {
    const key = `${point.family}\n${text("variant", point.row)}`;
    (groups.get(key) ?? groups.set(key, []).get(key)).push(point);
  }
  const rank = (share) => Number.isNaN(share) ? Infinity : share;
  return [...groups.values()].flatMap((of) => of.sort((a, b) => rank(b.share) - rank(a.share)).slice(0, kMostOfGroup));
}
