// node check.mjs REPORT...: opens each report at 1280 and 390 px in both schemes, uses it, and fails on what must not be.
import { SCHEMES, WIDTHS, open, withBrowser } from "./page.mjs";

/** What is wider than the window, for a person who has to mend it. */
const overflow = () => {
  const wide = document.documentElement.scrollWidth;
  if (wide <= innerWidth) return null;
  const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest(".scroll, .navwrap, pre, .diff, .skip"));
  return `scrollWidth ${wide} is beyond innerWidth ${innerWidth}: ${out.slice(0, 4).map((e) => `${e.tagName.toLowerCase()}.${e.className.baseVal ?? e.className}`).join(", ")}`;
};

/** Ratio of luminances of an element's text and the ground behind it, by WCAG's formula. */
const contrasts = () => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color, under) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = under || "rgb(0 0 0 / 0)"; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (node) => {
    const stack = [];
    for (let at = node; at; at = at.parentElement) stack.push(getComputedStyle(at).backgroundColor);
    let color = "white";
    for (const layer of stack.reverse()) { const [r, g, b] = rgba(layer, color); color = `rgb(${r} ${g} ${b})`; }
    return color;
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const low = new Map();
  for (const node of document.querySelectorAll("h1, h2, h3, h4, p, span, td, th, b, dt, dd, a, button, li, summary, .what, .who")) {
    const text = [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
    if (!text || !node.checkVisibility()) continue;
    const under = ground(node);
    const [one, two] = [luminance(rgba(getComputedStyle(node).color, under)), luminance(rgba(under))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) low.set(`${node.tagName.toLowerCase()}.${node.className}`, ratio.toFixed(2));
  }
  return [...low].slice(0, 8).map(([what, ratio]) => `contrast ${ratio} of ${what} is below 4.5`);
};

async function use(page) {
  const found = [];
  const hidden = await page.evaluate(() => typeof window.hacked);
  if (hidden !== "undefined") found.push("a dialogue's text ran as a script");
  const failed = await page.getByText("This part could not be drawn").count();
  if (failed) found.push(`${failed} parts could not be drawn`);
  for (const button of await page.locator(".segments button").all()) { if (await button.isVisible()) await button.click(); }
  for (const name of ["All"]) { const all = page.getByRole("button", { name, exact: true }); if (await all.count()) await all.first().click(); }
  await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
  // The viewer, by keyboard alone.
  const items = page.locator(".item:visible");
  const count = await items.count();
  if (count > 1) {
    await items.first().click();
    const title = () => page.locator(".detail h3").first().textContent();
    const before = await page.locator('.item[aria-selected="true"]').textContent();
    await page.keyboard.press("ArrowDown");
    const after = await page.locator('.item[aria-selected="true"]').textContent();
    if (before === after && count > 2) found.push("the arrow keys do not walk the viewer's list");
    await page.keyboard.press("End");
    if (!(await title())) found.push("the last entry shows nothing");
    for (let i = 0; i < Math.min(count, 40); i++) await page.keyboard.press("ArrowUp");
  }
  const chart = page.locator(".chart > svg").first();
  if (await chart.count()) {
    await chart.focus();
    await page.keyboard.press("ArrowRight");
    if (await page.locator("#tip").isHidden()) found.push("a chart cannot be read by keyboard");
    await page.keyboard.press("Escape");
  }
  const rollout = page.getByRole("button", { name: "Rollouts" });
  if (await rollout.count()) {
    await rollout.click();
    const token = page.locator(".tokens b.on").first();
    if (await token.count()) {
      await token.hover();
      if (!(await page.locator("#tip").textContent()).includes("log-prob")) found.push("a trained token does not tell its log-probability");
    }
  }
  return found;
}

const reports = process.argv.slice(2);
if (!reports.length) { console.error("usage: check.mjs REPORT.html ..."); process.exit(2); }
let bad = 0;
await withBrowser(async (context) => {
  for (const report of reports) {
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        const { page, problems, milliseconds } = await open(context, report, width, scheme);
        const found = [await page.evaluate(overflow), ...(await use(page)), await page.evaluate(overflow), ...(await page.evaluate(contrasts))].filter(Boolean);
        problems.push(...found);
        console.log(`${problems.length ? "FAIL" : "ok"}  ${report}  ${width} px  ${scheme}  drawn in ${milliseconds} ms`);
        for (const problem of problems) console.log(`      ${problem}`);
        bad += problems.length;
        await page.close();
      }
    }
  }
});
process.exit(bad ? 1 : 0);
