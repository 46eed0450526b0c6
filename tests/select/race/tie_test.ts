/** Races by scores, where equal values are common: ties are found, and not where there is a difference. */
import assert from "node:assert/strict";
import { rulesOf } from "../../../lib/select/race/criterion.ts";
import type { CaseOutcome, RaceBlock } from "../../../lib/select/race/pairing.ts";
import type { RaceState } from "../../../lib/select/race/race_state.ts";
import { replayRace } from "../../../lib/select/race/run_race.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

const rules = rulesOf({ by: "checks", delta: 0.05, epsilon: 0.1, budget: 1000 });
const pair = [{ id: "heavy", sizeMb: 200 }, { id: "light", sizeMb: 100 }];
const ok = (value: number): CaseOutcome => ({ status: "ok", value });

function race(draw: () => readonly [CaseOutcome, CaseOutcome]): RaceState {
  return replayRace(pair, rules, (): RaceBlock => {
    const [heavy, light] = draw();
    return new Map([["heavy", heavy], ["light", light]]);
  });
}

Deno.test("two that pass every check tie after 38 blocks, and the lighter one is chosen", () => {
  const { verdict, blocks } = race(() => [ok(1), ok(1)]);
  assert.deepEqual(verdict, { verdict: "tie", winner: null, choice: "light", tied: ["heavy", "light"] });
  assert.equal(blocks, 38);
});

Deno.test("a pair of which one failed is never called equal", () => {
  let block = 0;
  const { verdict } = race(() =>
    block++ === 0 ? [{ status: "failed", reason: "cut" }, ok(1)] : [ok(1), ok(1)]
  );
  assert.equal(verdict?.verdict, "undecided");
});

Deno.test("a difference of ε is called a tie in fewer than δ of the races", () => {
  const random = seededRandom("tie");
  const wrong = Array.from({ length: 400 }, () => race(() => [ok(random() < 0.1 ? 0 : 1), ok(1)]))
    .filter(({ verdict }) => verdict?.verdict === "tie").length;
  assert.ok(wrong <= 20 + 3 * Math.sqrt(20), `${wrong} of 400`);
});

Deno.test("who was never told apart is said so when the budget ends", () => {
  const short = { ...rules, budget: 10 };
  const { verdict } = replayRace(pair, short, () => new Map([["heavy", ok(0.5)], ["light", ok(0.5)]]));
  assert.ok(verdict?.verdict === "undecided");
  assert.match(verdict.reason, /heavy and light were equal in all 5 blocks/);
});
