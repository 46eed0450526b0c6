import assert from "node:assert/strict";
import fc from "fast-check";
import { flagOutliers } from "../../lib/stats/outliers.ts";

Deno.test("the limit lies at 3.5 × 1.4826 × MAD from the median", () => {
  // Median 3, MAD 1 with either last value; the limit is 3 + 5.1891.
  assert.deepEqual(flagOutliers([1, 2, 3, 4, 8.1]), [false, false, false, false, false]);
  assert.deepEqual(flagOutliers([1, 2, 3, 4, 8.2]), [false, false, false, false, true]);
});

Deno.test("one stall among equal values is flagged though the MAD is zero; equal values are not", () => {
  assert.deepEqual(flagOutliers([...Array(19).fill(10), 210]).indexOf(true), 19);
  assert.ok(flagOutliers(Array(10).fill(0.1)).every((flag) => !flag));
});

Deno.test("too few values have no outliers", () => {
  assert.deepEqual(flagOutliers([]), []);
  assert.deepEqual(flagOutliers([1, 1, 1, 100]), [false, false, false, false]);
});

Deno.test("flags follow the values, whatever their order, unit and offset; never more than half", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 60 }), (xs) => {
    const flags = flagOutliers(xs);
    assert.equal(flags.length, xs.length);
    assert.ok(flags.filter(Boolean).length <= xs.length / 2);
    assert.deepEqual(flagOutliers([...xs].reverse()), [...flags].reverse());
    assert.deepEqual(flagOutliers(xs.map((x) => 4 * x + 64)), flags);
  }));
});
