"use strict";
// Speed over size. Over one dim, lines join the cases that differ in that dim alone.

const speeds = () => ({
  rate: ["bytes per second (least possible bytes)", tick(kRate), (time) => time.bytes / time.median, "logarithmic"],
  share: ["share of the measured limit", percent, (time) => time.share > 0 ? time.share : NaN, "linear"],
  time: ["median time", tick(kSeconds), (time) => time.median, "logarithmic"],
  flops: ["operations per second", tick(kFlops), (time) => time.flops / time.median, "logarithmic"],
});

// Cases that are joined: the same variant, device and problem but for one dim.
function seriesKey(row, dim) {
  const problem = text("problem", row).replace(new RegExp(`(^|\\s)${dim}=\\d+`), "$1");
  return `${text("variant", row)}\n${text("device", row)}\n${problem}`;
}

function plotSpeed(rows) {
  const dimNames = [...new Set(dimsOfText.flatMap((of) => Object.keys(of)))];
  if (state.x !== "bytes" && !dimNames.includes(state.x)) state.x = "bytes";
  if (!(state.y in speeds())) state.y = "rate";
  const card = document.querySelector('[data-plot="speed"]');
  card.querySelector(".controls").replaceChildren(
    labelled("speed as", select("speed as", state.y, [["rate", "bytes per second"], ["share", "share of the limit"], ["time", "time"],
      ["flops", "operations per second"]], (y) => change({y, page: state.page}))),
    labelled("over", select("size as", state.x, [["bytes", "bytes moved"], ...dimNames.map((name) => [name, `dim ${name}`])],
      (x) => change({x, page: state.page}))));

  const [title, format, value, type] = speeds()[state.y];
  const size = (time) => state.x === "bytes" ? time.bytes : dims(time.row)[state.x];
  const points = timesOf(rows).map((time) => ({x: size(time), y: value(time), row: time.row, lines: timeLines(time)}))
    .filter((point) => point.x > 0 && Number.isFinite(point.y) && point.y > 0);
  const datasets = byVariant(points);
  if (state.x !== "bytes") datasets.push(...joined(points));
  draw("speed", {
    datasets, lead: `Every timed case, ${state.cache} cache.`,
    x: logAxis(state.x === "bytes" ? "bytes moved at least" : state.x, state.x === "bytes" ? tick(kBytes) : plain,
      points.map((point) => point.x)),
    y: type === "linear" ? linearAxis(title, format, {min: 0, suggestedMax: 1}) : logAxis(title, format, points.map((point) => point.y)),
    note: state.x === "bytes" ? "" : `Lines join the cases that differ in ${state.x} alone.`,
  });
}

function joined(points) {
  const series = new Map();
  for (const point of points) {
    const key = seriesKey(point.row, state.x);
    (series.get(key) ?? series.set(key, []).get(key)).push(point);
  }
  const most_lines = 400;
  return [...series.values()].filter((of) => of.length > 1).slice(0, most_lines).map((of) =>
    guide(of.slice().sort((a, b) => a.x - b.x), `${colourOf(text("variant", of[0].row))}80`, {borderWidth: 1}));
}
