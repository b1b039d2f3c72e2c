// Puts the page together from the embedded document.
function provenanceSection({ provenance, version }) {
  const p = provenance;
  const models = members(p.models).map(([role, m]) => `${role}: ${(m && m.model) || "?"}${m && m.endpoint ? ` at ${m.endpoint}` : ""}`);
  const facts = [
    ["Model answers", p.answers == null ? "no model was asked" : tag(String(p.answers).includes("replayed") ? "warn" : "info", p.answers)],
    models.length > 0 && ["Models", models.join("; ")],
    p.seed != null && ["Seed", String(p.seed)],
    p.deterministic != null && ["Deterministic", p.deterministic ? "yes: dataset digest and loss trace are bit-identical, run by run" : "no: nothing lost, nothing doubled"],
    ["Agoge", version],
  ].filter(Boolean);
  return section("provenance", "Provenance", "Everything a stage makes lies in the store under its content's digest, with what it was made from.",
    h("dl", { class: "facts-list" }, facts.map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])),
    list(p.digests).length > 0 && h("div", {}, h("h3", {}, "Digests"), h("dl", { class: "facts-list", style: "margin-top:.6rem" }, p.digests.map((d) => [h("dt", {}, words(d.what)), h("dd", {}, h("code", {}, d.digest))]))),
    list(p.artifacts).length > 0 && h("details", {}, h("summary", {}, `Artifacts (${p.artifacts.length < p.artifactsOf ? `the newest ${p.artifacts.length} of ` : ""}${count(p.artifactsOf)})`),
      table(["Kind", "Name", "Digest", "Made", "From"], p.artifacts.map((a) => [a.kind, a.name, digest(a.digest), when(a.created), h("span", { class: "small soft" }, members(a.inputs).map(([k, v], i) => [i ? ", " : "", `${k} `, String(v).startsWith("sha256:") ? digest(v) : String(v)]))]))),
    list(p.specs).some((x) => x.spec) && h("details", {}, h("summary", {}, "Manifests"), p.specs.filter((x) => x.spec).map((x) => h("div", {}, h("h4", {}, `${x.kind} ${x.name}`), h("pre", { tabindex: "0" }, JSON.stringify(x.spec, null, 2))))));
}

const PHASE = { Complete: "good", Failed: "bad", Running: "info", Retrying: "warn", Waiting: "warn", Suspended: "warn" };
function header(data) {
  const { title, lede } = verdict(data);
  const scheme = h("button", { class: "icon-button", type: "button", "aria-label": "Switch between light and dark", onclick: () => {
    const root = document.documentElement;
    const dark = root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.scheme = dark ? "light" : "dark";
  } }, "◐ Light or dark");
  const answers = data.provenance.answers;
  return [
    h("div", { class: "brand" }, h("strong", {}, "Agoge"), h("span", {}, `run report · ${data.overview.domain || "no domain"}`), answers && tag(String(answers).includes("replayed") ? "warn" : "info", `model answers ${answers}`), h("span", { class: "spring" }), h("span", {}, when(data.made)), scheme),
    h("h1", {}, title), lede.length > 0 && h("p", { class: "lede" }, lede),
    h("div", { class: "objects" }, data.overview.objects.map((o) => h("div", { class: "object" }, h("div", { class: "kind" }, `${o.kind} ${o.name}`),
      h("div", { class: "phase" }, tag(PHASE[o.phase] || "", o.phase || "unknown"), o.reason && o.reason !== o.phase && h("span", { class: "small" }, words(o.reason))), o.message && h("div", { class: "why", title: o.message }, o.message)))),
    data.notes.length > 0 && h("div", { class: "notes", role: "note" }, h("b", {}, "Not everything could be read."), h("ul", {}, data.notes.map((n) => h("li", {}, n)))),
  ].filter(Boolean);
}

const data = JSON.parse(document.getElementById("data").textContent);
document.title = `${data.overview.domain || "Run"} · Agoge report`;
/** One part that cannot be drawn must not take the others along; the browser check fails on it. */
function drawn(part, make) {
  try { return make(data); } catch (error) {
    console.error(error);
    return section(part, part, "", empty(`This part could not be drawn: ${error.message}`));
  }
}
document.getElementById("top").append(...[drawn("header", header)].flat());
const sections = [resultSection, synthesisSection, generationSection, auditSection, suiteSection, certificationSection, learningSection, viewerSection, timeSection, provenanceSection];
const parts = sections.map((make) => drawn(make.name.replace("Section", ""), make)).filter(Boolean);
document.getElementById("main").append(...parts);
const links = parts.map((node) => h("a", { href: "#" + node.id }, node.getAttribute("aria-label")));
const bar = h("div", { class: "navwrap" }, links);
document.getElementById("nav").append(bar);
document.getElementById("foot").append(`Made ${when(data.made)} by agoge ${data.version}.`, h("span", {}, "This page is complete in itself: it asks nothing of any other place."));
const seen = new IntersectionObserver((found) => {
  for (const one of found) {
    const link = links.find((a) => a.hash === "#" + one.target.id);
    // Above the first section none is current.
    if (!one.isIntersecting && one.boundingClientRect.top > innerHeight * 0.3) link.removeAttribute("aria-current");
    if (one.isIntersecting) { for (const a of links) a.removeAttribute("aria-current"); link.setAttribute("aria-current", "true"); bar.scrollLeft = link.offsetLeft - bar.offsetLeft - 48; }
  }
}, { rootMargin: "-20% 0px -70% 0px" });
parts.forEach((node) => seen.observe(node));
