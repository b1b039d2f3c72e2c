// Elements, numbers and words. Data only ever becomes text nodes and attribute values, never markup.
const NS = document.getElementById("svg").namespaceURI;

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child != null && child !== false) node.append(child);
  }
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(NS, tag), attributes, children);

const list = (value) => (Array.isArray(value) ? value.filter((one) => one != null) : []);
const members = (value) => Object.entries(value && typeof value === "object" ? value : {});
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
/** A number, also one that stands in a text such as `0.97` or `3.2ms`. */
const number = (value) => {
  if (isNumber(value)) return value;
  const parsed = typeof value === "string" ? parseFloat(value) : NaN;
  return Number.isFinite(parsed) ? (value.trim().endsWith("%") ? parsed / 100 : parsed) : null;
};
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = (value) => (number(value) == null ? "–" : grouped.format(number(value)));
const plural = (n, one, many) => `${count(n)} ${Number(n) === 1 ? one : many || one + "s"}`;
const fixed = (value, digits = 2) => (number(value) == null ? "–" : number(value).toFixed(digits).replace(/^-/, "−"));
const signed = (value, digits = 2) => (value > 0 ? "+" : "") + fixed(value, digits);
const percent = (value, digits = 0) => (number(value) == null ? "–" : (100 * number(value)).toFixed(digits) + "\u00a0%");
/** At most three telling digits. */
const short = (value) => {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return (value / 1e6).toFixed(1) + "M";
  if (size >= 1e4) return Math.round(value / 1e3) + "k";
  if (size >= 100) return grouped.format(value);
  if (size === 0) return "0";
  if (size < 1e-4) return value.toExponential(1).replace("-", "−");
  return String(Number(value.toPrecision(3))).replace(/^-/, "−");
};
const duration = (seconds) => {
  if (!isNumber(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const [m, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  return m < 60 ? `${m} min ${String(rest).padStart(2, "0")} s` : `${Math.floor(m / 60)} h ${String(m % 60).padStart(2, "0")} min`;
};
/** A value of milliseconds and its unit. */
const milliseconds = (value) => (number(value) == null ? ["–", ""] : number(value) < 0.1 ? [fixed(number(value) * 1000, number(value) < 0.01 ? 1 : 0), "µs"] : [fixed(value, number(value) < 10 ? 1 : 0), "ms"]);
/** A branch of the policy under its intent, said once: branches often begin with their intent. */
const branchName = (intent, branch) => (!intent || String(branch || "").startsWith(intent + "/") ? branch : [intent, branch].filter(Boolean).join("/"));
const digest = (value) => {
  const text = String(value || "");
  return text.startsWith("sha256:") ? h("code", { title: text }, text.slice(0, 19) + "…") : h("code", {}, text);
};
const when = (text) => (text ? String(text).replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : "–");
/** `userSFT` as `user SFT`. */
const words = (name) => String(name ?? "").replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b}`).replace(/ ([A-Z])(?![A-Z])/g, (_, c) => " " + c.toLowerCase());
const SPLIT = { trainSft: "demonstrations", trainRl: "reinforcement", heldout: "held out", unseen: "unseen" };
const splitName = (split) => SPLIT[split] || words(split);
const STAGE = { userSFT: "User SFT", certifyUser: "User certification", agentSFT: "Agent SFT", grpo: "GRPO", grpoUnfiltered: "GRPO, unfiltered", sftContinued: "SFT continued", evaluate: "Evaluation" };
const stageName = (stage) => STAGE[stage] || words(stage);
const pass = (k) => h("span", {}, "pass", h("sup", {}, String(k)));
const tag = (kind, ...children) => h("span", { class: "tag " + kind }, ...children);
const MARKS = { good: "✓", bad: "✕", warn: "◆" };
const mark = (kind) => h("span", { class: "mark " + kind, "aria-hidden": "true" }, MARKS[kind] || "·");
const empty = (text) => h("p", { class: "empty" }, text);

function segments(label, options, chosen, choose) {
  const buttons = options.map(([key, text]) =>
    h("button", { type: "button", "aria-pressed": String(key === chosen), onclick: (event) => {
      for (const b of buttons) b.setAttribute("aria-pressed", String(b === event.currentTarget));
      choose(key);
    } }, text));
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}
function table(heads, rows, classes = []) {
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((text, i) => h("th", { class: classes[i], scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => h("td", { class: classes[i] }, cell)))))));
}
function section(id, title, about, ...content) {
  return h("section", { id, "aria-label": title }, h("div", { class: "about" }, h("h2", {}, title), about && h("p", {}, about)),
    h("div", { class: "stack" }, content));
}

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y - box.height - 12 < 6 ? y + 18 : y - box.height - 12) + "px";
}
const hideTip = () => { tip.hidden = true; };
