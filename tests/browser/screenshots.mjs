// node screenshots.mjs REPORT FOLDER: the pictures for the README and for a look by eye, at both widths and in both schemes.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SCHEMES, WIDTHS, open, withBrowser } from "./page.mjs";

const [report, folder, whole] = process.argv.slice(2);
if (!folder) { console.error("usage: screenshots.mjs REPORT.html FOLDER [--whole]"); process.exit(2); }
await mkdir(folder, { recursive: true });
await withBrowser(async (context) => {
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const { page } = await open(context, report, width, scheme);
      const shot = (name, options) => page.screenshot({ path: join(folder, `report-${width}-${scheme}${name}.png`), ...options });
      await shot("", {});
      const rollouts = page.getByRole("button", { name: "Rollouts" });
      if (await rollouts.count()) await rollouts.click();
      if (whole) { await shot("-whole", { fullPage: true }); await page.close(); continue; }
      for (const id of ["learning", "dialogues"]) {
        await page.evaluate((id) => document.getElementById(id)?.scrollIntoView({ block: "start", behavior: "instant" }), id);
        await page.waitForTimeout(100);
        await shot(`-${id}`, {});
      }
      await page.close();
    }
  }
});
