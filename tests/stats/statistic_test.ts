// Golden values: numpy 2.4.6 and scipy 1.17.1 over WAVE, `st.t.interval(.95, 199, x.mean(), st.sem(x))`; grouped:
// g = i % 12, x + g, se = sqrt(12/11 * sum((sum over group of (x - mean))**2)) / 200, t with 11 degrees of freedom.
import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { summarize } from "../../lib/stats/statistic.ts";
import { off, WAVE } from "./fixtures.ts";

Deno.test("a summary is what numpy and scipy say", () => {
  const s = summarize(WAVE);
  assert.equal(s.n, 200);
  assert.ok(off(s.mean, 5.5681) < 1e-12);
  assert.ok(off(s.sd, 2.9363953203523083) < 1e-12);
  assert.deepEqual([s.min, s.max], [0.5, 10.55]);
  assert.ok(off(s.p50, 5.57) < 1e-12 && off(s.p95, 10.102) < 1e-12 && off(s.p99, 10.4704) < 1e-12);
  assert.ok(off(s.mean_ci95?.[0] ?? null, 5.158653780380778) < 1e-10);
  assert.ok(off(s.mean_ci95?.[1] ?? null, 5.977546219619221) < 1e-10);
  const ranked = [...WAVE].sort((a, b) => a - b);
  assert.deepEqual(s.p95_ci95, [ranked[183], ranked[196]]);
});

Deno.test("with groups the interval of the mean is that of a cluster sample", () => {
  const s = summarize(WAVE.map((x, i) => x + i % 12), { groups: WAVE.map((_, i) => `p${i % 12}`) });
  assert.ok(off(s.mean, 10.9881) < 1e-12);
  assert.ok(off(s.mean_ci95?.[0] ?? null, 8.682743509520638) < 1e-10);
  assert.ok(off(s.mean_ci95?.[1] ?? null, 13.293456490479361) < 1e-10);
  assert.equal(s.p95_ci95, null);
});

Deno.test("figures that a small sample cannot carry are null", () => {
  const of = (n: number) => summarize(WAVE.slice(0, n));
  const none = {
    n: 0,
    units: 0,
    mean: null,
    sd: null,
    min: null,
    p50: null,
    p95: null,
    p99: null,
    max: null,
  };
  assert.deepEqual(of(0), { ...none, mean_ci95: null, p95_ci95: null });
  const one = of(1);
  assert.deepEqual([one.n, one.mean, one.sd, one.p50, one.mean_ci95], [1, 0.5, null, 0.5, null]);
  assert.ok(of(2).mean_ci95 !== null);
  assert.ok(of(19).p95 === null && of(20).p95 !== null && of(20).p95_ci95 === null);
  assert.ok(of(58).p95_ci95 === null && of(59).p95_ci95 !== null);
  assert.ok(of(99).p99 === null && of(100).p99 !== null);
});

Deno.test("repeating every value adds requests, not evidence", () => {
  const prompts = WAVE.slice(0, 12);
  const repeats = [...prompts, ...prompts, ...prompts, ...prompts, ...prompts];
  const groups = repeats.map((_, i) => i % 12);
  const single = summarize(prompts).mean_ci95 ?? [0, 0];
  const grouped = summarize(repeats, { groups }).mean_ci95 ?? [0, 0];
  const naive = summarize(repeats).mean_ci95 ?? [0, 0];
  assert.ok(Math.abs(grouped[0] - single[0]) < 1e-9 && Math.abs(grouped[1] - single[1]) < 1e-9);
  assert.ok(naive[1] - naive[0] < 0.5 * (grouped[1] - grouped[0]));
});

Deno.test("groups of one value change nothing", () => {
  const plain = summarize(WAVE);
  const grouped = summarize(WAVE, { groups: WAVE.map((_, i) => i) });
  assert.deepEqual({ ...grouped, mean_ci95: null }, { ...plain, mean_ci95: null });
  assert.ok(off(grouped.mean_ci95?.[0] ?? null, plain.mean_ci95?.[0] ?? 0) < 1e-12);
});

Deno.test("no spread and a single group give no interval: neither is certainty", () => {
  assert.equal(summarize([0.1, 0.1, 0.1]).mean_ci95, null);
  assert.equal(summarize([0.1, 0.1, 0.1]).mean, 0.1);
  assert.equal(summarize([1, 2, 1, 2], { groups: ["a", "a", "b", "b"] }).mean_ci95, null);
  assert.equal(summarize(WAVE, { groups: WAVE.map(() => "p1") }).mean_ci95, null);
  assert.equal(summarize(WAVE, { groups: WAVE.map(() => "p1") }).p95_ci95, null);
});

