import assert from "node:assert/strict";
import { holm } from "../../lib/stats/holm.ts";
import { adviceFor, casesFor, halfWidth, planSizes } from "../../lib/stats/planning.ts";
import { seededRandom } from "../../lib/stats/random.ts";

// By hand: 4 × 0.01, then the larger of 3 × 0.02 and what came before, and so on.
Deno.test("Holm's correction is what it is by hand, in any order", () => {
  const close = (got: readonly (number | null)[], wanted: readonly (number | null)[]) =>
    got.forEach((value, at) => assert.ok(Math.abs((value ?? -1) - (wanted[at] ?? -1)) < 1e-12, `${got}`));
  close(holm([0.01, 0.02, 0.03, 0.04]), [0.04, 0.06, 0.06, 0.06]);
  close(holm([0.04, null, 0.001, 0.9]), [0.08, null, 0.003, 0.9]);
  assert.deepEqual(holm([]), []);
});

Deno.test("of many true null hypotheses, any is refused in at most 5 %", () => {
  const random = seededRandom("holm");
  let any = 0;
  for (let i = 0; i < 4000; i++) {
    if (holm(Array.from({ length: 15 }, () => random())).some((p) => (p ?? 1) <= 0.05)) any++;
  }
  // P(Binomial(4000, 0.05) > 245) < 0.001.
  assert.ok(any <= 245 && any > 120, `${any} of 4000`);
});

Deno.test("the committed run's spread: rounds do next to nothing, and a tenth takes hundreds of cases", () => {
  const spread = { between: 1.26, within: 0.22 };
  assert.ok(Math.abs(halfWidth(spread, 10, 2) - 0.908) < 0.01);
  assert.ok(halfWidth(spread, 10, 1000) > 0.9);
  const cases = casesFor(spread, Math.log(1.1)) ?? 0;
  assert.ok(cases > 640 && cases < 710, `${cases}`);
  assert.ok(halfWidth(spread, cases) <= Math.log(1.1) && halfWidth(spread, cases - 1) > Math.log(1.1));
  const advice = adviceFor(spread, { cases: 10, rounds: 2, wanted: Math.log(1.1) });
  assert.match(advice, /about 6\d\d cases; more rounds would not help/);
  const noisy = adviceFor({ between: 0.01, within: 0.5 }, { cases: 60, rounds: 1, wanted: Math.log(1.1) });
  assert.match(noisy, /or about \d+ rounds of these 60/);
});

Deno.test("a plan says what differences so many cases show, and in how many minutes", () => {
  const [now, ...more] = planSizes({ between: 0.3, within: 0.1 }, {
    cases: 64,
    rounds: 1,
    candidates: 3,
    secondsPerRequest: 2,
  });
  assert.ok(now !== undefined && now.requests === 192 && Math.abs(now.minutes - 6.4) < 1e-9);
  assert.ok(now.smallest_ratio > 1.07 && now.smallest_ratio < 1.1);
  const sizes = more.map(({ cases }) => cases);
  assert.deepEqual(sizes, sizes.toSorted((a, b) => a - b));
});
