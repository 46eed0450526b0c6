import assert from "node:assert/strict";
import { simulateRace } from "../../../lib/select/race/simulation.ts";
import { seededRandom } from "../../../lib/stats/random.ts";
import { INTERVALS, missesOverTime, NULL_DIFFERENCES, nullRaces } from "../../../benchmarks/null_races.ts";

Deno.test("2,000 races of two identical candidates, everything wrong at once: at most δ false winners", () => {
  const world = { noise: 0.1, heavyTails: true, grid: 0.1, failShare: 0.1, drift: 0.002, slowShare: 0.05 };
  const { winners } = nullRaces(world, { candidates: 2, races: 2000, blocks: 60 }, seededRandom(7));
  assert.ok(winners <= 0.05 * 2000, `${winners} of 2000`);
  // The exact rate without ties is 2.3 % by 60 blocks: a race that never decided would pass the line above too.
  assert.ok(winners >= 0.01 * 2000, `${winners} of 2000`);
});

Deno.test("the wrong candidate wins less often than δ at any gap; identical enough ones mostly tie", () => {
  const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 600 } as const;
  for (const gap of [0.01, 0.05, 0.2]) {
    const random = seededRandom(`gap/${gap}`);
    const verdicts = Array.from(
      { length: 200 },
      () => simulateRace({ gaps: [0, gap, gap], noise: 0.1 }, rules, random).verdict,
    );
    const count = (test: (verdict: (typeof verdicts)[number]) => boolean) => verdicts.filter(test).length;
    assert.ok(count((v) => v?.verdict === "winner" && v.winner !== "c0") <= 10, `gap ${gap}`);
    if (gap === 0.2) assert.ok(count((v) => v?.winner === "c0") >= 195);
    if (gap === 0.01) assert.ok(count((v) => v?.verdict === "tie") >= 100);
  }
});

Deno.test("over 200 looks the anytime interval misses in at most 5 %, an ordinary one in more than 30 %", () => {
  for (const [name, draw] of Object.entries(NULL_DIFFERENCES)) {
    const missed = (kind: keyof typeof INTERVALS) =>
      missesOverTime(INTERVALS[kind], { draw, sequences: 1000, looks: 200 }, seededRandom(name)).at(-1) ?? 1;
    assert.ok(missed("anytime") <= 0.05, name);
    assert.ok(missed("naive") >= 0.3, name);
  }
});
