import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRandom, shuffle } from "../../lib/stats/random.ts";

Deno.test("equal seeds give equal sequences, near seeds do not", () => {
  const draw = (seed: number | string) => Array.from({ length: 5 }, seededRandom(seed));
  assert.deepEqual(draw(7), draw(7));
  assert.deepEqual(draw("round/1"), draw("round/1"));
  for (const [a, b] of [[7, 8], ["round/1", "round/2"], ["", "a"], ["ab", "ba"]] as const) {
    const [x] = draw(a);
    const [y] = draw(b);
    assert.ok(x !== undefined && y !== undefined && Math.abs(x - y) > 1e-6, `${a} and ${b}`);
  }
});

// A committed run must replay on another machine and next year.
Deno.test("the sequence of a seed is fixed for good", () => {
  assert.deepEqual(Array.from({ length: 3 }, seededRandom(1)), [
    0.050919852799171994,
    0.9495960805823503,
    0.2317709368444565,
  ]);
  assert.deepEqual(shuffle([1, 2, 3, 4, 5, 6], seededRandom("golden")), [2, 5, 3, 6, 4, 1]);
});

Deno.test("numbers are uniform over [0, 1): mean and variance within five standard errors", () => {
  const n = 100_000;
  for (const seed of [0, -1, 4294967295, "x"]) {
    const random = seededRandom(seed);
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const u = random();
      assert.ok(u >= 0 && u < 1);
      sum += u;
      squares += (u - 0.5) ** 2;
    }
    assert.ok(Math.abs(sum / n - 0.5) < 5 * Math.sqrt(1 / 12 / n));
    assert.ok(Math.abs(squares / n - 1 / 12) < 5 * Math.sqrt(1 / 180 / n));
  }
});

Deno.test("every order is equally likely, and nothing is lost", () => {
  const random = seededRandom(3);
  const seen = new Map<string, number>();
  for (let i = 0; i < 12_000; i++) {
    const order = shuffle([1, 2, 3], random).join("");
    seen.set(order, (seen.get(order) ?? 0) + 1);
  }
  assert.equal(seen.size, 6);
  for (const count of seen.values()) assert.ok(Math.abs(count - 2000) < 5 * Math.sqrt(12_000 * 5 / 36));
  fc.assert(fc.property(fc.array(fc.anything()), fc.integer(), (items, seed) => {
    const shuffled = shuffle(items, seededRandom(seed));
    assert.equal(shuffled.length, items.length);
    assert.ok(items.every((item) => shuffled.includes(item)));
  }));
});

Deno.test("a seed that is no 32-bit whole number is refused by name", () => {
  for (const seed of [0.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1]) {
    assert.throws(() => seededRandom(seed), new RegExp(String(seed).replace("+", "\\+")));
  }
});
