// The user model's certification, and the learning curves.
const FAULT = { brokeInstruction: "breaks its instruction", inventedFact: "invents a fact", leaked: "leaks what it should hold back", stoppedEarly: "stops early" };

function certificationSection({ training }) {
  const c = training.certification || {};
  const [before, after] = [c.before || {}, c.after || {}];
  const about = "Who plays the user in rollouts. Judged by code over held-out dialogues: a turn is faulty when it breaks its instruction, invents a fact, leaks what it should hold back, or stops early.";
  if (c.user === "scripted") return section("user", "User model", about, empty("The manifest chose the scripted user: there is nothing to certify."));
  const rate = after.errorRate ?? c.errorRate;
  if (!isNumber(rate)) return section("user", "User model", about, empty("The user model is not certified yet."));
  const passed = rate <= c.bar;
  const kinds = [...new Set([...Object.keys(FAULT), ...Object.keys(before.kinds || {}), ...Object.keys(after.kinds || {})])];
  const share = (cert, kind) => (cert.turns ? ((cert.kinds || {})[kind] || 0) / cert.turns : null);
  const rows = [["any fault", before.errorRate, after.errorRate ?? c.errorRate, before.faulty, after.faulty], ...(after.kinds ? kinds : []).map((k) => [FAULT[k] || words(k), share(before, k), share(after, k), (before.kinds || {})[k], (after.kinds || {})[k]])];
  const top = Math.max(c.bar * 1.15, ...rows.flatMap((r) => [r[1] || 0, r[2] || 0]));
  const bar = (b, a) => {
    const width = (v) => `${(100 * (v || 0)) / top}%`;
    const svg = s("svg", { role: "img", "aria-label": `before ${percent(b, 1)}, after ${percent(a, 1)}` }, s("line", { class: "axis", x1: 0, x2: 0, y1: 0, y2: 22 }),
      s("rect", { class: "fill plain", x: 0, y: 3, width: width(b), height: 7, rx: 1.5 }), s("rect", { class: "fill", x: 0, y: 12, width: width(a), height: 7, rx: 1.5 }));
    svg.append(s("line", { class: "cursor", x1: `${(100 * c.bar) / top}%`, x2: `${(100 * c.bar) / top}%`, y1: 0, y2: 22 }));
    return svg;
  };
  const known = isNumber(before.errorRate);
  return section("user", "User model", about,
    h("div", { class: "row" }, tag(passed ? "good" : "bad", passed ? "✓ certified" : "✕ not certified"), h("span", {}, h("b", {}, percent(rate, 1)), ` of its turns are faulty; at most ${percent(c.bar, 1)} allowed.`),
      after.turns && h("span", { class: "soft small" }, `${count(after.turns)} turns in ${plural(after.dialogues, "dialogue")}${before.turns && before.dialogues !== after.dialogues ? `; before its training ${count(before.turns)} turns in ${count(before.dialogues)}` : ""}`)),
    h("table", { class: "arms" }, h("thead", {}, h("tr", {}, h("th", {}, "Share of turns that"), known && h("th", { class: "n" }, "before"), h("th", {}, known ? "grey before, coloured after; dotted: what is allowed in all" : "dotted: what is allowed in all"), h("th", { class: "n" }, "after"))),
      h("tbody", {}, rows.map(([name, b, a, nb, na]) => h("tr", {}, h("td", { class: "name" }, name), known && h("td", { class: "n k before", "data-label": "before" }, h("span", { title: nb == null ? "" : plural(nb, "turn") }, percent(b, 1))), h("td", { class: "bar" }, bar(b, a)), h("td", { class: "n k", "data-label": "after" }, h("span", { title: na == null ? "" : plural(na, "turn") }, percent(a, 1))))))),
    list(after.examples).length > 0 && h("details", {}, h("summary", {}, `Faulty turns that are left (${after.examples.length} shown)`), h("ul", { class: "small stack", style: "gap:.4rem" }, after.examples.map((x) => h("li", {}, x)))));
}

