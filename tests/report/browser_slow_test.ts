/** report.html opened once in a real browser: skipped, loudly, where there is none. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { launchBrowser } from "../../scripts/notebook/lab.ts";
import { reportRun } from "../../lib/report/write.ts";
import { writeGeneratedRun } from "../../benchmarks/generated_run.ts";

Deno.test({
  name: "report.html opens in a browser: nothing on the console, nothing run",
  // Playwright keeps timers of its own.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using browser = await launchBrowser();
    if (browser === null) {
      console.warn("SKIPPED: no Chromium or Chrome found (set CHROME_PATH): report.html was not opened");
      return;
    }
    const folder = await Deno.makeTempDir({ prefix: "podium-report-" });
    try {
      const attack =
        `<script>document.title = "attacked"</script><img src=x onerror='document.title="attacked"'>`;
      await writeGeneratedRun(folder, {
        candidates: [
          { id: "quick", ttftMs: 40, itlMs: 6, tokens: 80, stalling: 0.2, answer: attack },
          { id: "a-long-name-without-end:q4_k_m@endpoint", ttftMs: 80, itlMs: 12, tokens: 90 },
          { id: "broken", ttftMs: 80, itlMs: 12, tokens: 80, failing: 1 },
        ],
        disturbEvery: 5,
      });
      await reportRun(folder, { watts: 15 });
      const { dom, log } = await open(browser, join(folder, "report.html"));
      assert.match(dom, /<h1>quick, a-long-name-without-end:q4_k_m@endpoint and broken<\/h1>/);
      assert.doesNotMatch(dom, /<title>attacked/);
      assert.ok((dom.match(/role="img"/g) ?? []).length >= 6, "the figures are there");
      assert.deepEqual(log, []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** The page's document after it has loaded, and all that it said on its console. */
async function open(browser: Browser, path: string): Promise<{ dom: string; log: string[] }> {
  const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
  const log: string[] = [];
  page.on("console", (message) => log.push(message.text()));
  page.on("pageerror", (error) => log.push(error.message));
  await page.goto(pathToFileURL(path).href);
  return { dom: await page.content(), log };
}
