/** Imagined short benchmarks: their means, percentiles and winners against what theory says. */
import assert from "node:assert/strict";
import { lowestShares, p95Of, shortBenchmarks } from "../../lib/stats/few_rounds.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const draw = (values: number[], rounds: number, draws = 20_000) =>
  shortBenchmarks(values, { rounds, draws, random: seededRandom(7) });
const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: Float64Array) => {
  const centre = mean(values);
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / values.length;
};

Deno.test("means of k draws have the values' mean and a k-th of their variance", () => {
  const values = [1, 2, 3, 4, 10]; // mean 4, variance 10
  for (const rounds of [1, 3, 20]) {
    const means = draw(values, rounds);
    assert.ok(Math.abs(mean(means) - 4) < 0.08, `mean ${mean(means)}`);
    assert.ok(Math.abs(variance(means) * rounds - 10) < 0.5, `variance ${variance(means)}`);
  }
});

Deno.test("the p95 of three rounds stays below their maximum", () => {
  const p95 = shortBenchmarks([1, 2, 3], { rounds: 3, draws: 500, random: seededRandom(1), digest: p95Of });
  assert.ok(p95.every((value) => value >= 1 && value <= 3));
});

Deno.test("two identical models win half of the three-round benchmarks each", () => {
  const values = [1, 1.1, 1.3, 2];
  const random = seededRandom(3);
  const options = { rounds: 3, draws: 20_000, random };
  const shares = lowestShares([shortBenchmarks(values, options), shortBenchmarks(values, options)]);
  assert.ok(Math.abs((shares[0] ?? 0) - 0.5) < 0.02, `${shares}`);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
});

Deno.test("nothing to draw from, and counts that are none, are refused with the value", () => {
  assert.throws(() => draw([], 3), /no values to draw from/);
  assert.throws(() => draw([1], 0), /rounds is 0, give a whole number from 1/);
  assert.throws(() => draw([1], 3, 1.5), /draws is 1.5/);
});
