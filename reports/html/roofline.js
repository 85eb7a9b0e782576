"use strict";
// Roofline: the arithmetic rate of each case over its operations per byte, under what the memory was measured to do and
// what the arithmetic units do with all operands at hand.

function plotRoofline(rows) {
  const all = timesOf(rows);
  const shown = all.filter((time) => time.flops > 0 && time.bytes > 0);
  const points = shown.map((time) => ({x: time.flops / time.bytes, y: time.flops / time.median, row: time.row, lines: timeLines(time)}));
  const severalDevices = distinct("device").length > 1;
  const intensities = points.map((point) => point.x);
  const datasets = byVariant(points);
  const roofs = [];
  const ends = [];
  let lead = "No case with a count of operations was timed.";
  if (points.length) {
    const low = least(intensities) / 1.25;
    const high = most(intensities) * 1.25;
    const flats = [];
    lead = "Operations and bytes are the least that the op needs.";
    for (const device of new Set(shown.map((time) => text("device", time.row)))) {
      const own = shown.filter((time) => text("device", time.row) === device);
      const limits = own.map((time) => time.limit).filter((limit) => limit > 0);
      if (!limits.length) continue;
      const [slow, fast] = [least(limits), most(limits)];
      const named = (what) => severalDevices ? `${device}, ${what}` : what;
      // Up to the highest flat roof that a memory of this speed can feed.
      const ceilings = [["fp32 multiply-adds", most(own.map((time) => time.fma))], ["matrix units", most(own.map((time) => time.matrix))]]
        .filter(([, rate]) => rate > 0);
      const end = ceilings.length ? Math.max(low, ...ceilings.map(([, rate]) => rate / fast)) : high;
      for (const [what, rate] of ceilings) flats.push({from: Math.max(low, rate / fast), rate, words: named(`${what}: ${scaled(rate, ...kFlops)}`)});
      const roof = (limit) => [{x: low, y: low * limit}, {x: end, y: end * limit}];
      const range = fast / slow < 1.005 ? tick(kRate)(fast) : `${scaled(slow, ...kRate)} to ${scaled(fast, ...kRate)}`;
      roofs.push(low * slow, end * fast);
      ends.push(end);
      datasets.push(guide(roof(fast), css("--roof"), {words: named(`memory: ${range} measured`)}),
        guide(roof(slow), css("--roof"), {borderWidth: 0, fill: {target: "-1", above: `${css("--roof")}30`, below: `${css("--roof")}30`}}));
    }
    const right = 2 * Math.max(high, most(ends));
    for (const {from, rate, words} of flats) datasets.push(guide([{x: from, y: rate}, {x: right, y: rate}], css("--roof"), {words}));
    if (flats.length) ends.push(right);
    if (roofs.length)
      lead += " The slope is what plain streaming kernels reached on the same device at the cases' ratios of reads to writes"
        + `${flats.length ? ", flat is what its arithmetic units reached with all operands at hand" : ""}.`;
  }
  const left = all.length - shown.length;
  draw("roofline", {datasets, lead, x: logAxis("operations per byte (FLOP/B)", plain, points.map((point) => point.x).concat(ends)),
    y: logAxis("operations per second", tick(kFlops), points.map((point) => point.y).concat(roofs)),
    note: left ? `${several(left, "case")} without a count of operations not shown.` : ""});
}
