// The viewer of dialogues and rollouts: a list to filter and walk by keyboard, and one entry in full.
function entryFacts(e) {
  if (e.type === "rollout") {
    const kind = e.reward === 1 ? "good" : e.reward === 0 ? "bad" : "warn";
    return { kind, group: "rollout", source: e.stage, title: e.id || "rollout", state: e.reward === 1 ? "reward 1" : e.reward === 0 ? "reward 0" : "no reward: an error ended it", sub: [stageName(e.stage), e.arm && armName(e.arm), e.branch].filter(Boolean).join(" · ") };
  }
  const accepted = e.outcome === "accepted";
  return {
    kind: accepted ? (e.quarantined ? "warn" : "good") : "bad", group: e.outcome, source: e.strategy, title: e.id || "instance",
    state: accepted ? (e.quarantined ? "accepted, then quarantined" : "accepted") : `rejected at ${e.gate}`,
    sub: accepted ? [branchName(e.intent, e.branch), e.split && splitName(e.split)].filter(Boolean).join(" · ") : e.reason || "no reason given",
  };
}

const WHO = { user: "User", assistant: "Agent", tool: "Result", system: "Instruction" };
const argument = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function talk(messages) {
  return h("div", { class: "talk" }, list(messages).map((m) => [
    (m.content || !list(m.calls).length) && h("div", { class: "said " + m.role }, h("div", { class: "who" }, WHO[m.role] || m.role), h("div", { class: "what" }, m.content || " ")),
    list(m.calls).map((c) => h("div", { class: "said call" }, h("div", { class: "who" }, "Agent calls"), h("div", { class: "what" }, callText(c)))),
  ]));
}
const callText = (c) => [h("span", { class: "name" }, c.name), "(", members(c.arguments).map(([k, v], i) => [i ? ", " : "", k, "=", argument(v)]), ")"];

function verdictView(verdict, wanted) {
  if (!verdict || !list(verdict.parts).length) return null;
  return h("div", {}, h("h4", {}, "What the checkers say", wanted ? ` (${wanted})` : ""), h("ul", { class: "parts", style: "margin-top:.35rem" },
    verdict.killed && h("li", {}, mark("warn"), h("span", {}, "stopped"), h("span", { class: "why soft" }, verdict.killed)),
    verdict.parts.map((p) => h("li", {}, mark(p.pass ? "good" : "bad"), h("span", {}, words(p.name), h("span", { class: "faint" }, p.pass ? " passed" : " failed")), h("span", { class: "why soft" }, p.evidence)))));
}

function tokenView(e) {
  const box = h("div", { class: "tokens", tabindex: "0", role: "group", "aria-label": "Tokens; arrow keys read them one by one" });
  const nodes = [];
  for (const [text, trained, logp] of list(e.tokens)) {
    const special = /^<\|.*\|>$/.test(text);
    if (special && nodes.length && /^<\|(user|agent|result|sys|im_start)/.test(text)) box.append("\n");
    const shown = text.replace(/\n/g, "↵\n") || "∅";
    const node = h("b", { class: [trained ? "on" : "", special ? "special" : ""].filter(Boolean).join(" ") || null }, shown);
    // The less likely the token was, the stronger its ground.
    if (trained && isNumber(logp)) node.style.setProperty("--p", Math.min(1, 1 - Math.exp(logp)).toFixed(2));
    node.reading = trained ? `${e.stage === "evaluate" ? "sampled" : "trained"}${isNumber(logp) ? `\nlog-prob ${fixed(logp, 3)} (p = ${fixed(Math.exp(logp), 3)})` : ""}` : "seen, not sampled";
    nodes.push(node);
    box.append(node);
  }
  let at = -1;
  const read = (node) => {
    const area = node.getBoundingClientRect();
    showTip(`${JSON.stringify(node.textContent)}\n${node.reading}`, area.left, area.top);
  };
  box.addEventListener("pointerover", (event) => { if (event.target.reading) read(event.target); });
  box.addEventListener("pointerleave", hideTip);
  box.addEventListener("blur", () => { hideTip(); if (nodes[at]) nodes[at].classList.remove("at"); at = -1; });
  box.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (event.key === "Escape") hideTip();
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    if (nodes[at]) nodes[at].classList.remove("at");
    at = Math.max(0, Math.min(nodes.length - 1, at + move));
    nodes[at].classList.add("at");
    nodes[at].scrollIntoView({ block: "nearest" });
    read(nodes[at]);
  });
  // An evaluation trains nothing: its mask says what was sampled.
  const verb = e.stage === "evaluate" ? "sampled" : "trained";
  const on = list(e.tokens).filter((t) => t[1]).length;
  return h("div", { class: "stack", style: "gap:.5rem" }, h("p", { class: "small soft" }, `${count(list(e.tokens).length)} tokens, ${count(on)} of them ${verb}`, e.tokensLeftOut ? ` (${count(e.tokensLeftOut)} more left out here)` : "", `. Underlined: ${verb === "trained" ? "sampled by the policy and trained" : "sampled by the policy"}; the darker, the less likely it was. The rest the policy only saw.`), box);
}

