// A report page in Chromium: opened at a width and scheme, with everything written down that a reader must never see.
import { chromium } from "playwright-core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

export const WIDTHS = [1280, 390];
export const SCHEMES = ["light", "dark"];

/** Opens a browser with a fresh profile that asks nothing of the network by itself, and closes it after `work`. */
export async function withBrowser(work) {
  const profile = await mkdtemp(join(tmpdir(), "agoge-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    return await work(context);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** Opens a report; `problems` fills with console errors, page errors and requests that are not for the page itself. */
export async function open(context, report, width, scheme) {
  const problems = [];
  const page = await context.newPage();
  const url = pathToFileURL(resolve(report)).href;
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("request", (request) => { if (request.url() !== url && !request.url().startsWith("data:")) problems.push(`request: ${request.url()}`); });
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: width > 700 ? 900 : 844 });
  const before = Date.now();
  await page.goto(url);
  await page.waitForSelector("#foot:not(:empty)");
  return { page, problems, milliseconds: Date.now() - before };
}
