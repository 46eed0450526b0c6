// Golden values: scipy 1.17.1, d = log(a/b) averaged by prompt, `st.t.interval(.95, 2, d.mean(), st.sem(d))`.
import assert from "node:assert/strict";
import fc from "fast-check";
import { comparePaired, compareRuns, type Pair } from "../../lib/stats/paired.ts";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { off } from "./fixtures.ts";

const A = [2.0, 2.2, 1.8, 2.6, 1.9, 2.4];
const B = [1.0, 1.1, 1.2, 1.0, 0.9, 1.3];
const pairs = (prompt: (i: number) => string): Pair[] =>
  A.map((a, i) => ({ prompt: prompt(i), a, b: B[i] ?? 1 }));

Deno.test("a paired comparison counts prompts, not repeats", () => {
  const c = comparePaired(pairs((i) => `p${Math.floor(i / 2)}`));
  assert.deepEqual([c.n, c.prompts, c.unit], [6, 3, "case"]);
  assert.ok(off(c.ratio, 1.9829751107783058) < 1e-12);
  assert.ok(off(c.ci95?.[0] ?? null, 1.94682984) < 1e-8 && off(c.ci95?.[1] ?? null, 2.01979146) < 1e-8);
});

Deno.test("with a single prompt its repeats are the unit, and the result says so", () => {
  const c = comparePaired(pairs(() => "only"));
  assert.deepEqual([c.prompts, c.unit], [1, "repeat"]);
  assert.ok(off(c.ci95?.[0] ?? null, 1.64309839) < 1e-8 && off(c.ci95?.[1] ?? null, 2.39315571) < 1e-8);
});

Deno.test("nothing, one pair, or no spread: a ratio at most, never an interval", () => {
  const nothing = comparePaired([]);
  assert.deepEqual([nothing.ratio, nothing.ci95, nothing.p, nothing.n], [null, null, null, 0]);
  assert.deepEqual(comparePaired([{ prompt: "p", a: 2, b: 1 }]).ci95, null);
  const flat = comparePaired([1, 2, 3].map((b, i) => ({ prompt: `${i}`, a: 2 * b, b })));
  assert.ok(off(flat.ratio, 2) < 1e-12 && flat.ci95 === null);
});

Deno.test("the spread tells cases from repeats: what each of more cases and more rounds would bring", () => {
  const random = seededRandom(8);
  const pairs = Array.from({ length: 200 }, (_, prompt) => {
    const own = 1.2 * standardNormal(random);
    return [1, 2, 3].map(() => ({
      prompt: `${prompt}`,
      a: Math.exp(own + 0.2 * standardNormal(random)),
      b: 1,
    }));
  }).flat();
  const { spread, p, units } = comparePaired(pairs);
  assert.ok(Math.abs((spread.between ?? 0) - 1.2) < 0.15 && Math.abs((spread.within ?? 0) - 0.2) < 0.02);
  assert.ok(p !== null && p > 0 && p <= 1 && units === 200);
  assert.throws(() => comparePaired(pairs.slice(0, 3), "stretch"), /has no stretch/);
});

Deno.test("swapping the two turns ratio and interval upside down; units cancel", () => {
  const value = fc.double({ min: 0.01, max: 100, noNaN: true });
  const pair = fc.record({ prompt: fc.constantFrom("p", "q", "r", "s"), a: value, b: value });
  fc.assert(fc.property(fc.array(pair, { minLength: 1 }), (list) => {
    const ab = comparePaired(list);
    const ba = comparePaired(list.map(({ prompt, a, b }) => ({ prompt, a: 1000 * b, b: 1000 * a })));
    assert.ok(ab.ratio !== null && ba.ratio !== null && Math.abs(ab.ratio * ba.ratio - 1) < 1e-9);
    assert.equal(ab.ci95 === null, ba.ci95 === null);
    if (ab.ci95 === null || ba.ci95 === null) return;
    assert.ok(
      Math.abs(Math.log(ab.ci95[0] * ba.ci95[1])) < 1e-6 * Math.max(1, Math.abs(Math.log(ab.ci95[0]))),
    );
    assert.ok(ab.ci95[0] <= ab.ratio && ab.ratio <= ab.ci95[1]);
  }));
});

Deno.test("values that have no logarithm are refused by value", () => {
  for (const bad of [0, -1, Number.NaN, Infinity]) {
    assert.throws(() => comparePaired([{ prompt: "p", a: bad, b: 1 }]), new RegExp(`with ${bad}`));
  }
});

const run = (values: Record<string, number[]>) =>
  Object.entries(values).flatMap(([prompt, list]) => list.map((value) => ({ prompt, value })));

Deno.test("two runs are compared over the prompts that both hold", () => {
  const a = run({ p: [2, 2], q: [4], r: [6], onlyA: [100] });
  const b = run({ p: [1], q: [2, 2], r: [3], onlyB: [0.01] });
  const c = compareRuns(a, b, { random: seededRandom(1) });
  assert.deepEqual([c.prompts, c.n, c.unit], [3, 8, "case"]);
  assert.ok(off(c.ratio, 2) < 1e-12 && c.ci95 === null);
  const apart = compareRuns(run({ p: [1] }), run({ q: [1] }), { random: seededRandom(1) });
  assert.deepEqual([apart.ratio, apart.ci95, apart.n], [null, null, 0]);
});

Deno.test("two runs of the same thing: the interval covers 1 about as often as it says", () => {
  const random = seededRandom(31);
  const normal = () => standardNormal(random);
  for (const prompts of [5, 12]) {
    let hits = 0;
    for (let i = 0; i < 400; i++) {
      const levels = Array.from({ length: prompts }, () => normal());
      const once = () =>
        levels.flatMap((level, p) =>
          [1, 2].map(() => ({ prompt: `${p}`, value: Math.exp(level + 0.1 * normal()) }))
        );
      const { ci95 } = compareRuns(once(), once(), { random, resamples: 500 });
      if (ci95 !== null && ci95[0] <= 1 && 1 <= ci95[1]) hits++;
    }
    assert.ok(hits >= 358, `${prompts} prompts: ${hits} of 400`);
  }
});

Deno.test("one prompt, asked often in both runs, is compared by its repeats", () => {
  const a = run({ p: [2.1, 1.9, 2.0, 2.2, 1.8, 2.05] });
  const b = run({ p: [1.05, 0.95, 1.0, 1.1, 0.9] });
  const c = compareRuns(a, b, { random: seededRandom(4) });
  assert.equal(c.unit, "repeat");
  assert.ok(c.ci95 !== null && c.ci95[0] > 1.7 && c.ci95[0] < 2 && c.ci95[1] > 2 && c.ci95[1] < 2.3);
  assert.deepEqual(compareRuns(a, b, { random: seededRandom(4) }), c);
  assert.equal(compareRuns(a, run({ p: [1, 2, 3, 4] }), { random: seededRandom(4) }).ci95, null);
});
