// Golden values: numpy 2.4.6 `np.quantile(x, p)`; ranks by enumerating `scipy.stats.binom` over the stated rule.
import assert from "node:assert/strict";
import fc from "fast-check";
import { quantile, quantileInterval, quantileSorted, sorted } from "../../lib/stats/quantile.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { off, WAVE } from "./fixtures.ts";

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

Deno.test("quantiles are numpy's", () => {
  const golden = [[0, 0.5], [0.05, 0.998], [0.5, 5.57], [0.9, 9.564], [0.95, 10.102], [0.99, 10.4704], [
    1,
    10.55,
  ]];
  for (const [p = 0, value = 0] of golden) assert.ok(off(quantile(WAVE, p), value) < 1e-12, `p ${p}`);
  assert.ok(off(quantile(upTo(10), 0.95), 9.55) < 1e-12);
  assert.equal(quantile([3], 0.95), 3);
});

Deno.test("a quantile never passes the largest value, and leaves its input alone", () => {
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 });
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1 }), fc.double({ min: 0, max: 1, noNaN: true }), (xs, p) => {
      const before = [...xs];
      const q = quantile(xs, p);
      assert.deepEqual(xs, before);
      assert.ok(q >= Math.min(...xs) && q <= Math.max(...xs));
      assert.equal(q, quantileSorted([...xs].sort((a, b) => a - b), p));
    }),
  );
});

Deno.test("the ranks of an interval are those that the binomial distribution gives", () => {
  const golden: [n: number, p: number, ranks: [number, number] | null][] = [
    [5, 0.5, null],
    [6, 0.5, [1, 6]],
    [10, 0.5, [2, 9]],
    [58, 0.95, null],
    [59, 0.95, [50, 59]],
    [71, 0.95, [63, 71]],
    [72, 0.95, [64, 72]],
    [100, 0.95, [90, 100]],
    [200, 0.95, [184, 197]],
    [1000, 0.95, [936, 964]],
    [298, 0.99, null],
    [299, 0.99, [289, 299]],
    [1000, 0.99, [983, 997]],
    [58, 0.05, null],
    [59, 0.05, [1, 10]],
    [200_000, 0.95, [189_809, 190_192]],
  ];
  for (const [n, p, ranks] of golden) assert.deepEqual(quantileInterval(upTo(n), p), ranks, `n ${n}, p ${p}`);
  assert.equal(quantileInterval([], 0.5), null);
});

Deno.test("the interval covers at least as often as it says, for skewed and tied values", () => {
  const random = seededRandom(11);
  const draws = {
    exponential: { draw: () => -Math.log(1 - random()), truth: -Math.log(0.05) },
    tied: { draw: () => Math.floor(random() * 4), truth: 3 },
  };
  for (const { draw, truth } of Object.values(draws)) {
    let hits = 0;
    for (let i = 0; i < 2000; i++) {
      const limits = quantileInterval(sorted(Array.from({ length: 80 }, draw)), 0.95);
      if (limits !== null && limits[0] <= truth && truth <= limits[1]) hits++;
    }
    assert.ok(hits >= 1900 - 3 * Math.sqrt(2000 * 0.95 * 0.05), `${hits} of 2000`);
  }
});

Deno.test("what cannot be ranked is refused", () => {
  assert.throws(() => quantile([], 0.5), /no values/);
  assert.throws(() => quantile([1, Number.NaN], 0.5), /NaN/);
  assert.throws(() => sorted([1, -Infinity]), /-Infinity/);
  assert.throws(() => quantile([1], 1.5), /1\.5/);
  assert.throws(() => quantileInterval([1], 0), RangeError);
});

Deno.test("single-precision input stays single", () => {
  assert.ok(sorted(Float32Array.of(2, 1)) instanceof Float32Array);
});
