"use strict";
// The samples behind the medians of one problem: how they are spread, and how they went with the clock of the GPU.

function shorts(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return Array.from({length: bytes.length / 2}, (_, i) => bytes[2 * i] | bytes[2 * i + 1] << 8);
}
// [{seconds, mhz, throttled}] of a time; as html_samples.h has them.
function samplesOf(time) {
  const {low, high, time: places, clock} = time.kept;
  const clocks = clock ? shorts(clock) : null;
  return shorts(places).map((place, i) => ({seconds: low * (high / low) ** (place / 65535),
    mhz: clocks ? clocks[i] & 32767 : 0, throttled: clocks ? clocks[i] > 32767 : false}));
}

// The times of the chosen problem, else of the first, that have samples.
function sampledTimes(rows) {
  const all = timesOf(rows).filter((time) => time.kept);
  const problems = [...new Set(all.map((time) => text("problem", time.row)))];
  const problem = problems.includes(state.problem) ? state.problem : problems[0] ?? "";
  return {problems, problem, of: all.filter((time) => text("problem", time.row) === problem)};
}
const thinning = (of) => of.some((time) => time.kept.every > 1)
  ? `Where there are many samples, one in ${most(of.map((time) => time.kept.every))} is shown.` : "";
// The next of 1, 2, 5 of a decade.
function roundUp(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * decade).find((round) => round >= value * (1 - 1e-9));
}
const kNoSamples = "No samples were found beside these records.";
const sampleLines = (sample, time) => [`sample ${seconds(sample.seconds)}, median ${seconds(time.median)}`,
  sample.mhz ? `SM clock ${sample.mhz} MHz${sample.throttled ? ", throttled" : ""}` : sample.throttled ? "throttled" : ""].filter(Boolean);

function plotDistribution(rows) {
  const {problems, problem, of} = sampledTimes(rows);
  const kMostChoices = 300;
  const choices = problems.slice(0, kMostChoices);
  if (problem && !choices.includes(problem)) choices.push(problem);
  document.querySelector('[data-plot="distribution"] .controls').replaceChildren(...problem ? [labelled("of",
    select("problem of the samples", problem, choices.map((text) => [text, text]), (chosen) => change({problem: chosen, page: state.page})))] : []);
  const points = of.flatMap((time) => {
    const samples = samplesOf(time).sort((a, b) => a.seconds - b.seconds);
    return samples.map((sample, i) => ({x: sample.seconds / time.median - 1, y: (i + 0.5) / samples.length, row: time.row,
      lines: [...sampleLines(sample, time), `${percent((i + 0.5) / samples.length)} of the samples are no longer`]}));
  });
  // The longest hundredth may lie far out: it must not squeeze the rest.
  const inside = points.filter((point) => point.y > 0.01 && point.y < 0.99).map((point) => point.x);
  const below = roundUp(Math.max(0.005, -least(inside)));
  const above = roundUp(Math.max(0.005, most(inside)));
  draw("distribution", {
    datasets: byVariant(points, {showLine: true, stepped: "before", borderWidth: 1.5, pointRadius: 1.5}),
    lead: problem ? "Share of the samples that took no longer, by their distance from the median." : kNoSamples,
    x: linearAxis("time less its median", (value) => `${value > 0 ? "+" : ""}${plain(100 * value)} %`, {min: -below, max: above}),
    y: linearAxis("share of the samples", percent, {min: 0, max: 1}),
    note: [problems.length > choices.length ? `The first ${kMostChoices} of ${problems.length} problems can be chosen: filter for others.` : "",
      thinning(of)].filter(Boolean).join(" "),
  });
}

function plotSequence(rows) {
  const {problem, of} = sampledTimes(rows);
  const points = [];
  const clocks = [];
  for (const time of of) {
    samplesOf(time).forEach((sample, i) => {
      const place = {x: 1 + i * time.kept.every, row: time.row, lines: sampleLines(sample, time)};
      points.push({...place, y: sample.seconds / time.median - 1, throttled: sample.throttled});
      if (sample.mhz) clocks.push({...place, y: sample.mhz});
    });
  }
  const ordered = points.map((point) => Math.abs(point.y)).sort((a, b) => a - b);
  const reach = roundUp(Math.max(0.005, ordered[Math.floor(0.99 * ordered.length)] ?? 0));
  const throttled = points.filter((point) => point.throttled);
  const datasets = byVariant(points, {pointRadius: 1.5});
  if (throttled.length) datasets.push({data: throttled, cases: true, pointStyle: "crossRot", pointRadius: 5, borderColor: css("--bad"), borderWidth: 2});
  datasets.push(...byVariant(clocks, {showLine: true, borderWidth: 1, pointRadius: 0, yAxisID: "clock"}));
  const others = clocks.length ? {clock: {...linearAxis("SM clock in MHz (lines)", plain), position: "right", grid: {drawOnChartArea: false},
    suggestedMin: least(clocks.map((point) => point.y)) * 0.97, suggestedMax: most(clocks.map((point) => point.y)) * 1.01}} : {};
  draw("sequence", {
    datasets, others, lead: problem ? `${problem}, in the order in which they were taken.` : kNoSamples,
    x: linearAxis("number of the sample", plain, {min: 0, max: Math.max(1, most(points.map((point) => point.x)))}),
    y: linearAxis("time less its median", (value) => `${value > 0 ? "+" : ""}${plain(100 * value)} %`, {min: -reach, max: reach}),
    note: [clocks.length || !problem ? "" : "The clock was not recorded.",
      throttled.length ? `${several(throttled.length, "sample")} taken while the GPU was throttled, marked with a cross.` : "", thinning(of)].filter(Boolean).join(" "),
  });
}