Deno.test("a time's interval never reaches below zero, and equal values get none at all", () => {
  const skewed = summarize([0.1, 0.1, 0.2, 9]);
  assert.ok(skewed.mean_ci95 !== null && skewed.mean_ci95[0] > 0 && skewed.mean_ci95[0] < 1);
  const same = summarize(Array(80).fill(0.1));
  assert.deepEqual([same.p95, same.p95_ci95, same.mean_ci95], [0.1, null, null]);
});

Deno.test("grouped intervals cover as they say where naive ones do not", () => {
  const random = seededRandom(23);
  const normal = () => standardNormal(random);
  const groups = Array.from({ length: 300 }, (_, i) => i % 60);
  const p95 = 1.6448536269514722 * Math.sqrt(0.25 + 0.09);
  const hits = { mean: 0, p95: 0, naiveMean: 0, naiveP95: 0 };
  const covers = (limits: readonly [number, number] | null, truth: number) =>
    limits !== null && limits[0] <= truth && truth <= limits[1] ? 1 : 0;
  for (let i = 0; i < 500; i++) {
    const levels = Array.from({ length: 60 }, () => 0.5 * normal());
    const values = groups.map((group) => (levels[group] ?? 0) + 0.3 * normal());
    const grouped = summarize(values, { groups });
    const naive = summarize(values);
    hits.mean += covers(grouped.mean_ci95, 0);
    hits.p95 += covers(grouped.p95_ci95, p95);
    hits.naiveMean += covers(naive.mean_ci95, 0);
    hits.naiveP95 += covers(naive.p95_ci95, p95);
  }
  assert.ok(hits.mean >= 460 && hits.p95 >= 460, JSON.stringify(hits));
  assert.ok(hits.naiveMean < 400 && hits.naiveP95 < 420, JSON.stringify(hits));
});

Deno.test("order of the values and of the groups does not matter; scaling scales", () => {
  const value = fc.double({ min: 0.001, max: 1000, noNaN: true });
  const samples = fc.array(fc.tuple(value, fc.integer({ min: 0, max: 5 })), { minLength: 1, maxLength: 120 });
  fc.assert(fc.property(samples, (pairs) => {
    const of = (list: typeof pairs, scale = 1) =>
      summarize(list.map(([x]) => x * scale), { groups: list.map(([, group]) => group) });
    const a = of(pairs);
    const b = of([...pairs].reverse());
    const c = of(pairs, 2);
    const limits = (
      s: typeof a,
    ) => [s.mean, s.sd, s.p50, s.p95, s.p99, ...s.mean_ci95 ?? [], ...s.p95_ci95 ?? []];
    const [la, lb, lc] = [limits(a), limits(b), limits(c)];
    assert.equal(la.length, lb.length);
    la.forEach((x, i) => {
      if (x === null) return assert.equal(lb[i], null);
      assert.ok(Math.abs((lb[i] ?? 0) - x) <= 1e-6 * Math.max(1, Math.abs(x)));
      assert.ok(Math.abs((lc[i] ?? 0) - 2 * x) <= 1e-6 * Math.max(1, Math.abs(x)));
    });
    if (a.mean !== null && a.min !== null && a.max !== null) assert.ok(a.min <= a.mean && a.mean <= a.max);
  }));
});

Deno.test("typed arrays of a million gaps are summarised as plain ones are, and left alone", () => {
  const random = seededRandom(2);
  const gaps = Float64Array.from({ length: 1_000_000 }, () => -Math.log(1 - random()));
  const [first] = gaps;
  const requests = Uint32Array.from(gaps, (_, i) => Math.floor(i / 100));
  const s = summarize(gaps, { groups: requests });
  assert.equal(gaps[0], first);
  assert.ok(s.n === 1_000_000 && off(s.mean, 1) < 0.01 && off(s.p99, -Math.log(0.01)) < 0.02);
  assert.ok(s.p95_ci95 !== null && s.p95_ci95[0] < -Math.log(0.05) && -Math.log(0.05) < s.p95_ci95[1]);
  assert.ok(off(summarize(Float32Array.from(gaps)).p95, s.p95 ?? 0) < 1e-6);
});

Deno.test("labels that do not match, and values that are no numbers, are refused", () => {
  assert.throws(() => summarize([1, 2], { groups: ["a"] }), /2 values by 1 label/);
  assert.throws(() => summarize([1, Infinity]), /Infinity/);
});
