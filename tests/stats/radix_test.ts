import assert from "node:assert/strict";
import fc from "fast-check";
import { sortedFloats } from "../../lib/stats/radix.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const many = 20_000;

Deno.test("a large array is sorted as the built-in sort does, negatives and extremes included", () => {
  const special = [0, 1, -1, 3.4e38, -3.4e38, 1e-45, -1e-45, Infinity, -Infinity];
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true }), { maxLength: 200 }), fc.integer(), (some, seed) => {
      const random = seededRandom(seed);
      const values = Float32Array.from([
        ...special,
        ...some,
        ...Array.from({ length: many }, () => random() - 0.3),
      ]);
      const expected = values.slice().sort();
      // -0 and 0 are equal numbers.
      assert.deepEqual(sortedFloats(values).map((x) => x + 0), expected.map((x) => x + 0));
    }),
    { numRuns: 20 },
  );
});

Deno.test("sorting leaves its input alone", () => {
  const random = seededRandom(1);
  const values = Float32Array.from({ length: many }, random);
  const before = values.slice();
  sortedFloats(values);
  assert.deepEqual(values, before);
});

Deno.test("NaN ends up at an end, where it is noticed", () => {
  const values = new Float32Array(many).fill(1);
  values[many / 2] = NaN;
  const result = sortedFloats(values);
  assert.ok(Number.isNaN(result[0]) || Number.isNaN(result.at(-1)));
});
