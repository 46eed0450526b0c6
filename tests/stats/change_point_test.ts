import assert from "node:assert/strict";
import { changePoint } from "../../lib/stats/change_point.ts";
import { type Random, seededRandom, standardNormal } from "../../lib/stats/random.ts";

/** Noise of about 1, of several kinds; `kept` is how much of a deviation the next value keeps. */
const kinds: Record<string, (random: Random) => () => number> = {
  normal: (random) => () => standardNormal(random),
  "heavy tails": (random) => () => standardNormal(random) * (random() < 0.05 ? 8 : 1),
  skewed: (random) => () => -Math.log(1 - random()),
  "slow waves (0.5)": (random) => waves(random, 0.5),
  "slow waves (0.8)": (random) => waves(random, 0.8),
};

function waves(random: Random, kept: number): () => number {
  let last = 0;
  return () => last = kept * last + Math.sqrt(1 - kept ** 2) * standardNormal(random);
}

const series = (kind: string, seed: number, n: number, shift: (at: number) => number = () => 0) => {
  const next = kinds[kind]?.(seededRandom(`${kind} ${seed}`)) ?? (() => 0);
  return Array.from({ length: n }, (_, at) => next() + shift(at));
};

Deno.test("without a change at most 5 % of the series seem to have one, however they wave", () => {
  for (const kind of Object.keys(kinds)) {
    for (const n of [40, 200]) {
      const worlds = 400;
      const alarms = Array.from({ length: worlds }, (_, seed) => changePoint(series(kind, seed, n)))
        .filter((found) => (found?.p ?? 1) < 0.05).length;
      // 5 % and three standard errors.
      assert.ok(alarms / worlds <= 0.083, `${kind}, n = ${n}: ${alarms} of ${worlds}`);
    }
  }
});

Deno.test("a known change is found, near where it is", () => {
  for (const kind of Object.keys(kinds)) {
    const n = 200;
    const found = Array.from(
      { length: 100 },
      (_, seed) => changePoint(series(kind, seed, n, (at) => at < 120 ? 0 : -3)),
    );
    const seen = found.filter((one) => (one?.p ?? 1) < 0.05);
    const near = seen.filter((one) => Math.abs((one?.at ?? 0) - 120) <= 10);
    assert.ok(seen.length >= 95, `${kind}: ${seen.length} of 100 found`);
    assert.ok(near.length >= 90, `${kind}: ${near.length} of 100 within 10 values`);
    assert.ok(seen.every((one) => (one?.after ?? 0) < (one?.before ?? 0)));
  }
});

Deno.test("too few values, and values that are all alike, show no change", () => {
  assert.equal(changePoint(Array.from({ length: 19 }, (_, at) => at)), null);
  assert.equal(changePoint(Array.from({ length: 50 }, () => 7))?.p, 1);
});
