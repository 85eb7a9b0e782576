"use strict";
// What all plots share: axes with units, a mark per case with its repro line, drawn when they come into sight.

// name -> how it is drawn; each has a file of its own.
const plots = new Map(Object.entries({roofline: plotRoofline, speed: plotSpeed, speedup: plotSpeedup, errors: plotErrors,
  distribution: plotDistribution, sequence: plotSequence})
  .map(([name, draw]) => [name, {draw, chart: null, seen: false, stale: true}]));

const axisStyle = (title) => ({title: {display: true, text: title, color: css("--soft")},
  grid: {color: css("--grid"), borderColor: css("--line"), tickColor: css("--grid")}});
const linearAxis = (title, format, more = {}) => ({type: "linear", ...axisStyle(title),
  ticks: {color: css("--soft"), maxRotation: 0, callback: format}, ...more});

// A logarithmic axis with room around the values, marked at 1, 2 and 5 of a decade, or at decades where they are many.
function logAxis(title, format, values) {
  const low = least(values) / 1.2;
  const high = most(values) * 1.2;
  const ticks = [];
  const decades = Math.log10(high / low);
  const steps = decades > 3.5 ? [1] : decades > 2.5 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); ++power)
    for (const step of steps) ticks.push({value: step * 10 ** power});
  return {type: "logarithmic", min: low, max: high, ...axisStyle(title),
    afterBuildTicks: (scale) => { scale.ticks = ticks.filter(({value}) => value >= low && value <= high); },
    ticks: {color: css("--soft"), maxRotation: 0, autoSkip: true, autoSkipPadding: 10, callback: (value) => format(value)}};
}
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);  // Math.min(...values) overflows the stack
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// One dataset per variant, in the order of the variants, so that colours and marks stay. A point holds x, y, row, lines.
function byVariant(points, more = {}) {
  const groups = new Map();
  for (const point of points) {
    const variant = text("variant", point.row);
    (groups.get(variant) ?? groups.set(variant, []).get(variant)).push(point);
  }
  const radius = points.length > 3000 ? 2 : points.length > 600 ? 3 : 4;
  return [...groups].sort(([a], [b]) => variantAt.get(a) - variantAt.get(b)).map(([variant, of]) => ({
    label: variant, data: of, cases: true, showLine: false, pointStyle: markOf(variant)[0], pointRadius: radius,
    pointHoverRadius: radius + 3, pointHitRadius: 5, backgroundColor: `${colourOf(variant)}b0`, borderColor: colourOf(variant),
    pointBorderWidth: 1, ...more,
  }));
}
// A line that is no case: a roof, a bound, a trend.
const guide = (points, colour, more = {}) => ({data: points, cases: false, showLine: true, pointRadius: 0, pointHitRadius: 0,
  pointHoverRadius: 0, borderColor: colour, borderWidth: 1.5, fill: false, ...more});

// Words beside a guide: its last point carries them.
const kGuideLabels = {
  id: "guideLabels",
  afterDatasetsDraw(chart) {
    chart.data.datasets.forEach((dataset, i) => {
      if (!dataset.words) return;
      const {x, y} = chart.getDatasetMeta(i).data.at(-1);
      const [a, b] = chart.getDatasetMeta(i).data.slice(-2);
      const {ctx, chartArea} = chart;
      ctx.save();
      ctx.font = `12px ${Chart.defaults.font.family}`;
      ctx.fillStyle = dataset.borderColor;
      ctx.textAlign = "right";
      ctx.translate(Math.min(x, chartArea.right) - 6, y);
      ctx.rotate(Math.atan2(b.y - a.y, b.x - a.x));
      if (ctx.measureText(dataset.words).width > chartArea.width) ctx.font = ctx.font.replace("12px", "10px");
      ctx.fillText(dataset.words, 0, -6);
      ctx.restore();
    });
  },
};

