// Golden values: the mixture of scale-invariant likelihood ratios over a normal prior, integrated numerically over
// both parameters (Gauss-Legendre, 400 × 400 nodes, numpy), and brentq for where it reaches 1/error.
import assert from "node:assert/strict";
import fc from "fast-check";
import { addValue, anytimeTInterval, NO_MOMENTS } from "../../lib/stats/anytime_t.ts";

const moments = (values: readonly number[]) => values.reduce(addValue, NO_MOMENTS);

Deno.test("the limits are where the mixture e-value, integrated numerically, reaches 1/error", () => {
  const x = [0.1, 0.12, 0.08, 0.11, 0.09, 0.1, 0.13, 0.07];
  const y = Array.from({ length: 15 }, (_, i) => (i * 37 % 23) / 10 - 1);
  const golden = [
    { of: x, error: 0.05, c2: 1, low: 0.06994164387945145, high: 0.1300583561205485 },
    { of: y, error: 0.01, c2: 1, low: -0.7386438472810619, high: 0.8586438472810628 },
    { of: y, error: 0.05, c2: 0.25, low: -0.607771902555403, high: 0.7277719025554034 },
  ];
  for (const { of, error, c2, low, high } of golden) {
    const limits = anytimeTInterval(moments(of), error, c2) ?? [0, 0];
    assert.ok(Math.abs(limits[0] - low) < 1e-12 && Math.abs(limits[1] - high) < 1e-12);
  }
});

Deno.test("too few values and no spread give no interval", () => {
  for (const values of [[], [1], [1, 2], [1, 2, 3], Array(50).fill(0.1)]) {
    assert.equal(anytimeTInterval(moments(values), 0.05), null);
  }
});

Deno.test("moments are those of the values; the interval shifts, scales and narrows as it should", () => {
  const value = fc.double({ min: -100, max: 100, noNaN: true });
  fc.assert(fc.property(fc.array(value, { minLength: 8, maxLength: 60 }), value, (xs, shift) => {
    const m = moments(xs);
    const mean = xs.reduce((a, b) => a + b, 0) / xs.length;
    assert.ok(Math.abs(m.mean - mean) < 1e-9);
    assert.ok(Math.abs(m.squares - xs.reduce((sum, x) => sum + (x - mean) ** 2, 0)) < 1e-6);
    if (m.squares < 1e-3) return;
    const [low, high] = anytimeTInterval(m, 0.05) ?? [0, 0];
    const [low2, high2] = anytimeTInterval(moments(xs.map((x) => 2 * x + shift)), 0.05) ?? [0, 0];
    assert.ok(Math.abs(low2 - 2 * low - shift) < 1e-6 && Math.abs(high2 - 2 * high - shift) < 1e-6);
    const [wide] = anytimeTInterval(m, 0.01) ?? [-Infinity];
    assert.ok(wide < low);
  }));
});

Deno.test("errors and priors out of range are refused", () => {
  assert.throws(() => anytimeTInterval(NO_MOMENTS, 0), /error 0/);
  assert.throws(() => anytimeTInterval(NO_MOMENTS, 0.05, -1), /c² = -1/);
});
