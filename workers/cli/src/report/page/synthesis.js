// Synthesis: funnels of rejections, generations of plans with what changed in their prompts, and the checkers' qualification.
const GATE = {
  scenario: "a scenario: who wants what, knows what, holds back what",
  gold: "gold actions that execute on the domain",
  checker: "a checker that passes the fixed qualification",
  novelty: "no duplicate of an instance there already is",
  rollout: "a rollout that passes the checker",
  accepted: "through all gates",
};
const CAUSE = { task: "task", trajectory: "trajectory", user: "user", infra: "infrastructure" };
const causes = (of) => members(of).filter(([name, n]) => name && n > 0).map(([name, n]) => `${CAUSE[name] || name} ${count(n)}`).join(" · ");

function funnelView(strategy) {
  const gates = list(strategy.funnel);
  const total = gates.reduce((sum, g) => sum + g.count, 0);
  let left = total;
  return h("div", { class: "funnel" }, gates.map((g) => {
    const came = left;
    const accepted = g.gate === "accepted";
    if (!accepted) left -= g.count;
    if (!came && !accepted) return null;
    const width = (n) => `width:${total ? (100 * n) / total : 0}%`;
    const more = list(g.reasons).length > 0 && h("details", {}, h("summary", {}, `${plural(g.kinds ?? g.reasons.length, "reason")}`),
      h("ul", { class: "reasons" }, g.reasons.map((r) => h("li", {}, h("span", { class: "count" }, count(r.count)), h("span", {}, r.reason, " ", causes(r.causes) && h("span", { class: "faint" }, `(${causes(r.causes)})`)), h("span", { class: "example" }, r.example))),
        g.kinds > g.reasons.length && h("li", {}, h("span", {}), h("span", { class: "faint" }, `and ${plural(g.kinds - g.reasons.length, "rarer reason")}`))));
    return h("div", { class: "gate " + g.gate }, h("span", { title: GATE[g.gate] }, accepted ? "Accepted" : g.gate[0].toUpperCase() + g.gate.slice(1)),
      h("div", { class: "track", "aria-hidden": "true" }, h("i", { class: "pass", style: width(accepted ? g.count : left) }), !accepted && h("i", { class: "stop", style: width(g.count) })),
      h("span", { class: "counts" }, accepted ? count(g.count) : g.count ? [h("span", { class: "stop" }, `−${count(g.count)}`), ` of ${count(came)}`] : `all ${count(came)}`), more);
  }));
}

function strategyView(one) {
  const told = [
    one.target && `target ${count(one.target)} accepted`, `${count(one.attempted)} attempted`, `${count(one.valid)} valid`,
    one.tokens ? `${short(one.tokens)} model tokens` : "no model asked", one.cost ? `$${fixed(one.cost)}` : null,
  ].filter(Boolean).join(" · ");
  const reached = one.target && one.accepted >= one.target;
  const blame = causes(one.attribution);
  return h("div", { class: "card" },
    h("div", { class: "row between" }, h("h3", {}, one.name), h("span", { class: "row" },
      one.ended && !reached && tag("warn", words(one.ended)), tag(reached ? "good" : one.accepted ? "info" : "warn", reached && "✓ ", `${count(one.accepted)} accepted`))),
    h("p", { class: "small soft" }, told), funnelView(one), blame && h("p", { class: "small soft" }, "Failures attributed to: ", blame));
}

function synthesisSection({ synthesis }) {
  const all = list(synthesis.strategies);
  return section("synthesis", "Synthesis", "Every attempt goes through the gates in order and ends at one of them, with its reason. Valid: past novelty. Accepted: a rollout passed the checker as well.",
    all.length ? [h("div", { class: "key" }, h("span", {}, h("i", { style: "background:var(--accent)" }), "went on"), h("span", {}, h("i", { style: "background:repeating-linear-gradient(-45deg,var(--second) 0 3px,color-mix(in srgb,var(--second) 45%,transparent) 3px 6px)" }), "ended at this gate"), h("span", {}, h("i", { style: "background:var(--good)" }), "accepted")), all.map(strategyView)] : empty("No strategy has reported yet."));
}

