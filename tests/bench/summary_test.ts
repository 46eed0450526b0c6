import assert from "node:assert/strict";
import { verdictOf } from "../../lib/bench/compare_candidates.ts";
import { type CandidateSummary, type Summary, summarySchema } from "../../lib/bench/summary_schema.ts";
import { type FakeBehaviour, fakeSummary } from "./fakes.ts";

const row = (summary: Summary, id: string): CandidateSummary => {
  const found = summary.candidates.find((candidate) => candidate.id === id);
  assert.ok(found);
  return found;
};
const codes = (summary: Summary) => summary.warnings.map(({ code }) => code);
const near = (actual: number | null | undefined, expected: number) =>
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1e-6, `${actual} is not ${expected}`);

Deno.test("the known timings of a run come out as they went in", async () => {
  const summary = await fakeSummary({
    a: { ttftMs: 50, itlMs: 10, tokens: 8 },
    b: { ttftMs: 80, itlMs: 20, tokens: 8 },
  }, {
    rounds: 7,
  });
  summarySchema.parse(JSON.parse(JSON.stringify(summary)));
  assert.equal(summary.status, "completed");
  const a = row(summary, "a");
  assert.deepEqual([a.status, a.reason, a.requests], ["ok", null, { ok: 21, failed: 0 }]);
  near(a.ttft_s.mean, 0.05);
  assert.deepEqual([a.latency_s.n, a.latency_s.units, a.latency_s.p95], [21, 3, null], "three cases, no p95");
  near(a.tpot_s.p50, 0.01);
  near(a.decode_tokens_per_s.mean, 100);
  near(a.output_tokens_per_s.mean, 8 / 0.12);
  assert.equal(a.itl_s.n, 21 * 7, "every gap counts");
  assert.equal(a.latency_s.p99, null, "21 requests are too few for a p99");
  near(a.load_s, 0.4);
  assert.deepEqual([a.memory_mb, a.device, a.size_mb, a.license], [321, "cpu", 100, "Apache-2.0"]);
  assert.deepEqual(a.finish, { stop: 21, length: 0 });
  assert.deepEqual(a.tokens, { source: "usage", prompt_mean: 12, output_mean: 8, output_p95: 8 });
  assert.equal(a.sample_answer, "word".repeat(8));
  const latency = summary.comparisons.find(({ metric }) => metric === "latency_s");
  near(latency?.ratio, 120 / 220);
  assert.equal(latency?.n, 21);
});

Deno.test("a failing candidate stays in the table with its reason", async () => {
  const summary = await fakeSummary({
    good: {},
    gone: { broken: "no such file" },
    dying: { fails: (nth) => nth > 3 ? "HTTP 500" : null },
    dead: { fails: () => "HTTP 503" },
  });
  assert.deepEqual(
    summary.candidates.map(({ id, status }) => [id, status]),
    [["good", "ok"], ["gone", "failed"], ["dying", "partial"], ["dead", "failed"]],
  );
  assert.equal(row(summary, "gone").reason, "no such file");
  assert.match(row(summary, "dying").reason ?? "", /3 failures in a row.*HTTP 500/);
  assert.deepEqual(row(summary, "dying").requests, { ok: 2, failed: 3 });
  assert.equal(row(summary, "dead").latency_s.n, 0);
  assert.equal(row(summary, "dead").latency_s.mean, null);
  assert.equal(codes(summary).filter((code) => code === "failures").length, 3);
});

Deno.test("warnings name what qualifies the figures, with a remedy", async () => {
  const small = await fakeSummary({ a: {}, b: { tokens: 20 } });
  assert.ok(codes(small).includes("small-n"));
  assert.match(
    small.warnings.find(({ code }) => code === "small-n")?.remedy ?? "",
    /give --prompts with at least 20 cases/,
  );
  assert.ok(codes(small).includes("lengths-differ"));
  assert.ok(!codes(small).includes("noise"));
  assert.ok(
    codes(await fakeSummary({ a: {}, b: {} }, { order: "by model" })).includes("drift-not-controlled"),
  );
  assert.ok(codes(await fakeSummary({ a: {} }, { prefix: "warm" })).includes("warm-prefix"));
  for (const warning of small.warnings) {
    assert.ok(warning.remedy.length > 10 && !warning.message.includes("\n"));
  }
});

