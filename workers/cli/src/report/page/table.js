// The verdict of the run, and the pass^k table of its arms.
const ARM = {
  empty: ["Empty", "does nothing"],
  alwaysRefuse: ["Always refuses", "whatever is asked"],
  random: ["Random", "calls at random"],
  sft: ["SFT", "demonstrations, to the plateau"],
  sftContinued: ["SFT continued", "for as long again as GRPO took"],
  grpoUnfiltered: ["GRPO, unfiltered", "every group trained on"],
  grpo: ["GRPO", "own rollouts, rewarded by checkers"],
};
const COLUMN = {
  heldout: ["Model user", "Held-out tasks; the certified user model plays the user."],
  scripted: ["Scripted user", "The same held-out tasks; the domain's script plays the user."],
  unseen: ["Unseen templates", "Scenario templates that occur nowhere in training; the user model plays the user."],
};
/** The columns in the words of this run: a run without a user model has the script in every column. */
const columnWords = (column, certification) => (column === "heldout" && (certification || {}).user === "scripted" ? ["Held-out tasks", "Held-out tasks; the domain's script plays the user, as the manifest chose."] : COLUMN[column]);
const armName = (arm) => (ARM[arm] ? ARM[arm][0] : arm);
const estimate = (arms, arm, column, k = 1) => {
  const row = arms.find((a) => a.arm === arm);
  const found = row && row.columns[column] && list(row.columns[column].pass)[k - 1];
  return found && isNumber(found.value) ? found : null;
};
const between = (e, digits = 2) => (isNumber(e.low) ? `${fixed(e.low, digits)}–${fixed(e.high, digits)}` : "");

/** Sentences for the top of the page: what is shown, and no more. */
function verdict(data) {
  const { objects } = data.overview;
  const { arms, comparisons } = data.training;
  const domain = data.overview.domain || "this domain";
  const failed = objects.find((o) => o.phase === "Failed");
  const done = objects.length > 0 && objects.every((o) => o.phase === "Complete");
  const trained = ["grpo", "grpoUnfiltered", "sft"].find((arm) => estimate(arms, arm, "heldout"));
  const one = trained && estimate(arms, trained, "heldout");
  const title = [], lede = [];
  if (failed) {
    title.push(`The run failed: ${words(failed.reason || "no reason given").toLowerCase()}`);
    lede.push(`${failed.kind} ${failed.name}: ${failed.message || "it said no more"}`);
  } else if (one) {
    const all = list(arms.find((a) => a.arm === trained).columns.heldout.pass);
    const last = all[all.length - 1];
    title.push(`${armName(trained)} solves `, h("span", { class: "num" }, percent(one.value, 0)), ` of held‑out ${domain} tasks at the first try`);
    if (all.length > 1) lede.push(h("b", {}, percent(last.value, 0)), ` at all ${["", "", "two", "three", "four"][all.length] || all.length} tries. `);
    lede.push(`${plural(one.n, "task")}, 95 % interval of `, pass(1), ` ${between(one)}. `);
    const main = comparisons.find((c) => c.a === trained && c.b === "sftContinued");
    if (main) lede.push(...compared(main), " ");
    const before = trained !== "sft" && estimate(arms, "sft", "heldout");
    if (before && !main) lede.push(`After SFT it was ${fixed(before.value)}. `);
  } else if (done) title.push(`The ${domain} run is complete`);
  else {
    const at = objects.find((o) => o.phase && !["Complete", "Pending", "Waiting"].includes(o.phase)) || objects[0];
    title.push(at ? `The ${domain} run is not finished` : `Nothing has run yet`);
    if (at) lede.push(`${at.kind} ${at.name}: ${words(at.phase || "pending").toLowerCase()}${at.stage ? `, stage ${stageName(at.stage)}` : ""}${at.step ? `, ${at.step}${at.total ? ` of ${at.total}` : ""}` : ""}. This page shows what there is.`);
  }
  if (failed && one) lede.push(` Before that, ${armName(trained)} reached `, pass(1), ` ${fixed(one.value)} (${between(one)}).`);
  return { title, lede };
}

function compared(c) {
  const clear = c.low > 0 ? "better than" : c.high < 0 ? "worse than" : "not distinguishable from";
  return [h("b", {}, `${armName(c.a)} is ${clear} ${c.b === "sftContinued" ? "SFT continued for the same time" : armName(c.b)}`),
    `: ${signed(c.value)} `, pass(1), ` on the same tasks (95 % interval ${signed(c.low)} to ${signed(c.high)}).`];
}