const OUTCOME = { promoted: ["good", "✓ promoted"], rolledBack: ["bad", "✕ rolled back"], undecided: ["warn", "◆ undecided"], awaiting: ["warn", "◆ awaits a person"], pilot: ["info", "pilot"] };

/** Generations of the status, completed by the plans of the store, which have the prompts. */
function lineage({ generations, plans }) {
  const byDigest = new Map(list(plans).map((p) => [p.digest, p]));
  const rows = list(generations).map((g) => ({ ...g, plan: byDigest.get(g.digest) }));
  for (const p of list(plans)) if (!rows.some((g) => g.digest === p.digest)) rows.push({ ...p, ...(p.pilot || {}), plan: p });
  return rows.map((g) => ({ ...g, before: byDigest.get(g.parent || (g.plan && g.plan.parent)) }));
}

function promptChanges(before, plan) {
  const out = [];
  for (const side of ["synthesis", "evaluation"]) {
    const [a, b] = [before[side] || {}, plan[side] || {}];
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if ((a[name] ?? "") === (b[name] ?? "")) continue;
      out.push(h("div", {}, h("h4", {}, `${side} · ${name}`), diffView(a[name] ?? "", b[name] ?? "")));
    }
  }
  return out;
}

function generationView(g, widest) {
  const [kind, said] = OUTCOME[g.outcome] || ["info", words(g.outcome || "pilot")];
  const y = g.yield || {};
  const plan = g.plan;
  const changes = plan && g.before ? promptChanges(g.before, plan) : [];
  const prompts = plan ? ["synthesis", "evaluation"].flatMap((side) => members(plan[side]).map(([name, text]) => [`${side} · ${name}`, text])) : [];
  return h("div", { class: "card generation" },
    h("div", { class: "row between" }, h("h3", {}, `Generation ${g.generation ?? 0}`), h("span", { class: "row" }, digest(g.digest), tag(kind, said))),
    h("p", { class: "change" }, typeof g.change === "string" && g.change ? g.change : g.parent ? "No description of the change." : "The plan pair that the strategy ships with."),
    h("p", { class: "facts" },
      isNumber(g.attempted) && h("span", {}, "pilot ", h("b", {}, `${count(g.valid)} valid`), ` of ${count(g.attempted)}`), isNumber(g.accepted) && h("span", {}, h("b", {}, count(g.accepted)), " accepted"),
      isNumber(y.value) && h("span", {}, "yield ", h("b", {}, short(y.value)), ` valid per 1000 tokens (${short(y.low)}–${short(y.high)})`), g.tokens > 0 && h("span", {}, `${short(g.tokens)} tokens`), g.cost > 0 && h("span", {}, `$${fixed(g.cost)}`),
      plan && isNumber(plan.better) && h("span", {}, "chance that it beats its parent ", h("b", {}, fixed(plan.better))),
      causes(g.attribution) && h("span", {}, "failures: ", causes(g.attribution))),
    isNumber(y.value) && widest > 0 && h("div", { class: "bar", style: "margin-top:.5rem" }, armBar({ value: y.value / widest, low: y.low / widest, high: y.high / widest }, true)),
    changes.length > 0 && h("div", { class: "stack", style: "margin-top:.9rem;gap:.8rem" }, changes),
    plan && g.before && !changes.length && h("p", { class: "small soft" }, "Its prompts are those of its parent."),
    prompts.length > 0 && h("details", { style: "margin-top:.8rem" }, h("summary", {}, "Prompts in full"), h("div", { class: "stack", style: "gap:.8rem" }, prompts.map(([name, text]) => h("div", {}, h("h4", {}, name), h("pre", { tabindex: "0" }, text))))));
}

