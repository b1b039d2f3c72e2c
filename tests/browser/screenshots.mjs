// node screenshots.mjs REPORT FOLDER [--whole]: pictures for the README and for a look by eye. Light ones carry no suffix:
// report-1280.png, report-1280-learning.png, report-1280-dark.png and so on; `--whole` takes the page from top to end.
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
      const shot = async (name, options) => {
        const path = join(folder, `report-${width}${scheme === "light" ? "" : "-dark"}${name}.png`);
        await page.screenshot({ path, ...options });
        console.log(path);
      };
      const rollouts = page.getByRole("button", { name: "Rollouts" });
      if (await rollouts.count()) await rollouts.click();
      await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
      await page.mouse.move(0, 0);
      await page.waitForTimeout(100);
      if (whole) await shot("-whole", { fullPage: true });
      else {
        await shot("", {});
        for (const id of scheme === "light" ? ["synthesis", "learning", "dialogues"] : []) {
          await page.evaluate((id) => document.getElementById(id)?.scrollIntoView({ block: "start", behavior: "instant" }), id);
          await page.waitForTimeout(100);
          await shot(`-${id}`, {});
        }
      }
      await page.close();
    }
  }
});
