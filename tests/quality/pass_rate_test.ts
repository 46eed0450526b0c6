/** Pass rates and agreement have the published values. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { krippendorffAlpha } from "../../lib/quality/agreement.ts";
import { passRate } from "../../lib/quality/pass_rate.ts";

const shares = (passed: number, n: number) => Array.from({ length: n }, (_, at) => at < passed ? 1 : 0);
const near = (value: number, expected: number, digits = 4) =>
  assert.ok(Math.abs(value - expected) < 0.6 * 10 ** -digits, `${value} is not ${expected}`);

Deno.test("Wilson's interval has its known values", () => {
  // Brown, Cai and DasGupta (2001) and statsmodels' proportion_confint(method="wilson").
  const known: [number, number, number, number][] = [
    [0, 10, 0, 0.2775],
    [1, 10, 0.0179, 0.4042],
    [5, 10, 0.2366, 0.7634],
    [10, 10, 0.7225, 1],
    [15, 50, 0.1910, 0.4375],
  ];
  for (const [passed, n, low, high] of known) {
    const { ci95 } = passRate(shares(passed, n));
    assert.ok(ci95);
    near(ci95[0], low);
    near(ci95[1], high);
  }
});

Deno.test("the interval lies in [0, 1], holds the rate, and is none without prompts", () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 }), (values) => {
    const { rate, ci95 } = passRate(values);
    assert.ok(rate !== null && ci95 !== null);
    assert.ok(0 <= ci95[0] && ci95[0] <= rate + 1e-12 && rate - 1e-12 <= ci95[1] && ci95[1] <= 1);
  }));
  assert.deepEqual(passRate([]), { passed: 0, n: 0, rate: null, ci95: null });
  assert.throws(() => passRate([1.5]), RangeError);
});

Deno.test("repeats make a share finer, never n larger", () => {
  assert.equal(passRate([0.5, 0.5]).n, 2);
  assert.equal(passRate([0.5, 0.5]).rate, 0.5);
});

/** The data of Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": four observers, twelve units. */
const published = [
  [1, 2, 3, 3, 2, 1, 4, 1, 2, null, null, null],
  [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, null, 3],
  [null, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, null],
  [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, null],
];

Deno.test("alpha has Krippendorff's published ordinal value", () => {
  const ratings = published.flatMap((row, rater) =>
    row.flatMap((value, unit) => value === null ? [] : [{ unit: `${unit}`, rater: `${rater}`, value }])
  );
  const { alpha, units, raters } = krippendorffAlpha(ratings);
  assert.ok(alpha !== null);
  near(alpha, 0.815, 3);
  assert.deepEqual([units, raters], [11, 4], "the unit with one rating is left out");
});

Deno.test("alpha is 1 when all agree, below 0 when they contradict, and null when nothing can be told", () => {
  const pair = (a: number, b: number, unit: string) => [
    { unit, rater: "a", value: a },
    { unit, rater: "b", value: b },
  ];
  assert.equal(krippendorffAlpha([...pair(1, 1, "x"), ...pair(5, 5, "y")]).alpha, 1);
  assert.ok((krippendorffAlpha([...pair(1, 5, "x"), ...pair(5, 1, "y")]).alpha ?? 0) < 0);
  assert.match(krippendorffAlpha(pair(3, 3, "x")).reason ?? "", /the same/);
  assert.match(krippendorffAlpha([{ unit: "x", rater: "a", value: 1 }]).reason ?? "", /two people/);
});

Deno.test("alpha does not depend on the order of ratings or the names of raters", () => {
  const rating = fc.record({
    unit: fc.constantFrom("u1", "u2", "u3", "u4"),
    rater: fc.constantFrom("a", "b", "c"),
    value: fc.integer({ min: 1, max: 5 }),
  });
  const ratings = fc.uniqueArray(rating, { selector: ({ unit, rater }) => unit + rater, minLength: 2 });
  fc.assert(fc.property(ratings, (given) => {
    const { alpha } = krippendorffAlpha(given);
    const other =
      krippendorffAlpha(given.toReversed().map((one) => ({ ...one, rater: `other ${one.rater}` }))).alpha;
    assert.ok(alpha === other || Math.abs((alpha ?? 0) - (other ?? 0)) < 1e-9);
    assert.ok(alpha === null || alpha <= 1 + 1e-12);
  }));
});
