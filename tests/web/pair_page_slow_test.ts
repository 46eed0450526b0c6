/// <reference lib="dom" />
/** The page of pairs in a real browser, with the keyboard: skipped, loudly, where there is none. */
import assert from "node:assert/strict";
import { makePairs } from "../../lib/quality/answer_pairs.ts";
import { servePairs } from "../../lib/web/pair_page.ts";
import { readVotes } from "../../lib/quality/votes.ts";
import { launchBrowser } from "../../scripts/notebook/lab.ts";

Deno.test({
  name: "two answers are compared with the keyboard alone, on a phone's width, and text stays text",
  // Playwright keeps timers of its own.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using browser = await launchBrowser();
    if (browser === null) return console.warn("SKIPPED: no Chromium or Chrome found (set CHROME_PATH)");
    const folder = await Deno.makeTempDir();
    const answers = ["a", "b"].flatMap((candidate) =>
      [1, 2, 3, 4].map((at) => ({
        id: `${at}${candidate}`,
        candidate,
        prompt_id: `p${at}`,
        phase: "timed" as const,
        round: 1,
        content: `<b onclick="document.title='attacked'">${candidate}</b>${"w".repeat(500)}`,
        reasoning: "",
      }))
    );
    const prompts = [1, 2, 3, 4].map((at) => ({
      id: `p${at}`,
      messages: [{ role: "user" as const, content: `Case ${at}?` }],
      aspects: [],
    }));
    const pairs = makePairs(answers, prompts, { runId: "run", rater: "ana", candidates: ["a", "b"] });
    const served = await servePairs(pairs, folder, {
      token: "secret",
      port: 0,
      clock: () => performance.now(),
      onFault: (error) => assert.fail(String(error)),
    });
    try {
      const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
      const log: string[] = [];
      page.on("console", (message) => log.push(message.text()));
      await page.goto(served.url);
      const after = async (key: string, text: string) => {
        await page.keyboard.press(key);
        await page.getByText(text).waitFor();
      };
      await page.getByText("0 of 4 pairs voted on").waitFor();
      assert.equal(await page.locator("pre b").count(), 0);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      await after("a", "1 of 4 pairs voted on");
      await after("z", "0 of 4 pairs voted on");
      await after("b", "1 of 4 pairs voted on");
      await after("t", "2 of 4 pairs voted on");
      await after("x", "3 of 4 pairs voted on");
      await after("ArrowLeft", "You have voted on every pair");
      const choices = (await readVotes(folder)).map(({ choice }) => choice);
      assert.deepEqual(choices.slice(1, 3), ["tie", "both_bad"]);
      assert.equal(choices.length, 4);
      await page.getByText("Finish").click();
      await served.finished;
      await served.stop();
      await page.getByText("Thank you.").waitFor();
      assert.deepEqual(log, []);
    } finally {
      await served.stop();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
