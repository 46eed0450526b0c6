import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeTokensPerS,
  gapsMs,
  latencyS,
  metricNames,
  metrics,
  outputCharsPerS,
  outputTokensPerS,
  prefillTokensPerS,
  queueS,
  requestMetrics,
  tpotS,
  ttfoS,
  ttftS,
} from "../../lib/bench/metrics.ts";
import { summarySchema } from "../../lib/bench/summary_schema.ts";
import { outputTokens } from "../../lib/endpoint/tokens.ts";
import { reportCsv } from "../../lib/report/report_csv.ts";
import { fakeSummary } from "./fakes.ts";

const record = {
  streamed: true,
  chunk_ms: [100, 110, 330, 340],
  first_content_chunk: 1,
  output_tokens: 4,
  content_chars: 10,
  reasoning_chars: 7,
  reasoning_tokens: null as number | null,
  prompt_tokens: 50 as number | null,
  cached_tokens: null as number | null,
  prefix: "cold" as const,
  due_ms: 1000,
  sent_ms: 1020,
};

Deno.test("each metric is its formula", () => {
  assert.equal(ttftS(record), 0.1);
  assert.equal(ttfoS(record), 0.11);
  assert.equal(latencyS(record), 0.34);
  assert.equal(tpotS(record), 0.08);
  assert.equal(decodeTokensPerS(record), 12.5);
  assert.equal(outputTokensPerS(record), 4 / 0.34);
  assert.equal(outputCharsPerS(record), 17 / 0.34);
  assert.equal(prefillTokensPerS(record), 50 / 0.08, "from sent to the first token");
  assert.equal(prefillTokensPerS({ ...record, cached_tokens: 10 }), 40 / 0.08, "without cached tokens");
  assert.equal(queueS(record), 0.02);
  assert.deepEqual(gapsMs(record), [10, 220, 10], "a stall is a gap of its own");
});

Deno.test("a missing input gives null, never zero or a guess", () => {
  const whole = { ...record, streamed: false, chunk_ms: [340], first_content_chunk: 0 };
  assert.equal(ttftS(whole), null);
  assert.equal(ttfoS(whole), null);
  assert.equal(tpotS(whole), null);
  assert.equal(decodeTokensPerS(whole), null);
  assert.equal(latencyS(whole), 0.34);
  assert.deepEqual(gapsMs(whole), []);
  const empty = { ...record, chunk_ms: [], first_content_chunk: null, output_tokens: 0 };
  for (const name of requestMetrics) assert.equal(metrics[name].of(empty), null);
  assert.equal(ttfoS({ ...record, first_content_chunk: null }), null, "it only reasoned");
  assert.equal(tpotS({ ...record, output_tokens: 1 }), null);
  assert.equal(prefillTokensPerS({ ...record, prompt_tokens: null }), null);
  assert.equal(
    prefillTokensPerS({ ...record, prefix: "warm" as const }),
    null,
    "most of a warm prompt is not read",
  );
});

Deno.test("tokens that were generated unseen give no time per token", () => {
  const hidden = { ...record, reasoning_chars: 0, reasoning_tokens: 90, output_tokens: 94 };
  assert.equal(tpotS(hidden), null);
  assert.equal(decodeTokensPerS(hidden), null);
  assert.equal(latencyS(hidden), 0.34);
  assert.equal(tpotS({ ...hidden, reasoning_chars: 7, output_tokens: 4 }), 0.08, "it was streamed");
  assert.equal(tpotS({ ...hidden, reasoning_tokens: 0, output_tokens: 4 }), 0.08, "there was none");
});

Deno.test("the gaps add up to the time from first to last, and no metric is negative", () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 50 }).map((times) =>
    times.toSorted((a, b) => a - b)
  );
  fc.assert(fc.property(arrivals, fc.nat(200), (chunk_ms, output_tokens) => {
    const seen = { ...record, chunk_ms, output_tokens, first_content_chunk: 0 };
    const span = (chunk_ms.at(-1) ?? 0) - (chunk_ms[0] ?? 0);
    assert.equal(gapsMs(seen).reduce((sum, gap) => sum + gap, 0), span);
    for (const name of requestMetrics) assert.ok((metrics[name].of(seen) ?? 0) >= 0);
    const tpot = tpotS(seen);
    if (tpot !== null) assert.ok(Math.abs(tpot * (output_tokens - 1) - span / 1000) < 1e-9);
  }));
});

Deno.test("token counts come from usage, then the server's timings, then chunks, then characters", () => {
  const chunk = { atMs: 0, contentChars: 3, reasoningChars: 0 };
  const base = {
    usage: null,
    server: null,
    streamed: true,
    chunks: [chunk, chunk],
    content: "abcdef",
    reasoning: "",
  };
  const usage = { promptTokens: 1, outputTokens: 9, cachedTokens: null, reasoningTokens: null };
  const server = { promptMs: null, decodeMs: null, promptTokens: null, outputTokens: 8, cachedTokens: null };
  assert.deepEqual(outputTokens({ ...base, usage, server }), { tokens: 9, source: "usage" });
  assert.deepEqual(outputTokens({ ...base, server }), { tokens: 8, source: "usage" });
  assert.deepEqual(outputTokens(base), { tokens: 2, source: "chunks" });
  assert.deepEqual(outputTokens({ ...base, streamed: false }), { tokens: 2, source: "chars/4" });
});

Deno.test("every metric reaches summary.json and report.csv, with a value per request", async () => {
  const summary = summarySchema.parse(await fakeSummary({ a: {} }, { rounds: 4 }));
  const [one] = summary.candidates;
  const [header = ""] = reportCsv(summary).split("\n");
  for (const name of metricNames) {
    assert.ok(one !== undefined && one[name].mean !== null, name);
    assert.ok(one[name].n >= one.requests.ok, name);
    assert.ok(header.split(",").includes(`${name}_mean`), name);
  }
});
