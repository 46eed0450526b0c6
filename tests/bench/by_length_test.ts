import assert from "node:assert/strict";
import { fakeSummary } from "./fakes.ts";
import { lengthRows, limitSentences } from "../../lib/report/by_length.ts";
import { markdownReport } from "../../lib/report/markdown.ts";
import { reportCsv } from "../../lib/report/report_csv.ts";
import { terminalSummary } from "../../lib/report/terminal_summary.ts";

const prompts = [50, 60, 1000, 1100].map((words) => ({
  id: `p${words}`,
  sha256: "0".repeat(64),
  // The cold prefix adds two words.
  messages: [{ role: "user" as const, content: "word ".repeat(words - 2) }],
}));
const plan = { rounds: 2, prompt_set: { name: "lengths", sha256: "0".repeat(64), prompts } };
const slo = { ttft_s: 0.5, e2e_s: null };

Deno.test("prompts of very different length get rows of their own, with prefill speed", async () => {
  const summary = await fakeSummary({ a: { ttftMs: 0, msPerPromptToken: 1, itlMs: 10 } }, { ...plan, slo });
  const [one] = summary.candidates;
  assert.ok(one !== undefined);
  assert.deepEqual(
    one.by_length.map(({ from_tokens, to_tokens, latency_s, met }) => [
      from_tokens,
      to_tokens,
      latency_s.n,
      met,
    ]),
    [[50, 60, 4, 1], [1000, 1100, 4, 0]],
  );
  for (const row of [one, ...one.by_length]) {
    assert.ok(Math.abs((row.prefill_tokens_per_s.mean ?? 0) - 1000) < 1e-6, "1 ms per token");
  }
  assert.ok(Math.abs((one.by_length[1]?.ttft_s.mean ?? 0) - 1.05) < 1e-6);

  assert.equal(lengthRows(summary, null).length, 2);
  const [sentence = ""] = limitSentences(summary);
  assert.match(
    sentence,
    /meets the limits \(first token in 500 ms\) up to 60 prompt tokens, and misses them/,
  );
  assert.match(sentence, /at 1,000–1,100 \(0 % of 4 requests, mean time to first token 1\.05 s\)/);
  const shown = terminalSummary(summary, { columns: 110, color: false });
  assert.match(shown, /1,000–1,100 │ +4 │ +1\.05 s │ +1,000/);
  assert.match(shown, /goodput/);
  const page = markdownReport(summary);
  assert.match(page, /## By prompt length/);
  assert.match(page, /\| 50–60 \| 4 \| 55 ms \| 1,000 \| 100 \| 100 % \|/);
  const [head = "", all = "", short = ""] = reportCsv(summary).split("\n");
  const cell = (line: string, name: string) => line.split(",")[head.split(",").indexOf(name)];
  assert.equal(cell(all, "within_limits"), "0.5");
  assert.equal(cell(all, "prompt_tokens_to"), "");
  assert.equal(cell(short, "prompt_tokens_to"), "60");
});

Deno.test("lengths that hardly differ get no rows; under load there is no prefill speed", async () => {
  const even = await fakeSummary({ a: {} }, { rounds: 2 });
  assert.deepEqual(even.candidates[0]?.by_length, []);
  assert.notEqual(even.candidates[0]?.prefill_tokens_per_s.mean, null);
  const loaded = await fakeSummary({ a: {} }, { rounds: 8, concurrency: 2 });
  assert.equal(loaded.candidates[0]?.prefill_tokens_per_s.mean, null);
});
