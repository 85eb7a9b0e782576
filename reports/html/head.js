"use strict";
// The head: where the records were made, how many passed, what was left out.

// What of an environment everybody wants to see: a name and the facts that hold it.
const kHeadFacts = [
  ["GPU driver", /^(?!.*CUDA ).*driver$/], ["CUDA", /^cuda_compiler$/], ["SM clock", /SM clock$/],
  ["Memory clock", /memory clock$/], ["Power limit", /power limit$/], ["ECC", / ECC$/], ["CPU", /^cpu$/],
  ["Compiler", /^compiler$/], ["Commit", /^commit$/],
];

function day(date) {
  const parsed = new Date(date);
  return Number.isNaN(parsed.getTime()) ? date : parsed.toLocaleString("en-GB",
    {day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC"}) + " UTC";
}
const facts = (pattern) => [...new Set(data.environments.flatMap((environment) => environment.facts)
  .filter(([key]) => pattern.test(key)).map(([, value]) => value))];
const list = (values, most = 3) => values.length <= most ? values.join(", ")
  : `${values.slice(0, most).join(", ")} and ${values.length - most} more`;
const several = (count, noun) => `${count.toLocaleString("en-GB")} ${noun}${count === 1 ? "" : "s"}`;

function showHead() {
  byId("devices").textContent = list(distinct("device"), 2) || "No records yet";
  const dates = facts(/^date$/).sort();
  const when = dates.length > 1 ? `${day(dates[0])} to ${day(dates.at(-1))}` : day(dates[0] ?? "");
  byId("origin").textContent = [several(data.records, "case"), several(distinct("problem").length, "problem"),
    several(variants.length, "variant"), list(distinct("op")), when].filter(Boolean).join("  ·  ");

  for (const [name, pattern] of kHeadFacts) {
    const values = facts(pattern).filter((value) => value !== "none");
    if (values.length) byId("facts").append(element("div", {}, element("dt", {}, name), element("dd", {}, list(values))));
  }
  for (const environment of data.environments) {
    const table = element("table", {className: "facts"}, element("caption", {}, `environment ${environment.id}`));
    for (const [key, value] of environment.facts)
      table.append(element("tr", {}, element("th", {scope: "row"}, key), element("td", {}, value)));
    byId("environments").append(table);
  }
  byId("environments").hidden = data.environments.length === 0;
  byId("notes").append(...data.notes.map((note) => element("p", {className: "note"}, `Note: ${note}`)));
  showOngoing();
}

function showOngoing() {
  if (!data.ongoing) return;
  const {done, cases, running, written} = data.ongoing;
  byId("ongoing").hidden = false;
  byId("ongoing").append(element("progress", {max: cases, value: done}),
    ` Running: ${done} of ${several(cases, "case")} done${running ? `, now ${running}` : ""}. Written at ${written}; this page loads itself again.`);
  const reload = () => {
    // Not under a reader's hands: while a case is open or something is typed, later.
    if (byId("case").open || document.activeElement === byId("search")) setTimeout(reload, 2000);
    else location.reload();
  };
  setTimeout(reload, 5000);
}

function showCounts(rows) {
  const counts = new Map(data.statuses.map((status) => [status, 0]));
  for (const row of rows) counts.set(text("status", row), (counts.get(text("status", row)) ?? 0) + 1);
  byId("counts").replaceChildren(...[...counts].filter(([status, count]) =>
    count || ["passed", "failed", "unsupported"].includes(status)).map(([status, count]) => {
    const chip = element("button", {type: "button", className: "count", data: {status: count ? status : "none"}, "aria-pressed": state.status === status,
      title: `Show only what is ${status}`}, element("b", {}, count.toLocaleString("en-GB")), ` ${status}`);
    chip.addEventListener("click", () => change({status: state.status === status ? "" : status}));
    return chip;
  }));
}

function showFailures(rows) {
  const bad = rows.filter((row) => !["passed", "unsupported"].includes(text("status", row)));
  byId("failures").hidden = bad.length === 0;
  const kMostListed = 5;
  byId("failures").querySelector(".list").replaceChildren(...bad.slice(0, kMostListed).map((row) => {
    const open = element("button", {type: "button", className: "link"}, text("problem", row));
    open.addEventListener("click", () => showCase(row));
    return element("article", {}, element("p", {}, statusPill(text("status", row)), " ", variantName(text("variant", row)), " ", open),
      element("p", {className: "reason"}, text("reason", row)), reproLine(row));
  }), bad.length > kMostListed ? element("p", {className: "note"},
    `and ${(bad.length - kMostListed).toLocaleString("en-GB")} more: press a count above to see those of one status`) : "");
}
