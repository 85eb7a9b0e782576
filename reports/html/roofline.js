"use strict";
// Roofline: the arithmetic rate of each case over its operations per byte, under what the memory was measured to do.

function plotRoofline(rows) {
  const all = timesOf(rows);
  const shown = all.filter((time) => time.flops > 0 && time.bytes > 0);
  const points = shown.map((time) => ({x: time.flops / time.bytes, y: time.flops / time.median, row: time.row, lines: timeLines(time)}));
  const severalDevices = distinct("device").length > 1;
  const intensities = points.map((point) => point.x);
  const datasets = byVariant(points);
  const roofs = [];
  let lead = "No case with a count of operations was timed.";
  if (points.length) {
    const low = least(intensities) / 1.25;
    const high = most(intensities) * 1.25;
    lead = "Operations and bytes are the least that the op needs.";
    for (const device of new Set(shown.map((time) => text("device", time.row)))) {
      const limits = shown.filter((time) => text("device", time.row) === device).map((time) => time.limit).filter((limit) => limit > 0);
      if (!limits.length) continue;
      const [slow, fast] = [least(limits), most(limits)];
      const roof = (limit) => [{x: low, y: low * limit}, {x: high, y: high * limit}];
      const range = fast / slow < 1.005 ? tick(kRate)(fast) : `${scaled(slow, ...kRate)} to ${scaled(fast, ...kRate)}`;
      roofs.push(low * slow, high * fast);
      datasets.push(guide(roof(fast), css("--roof"), {words: `${severalDevices ? device : "memory"}: ${range} measured`}),
        guide(roof(slow), css("--roof"), {borderWidth: 0, fill: {target: "-1", above: `${css("--roof")}30`, below: `${css("--roof")}30`}}));
    }
    if (roofs.length)
      lead += " The roof is what plain streaming kernels reached on the same device at the cases' ratios of reads to writes.";
  }
  const left = all.length - shown.length;
  draw("roofline", {datasets, lead, x: logAxis("operations per byte (FLOP/B)", plain, points.map((point) => point.x)),
    y: logAxis("operations per second", tick(kFlops), points.map((point) => point.y).concat(roofs)),
    note: left ? `${several(left, "case")} without a count of operations not shown.` : ""});
}