function showTooltip({chart, tooltip}) {
  const box = byId("tooltip");
  const items = (tooltip.dataPoints ?? []).filter((item) => item.dataset.cases);
  box.hidden = tooltip.opacity === 0 || items.length === 0;
  if (box.hidden) return;
  const seen = items.slice(0, 3).map((item) => item.raw);
  box.onclick = () => showCase(seen[0].row);  // of use where there is no mouse: see style.css
  box.replaceChildren(...seen.flatMap((point) => [
    element("p", {}, variantName(text("variant", point.row)), " ", statusPill(text("status", point.row))),
    element("p", {className: "problem"}, text("problem", point.row)),
    ...point.lines.map((line) => element("p", {className: "value"}, line)),
    element("code", {}, text("repro", point.row))]),
    items.length > seen.length ? element("p", {className: "note"}, `and ${items.length - seen.length} more here`) : "");
  const place = chart.canvas.getBoundingClientRect();
  const [x, y] = [place.left + tooltip.caretX, place.top + tooltip.caretY];
  const width = Math.min(420, innerWidth - 16);
  box.style.width = `${width}px`;
  box.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, x + 14))}px`;
  const height = box.offsetHeight;
  box.style.top = `${y + 14 + height < innerHeight ? y + 14 : Math.max(8, y - 14 - height)}px`;
}

// datasets and axes -> the plot's chart, made once and then changed.
function draw(name, {datasets, x, y, others = {}, lead = "", note = "", summary}) {
  const plot = plots.get(name);
  const card = document.querySelector(`[data-plot="${name}"]`);
  card.querySelector(".lead").textContent = lead;
  card.querySelector(".note").textContent = note;
  const empty = datasets.every((dataset) => !dataset.cases || dataset.data.length === 0);
  card.classList.toggle("empty", empty);
  byId(name).setAttribute("aria-label", summary ?? `${card.querySelector("h2").textContent}: ${lead}`);
  plot.chart?.destroy();
  plot.chart = null;
  if (empty) return;
  plot.chart = new Chart(byId(name), {
    type: "scatter", data: {datasets}, plugins: [kGuideLabels],
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, parsing: false,
      devicePixelRatio: Math.max(devicePixelRatio, 1), scales: {x, y, ...others}, interaction: {mode: "nearest", intersect: true},
      plugins: {legend: {display: false}, tooltip: {enabled: false, external: showTooltip}},
      onClick: (event, hits) => {
        const hit = hits.find(({datasetIndex}) => datasets[datasetIndex].cases);
        // On a touch screen the first tap shows the tooltip; its case is a tap on the tooltip away.
        if (hit && event.native.pointerType !== "touch") showCase(datasets[hit.datasetIndex].data[hit.index].row);
      },
      onHover: (event, hits) => { event.native.target.style.cursor = hits.length ? "pointer" : ""; },
    },
  });
}

// all: also what is out of sight; width: as wide as the paper.
function drawPlots({all = false, width = 0, resize = false} = {}) {
  if (!rows) return;
  byId("tooltip").hidden = true;
  for (const plot of plots.values()) {
    plot.stale = true;
    if (!plot.seen && !all) continue;
    plot.draw(rows);
    plot.stale = false;
    if (width) plot.chart?.resize(width, 300);
    if (resize) plot.chart?.resize();
  }
}

function watchPlots() {
  Chart.defaults.font.family = css("--font");
  Chart.defaults.font.size = 12;
  const seeing = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const plot = plots.get(entry.target.dataset.plot);
      plot.seen = entry.isIntersecting;
      if (!plot.seen || !plot.stale) continue;
      plot.draw(rows);
      plot.stale = false;
    }
    // How long the table and what is in sight took, for who wants to know.
    setTimeout(() => { document.documentElement.dataset.ready ??= performance.now().toFixed(0); });
  }, {rootMargin: "200px"});
  for (const card of document.querySelectorAll("[data-plot]")) seeing.observe(card);
  const hide = (event) => { if (!byId("tooltip").contains(event.target)) byId("tooltip").hidden = true; };
  addEventListener("scroll", hide, {passive: true});
  addEventListener("touchstart", hide, {passive: true, capture: true});
}

// What every tooltip says of a time.
const timeLines = (time) => [
  `${seconds(time.median)} (${seconds(time.p05)} to ${seconds(time.p95)}, ${several(time.samples, "sample")}, ${time.cache})`,
  `${scaled(time.bytes / time.median, ...kRate)}${time.share > 0 ? `, ${percent(time.share)} of the measured limit` : ""}`];
