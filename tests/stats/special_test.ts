// Golden values: scipy 1.17.1, e.g. `scipy.stats.t.ppf(p, df)`, `scipy.special.betainc(a, b, x)`.
import assert from "node:assert/strict";
import fc from "fast-check";
import { binomialCdf, logBeta, regularizedBeta } from "../../lib/stats/special.ts";
import { studentTCdf, studentTQuantile } from "../../lib/stats/t.ts";
import { off } from "./fixtures.ts";

Deno.test("t quantiles agree with scipy", () => {
  const golden = [
    [0.975, 1, 12.706204736174694],
    [0.975, 2, 4.302652729749462],
    [0.975, 10, 2.228138851986274],
    [0.975, 29.5, 2.043724966772122],
    [0.995, 5, 4.032142983555228],
    [0.6, 3, 0.2766706623326898],
    [0.025, 7, -2.3646242515927844],
    [0.999999, 4, 41.5778541501515],
    [0.975, 1e6, 1.959966356814107],
  ] as const;
  for (const [p, df, t] of golden) assert.ok(off(studentTQuantile(p, df), t) < 1e-9, `p ${p}, df ${df}`);
  assert.equal(studentTQuantile(0.5, 3), 0);
});

Deno.test("t probabilities agree with scipy, close to zero and far out", () => {
  const golden = [
    [0.3, 5, 0.6118754788683627],
    [-2.5, 3, 0.04385332350403278],
    [10, 8, 0.9999957559092362],
    [1e-6, 4, 0.5000003749999999],
  ] as const;
  for (const [t, df, p] of golden) assert.ok(off(studentTCdf(t, df), p) < 1e-12, `t ${t}, df ${df}`);
});

Deno.test("the incomplete beta function agrees with scipy, also at the size of ten million values", () => {
  const golden = [
    [0.5, 2, 3, 0.6875],
    [0.1, 0.5, 20, 0.9586725160819128],
    [0.95, 950_001, 50_000, 0.49935933456626463],
    [1e-5, 1, 2, 1.99999e-5],
  ] as const;
  for (const [x, a, b, value] of golden) assert.ok(off(regularizedBeta(x, a, b), value) < 1e-8, `x ${x}`);
  assert.ok(Math.abs(regularizedBeta(0.3, 31, 2.5) / 5.084228838111143e-15 - 1) < 1e-10);
  assert.ok(Math.abs(regularizedBeta(0.95, 9_500_001, 500_000) - 0.5) < 0.001);
});

Deno.test("binomial probabilities are sums of their terms", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (n, p) => {
      let sum = 0;
      for (let k = 0; k < n; k++) {
        sum += Math.exp(
          k * Math.log(p) + (n - k) * Math.log1p(-p) - Math.log(n + 1) - logBeta(k + 1, n - k + 1),
        );
        assert.ok(Math.abs(binomialCdf(k, n, p) - sum) < 1e-11);
      }
      assert.equal(binomialCdf(-1, n, p), 0);
      assert.equal(binomialCdf(n, n, p), 1);
    }),
  );
});

Deno.test("quantile and probability of t undo each other", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true }),
      fc.double({ min: 1, max: 1e5, noNaN: true }),
      (p, df) => assert.ok(Math.abs(studentTCdf(studentTQuantile(p, df), df) - p) < 1e-10),
    ),
  );
});

Deno.test("arguments out of range are named", () => {
  assert.throws(() => studentTQuantile(1, 3), /p = 1/);
  assert.throws(() => studentTQuantile(0.9, 0), /df = 0/);
  assert.throws(() => regularizedBeta(Number.NaN, 1, 1), RangeError);
});
