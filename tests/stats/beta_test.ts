/** The Beta distribution's quantiles against scipy.stats.beta.ppf, and its draws against its moments. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { betaQuantile, drawBeta } from "../../lib/stats/beta.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { regularizedBeta } from "../../lib/stats/special.ts";

Deno.test("quantiles are those of scipy", () => {
  // scipy.stats.beta.ppf(p, a, b)
  const golden: readonly (readonly [number, number, number, number])[] = [
    [0.025, 1, 1, 0.025],
    [0.025, 2, 1, 0.158113883008],
    [0.975, 2, 1, 0.987420882907],
    [0.025, 8, 4, 0.390257440428],
    [0.975, 8, 4, 0.890736556181],
    [0.5, 3.5, 1.2, 0.781034041842],
    [0.025, 101, 1, 0.96413537961],
    [0.975, 1, 101, 0.03586462039],
    [0.025, 900, 150, 0.835354728528],
    [0.975, 900, 150, 0.877642640623],
    [0.975, 12.5, 1.0, 0.99797662515],
  ];
  for (const [p, a, b, x] of golden) {
    assert.ok(Math.abs(betaQuantile(p, a, b) - x) < 1e-9, `${p} ${a} ${b}: ${betaQuantile(p, a, b)} ${x}`);
  }
});

Deno.test("a quantile undoes the distribution function", () => {
  const shape = fc.double({ min: 1, max: 1e5, noNaN: true });
  fc.assert(fc.property(fc.double({ min: 0.001, max: 0.999, noNaN: true }), shape, shape, (p, a, b) => {
    assert.ok(Math.abs(regularizedBeta(betaQuantile(p, a, b), a, b) - p) < 1e-8);
  }));
});

Deno.test("draws have the mean and variance of the distribution", () => {
  for (const [a, b] of [[1, 1], [2, 8], [60, 20]] as const) {
    const random = seededRandom(`beta/${a}/${b}`);
    const draws = Array.from({ length: 20_000 }, () => drawBeta(a, b, random));
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    const truth = a * b / ((a + b) ** 2 * (a + b + 1));
    assert.ok(Math.abs(mean - a / (a + b)) < 4 * Math.sqrt(truth / draws.length));
    assert.ok(Math.abs(variance / truth - 1) < 0.05);
  }
});

Deno.test("what no Beta distribution has is refused", () => {
  assert.throws(() => betaQuantile(0.5, 0, 1), RangeError);
  assert.throws(() => betaQuantile(1.5, 1, 1), RangeError);
  assert.throws(() => drawBeta(0.5, 1, () => 0.5), RangeError);
});
