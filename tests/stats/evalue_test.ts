// Golden values: exact fractions in Python, e = 2**(n+1) * s!(n-s)!/(n+1)! * sum(C(n+1, k) for k in 0..s) * 2**-(n+1),
// logarithms by mpmath; the rates by dynamic programming over those fractions, written apart from this project.
import assert from "node:assert/strict";
import fc from "fast-check";
import { logEValue, nullWinnerRate } from "../../lib/stats/evalue.ts";
import { seededRandom, shuffle } from "../../lib/stats/random.ts";

Deno.test("e-values are those of exact fractions", () => {
  assert.ok(Math.abs(Math.exp(logEValue(3, 4)) - 1.3) < 1e-14);
  assert.ok(Math.abs(logEValue(0, 0)) < 1e-14);
  const golden = [
    [7, 10, 0.31900454358081206],
    [25, 30, 6.18633990759935168],
    [50, 100, -2.08424411286415452],
    [570, 1000, 7.28668305842353567],
    [400, 1000, -5.32196313293025063],
    [2700, 5000, 12.67409260313276972],
  ] as const;
  for (const [s, n, log] of golden) assert.ok(Math.abs(logEValue(s, n) - log) < 1e-11, `e(${n}, ${s})`);
});

Deno.test("an identical rival is announced a loser as rarely as printed: 1.8915, 3.0877, 3.5708 %", () => {
  const percent = (blocks: number) => (100 * nullWinnerRate(40, blocks)).toFixed(4);
  assert.deepEqual([30, 200, 1000].map(percent), ["1.8915", "3.0877", "3.5708"]);
});

Deno.test("the fastest verdict takes 8 blocks for two candidates, 9 for three and four", () => {
  const fastest = (candidates: number) => {
    let n = 1;
    while (logEValue(n, n) < Math.log(candidates / 0.05)) n++;
    return n;
  };
  assert.deepEqual([2, 3, 4].map(fastest), [8, 9, 9]);
});

Deno.test("with a fair coin the expected e-value stays 1 at every step, whatever happened before", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
      const s = Math.round(share * n);
      // The mixture over p > 1/2 only is a martingale at p = 1/2, and a supermartingale below it.
      const next = (p: number) =>
        p * Math.exp(logEValue(s + 1, n + 1) - logEValue(s, n)) +
        (1 - p) * Math.exp(logEValue(s, n + 1) - logEValue(s, n));
      assert.ok(Math.abs(next(0.5) - 1) < 1e-9, `${next(0.5)} after ${s} of ${n}`);
      assert.ok(next(0.3) < 1);
    }),
  );
});

Deno.test("more wins are more evidence, and 0 wins in thousands of blocks is still a number", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
      const s = Math.floor(share * (n - 1));
      assert.ok(logEValue(s + 1, n) > logEValue(s, n));
    }),
  );
  assert.ok(Number.isFinite(logEValue(0, 100_000)) && Number.isFinite(logEValue(100_000, 100_000)));
});

Deno.test("prompts that run out and repeat, each with its fixed winner, stay within Ville's bound", () => {
  // Half of the prompts always favour one candidate: neither is better, but blocks are not independent.
  const random = seededRandom(17);
  for (const prompts of [2, 6, 12, 40]) {
    const outcomes = Array.from({ length: prompts }, (_, i) => i % 2);
    let announced = 0;
    for (let race = 0; race < 2000; race++) {
      let wins = 0;
      let blocks = 0;
      let decided = false;
      while (blocks < 120 && !decided) {
        for (const win of shuffle(outcomes, random)) {
          wins += win;
          blocks++;
          if (logEValue(Math.max(wins, blocks - wins), blocks) >= Math.log(40)) decided = true;
        }
      }
      if (decided) announced++;
    }
    assert.ok(announced <= 0.05 * 2000, `${prompts} prompts: ${announced} of 2000`);
  }
});

Deno.test("impossible counts are refused", () => {
  for (const [s, n] of [[1, 0], [-1, 3], [1.5, 3], [Number.NaN, 3]] as const) {
    assert.throws(() => logEValue(s, n), RangeError);
  }
});