const X_AXES = {
  step: ["step", "By step", (p, i) => p.step ?? p.epoch ?? i + 1, short],
  time: ["after", "By time", (p) => p.seconds, (v) => (v < 120 ? `${Math.round(v)} s` : `${Number((v / 60).toFixed(1))} min`)],
  tokens: ["trained tokens", "By trained tokens", (p) => p.cumulative, short],
};
const ratio = (a, b) => (isNumber(a) && b > 0 ? a / b : null);
const GRPO_CHARTS = [
  { title: "Reward", about: "mean of a step's trajectories", range: [0, 1], lines: [["all rollouts", (p) => p.rewardAll ?? p.reward], ["trained on", (p) => p.rewardEffective]] },
  { title: "pass^1", about: "training tasks at temperature 1; marks: held out", range: [0, 1], marked: true, lines: [["training tasks", (p) => p.rewardAll ?? p.reward], ["held out", (p) => p.pass1 ?? p.heldout]] },
  { title: "Entropy", about: "nats a trained token", lines: [["", (p) => p.entropy]] },
  { title: "KL(old, new)", about: "k3 estimate a token, over a step's updates", lines: [["", (p) => p.kl]] },
  { title: "KL to the reference", about: "k3 estimate a token", spare: true, lines: [["", (p) => p.referenceKl]] },
  { title: "Clip share", about: "trained tokens whose clipped term was active", lines: [["", (p) => p.clipShare]] },
  { title: "Zero-variance share", about: "generated groups whose rewards are all equal", range: [0, 1], lines: [["", (p) => p.zeroVariance ?? (isNumber(p.mixed) ? 1 - p.mixed : null)]] },
  { title: "Tokens a second", zero: true, about: "sampled in generation, trained in training", lines: [["trained", (p) => p.tokensPerSecond ?? ratio(p.trainedTokens, p.trainingSeconds)], ["sampled", (p) => ratio(p.sampledTokens, p.generationSeconds)]] },
  { title: "Gradient norm", about: "before the cut", lines: [["", (p) => p.gradNorm]] },
  { title: "Seconds a step", about: "wall time", zero: true, lines: [["generation", (p) => p.generationSeconds], ["training", (p) => p.trainingSeconds]] },
  { title: "Turns and calls", zero: true, about: "mean of an episode", lines: [["turns", (p) => p.turns], ["tool calls", (p) => p.toolCalls]] },
  { title: "Failed calls, truncated episodes", about: "share", lines: [["failed calls", (p) => p.toolFailRate], ["truncated", (p) => p.truncatedRatio]] },
  { title: "Sampled against scored", about: "largest difference of a token's log-probability", lines: [["", (p) => p.logpDiff]] },
];

/** The points with the tokens trained so far. */
function cumulated(stage) {
  let sum = 0;
  const thinned = stage.points > stage.curve.length ? stage.points / stage.curve.length : 1;
  return list(stage.curve).map((p) => ({ ...p, cumulative: (sum += (p.trainedTokens || 0) * thinned) }));
}

function grpoCharts(runs, arms, axis) {
  const [xLabel, , x, xFormat] = X_AXES[axis];
  return GRPO_CHARTS.map((spec) => {
    const series = [];
    for (const [name, points] of runs) {
      const there = spec.lines.filter(([, y]) => points.some((p) => isNumber(y(p))));
      for (const [line, y] of runs.length > 1 ? there.slice(0, spec.marked ? 2 : 1) : there) {
        const drawn = points.map((p, i) => [x(p, i), y(p)]).filter(([a, b]) => isNumber(a) && isNumber(b));
        if (drawn.length) series.push({ name: runs.length > 1 ? [name, there.length > 1 && line].filter(Boolean).join(", ") : line, points: drawn, smooth: true });
      }
    }
    // Off by default: nothing to see.
    if (spec.spare && series.every((one) => one.points.every((p) => p[1] === 0))) return null;
    const marks = [];
    if (spec.marked && series.length && axis !== "x") {
      const end = series[0].points[series[0].points.length - 1][0];
      for (const [arm, at] of [["sft", 0], ["grpo", end]]) {
        const e = estimate(arms, arm, "heldout");
        if (e) marks.push({ x: at, y: e.value, low: e.low, high: e.high, name: `held out, ${armName(arm)}: ${fixed(e.value)} (${between(e)})`, legend: "held out, 95 %" });
      }
    }
    return chart({ title: spec.title, about: spec.about, series, marks, range: spec.range, zero: spec.zero, xLabel, xFormat });
  }).filter(Boolean);
}

