/** The samples' field names, derived from a run whose every time is known. */
import assert from "node:assert/strict";
import { benchmarkRows, p95WithNote, workshopMarkdown } from "../../lib/report/workshop_fields.ts";
import { type FakeBehaviour, fakeRun, plan, summarized } from "../bench/fakes.ts";

async function rowsOf(behaviours: Record<string, FakeBehaviour>, stream: boolean) {
  const names = Object.keys(behaviours);
  const prompt_set = { ...plan().prompt_set, prompts: plan().prompt_set.prompts.slice(0, 1) };
  const { summary, run } = await summarized(fakeRun(behaviours, { rounds: 3, prompt_set }));
  const disturbed = new Set(run.disturbed.keys());
  return benchmarkRows(summary, run.candidates, { names, disturbed, stream });
}

const near = (value: number | null | undefined, expected: number) =>
  assert.ok(Math.abs((value ?? NaN) - expected) < 1e-9, `${value} instead of ${expected}`);

Deno.test("p95 of few values is numpy's, with a note; of twenty it stands alone", () => {
  assert.deepEqual(p95WithNote([]), { value: null, note: null });
  near(p95WithNote([1, 2, 3]).value, 2.9);
  assert.match(p95WithNote([1, 2, 3]).note ?? "", /3 values: it can't exceed the largest/);
  const twenty = Array.from({ length: 20 }, (_, i) => i + 1);
  near(p95WithNote(twenty).value, 19.05);
  assert.equal(p95WithNote(twenty).note, null);
});

Deno.test("figures are the truth: generated tokens alone, the first token of the timed request", async () => {
  // 50 ms to the first of 8 tokens, 10 ms between them, and 12 prompt tokens that must not count.
  const [row] = await rowsOf({ "phi-4-mini": { ttftMs: 50, itlMs: 10, tokens: 8 } }, true);
  assert.equal(row?.alias, "phi-4-mini");
  near(row.latency_avg, 0.12);
  near(row.latency_p95, 0.12);
  near(row.tokens_per_sec_avg, 8 / 0.12);
  near(row.first_token_latency_avg, 0.05);
  assert.deepEqual([row.rounds, row.rounds_ok, row.token_source, row.prefix], [3, 3, "usage", "cold"]);
});

Deno.test("the first token is printed only when it is asked for, as in the sample", async () => {
  const [row] = await rowsOf({ a: {} }, false);
  assert.ok(row !== undefined && !("first_token_latency_avg" in row));
});

Deno.test("a model that fails keeps its row, with its reason and without figures", async () => {
  const rows = await rowsOf({ good: {}, bad: { fails: () => "HTTP 500: out of memory" } }, true);
  const bad = rows[1];
  assert.equal(bad?.alias, "bad");
  assert.notEqual(bad.status, "ok");
  assert.match(bad.reason ?? "", /out of memory/);
  assert.deepEqual([bad.latency_avg, bad.latency_p95, bad.tokens_per_sec_avg, bad.rounds_ok], [
    null,
    null,
    null,
    0,
  ]);
});

Deno.test("the Markdown table has the sample's columns, a row a model, and its notes", async () => {
  const text = workshopMarkdown(await rowsOf({ "a|b": {}, bad: { fails: () => "HTTP 500" } }, true));
  const lines = text.split("\n");
  assert.equal(lines[0], "|Model|Avg Latency (s)|p95 (s)|Tokens/sec|Rounds|First Token (s)|");
  assert.equal(lines[2], "|a\\|b|0.12|0.12|66.7|3|0.05|");
  assert.equal(lines[3], "|bad|-|-|-|3|-|");
  assert.match(text, /- bad: .*HTTP 500/);
  assert.match(text, /- a\|b: p95: numpy's/);
});