Deno.test("a run that mixes ways of calling llama.cpp says so, and why", async () => {
  const direct = { way: "direct", note: null } as const;
  const slow = { way: "node-llama-cpp", note: "an offset does not match" } as const;
  const mixed = await fakeSummary({ a: { llamaCpp: direct }, b: { llamaCpp: slow } });
  assert.deepEqual(mixed.candidates.map(({ llama_cpp }) => llama_cpp), [direct, slow]);
  const found = mixed.warnings.find(({ code }) => code === "engine-ways-differ");
  assert.match(found?.message ?? "", /directly for a, and through node-llama-cpp for b \(an offset/);
  const same = await fakeSummary({ a: { llamaCpp: direct }, b: { llamaCpp: direct }, c: {} });
  assert.ok(!codes(same).includes("engine-ways-differ"));
  assert.equal(row(same, "c").llama_cpp, null);
});

Deno.test("a chat template that had to be replaced is named in the warning", async () => {
  const note = "the chat template in a.gguf is not valid Jinja";
  const llamaCpp = { way: "direct", note: null, chat_template_note: note } as const;
  const { warnings } = await fakeSummary({ a: { llamaCpp }, b: {} });
  const found = warnings.filter(({ code }) => code === "plain-chat-template");
  assert.deepEqual(found.map(({ message, candidates }) => [message, candidates]), [[`a: ${note}`, ["a"]]]);
});

Deno.test("delivered load is checked, and a miss is said", async () => {
  // One answer takes 120 ms: a client can do 8 a second.
  const kept = await fakeSummary({ a: {} }, { rate: 20, concurrency: 4, rounds: 20 });
  near(row(kept, "a").load?.delivered_rate, 20);
  assert.equal(row(kept, "a").load?.asked_rate, 20);
  assert.ok(!codes(kept).includes("load-missed"));
  const missed = await fakeSummary({ a: {} }, { rate: 20, concurrency: 1, rounds: 20 });
  assert.ok((row(missed, "a").load?.delivered_rate ?? 20) < 9);
  const warning = missed.warnings.find(({ code }) => code === "load-missed");
  assert.match(
    warning?.message ?? "",
    /20 requests\/s were requested, 8\.\d+ delivered: its 1 client was busy/,
  );
  assert.ok((row(missed, "a").queue_s?.max ?? 0) > 1, "and the wait counts");
});

Deno.test("a closed loop reports its clients and its rate", async () => {
  const summary = await fakeSummary({ a: {} }, { concurrency: 3, rounds: 16 });
  const { load } = row(summary, "a");
  assert.equal(load?.max_in_flight, 3);
  assert.equal(load?.asked_rate, null);
  near(load?.completed_rate, 3 / 0.12);
});

Deno.test("under load the stretch is the unit, and slow drift makes no identical model better", async () => {
  const better: string[] = [];
  for (let seed = 1; seed <= 8; seed++) {
    // The machine slows down to a third over the run.
    const slowdown = (atMs: number) => 1 + atMs / 3000;
    const shape = { concurrency: 8, rounds: 32, seed };
    const { comparisons } = await fakeSummary({ a: { slowdown }, b: { slowdown } }, shape);
    const latency = comparisons.find(({ metric }) => metric === "latency_s");
    assert.equal(latency?.unit, "stretch");
    assert.equal(latency?.units, 6);
    if (latency?.verdict.endsWith("better")) better.push(`seed ${seed}: ${latency.ci95}`);
  }
  assert.ok(better.length <= 1, better.join("; "));
});

Deno.test("stretches that are too short for the clients are named, with the rounds that they take", async () => {
  const summary = await fakeSummary({ a: {}, b: {} }, { concurrency: 8, rounds: 6 });
  const found = summary.warnings.find(({ code }) => code === "short-stretches");
  assert.match(found?.message ?? "", /after 3 requests each: too few to keep 8 clients busy/);
  assert.match(found?.remedy ?? "", /--rounds 32/);
});

Deno.test("goodput counts what succeeded within the limits, per second in which something was asked", async () => {
  const slow: FakeBehaviour = { ttftMs: 700 };
  const slo = { ttft_s: 0.5, e2e_s: null };
  const summary = await fakeSummary({
    quick: {},
    slow,
    shaky: { fails: (nth) => nth === 4 ? "HTTP 500" : null },
  }, { slo });
  near(row(summary, "quick").goodput?.met, 1);
  near(row(summary, "quick").goodput?.requests_per_s, 1 / 0.12);
  near(row(summary, "slow").goodput?.requests_per_s, 0);
  near(row(summary, "shaky").goodput?.met, 5 / 6);
  assert.equal((await fakeSummary({ a: {} })).candidates[0]?.goodput, null);
});

Deno.test("a verdict needs a corrected p-value, and similar needs that no block lies far apart", () => {
  const told = (ci95: [number, number] | null, p: number | null, higherIsBetter = false, farApart = 0) =>
    verdictOf({ ci95, p, farApart, higherIsBetter });
  assert.equal(told(null, null), "undecided");
  assert.equal(told([0.95, 0.99], 0.01), "similar", "told apart, but within ten percent");
  assert.equal(told([0.95, 0.99], 0.2, false, 1), "undecided", "a tail");
  assert.equal(told([0.5, 0.8], 0.01), "a better");
  assert.equal(told([0.5, 0.8], 0.01, true), "b better");
  assert.equal(told([0.5, 0.8], 0.06), "undecided", "one of many comparisons");
});

const cases = (count: number) => ({
  name: "many",
  sha256: "0".repeat(64),
  prompts: Array.from({ length: count }, (_, at) => ({
    id: `case-${at}`,
    sha256: String(at).padStart(64, "0"),
    messages: [{ role: "user" as const, content: `Case ${at}` }],
  })),
});
const jitter = (seed: number) => (atMs: number) => 1 + 0.2 * Math.sin(seed * atMs);

Deno.test("the summary names its scope, and ranks come as intervals", async () => {
  const summary = await fakeSummary({
    quick: { slowdown: jitter(1) },
    twin: { slowdown: jitter(2) },
    slow: { ttftMs: 200, itlMs: 40, slowdown: jitter(3) },
  }, { prompt_set: cases(20) });
  assert.deepEqual(summary.scope, { claim: "cases like these", cases: 20, units: 20 });
  const ranks = summary.ranks.filter(({ metric }) => metric === "latency_s")
    .map(({ candidate, from, to }) => `${candidate} ${from}-${to}`);
  assert.deepEqual(ranks, ["quick 1-2", "twin 1-2", "slow 3-3"]);
  const one = await fakeSummary({ a: {}, b: {} }, { prompt_set: cases(1), rounds: 5 });
  assert.deepEqual(one.scope, { claim: "this case", cases: 1, units: 5 });
});

Deno.test("who fails more often is not called faster for what is left", async () => {
  // Its slow answers fail; what is left looks quick. Never three in a row, so it stays.
  const summary = await fakeSummary({
    steady: { slowdown: jitter(1) },
    shaky: { ttftMs: 20, slowdown: jitter(2), fails: (nth) => nth % 3 === 0 ? "time-out" : null },
  }, { prompt_set: cases(30) });
  const latency = summary.comparisons.find(({ metric }) => metric === "latency_s");
  assert.equal(latency?.verdict, "undecided");
  assert.match(
    latency?.why ?? "",
    /failure rates differ \(only steady failed in 0 blocks, only shaky in 20\)/,
  );
});

Deno.test("under load the stretch is the unit, and one stretch per model gives no verdict", async () => {
  const plan = { prompt_set: cases(10), rounds: 2, concurrency: 8 };
  const summary = await fakeSummary(
    { a: { slowdown: jitter(1) }, b: { itlMs: 40, slowdown: jitter(2) } },
    plan,
  );
  const latency = summary.comparisons.find(({ metric }) => metric === "latency_s");
  const stretches = latency?.units ?? 0;
  assert.deepEqual([latency?.unit, summary.scope.claim], ["stretch", "this load on these cases"]);
  assert.equal(latency?.verdict, stretches < 6 ? "undecided" : "a better");
  assert.equal(codes(summary).includes("few-stretches"), stretches < 6);
});

Deno.test("a candidate that never settled down, and times that drift, are told with their figures", async () => {
  const slower = await fakeSummary({ a: { slowdown: (atMs) => 1 + atMs / 20_000 }, b: {} }, {
    rounds: 8,
    warmup: 2,
  });
  const drift = row(slower, "a").drift;
  assert.ok((drift?.ratio ?? 0) > 1.15 && (drift?.ci95[0] ?? 0) > 1.1, JSON.stringify(drift));
  const found = slower.warnings.filter(({ code }) => code === "drift-seen");
  assert.deepEqual(found.map(({ candidates }) => candidates), [["a"]]);
  assert.match(
    found[0]?.message ?? "",
    /a: its last requests took 1\.\d\d times as long per token as its first/,
  );
  assert.deepEqual(row(slower, "b").warmup, { n: 2, stable: true });
  const restless = await fakeSummary({ a: { slowdown: (atMs) => (atMs / 1000) ** 2 } }, {
    rounds: 1,
    warmup: 3,
  });
  assert.deepEqual(row(restless, "a").warmup, { n: 3, stable: false });
  const told = restless.warnings.find(({ code }) => code === "not-stable");
  assert.match(
    told?.message ?? "",
    /a was not stable after 3 warm-up requests: the last took \d\.\d\d times/,
  );
  assert.match(told?.remedy ?? "", /--warmup 6/);
});

Deno.test("a summary that lacks what later versions of Podium added is read, with nothing known of it", async () => {
  const summary = await fakeSummary({ a: {} });
  const candidates = summary.candidates.map((
    { sustained: _, by_length: __, prefill_tokens_per_s: ___, ...old },
  ) => old);
  const [read] = summarySchema.parse({ ...summary, candidates }).candidates;
  assert.deepEqual([read?.sustained, read?.by_length, read?.prefill_tokens_per_s.n], [null, [], 0]);
});