function sftCharts(stage) {
  const line = (key) => list(stage.curve).map((p, i) => [p.epoch ?? p.step ?? i + 1, p[key]]).filter(([x, y]) => isNumber(x) && isNumber(y));
  const speed = list(stage.curve).map((p, i, all) => [p.epoch ?? i + 1, ratio(p.trainedTokens, p.seconds - (i ? all[i - 1].seconds : 0))]).filter((p) => isNumber(p[1]));
  return [
    chart({ title: `${stageName(stage.stage)}: loss`, about: "nats a token", series: [{ name: "validation", points: line("validation") }, { name: "training", points: line("loss") }], xLabel: "epoch" }),
    stage.stage === "agentSFT" && chart({ title: `${stageName(stage.stage)}: tokens a second`, about: "trained", zero: true, series: [{ name: "", points: speed }], xLabel: "epoch" }),
  ].filter(Boolean);
}

function learningSection({ training }) {
  const stages = list(training.stages);
  const find = (name) => stages.find((one) => one.stage === name && list(one.curve).length);
  const runs = [["GRPO", find("grpo")], ["unfiltered", find("grpoUnfiltered")]].filter(([, one]) => one).map(([name, one]) => [name, cumulated(one)]);
  const sft = stages.filter((one) => /sft/i.test(one.stage) && list(one.curve).length).flatMap(sftCharts);
  const about = "Each GRPO step plays groups of rollouts, leaves out groups whose rewards are all equal, and takes one clipped policy step. Thin line: each step. Thick line: mean of five.";
  if (!runs.length && !sft.length) return section("learning", "Learning", about, empty("No stage of training has left a curve yet."));
  const box = h("div", { class: "charts" });
  const axes = Object.entries(X_AXES).filter(([, [, , x]]) => runs.some(([, points]) => points.some((p, i) => isNumber(x(p, i)) && (x(p, i) > 0))));
  const show = (axis) => box.replaceChildren(...grpoCharts(runs, training.arms, axis));
  if (runs.length) show(axes[0] ? axes[0][0] : "step");
  return section("learning", "Learning", about,
    runs.length > 0 && [h("div", { class: "row between" }, h("h3", {}, runs.length > 1 ? "GRPO, with and without dynamic filtering" : "GRPO"), axes.length > 1 && segments("Horizontal axis", axes.map(([key, [, label]]) => [key, label]), axes[0][0], show)), box],
    sft.length > 0 && [h("h3", {}, "Supervised stages"), h("div", { class: "charts" }, sft)]);
}

function timeSection({ overview, synthesis, suite, training, provenance }) {
  const told = provenance.seconds && typeof provenance.seconds === "object" ? provenance.seconds : {};
  const rows = [];
  for (const o of overview.objects) {
    if (o.kind === "SynthesisJob" && o.activeSeconds) rows.push([`synthesis, ${o.name}`, o.activeSeconds, list(synthesis.strategies).map((x) => x.name).join(" and ")]);
    if (o.kind === "CheckerSuite" && o.activeSeconds) rows.push([`qualification, ${o.name}`, o.activeSeconds, list(suite).filter((x) => x.name === o.name && x.checks).map((x) => `${count(x.checks)} checks`).join("")]);
  }
  for (const one of list(training.stages)) {
    if (!isNumber(one.seconds)) continue;
    const speed = one.trainedTokens > 0 && one.seconds > 0 ? `${plural(one.steps, "step")} · ${short(one.trainedTokens)} trained tokens · ${short(one.trainedTokens / one.seconds)}/s overall` : one.steps ? plural(one.steps, "step") : "";
    rows.push([stageName(one.stage), one.seconds, speed]);
  }
  const most = Math.max(0, ...rows.map((r) => r[1]));
  const start = overview.objects.map((o) => Date.parse(o.start)).filter(Number.isFinite);
  const end = overview.objects.map((o) => Date.parse(o.end)).filter(Number.isFinite);
  const wall = number(told.total) ?? (start.length && end.length === overview.objects.length ? (Math.max(...end) - Math.min(...start)) / 1000 : null);
  return section("time", "Time", "Wall-clock time of what ran, while it ran. Synthesis strategies run beside each other.",
    rows.length ? [isNumber(wall) && h("p", {}, "From start to end: ", h("b", {}, duration(wall))), h("div", { class: "times" }, rows.map(([name, seconds, more]) => h("div", { class: "time" }, h("span", {}, name), h("div", { class: "track", "aria-hidden": "true" }, h("i", { style: `width:${most ? (100 * seconds) / most : 0}%` })), h("span", { class: "long" }, duration(seconds)), more && h("span", { class: "more" }, more))))] : empty("Nothing has taken time yet."));
}