function detailView(e) {
  const facts = entryFacts(e);
  const out = [h("header", {}, h("h3", {}, facts.title), h("div", { class: "row" }, tag(facts.kind, MARKS[facts.kind], " ", facts.state),
    e.type === "rollout" ? [tag("", stageName(e.stage)), e.arm && tag("", armName(e.arm)), e.branch && tag("", e.branch), isNumber(e.advantage) && tag("", `advantage ${signed(e.advantage)}`), endTag(e.end)]
      : [tag("", e.strategy), isNumber(e.generation) && e.plan !== undefined && tag("", `generation ${e.generation}`), e.cause && tag("warn", `fault of the ${CAUSE[e.cause] || e.cause}`), e.split && tag("", splitName(e.split)), branchName(e.intent, e.branch) && tag("", branchName(e.intent, e.branch)), e.refusal && tag("info", "a refusal"), e.tokens > 0 && tag("", `${count(e.tokens)} tokens`)]))];
  if (e.reason) out.push(h("p", { class: "because bad" }, e.reason));
  if (e.quarantined) out.push(h("p", { class: "because" }, "Quarantined: ", e.quarantined));
  for (const f of list(e.userFaults)) out.push(h("p", { class: "because" }, "The user ", FAULT[f.kind] || words(f.kind || ""), f.detail ? `: ${f.detail}` : ""));
  out.push(verdictView(e.verdict));
  const dialogue = list(e.messages).length ? talk(e.messages) : null;
  if (list(e.tokens).length) {
    const box = h("div", {});
    const show = (which) => box.replaceChildren(which === "tokens" ? tokenView(e) : dialogue || empty("No dialogue was kept."));
    show(shownAs);
    out.push(segments("Show as", [["tokens", "Tokens and mask"], ["dialogue", "Dialogue"]], shownAs, (which) => { shownAs = which; show(which); }), box);
  } else out.push(dialogue || (e.type === "rollout" ? empty("No dialogue was kept.") : h("p", { class: "small soft" }, "It did not come to a dialogue.")));
  const task = [
    e.instruction && [h("h4", {}, "What the user is told"), h("pre", {}, e.instruction)],
    list(e.gold).length > 0 && [h("h4", {}, "Gold calls"), h("pre", {}, list(e.gold).map((c, i) => [i ? "\n" : "", callText(c)]))],
    list(e.outputs).length > 0 && [h("h4", {}, "Must be said"), h("pre", {}, e.outputs.join("\n"))],
    e.checker && [h("h4", {}, "Checker"), h("pre", {}, e.checker)],
    list(e.drafts).map((d) => [h("h4", {}, `The model wrote, for ${d.stage}`), h("pre", {}, d.text)]),
  ].flat(Infinity).filter(Boolean);
  if (task.length) out.push(h("details", { open: !dialogue && e.type !== "rollout" }, h("summary", {}, e.type === "rollout" ? "Task" : "Task, gold and what the model wrote"), h("div", { class: "stack", style: "gap:.5rem" }, task)));
  return out.filter(Boolean);
}
let shownAs = "tokens";
const ENDS = { closed: "closed by the user", turnLimit: "out of turns", tokenLimit: "out of tokens", nonsense: "wrote no message", user: "the user failed", infra: "the sandbox failed" };
function endTag(end) {
  const kind = end && typeof end === "object" ? end.kind : end;
  return kind ? tag("", ENDS[kind] || words(kind), end.detail ? `: ${end.detail}` : "") : null;
}

