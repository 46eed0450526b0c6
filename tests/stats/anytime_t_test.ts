// Golden values: the mixture of scale-invariant likelihood ratios over a normal prior, integrated numerically over
// both parameters (Gauss-Legendre, 400 × 400 nodes, numpy), and brentq for where it reaches 1/error.
import assert from "node:assert/strict";
import fc from "fast-check";
import { addValue, anytimeTInterval, NO_MOMENTS } from "../../lib/stats/anytime_t.ts";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { studentTQuantile } from "../../lib/stats/t.ts";

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

/** Share of sequences in which the interval missed the true mean 0 at any of the first 200 values. */
function missed(
  draw: () => number,
  interval: (m: ReturnType<typeof moments>) => readonly [number, number] | null,
) {
  let missed = 0;
  for (let i = 0; i < 1000; i++) {
    let m = NO_MOMENTS;
    for (let n = 0; n < 200; n++) {
      m = addValue(m, draw());
      const limits = interval(m);
      if (limits === null || (limits[0] <= 0 && 0 <= limits[1])) continue;
      missed++;
      break;
    }
  }
  return missed / 1000;
}

Deno.test("over 200 looks it misses in at most 5 %; an ordinary t interval in far more", () => {
  const random = seededRandom(41);
  const normal = () => standardNormal(random);
  const t95 = Array.from({ length: 201 }, (_, n) => n < 2 ? Infinity : studentTQuantile(0.975, n - 1));
  const naive = ({ n, mean, squares }: ReturnType<typeof moments>): [number, number] | null => {
    if (n < 5) return null;
    const half = (t95[n] ?? 0) * Math.sqrt(squares / (n - 1) / n);
    return [mean - half, mean + half];
  };
  assert.ok(missed(normal, (m) => anytimeTInterval(m, 0.05)) <= 0.05);
  assert.ok(missed(normal, naive) > 0.25);
  // Differences of two log latencies, each slowed threefold now and then: symmetric, with heavy tails.
  const stall = () => random() < 0.05 ? Math.log(3) : 0;
  assert.ok(missed(() => 0.14 * normal() + stall() - stall(), (m) => anytimeTInterval(m, 0.05)) <= 0.05);
});

Deno.test("errors and priors out of range are refused", () => {
  assert.throws(() => anytimeTInterval(NO_MOMENTS, 0), /error 0/);
  assert.throws(() => anytimeTInterval(NO_MOMENTS, 0.05, -1), /c² = -1/);
});
