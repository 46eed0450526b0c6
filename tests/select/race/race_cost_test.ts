// Golden bounds: scipy 1.17.1 `integrate.quad` over the density of the paired log difference.
import assert from "node:assert/strict";
import { fixedDesign, informationBound, plainPick, raceCost } from "../../../benchmarks/race_cost.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

const RULES = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 10_000 } as const;
const NARROW = [0, 0.1, 0.3, 0.6];
const MIDDLE = [0, 0.2, 0.4, 0.8];
const WIDE = [0, 0.5, 0.8, 1.5];

Deno.test("a race costs no more than promised, with and without requests three times slower", () => {
  const promised: [gaps: number[], slowShare: number, requests: number][] = [
    [NARROW, 0, 105],
    [MIDDLE, 0, 50],
    [WIDE, 0, 40],
    [NARROW, 0.05, 125],
    [MIDDLE, 0.05, 60],
    [WIDE, 0.05, 45],
  ];
  for (const [gaps, slowShare, requests] of promised) {
    const cost = raceCost({ gaps, noise: 0.1, slowShare }, RULES, 400, seededRandom(`${gaps}/${slowShare}`));
    assert.ok(cost.requestsMean <= requests, `${gaps} with ${slowShare}: ${cost.requestsMean}`);
    assert.ok(cost.wrong <= 0.01 && cost.right >= 0.98, JSON.stringify(cost));
  }
});

Deno.test("a fixed design costs what its normal approximation says, at any gap", () => {
  const random = () => seededRandom(3);
  // (z(1 - 0.05/3) + z(0.95))² · 2 · 0.1² / log(1.1)² = 31.3 blocks with known variance; t needs a few more.
  const plan = { delta: 0.05, power: 0.95, races: 400, most: 100 };
  const normal = fixedDesign({ gaps: NARROW, noise: 0.1 }, plan, random) ?? Infinity;
  assert.ok(normal >= 4 * 31 && normal <= 4 * 37, `${normal}`);
  // Signs: (z · ½ + z · √(p(1 − p)))² / (p − ½)² = 61 blocks at p = 0.73.
  const slow = fixedDesign({ gaps: NARROW, noise: 0.1, slowShare: 0.05 }, plan, random) ?? Infinity;
  assert.ok(slow >= 4 * 52 && slow <= 4 * 76, `${slow}`);
  assert.equal(fixedDesign({ gaps: [0, 0.001], noise: 0.1 }, plan, random), null);
  assert.throws(() => fixedDesign({ gaps: [0, 1], noise: 0.1, failShare: 0.5 }, plan, random), /failures/);
});

Deno.test("the plain pick is cheap where the gap is wide", () => {
  const plan = { power: 0.95, races: 400, most: 100 };
  assert.equal(plainPick({ gaps: WIDE, noise: 0.1 }, plan, seededRandom(4)), 4);
  assert.equal(plainPick({ gaps: [0, 0], noise: 0.1 }, plan, seededRandom(4)), null);
});

Deno.test("the information bound is that of an independent integration, and below every race", () => {
  const golden: [gaps: number[], slowShare: number, requests: number][] = [
    [NARROW, 0, 25.87752659443025],
    [NARROW, 0.05, 25.974650750019396],
    [[0, 0.2], 0.05, 6.42384667667693],
  ];
  for (const [gaps, slowShare, requests] of golden) {
    assert.ok(Math.abs(informationBound({ gaps, noise: 0.1, slowShare }, 0.05) / requests - 1) < 1e-6);
  }
});

Deno.test("the benchmark prints one JSON document, and names a wrong flag", async () => {
  const run = (...flags: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-env", "benchmarks/race.ts", ...flags],
      stdout: "piped",
      stderr: "piped",
    }).output();
  const good = await run("--races", "10", "--slow", "0", "--json");
  assert.equal(good.code, 0);
  const { rows } = JSON.parse(new TextDecoder().decode(good.stdout));
  assert.equal(rows.length, 3);
  const bad = await run("--races", "many");
  assert.equal(bad.code, 2);
  assert.match(new TextDecoder().decode(bad.stderr), /many/);
});
