/// <reference lib="dom" />
/** report.html opened once in a real browser: skipped, loudly, where there is none. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { launchBrowser } from "../../scripts/notebook/lab.ts";
import { parsePromptSet } from "../../lib/prompts/prompts.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import { reportRun } from "../../lib/report/write.ts";
import { writeGeneratedRun } from "../../benchmarks/generated_run.ts";

/** A test with a browser and a folder of its own; skipped, loudly, where there is no browser. */
function browserTest(name: string, test: (browser: Browser, folder: string) => Promise<void>): void {
  Deno.test({
    name,
    // Playwright keeps timers of its own.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using browser = await launchBrowser();
      if (browser === null) {
        return console.warn(
          "SKIPPED: no Chromium or Chrome found (set CHROME_PATH): report.html was not opened",
        );
      }
      const folder = await Deno.makeTempDir({ prefix: "podium-report-" });
      try {
        await test(browser, folder);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

browserTest(
  "report.html opens in a browser: nothing on the console, nothing run",
  async (browser, folder) => {
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
  },
);

browserTest(
  "with a model id of 114 characters no page is wider than the screen, and the figures are in view",
  async (browser, folder) => {
    await writeGeneratedRun(folder, {
      candidates: [
        { id: `${"organisation/model-".repeat(6)}`, ttftMs: 40, itlMs: 6, tokens: 80 },
        { id: "m".repeat(114), ttftMs: 60, itlMs: 9, tokens: 80 },
      ],
    });
    await reportRun(folder);
    for (const [width, shown] of [[1200, 8], [1000, 8], [390, 2]] as const) {
      const page = await browser.newPage({ viewport: { width, height: 900 } });
      await page.goto(pathToFileURL(join(folder, "report.html")).href);
      const seen = await page.evaluate(() => ({
        page: document.documentElement.scrollWidth,
        cells: [...document.querySelectorAll(".scroll tbody tr:first-child")].slice(0, 1)
          .flatMap((row) => [...row.children]).filter((cell) =>
            cell.getBoundingClientRect().right <= innerWidth
          ).length,
      }));
      assert.equal(seen.page, width, "nothing but a table scrolls sideways");
      assert.ok(seen.cells >= shown, `${seen.cells} cells of the first table are in view at ${width} px`);
      await page.close();
    }
  },
);

browserTest(
  "answers that are not right are filtered by group, candidate and difference, without a script",
  async (browser, folder) => {
    const { plan } = await writeGeneratedRun(folder, {
      candidates: [
        { id: "right", ttftMs: 40, itlMs: 6, tokens: 8, answer: "bug" },
        { id: "wrong", ttftMs: 40, itlMs: 6, tokens: 8, answer: "praise <b>" },
        { id: "silent", ttftMs: 40, itlMs: 6, tokens: 8, answer: "I can't say." },
      ],
      prompts: [{ id: "p1", text: "Label: it crashes" }, { id: "p2", text: "Label: thank you" }],
      rounds: 1,
    });
    const checks = (expected: string) => [{ kind: "label", expected, labels: ["bug", "praise"] }];
    const set = parsePromptSet([
      { id: "p1", prompt: "Label: it crashes", checks: checks("bug") },
      { id: "p2", prompt: "Label: thank you", checks: checks("praise") },
    ], "labels");
    // A made-up run has made-up hashes.
    const shas = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
    const prompts = set.prompts.map((one) => ({ ...one, sha256: shas.get(one.id) ?? "" }));
    await writeQuality(folder, { ...set, prompts });
    await reportRun(folder);
    const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
    await page.goto(pathToFileURL(join(folder, "report.html")).href);
    const shown = async () =>
      (await page.locator("#errors .error:visible h3").allInnerTexts()).map((text) =>
        text.replaceAll(/\s+/g, " ").trim()
      );
    assert.equal((await shown()).length, 4);
    await page.getByLabel("wrong · label (2)").check();
    assert.deepEqual(await shown(), ["p1 ≠ wrong", "p2 ≠ right"]);
    await page.getByLabel("right", { exact: true }).check();
    assert.deepEqual(await shown(), ["p2 ≠ right"]);
    assert.equal(await page.locator("#errors b").count(), 0, "an answer is text");
    await page.close();
  },
);

/** The page's document after it has loaded, and all that it said on its console. */
async function open(browser: Browser, path: string): Promise<{ dom: string; log: string[] }> {
  const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
  const log: string[] = [];
  page.on("console", (message) => log.push(message.text()));
  page.on("pageerror", (error) => log.push(error.message));
  await page.goto(pathToFileURL(path).href);
  return { dom: await page.content(), log };
}
