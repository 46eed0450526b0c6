/** What `bench --plan` promises is what a run of that size then shows. */
import assert from "node:assert/strict";
import { pilotSet, type PilotSummary, planRun } from "../../lib/bench/planner.ts";
import { comparePaired } from "../../lib/stats/paired.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { standardNormal } from "../../lib/stats/random.ts";

/** Pairs whose log ratio varies by 0.3 between cases and 0.1 within. */
function pairs(cases: number, rounds: number, seed: number) {
  const random = seededRandom(`planner ${seed}`);
  return Array.from({ length: cases }, (_, at) => {
    const own = 0.3 * standardNormal(random);
    return Array.from({ length: rounds }, () => ({
      prompt: `case ${at}`,
      a: Math.exp(own + 0.1 * standardNormal(random)),
      b: 1,
    }));
  }).flat();
}

function summaryWith(comparisons: PilotSummary["comparisons"]): PilotSummary {
  const rows = [{ latency_s: { mean: 2 } }, { latency_s: { mean: 1 } }];
  return { run_id: "pilot", candidates: rows, comparisons };
}

Deno.test("the difference that a plan promises is the half-width that a run of its size has", () => {
  const pilot = comparePaired(pairs(400, 2, 1));
  const comparison = { a: "a", b: "b", metric: "latency_s", unit: "case", spread: pilot.spread } as const;
  const { metrics: [plan], seconds_per_request } = planRun(summaryWith([comparison]), {
    cases: 64,
    rounds: 1,
  });
  assert.equal(seconds_per_request, 1.5);
  for (const { cases, rounds, smallest_ratio, requests, minutes } of plan?.sizes ?? []) {
    const widths = Array.from({ length: 40 }, (_, at) => {
      const { ci95 } = comparePaired(pairs(cases, rounds, 100 + at));
      return ci95 === null ? 0 : Math.log(ci95[1] / ci95[0]) / 2;
    });
    const mean = widths.reduce((sum, width) => sum + width, 0) / widths.length;
    assert.ok(Math.abs(mean / Math.log(smallest_ratio) - 1) < 0.15, `${cases}: ${mean} ${smallest_ratio}`);
    assert.equal(requests, 2 * cases * rounds);
    assert.ok(Math.abs(minutes - requests * 1.5 / 60) < 1e-9);
  }
  assert.match(plan?.advice ?? "", /±10 % takes about \d+ cases/);
});

Deno.test("a run that compares nothing allows no plan", () => {
  assert.throws(() => planRun(summaryWith([]), { cases: 64, rounds: 1 }), /compares no two candidates/);
  const stretches = {
    a: "a",
    b: "b",
    metric: "latency_s",
    unit: "stretch",
    spread: { between: 0.1, within: null },
  } as const;
  assert.throws(() => planRun(summaryWith([stretches]), { cases: 64, rounds: 1 }), /without --concurrency/);
});

Deno.test("a pilot asks the same few cases for the same seed", () => {
  const [one] = singlePrompt("x").prompts;
  assert.ok(one);
  const prompts = Array.from({ length: 20 }, (_, at) => ({ ...one, id: `case-${at}` }));
  const set = { ...singlePrompt("x"), prompts };
  const ids = (seed: number) => pilotSet(set, seed).prompts.map(({ id }) => id);
  assert.equal(ids(1).length, 8);
  assert.deepEqual(ids(1), ids(1));
  assert.notDeepEqual(ids(1), ids(2));
});
