"use strict";
// The records, as the page was given them by column, and what the filters leave of them.

const data = JSON.parse(document.getElementById("data").textContent);
const columns = new Map(data.columns.map((column) => [column.key, column]));

const text = (key, row) => { const c = columns.get(key); return c.distinct[c.at[row]]; };
// A few columns hold several numbers, or a unit, in a text: the first number then counts.
const number = (value) => typeof value !== "string" ? value : value === "inf" ? Infinity : value === "-inf" ? -Infinity
  : parseFloat(value);
const raw = (key, row) => number(columns.get(key).raw[row]);

// Every distinct value of a column, most frequent spelling first come.
const distinct = (key) => [...new Set(columns.get(key).at)].map((i) => columns.get(key).distinct[i]);

const variants = distinct("variant").sort();
const variantAt = new Map(variants.map((name, i) => [name, i]));
const nameOf = (variant) => variant.split("@")[0];
const names = [...new Set(variants.map(nameOf))];
const backends = [...new Set(variants.map((variant) => variant.split("@")[1] ?? ""))];
const kMarks = [["circle", "●"], ["triangle", "▲"], ["rect", "■"], ["rectRot", "◆"], ["crossRot", "✖"],
  ["star", "✳"]];
const kColours = 10;
// In every plot a name has its colour, wherever it runs, and each backend of it a mark of its own.
const colourIndex = (variant) => names.indexOf(nameOf(variant)) % kColours;
const markOf = (variant) => kMarks[(names.indexOf(nameOf(variant)) + backends.indexOf(variant.split("@")[1] ?? "")) % kMarks.length];
const colourOf = (variant) => css(`--v${colourIndex(variant)}`);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// dims("… N=9 T=16384") = {N: 9, T: 16384}
const dimsOfText = columns.get("problem").distinct.map((problem) => {
  const dims = {};
  for (const [, name, value] of problem.matchAll(/(?:^|\s)([A-Z]\w*)=(\d+)(?=\s|$)/g)) dims[name] = Number(value);
  return dims;
});
const dims = (row) => dimsOfText[columns.get("problem").at[row]];

// One object per time of a case; by row and cache state.
const times = data.measurements.record.map((row, i) => {
  const m = data.measurements;
  return {row, cache: m.cache.distinct[m.cache.at[i]], clock: m.clock.distinct[m.clock.at[i]],
    median: number(m.median[i]), p05: number(m.p05[i]), p95: number(m.p95[i]), bytes: number(m.bytes[i]),
    flops: number(m.flops[i]), limit: number(m.limit[i]), fma: number(m.fma[i]), matrix: number(m.matrix[i]),
    samples: m.samples[i], share: number(m.share[i]), kept: data.samples[i]};
});
const caches = [...new Set(times.map((time) => time.cache))];
const timesOfRow = [];
times.forEach((time, i) => (timesOfRow[time.row] ??= []).push(i));

const kDefaults = {q: "", op: "", device: "", status: "", cache: caches[0] ?? "", hidden: [], sort: "", desc: false,
  x: "bytes", y: "rate", baseline: "", problem: "", page: 0, rows: 100, columns: null};
const state = {...kDefaults};

// The state lives in the address, so that a view can be kept, shared, and survives a reload.
function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [key, value] of given) {
    if (!(key in kDefaults)) continue;
    if (key === "hidden" || key === "columns") state[key] = value ? value.split(",") : [];
    else if (typeof kDefaults[key] === "number") state[key] = Math.max(0, Math.trunc(Number(value)) || 0);
    else if (typeof kDefaults[key] === "boolean") state[key] = value === "true";
    else state[key] = value;
  }
  if (!columns.has(state.sort)) state.sort = "";
  if (!caches.includes(state.cache)) state.cache = kDefaults.cache;
  if (!state.rows) state.rows = kDefaults.rows;
}
function writeState() {
  const kept = new URLSearchParams();
  for (const [key, value] of Object.entries(state))
    if (JSON.stringify(value) !== JSON.stringify(kDefaults[key])) kept.set(key, value);
  history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
}

let haystacks = null;  // lower case text of each row with blanks around it; made by the first search
const haystack = (row) => (haystacks ??= Array.from({length: data.records}, (_, i) =>
  ` ${data.columns.map((c) => c.distinct[c.at[i]]).join(" \n ")} `.toLowerCase()))[row];

// What a word of the search asks of a row.
function test(word) {
  const compared = /^(\w+)(<=|>=|<|>)([-+.\deE]+)$/.exec(word);
  if (compared && columns.get(compared[1])?.numeric && compared[3] !== "" && !Number.isNaN(Number(compared[3]))) {
    const [, key, relation, bound] = compared;
    const holds = {"<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b}[relation];
    return (row) => { const value = raw(key, row); return value !== null && holds(value, Number(bound)); };
  }
  const part = word.includes("=") ? ` ${word.toLowerCase()} ` : word.toLowerCase();
  return (row) => haystack(row).includes(part);
}

// The rows that the filters leave, in the order of the records.
function filteredRows() {
  const tests = state.q.split(/\s+/).filter(Boolean).map(test);
  for (const key of ["op", "device", "status"])
    if (state[key]) tests.push((row) => text(key, row) === state[key]);
  if (state.hidden.length) {
    const hidden = new Set(state.hidden);
    tests.push((row) => !hidden.has(text("variant", row)));
  }
  const rows = [];
  for (let row = 0; row < data.records; ++row)
    if (tests.every((holds) => holds(row))) rows.push(row);
  return rows;
}

// The times of these rows in the chosen cache state.
const timesOf = (rows) => rows.flatMap((row) => (timesOfRow[row] ?? []).map((i) => times[i]))
  .filter((time) => time.cache === state.cache && time.median > 0);
