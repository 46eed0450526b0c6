/** report.html opened once in a real browser: skipped, loudly, where there is none. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findBrowser } from "../../scripts/notebook/devtools.ts";
import { reportRun } from "../../lib/report/write.ts";
import { writeGeneratedRun } from "../../benchmarks/generated_run.ts";

const browser = await findBrowser();
if (browser === null) {
  console.warn(
    "SKIPPED: no Chromium or Chrome found (set CHROME_PATH): report.html was not opened in a browser",
  );
}

Deno.test({
  name: "report.html opens in a browser: nothing on the console, nothing run",
  ignore: browser === null,
  fn: async () => {
    if (browser === null) return;
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
      const { dom, log } = await open(browser, folder);
      assert.match(dom, /<h1>quick, a-long-name-without-end:q4_k_m@endpoint and broken<\/h1>/);
      assert.doesNotMatch(dom, /<title>attacked/);
      assert.ok((dom.match(/role="img"/g) ?? []).length >= 6, "the figures are there");
      assert.deepEqual(log.split("\n").filter((line) => /CONSOLE/.test(line)), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

async function open(command: string, folder: string): Promise<{ dom: string; log: string }> {
  const { stdout, stderr } = await new Deno.Command(command, {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--enable-logging=stderr",
      `--user-data-dir=${join(folder, "browser")}`,
      "--window-size=390,900",
      "--dump-dom",
      pathToFileURL(join(folder, "report.html")).href,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { dom: decoder.decode(stdout), log: decoder.decode(stderr) };
}