/** A bar from 0 to 1 with its interval as a whisker. */
function armBar(e, plain) {
  const svg = s("svg", { role: "img", "aria-label": `${fixed(e.value)}${isNumber(e.low) ? `, interval ${between(e)}` : ""}`, preserveAspectRatio: "none" });
  const x = (v) => `${(100 * Math.max(0, Math.min(1, v))).toFixed(2)}%`;
  for (const v of [0, 0.25, 0.5, 0.75, 1]) svg.append(s("line", { class: v ? "grid" : "axis", x1: x(v), x2: x(v), y1: 0, y2: 22 }));
  svg.append(s("rect", { class: plain ? "fill plain" : "fill", x: 0, y: 5, width: x(e.value), height: 12, rx: 2 }));
  if (isNumber(e.low)) {
    svg.append(s("line", { class: "whisker", x1: x(e.low), x2: x(e.high), y1: 11, y2: 11 }));
    for (const v of [e.low, e.high]) svg.append(s("line", { class: "whisker", x1: x(v), x2: x(v), y1: 7.5, y2: 14.5 }));
  }
  return svg;
}

function armTable(arms, column) {
  const rows = arms.filter((a) => a.columns[column] && list(a.columns[column].pass).length);
  const ks = Math.max(...rows.map((a) => a.columns[column].pass.length));
  const best = rows.reduce((b, a) => (!b || a.columns[column].pass[0].value > b.columns[column].pass[0].value ? a : b), null);
  const later = Array.from({ length: ks - 1 }, (_, i) => i + 2);
  const head = h("tr", {}, h("th", { scope: "col" }, "Arm"), h("th", { scope: "col" }, "0 to 1, with 95 % interval"), h("th", { class: "n", scope: "col" }, pass(1)),
    later.map((k) => h("th", { class: "n", scope: "col" }, pass(k))));
  const body = rows.map((a) => {
    const card = a.columns[column];
    const [first] = card.pass;
    const [name, about] = ARM[a.arm] || [a.arm, "a model behind an endpoint"];
    const odd = [card.errors && plural(card.errors, "error"), card.userFaults && plural(card.userFaults, "user fault")].filter(Boolean).join(", ");
    return h("tr", { class: a === best ? "best" : null },
      h("td", { class: "name" }, name, h("span", {}, about, odd ? ` · ${odd}` : "")),
      h("td", { class: "bar" }, armBar(first, !a.arm.startsWith("grpo"))),
      h("td", { class: "n" }, fixed(first.value), " ", h("span", { class: "range" }, between(first))),
      later.map((k) => h("td", { class: "n k", "data-label": `pass^${k}` }, fixed((card.pass[k - 1] || {}).value))));
  });
  return h("table", { class: "arms" }, h("thead", {}, head), h("tbody", {}, body));
}

/** pass^1 by branch of the policy, arms side by side. */
function branches(arms, column) {
  const shown = arms.filter((a) => members((a.columns[column] || {}).branches).length && ["sft", "sftContinued", "grpoUnfiltered", "grpo"].includes(a.arm));
  const names = [...new Set(shown.flatMap((a) => Object.keys(a.columns[column].branches)))].sort();
  if (!names.length) return null;
  const value = (a, name) => a.columns[column].branches[name];
  const last = shown[shown.length - 1];
  names.sort((a, b) => ((value(last, a) || {}).value ?? 0) - ((value(last, b) || {}).value ?? 0));
  return h("details", {}, h("summary", {}, `By branch of the policy, weakest first (${names.length})`),
    table(["Branch", ...shown.map((a) => armName(a.arm)), "Tasks"], names.map((name) => [h("span", {}, branchName(name.split("/")[0], name.split("/").slice(1).join("/"))),
      ...shown.map((a) => { const e = value(a, name); return e ? h("span", { title: between(e) }, fixed(e.value)) : "–"; }),
      count(Math.max(...shown.map((a) => (value(a, name) || {}).n || 0)))]), ["", ...shown.map(() => "n"), "n"]));
}

function resultSection({ training }) {
  const { arms, comparisons } = training;
  const columns = Object.keys(COLUMN).filter((c) => arms.some((a) => a.columns[c] && list(a.columns[c].pass).length));
  const about = ["pass", h("sup", {}, "k"), " is the chance that ", h("i", {}, "k"), " fresh tries of a task all succeed, averaged over tasks; a try succeeds when every checker of the task passes. Bars and whiskers: pass", h("sup", {}, "1"), " with its 95 % interval, clustered by branch of the policy."];
  if (!columns.length) return section("result", "Result", about, empty("No arm has been evaluated yet."));
  const box = h("div", { class: "stack" });
  const show = (column) => box.replaceChildren(...[h("p", { class: "small soft" }, columnWords(column, training.certification)[1]), armTable(arms, column), branches(arms, column)].filter(Boolean));
  show(columns[0]);
  return section("result", "Result", about,
    columns.length > 1 && segments("Which tasks and user", columns.map((c) => [c, columnWords(c, training.certification)[0]]), columns[0], show), box,
    comparisons.length > 0 && h("div", {}, h("h3", {}, "Paired comparisons"), h("ul", { class: "comparison", style: "margin-top:.5rem" }, comparisons.map((c) => h("li", {}, h("span", {}, compared(c)))))));
}
