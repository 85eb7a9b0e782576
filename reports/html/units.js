"use strict";
// Numbers for people: three digits and a unit, as columns.cc has them; and the ticks of axes.

function scaled(value, first, units) {
  if (!Number.isFinite(value)) return String(value);
  value /= first;
  let i = 0;
  while (Math.abs(value) >= 999.5 && i + 1 < units.length) { value /= 1000; ++i; }
  const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[i]}`.trim();
}
const kSeconds = [1e-9, ["ns", "µs", "ms", "s"]];
const kRate = [1e6, ["MB/s", "GB/s", "TB/s"]];
const kBytes = [1, ["B", "kB", "MB", "GB", "TB"]];
const kFlops = [1e6, ["MFLOP/s", "GFLOP/s", "TFLOP/s"]];
const seconds = (value) => scaled(value, ...kSeconds);
const percent = (value) => `${(100 * value).toFixed(0)} %`;
const factor = (value) => `${value.toPrecision(3)}×`;
const plain = (value) => String(Number(value.toPrecision(6)));

// For an axis: 1, 2 and 5 of a decade without needless zeros.
const tick = (unit) => (value) => scaled(value, ...unit).replace(/\.0+(?=\s|$)/, "").replace(/(\.\d*[1-9])0+(?=\s|$)/, "$1");