function viewerSection({ samples }) {
  const entries = list(samples && samples.entries);
  const about = "Dialogues of synthesis, accepted and rejected, and rollouts of training with what was trained on.";
  if (!entries.length) return section("dialogues", "Dialogues", about, empty("There is no dialogue yet."));
  const groups = list(samples.groups);
  const left = groups.filter((g) => g.shown < g.of);
  const said = left.length ? `A choice spread over reasons and branches: ${groups.map((g) => `${count(g.shown)} of ${count(g.of)} ${g.group[0] === "rollout" ? `kept from ${stageName(g.group[1])}` : `${g.group[1]} by ${g.group[0]}`}`).join(", ")}.` : `All ${count(entries.length)} that were kept.`;
  const facts = entries.map(entryFacts);
  const texts = entries.map((e, i) => [facts[i].title, facts[i].state, facts[i].sub, ...list(e.messages).map((m) => m.content)].join(" ").toLowerCase());
  const [nodes, detail] = [h("div", { class: "list", role: "listbox", "aria-label": "Dialogues" }), h("div", { class: "detail", tabindex: "-1", "aria-live": "off" })];
  const items = entries.map((e, i) => {
    const f = facts[i];
    const node = h("button", { class: "item", type: "button", role: "option", "aria-selected": "false", tabindex: "-1", onclick: () => choose(i, true) }, mark(f.kind), h("span", { class: "title" }, f.title), h("span", { class: "sub" }, h("span", { class: "faint" }, f.state, " · "), f.sub));
    return node;
  });
  nodes.append(...items);
  const filter = { group: "all", source: "", text: "" };
  let shown = entries.map((_, i) => i), at = -1;
  const counter = h("span", { class: "small soft", role: "status" });
  function choose(i, pointed) {
    if (items[at]) { items[at].setAttribute("aria-selected", "false"); items[at].tabIndex = -1; }
    at = i;
    if (!(i in entries)) { detail.replaceChildren(empty("Nothing fits the filter.")); return; }
    items[i].setAttribute("aria-selected", "true");
    items[i].tabIndex = 0;
    detail.replaceChildren(...detailView(entries[i]));
    detail.scrollTop = 0;
    if (pointed && innerWidth <= 700) detail.scrollIntoView({ block: "nearest" });
  }
  function apply() {
    shown = entries.map((_, i) => i).filter((i) => (filter.group === "all" || facts[i].group === filter.group) && (!filter.source || facts[i].source === filter.source) && (!filter.text || texts[i].includes(filter.text)));
    const set = new Set(shown);
    items.forEach((node, i) => { node.hidden = !set.has(i); });
    counter.textContent = `${count(shown.length)} of ${count(entries.length)}`;
    if (!set.has(at)) choose(shown[0] ?? -1);
  }
  nodes.addEventListener("keydown", (event) => {
    const here = shown.indexOf(at);
    const to = { ArrowDown: here + 1, j: here + 1, ArrowUp: here - 1, k: here - 1, Home: 0, End: shown.length - 1, PageDown: here + 8, PageUp: here - 8 }[event.key];
    if (event.key === "Enter" || event.key === "ArrowRight") { event.preventDefault(); detail.focus(); return; }
    if (to === undefined || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    const next = shown[Math.max(0, Math.min(shown.length - 1, to))];
    if (next === undefined) return;
    choose(next);
    items[next].focus();
    items[next].scrollIntoView({ block: "nearest" });
  });
  detail.addEventListener("keydown", (event) => { if (event.key === "Escape" && items[at]) items[at].focus(); });
  const kinds = [["all", "All"], ["accepted", "Accepted"], ["rejected", "Rejected"], ["rollout", "Rollouts"]].filter(([k]) => k === "all" || facts.some((f) => f.group === k));
  const sources = [...new Set(facts.map((f) => f.source))].filter(Boolean);
  const built = section("dialogues", "Dialogues", [about, " ", said],
    h("div", { class: "filters" }, segments("Kind", kinds, "all", (k) => { filter.group = k; apply(); }),
      sources.length > 1 && h("select", { "aria-label": "Source", onchange: (event) => { filter.source = event.target.value; apply(); } }, h("option", { value: "" }, "every source"), sources.map((x) => h("option", { value: x }, stageName(x)))),
      h("input", { type: "search", placeholder: "Search ids, reasons and words", "aria-label": "Search", oninput: (event) => { filter.text = event.target.value.trim().toLowerCase(); apply(); } }), counter),
    h("div", { class: "viewer" }, nodes, detail),
    h("p", { class: "hint" }, h("kbd", {}, "↑"), " ", h("kbd", {}, "↓"), " walk the list, ", h("kbd", {}, "Enter"), " goes into the entry, ", h("kbd", {}, "Esc"), " back."));
  built.classList.add("wide");
  apply();
  return built;
}