function generationSection({ synthesis }) {
  const rows = lineage(synthesis);
  if (!rows.length) return null;
  const widest = Math.max(0, ...rows.map((g) => (g.yield && g.yield.high) || 0));
  return section("generations", "Generations", "What each generation of the plan pair changed, and what its pilot gained. A child replaces its parent only when its yield of valid instances per token is higher with the stated confidence.",
    h("div", { class: "generations" }, rows.map((g) => generationView(g, widest))));
}

function timeStrip(times, bar) {
  const all = list(times);
  if (all.length < 3) return null;
  const most = Math.max(all[all.length - 1], 1e-6);
  const bins = Array.from({ length: 24 }, () => 0);
  for (const t of all) bins[Math.min(23, Math.floor((t / most) * 24))]++;
  const top = Math.max(...bins);
  const svg = s("svg", { role: "img", "aria-label": `Times of checks: median ${milliseconds(all[Math.floor(all.length / 2)]).join(" ")}, slowest ${milliseconds(most).join(" ")}`, viewBox: "0 0 480 70", style: "width:100%;max-width:30rem;height:auto;display:block;margin-top:.4rem" });
  bins.forEach((n, i) => svg.append(s("rect", { class: "fill", x: i * 20 + 1, width: 18, y: 50 - (48 * n) / top, height: (48 * n) / top + 0.5, rx: 1 }, s("title", {}, `${milliseconds((i / 24) * most).join(" ")} to ${milliseconds(((i + 1) / 24) * most).join(" ")}: ${plural(n, "task")}`))));
  svg.append(s("line", { class: "axis", x1: 0, x2: 480, y1: 51, y2: 51 }), s("text", { x: 0, y: 66 }, "0"), s("text", { x: 480, y: 66, "text-anchor": "end" }, milliseconds(most).join(" ")));
  return h("figure", {}, h("h3", {}, "Time of a check, 95 of 100 times, per task"), svg);
}

function suiteView(one) {
  const asked = one.thresholds || {};
  const scores = one.scores || {};
  const shareQualified = number(one.checkers) ? number(one.qualified) / number(one.checkers) : null;
  const tile = (value, label) => h("div", { class: "tile" }, h("div", { class: "value" }, value), h("div", { class: "label" }, label));
  const tiles = h("div", { class: "tiles" },
    tile([count(one.qualified), h("small", {}, ` of ${count(one.checkers)}`)], `checkers qualified${shareQualified == null ? "" : ` (${percent(shareQualified, shareQualified < 1 && shareQualified > 0.99 ? 1 : 0)})`}`),
    tile(fixed(one.mutationScore, 3), `mutation score${asked.minMutationScore ? `, at least ${fixed(asked.minMutationScore)} asked` : ""}`),
    isNumber(one.mutants) && tile(count(one.mutants), "mutants that do something else than gold"),
    tile(percent(one.flake, 1), "of tasks disagreed with themselves"),
    tile([milliseconds(one.p95Ms)[0], h("small", {}, ` ${milliseconds(one.p95Ms)[1]}`)], "95 of 100 checks end within"));
  const held = list(one.quarantined);
  const findings = (title, all) => h("div", {}, h("h3", {}, `${title} (${count(all.reduce((sum, q) => sum + q.count, 0))})`), h("ul", { class: "reasons", style: "margin-top:.6rem;padding:0" }, all.map((q) => h("li", {}, h("span", { class: "count" }, count(q.count)), h("div", {}, q.reason,
    q.tasks.length > 0 && h("details", {}, h("summary", {}, q.tasks.length < q.count ? `${q.tasks.length} of ${q.count} tasks` : plural(q.count, "task")), h("ul", {}, q.tasks.map((t) => h("li", { style: "display:block" }, h("code", {}, t.task), t.reason && ` ${t.reason}`)))))))));
  const survivors = one.survivors || {};
  return [tiles,
    isNumber(one.mutationScoreBefore) && h("p", { class: "small soft" }, `With the quarantined ones the mutation score is ${fixed(one.mutationScoreBefore, 3)}: ${plural(scores.all, "checker")} failed every mutant, ${count(scores.most)} at least nine of ten, ${count(scores.less)} fewer${scores.none ? `; ${count(scores.none)} had none to try` : ""}. ${count(one.checks)} checks in ${duration(one.seconds)}.`),
    members(one.splits).length > 0 && h("p", { class: "small soft" }, "Qualified instances: ", members(one.splits).map(([name, n]) => { const [strategy, split] = name.split(" "); return `${strategy}, ${splitName(split)}: ${count(n)}`; }).join(" · ")),
    timeStrip(one.times),
    held.length ? findings("Quarantined, by reason", held) : h("p", { class: "small soft" }, "Nothing is quarantined."),
    list(one.warnings).length > 0 && findings("Warnings", list(one.warnings)),
    survivors.count > 0 && h("details", {}, h("summary", {}, `Mutants that a checker let pass (${count(survivors.count)}${survivors.count > survivors.shown.length ? `, ${survivors.shown.length} shown` : ""})`), h("ul", { class: "small" }, survivors.shown.map((x) => h("li", {}, h("code", {}, x.task), ` ${x.edit}`))))];
}

