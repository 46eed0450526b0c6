import assert from "node:assert/strict";
import fc from "fast-check";
import { gapsMs, metricOf, prefillTokensPerS, queueS } from "../../lib/bench/metrics.ts";
import { outputTokens } from "../../lib/endpoint/tokens.ts";

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
  assert.equal(metricOf.ttft_s(record), 0.1);
  assert.equal(metricOf.ttfo_s(record), 0.11);
  assert.equal(metricOf.latency_s(record), 0.34);
  assert.equal(metricOf.tpot_s(record), 0.08);
  assert.equal(metricOf.decode_tokens_per_s(record), 12.5);
  assert.equal(metricOf.output_tokens_per_s(record), 4 / 0.34);
  assert.equal(metricOf.output_chars_per_s(record), 17 / 0.34);
  assert.equal(prefillTokensPerS(record), 50 / 0.08, "from sent to the first token");
  assert.equal(prefillTokensPerS({ ...record, cached_tokens: 10 }), 40 / 0.08, "without cached tokens");
  assert.equal(queueS(record), 0.02);
  assert.deepEqual(gapsMs(record), [10, 220, 10], "a stall is a gap of its own");
});

Deno.test("a missing input gives null, never zero or a guess", () => {
  const whole = { ...record, streamed: false, chunk_ms: [340], first_content_chunk: 0 };
  assert.equal(metricOf.ttft_s(whole), null);
  assert.equal(metricOf.ttfo_s(whole), null);
  assert.equal(metricOf.tpot_s(whole), null);
  assert.equal(metricOf.decode_tokens_per_s(whole), null);
  assert.equal(metricOf.latency_s(whole), 0.34);
  assert.deepEqual(gapsMs(whole), []);
  const empty = { ...record, chunk_ms: [], first_content_chunk: null, output_tokens: 0 };
  for (const metric of Object.values(metricOf)) assert.equal(metric(empty), null);
  assert.equal(metricOf.ttfo_s({ ...record, first_content_chunk: null }), null, "it only reasoned");
  assert.equal(metricOf.tpot_s({ ...record, output_tokens: 1 }), null);
  assert.equal(prefillTokensPerS({ ...record, prompt_tokens: null }), null);
  assert.equal(
    prefillTokensPerS({ ...record, prefix: "warm" as const }),
    null,
    "most of a warm prompt is not read",
  );
});

Deno.test("tokens that were generated unseen give no time per token", () => {
  const hidden = { ...record, reasoning_chars: 0, reasoning_tokens: 90, output_tokens: 94 };
  assert.equal(metricOf.tpot_s(hidden), null);
  assert.equal(metricOf.decode_tokens_per_s(hidden), null);
  assert.equal(metricOf.latency_s(hidden), 0.34);
  assert.equal(metricOf.tpot_s({ ...hidden, reasoning_chars: 7, output_tokens: 4 }), 0.08, "it was streamed");
  assert.equal(metricOf.tpot_s({ ...hidden, reasoning_tokens: 0, output_tokens: 4 }), 0.08, "there was none");
});

Deno.test("the gaps add up to the time from first to last, and no metric is negative", () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 50 }).map((times) =>
    times.toSorted((a, b) => a - b)
  );
  fc.assert(fc.property(arrivals, fc.nat(200), (chunk_ms, output_tokens) => {
    const seen = { ...record, chunk_ms, output_tokens, first_content_chunk: 0 };
    const span = (chunk_ms.at(-1) ?? 0) - (chunk_ms[0] ?? 0);
    assert.equal(gapsMs(seen).reduce((sum, gap) => sum + gap, 0), span);
    for (const metric of Object.values(metricOf)) assert.ok((metric(seen) ?? 0) >= 0);
    const tpot = metricOf.tpot_s(seen);
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
