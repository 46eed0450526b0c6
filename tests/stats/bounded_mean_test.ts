import assert from "node:assert/strict";
import { bet, isNearZero, NOTHING_SEEN } from "../../lib/stats/bounded_mean.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const bounds = { epsilon: 0.1, span: 1 };

/** After how many values the mean is said to be near zero, at any look up to `most`; null for never. */
function firstYes(draw: () => number, error: number, most: number): number | null {
  let seen = NOTHING_SEEN;
  for (let n = 1; n <= most; n++) {
    seen = bet(seen, draw(), bounds);
    if (isNearZero(seen, error)) return n;
  }
  return null;
}

Deno.test("equal values are called equal as soon as the odds allow", () => {
  // Each zero multiplies the boldest stake by 1/(1 − ε); the two others hold the rest of the mean.
  const growth = (f: number) => 1 + f * 0.1 / 0.9;
  const held = (n: number) => (growth(1) ** n + growth(0.5) ** n + growth(0.25) ** n) / 3;
  const first = firstYes(() => 0, 0.05, 100);
  assert.equal(first, Array.from({ length: 100 }, (_, i) => i + 1).find((n) => held(n) >= 20));
  assert.equal(first, 38);
});

/** Laws on [−1, 1] whose mean is exactly ±0.1: the hardest of those that are not near zero. */
const laws: Record<string, (random: () => number) => number> = {
  "rare and large": (random) => random() < 0.1 ? 1 : 0,
  "common and small": () => 0.1,
  "both ends": (random) => random() < 0.55 ? 1 : -1,
  "the other side": (random) => random() < 0.1 ? -1 : 0,
  "three values": (random) => [-0.5, 0, 0.8][Math.floor(3 * random())] ?? 0,
};

Deno.test("a mean that is not near zero is called so in fewer than 5 %, looked at after every value", () => {
  for (const [name, law] of Object.entries(laws)) {
    const random = seededRandom(`bounded ${name}`);
    const wrong = Array.from({ length: 400 }, () => firstYes(() => law(random), 0.05, 200))
      .filter((n) => n !== null).length;
    assert.ok(wrong <= 20 + 3 * Math.sqrt(20), `${name}: ${wrong} of 400`);
  }
});

Deno.test("a mean near zero is found, also where values vary", () => {
  const random = seededRandom("near");
  const found = Array.from({ length: 200 }, () => firstYes(() => 0.4 * (random() - 0.5), 0.05, 200))
    .filter((n) => n !== null).length;
  assert.ok(found >= 190, `${found} of 200`);
});

Deno.test("what cannot be bet on is refused", () => {
  assert.throws(() => bet(NOTHING_SEEN, 1.5, bounds), /−1 to 1/);
  assert.throws(() => bet(NOTHING_SEEN, 0, { epsilon: 1, span: 1 }), /0 < epsilon < span/);
});