function suiteSection({ suite }) {
  const all = list(suite);
  return section("checkers", "Checkers", "A checker is trusted only after it told right from wrong: gold passes, doing nothing fails (for a refusal: acting fails), single-edit mutants of gold fail, repeated runs agree, limits hold.",
    all.length ? all.map((one) => [all.length > 1 && h("h3", {}, one.name), number(one.checkers) ? suiteView(one) : empty("The suite is not qualified yet.")]) : empty("No suite."));
}

function auditView(one) {
  const repaired = one.repaired || {};
  const weight = { error: "bad", warning: "warn", note: "info" };
  const step = (x) => h("li", {}, h("code", {}, `${x.name}(${members(x.arguments).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(", ")})`), x.error ? tag("bad", "failed") : "", h("div", { class: "small soft" }, x.result));
  return [
    h("p", { class: "small soft" }, `${count(one.sound)} of ${plural(one.tasks, "task")} have no finding but notes. After repair ${count(repaired.kept)} are left, ${count(repaired.changed)} of them changed; ${count(repaired.dropped)} are dropped and ${count(repaired.quarantined)} quarantined.`),
    list(one.counts).length > 0 && table(["Kind", "Tasks", "Errors", "Warnings", "Meaning"], one.counts.map((x) => [h("code", {}, x.kind), count(x.tasks), count(x.errors), count(x.warnings), x.meaning])),
    list(one.rows).length > 0 && h("details", {}, h("summary", {}, `Findings (${count(one.findings)}${one.findings > one.rows.length ? `, ${one.rows.length} shown` : ""})`),
      one.rows.map((x) => h("details", {}, h("summary", {}, h("code", {}, x.task), " ", x.kind, " ", tag(weight[x.weight] || "info", x.weight)),
        h("p", {}, x.place && h("code", {}, x.place), x.place && ": ", x.evidence),
        list(x.replay).length > 0 && h("ol", {}, x.replay.map(step)),
        list(x.diff).length > 0 && h("ul", { class: "small" }, x.diff.map((line) => h("li", {}, h("code", {}, line)))),
        h("p", { class: "small soft" }, `Repair: ${words(x.repair.do)}`)))),
  ];
}

function auditSection({ audit }) {
  const all = list(audit);
  if (!all.length) return null;
  return section("audit", "Audit", "Tasks that somebody else made are played and held against their own checks before they are trusted. Every finding shows the calls that prove it.",
    all.map((one) => [all.length > 1 && h("h3", {}, one.name), auditView(one)]));
}
