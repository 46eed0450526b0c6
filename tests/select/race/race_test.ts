import assert from "node:assert/strict";
import fc from "fast-check";
import type { CaseOutcome, RaceBlock } from "../../../lib/select/race/pairing.ts";
import { addBlock, SILENT_BLOCKS, startRace, TAIL_BLOCKS } from "../../../lib/select/race/race.ts";
import {
  effectBetween,
  evidenceAgainst,
  type RaceCandidate,
  type RaceRules,
  type RaceState,
} from "../../../lib/select/race/race_state.ts";

const RULES: RaceRules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 1000 };
const candidates = (...ids: string[]): RaceCandidate[] => ids.map((id, i) => ({ id, sizeMb: 100 * (i + 1) }));
const ok = (value: number): CaseOutcome => ({ status: "ok", value });
const failed: CaseOutcome = { status: "failed", reason: "time-out" };
const block = (outcomes: Record<string, CaseOutcome>): RaceBlock => new Map(Object.entries(outcomes));

/** Adds blocks until there is a verdict. */
function run(state: RaceState, next: (blockNumber: number) => Record<string, CaseOutcome>): RaceState {
  while (state.verdict === null) state = addBlock(state, block(next(state.blocks)));
  return state;
}

Deno.test("a race of always the same order ends after 8 blocks of two candidates, 9 of three or four", () => {
  for (const [ids, blocks] of [["a b", 8], ["a b c", 9], ["a b c d", 9]] as const) {
    const names = ids.split(" ");
    const race = run(
      startRace(candidates(...names), RULES),
      () => Object.fromEntries(names.map((id, i) => [id, ok(i + 1)])),
    );
    assert.equal(race.blocks, blocks);
    assert.deepEqual(race.verdict, { verdict: "winner", winner: "a", choice: "a", runnerUp: "b" });
    assert.deepEqual(race.eliminated.map(({ id }) => id), names.slice(1).reverse());
  }
});

Deno.test("a candidate goes when the e-values of all its rivals together reach K/δ, and not before", () => {
  const race = startRace(candidates("a", "b", "c"), RULES);
  const one = () => block({ a: ok(1), b: ok(2), c: ok(3) });
  let state = race;
  for (let i = 0; i < 6; i++) state = addBlock(state, one());
  // e(6, 6) = 127/7 from each of two rivals.
  assert.ok(Math.abs(evidenceAgainst(state, "c").evidence - 2 * 127 / 7) < 1e-9);
  assert.equal(evidenceAgainst(state, "c").threshold, 60);
  assert.deepEqual(state.live, ["a", "b", "c"]);
  state = addBlock(state, one());
  assert.deepEqual(state.live, ["a", "b"]);
  const [gone] = state.eliminated;
  assert.ok(
    gone !== undefined && gone.id === "c" && gone.block === 7 && gone.wins === 7 && gone.untied === 7,
  );
  assert.ok(Math.abs(gone.evidence - 2 * 255 / 8) < 1e-9);
  assert.equal(state.requests, 21);
});

Deno.test("what a dropped rival had shown still counts; the rival itself needs no more outcomes", () => {
  let state = startRace(candidates("a", "b", "c"), RULES);
  for (let i = 0; i < 7; i++) state = addBlock(state, block({ a: ok(1), b: ok(2), c: ok(3) }));
  const before = evidenceAgainst(state, "b").evidence;
  state = addBlock(state, block({ a: ok(2), b: ok(1), c: ok(0.1) }));
  assert.ok(evidenceAgainst(state, "b").evidence < before);
  assert.equal(state.requests, 23);
  assert.equal(state.pairings.find(({ a, b }) => a === "a" && b === "c")?.winsA, 7);
});

Deno.test("higher can be better, and scores that include zero are compared by difference", () => {
  const rules: RaceRules = { ...RULES, better: "higher", effect: "difference" };
  const race = run(
    startRace(candidates("a", "b"), rules),
    (i) => ({ a: ok(i % 2 / 10), b: ok(0.8 + i % 3 / 10) }),
  );
  assert.equal(race.verdict?.winner, "b");
  assert.ok((effectBetween(race, "b", "a").size ?? 0) > 0.7);
});

Deno.test("a failure loses its block, two failures say nothing", () => {
  let state = startRace(candidates("a", "b"), RULES);
  state = addBlock(state, block({ a: failed, b: ok(100) }));
  state = addBlock(state, block({ a: failed, b: failed }));
  assert.deepEqual(state.pairings.map(({ winsA, winsB, failedA }) => [winsA, winsB, failedA]), [[0, 1, 1]]);
  assert.equal(effectBetween(state, "a", "b").size, null);
});

Deno.test("a candidate that leaves counts for nothing any more, and is named in the verdict", () => {
  const leaves = { status: "failed", reason: "it timed out", leaves: true } as const;
  let state = startRace(candidates("a", "b"), RULES);
  state = addBlock(addBlock(state, block({ a: ok(1), b: failed })), block({ a: ok(1), b: leaves }));
  assert.ok(state.verdict?.verdict === "left");
  assert.deepEqual([state.verdict.winner, state.verdict.choice], [null, null]);
  assert.match(state.verdict.reason, /b left: failures \(it timed out\); a stayed/);

  let three = startRace(candidates("a", "b", "c"), RULES);
  for (let i = 0; i < 6; i++) three = addBlock(three, block({ a: ok(1), b: ok(2), c: ok(3) }));
  three = addBlock(three, block({ a: leaves, b: ok(2), c: ok(3) }));
  // What a showed against b and c is set aside.
  assert.ok(Math.abs(evidenceAgainst(three, "b").evidence - 1 / 8) < 1e-9);
  const race = run(three, () => ({ b: ok(2), c: ok(3) }));
  assert.deepEqual([race.verdict?.winner, race.left.map(({ id }) => id)], ["b", ["a"]]);
});

Deno.test("where failure rates differ, speed alone gives no verdict", () => {
  const slowButSure = run(startRace(candidates("a", "b"), RULES), () => ({ a: failed, b: ok(100) }));
  assert.ok(slowButSure.verdict?.verdict === "left");
  assert.match(
    slowButSure.verdict.reason,
    /a left: failures \(it failed in 8 blocks that b answered, b in 0/,
  );
  // Fast where it answers, and a third of the time it does not.
  const fast = run(
    startRace(candidates("a", "b"), { ...RULES, budget: 400 }),
    (i) => i % 3 === 0 ? { a: failed, b: ok(2) } : { a: ok(1), b: ok(2) },
  );
  assert.ok(fast.verdict?.verdict === "undecided");
  assert.match(fast.verdict.reason, /failure rates differ \(only a failed in 67 blocks, only b in 0\)/);
});

Deno.test("what a candidate showed before it left crowns nobody who did not show it too", () => {
  // c is always faster than b, and as often as not than a; a beats b in half of the blocks. Then c breaks down.
  const race = run(startRace(candidates("a", "b", "c"), RULES), (at) => ({
    a: ok(at % 2 === 0 ? 0.9 : 3),
    b: ok(1.5),
    c: at < 14 ? ok(1) : { status: "failed", reason: "it ended", leaves: true },
  }));
  assert.deepEqual(race.eliminated.map(({ id, by }) => [id, by]), [["b", "c"]]);
  assert.ok(race.verdict?.verdict === "left");
  assert.match(race.verdict.reason, /a stayed, but b went by evidence of candidates that left/);
});

Deno.test("equal values decide nothing", () => {
  const race = run(
    startRace(candidates("a", "b"), { ...RULES, budget: 100 }),
    () => ({ a: ok(1), b: ok(1) }),
  );
  assert.equal(race.verdict?.verdict, "undecided");
  assert.deepEqual([race.blocks, race.requests], [50, 100]);
});

const near = (i: number) => ({ a: ok(1.01 + 0.02 * Math.sin(i)), b: ok(1 + 0.02 * Math.cos(3 * i)) });

Deno.test("candidates within ε of one another tie, and the lighter one is chosen", () => {
  const rules = { ...RULES, delta: 1e-6 };
  const heavyFirst = [{ id: "a", sizeMb: 200 }, { id: "b", sizeMb: 100 }];
  const race = run(startRace(heavyFirst, rules), near);
  assert.deepEqual(race.verdict, { verdict: "tie", winner: null, choice: "b", tied: ["a", "b"] });
  const { size, interval } = effectBetween(race, "a", "b");
  const turned = effectBetween(race, "b", "a");
  assert.ok(size !== null && interval !== null && turned.interval !== null && turned.size !== null);
  assert.ok(1 / 1.1 < interval[0] && interval[0] < size && size < interval[1] && interval[1] < 1.1);
  assert.ok(
    Math.abs(turned.interval[0] * interval[1] - 1) < 1e-12 && Math.abs(turned.size * size - 1) < 1e-12,
  );
  const unknown = run(startRace([{ id: "a", sizeMb: null }, { id: "b", sizeMb: 900 }], rules), near);
  assert.equal(unknown.verdict?.choice, "b");
});

Deno.test("a twin with a heavier tail is never called a tie, and values without spread are one in the end", () => {
  const slowTail = run(
    startRace(candidates("a", "b"), { ...RULES, delta: 1e-6, budget: 400 }),
    (i) => i === 40 ? { a: ok(10), b: ok(1) } : near(i),
  );
  assert.equal(slowTail.verdict?.verdict, "undecided");
  const quantised = run(
    startRace(candidates("a", "b"), { ...RULES, budget: 200 }),
    () => ({ a: ok(1), b: ok(1) }),
  );
  assert.deepEqual([quantised.verdict?.verdict, quantised.blocks], ["tie", TAIL_BLOCKS]);
});

Deno.test("a pair of which one failed on its own is not called equal", () => {
  const rules = { ...RULES, delta: 1e-6, budget: 400 };
  const race = run(
    startRace(candidates("a", "b"), rules),
    (i) => i === 3 ? { a: failed, b: ok(1) } : near(i),
  );
  assert.equal(race.verdict?.verdict, "undecided");
});

Deno.test("a spent budget leaves it undecided, and no request is made beyond it", () => {
  const flip = (i: number) => ({ a: ok(i % 2 ? 1 : 3), b: ok(i % 2 ? 3 : 1), c: ok(2) });
  const race = run(startRace(candidates("a", "b", "c"), { ...RULES, budget: 50 }), flip);
  assert.equal(race.requests, 48);
  assert.ok(race.verdict?.verdict === "undecided" && race.verdict.choice === null);
  assert.match(race.verdict.reason, /50 requests/);
});

Deno.test("whatever happens, somebody stays", () => {
  const outcome = fc.oneof(fc.integer({ min: 1, max: 4 }).map(ok), fc.constant(failed));
  const rows = fc.array(fc.tuple(outcome, outcome, outcome), { minLength: 10, maxLength: 40 });
  fc.assert(fc.property(rows, (outcomes) => {
    let state = startRace(candidates("a", "b", "c"), { ...RULES, delta: 0.9 });
    for (const [a, b, c] of outcomes) {
      if (state.verdict !== null) break;
      state = addBlock(state, block({ a, b, c }));
      assert.ok(state.live.length > 0);
      assert.equal(state.live.length + state.eliminated.length + state.left.length, 3);
    }
  }));
});

Deno.test("one candidate is the only one, none is none, and nobody answering is none as well", () => {
  assert.deepEqual(startRace(candidates("a"), RULES).verdict, { verdict: "only", winner: "a", choice: "a" });
  assert.equal(startRace([], RULES).verdict?.verdict, "none");
  const dead = run(startRace(candidates("a", "b"), RULES), () => ({ a: failed, b: failed }));
  assert.deepEqual([dead.verdict?.verdict, dead.verdict?.choice, dead.blocks], ["none", null, SILENT_BLOCKS]);
});

Deno.test("wrong rules and blocks are refused by value", () => {
  assert.throws(() => startRace(candidates("a", "a"), RULES), /a against itself/);
  assert.throws(() => startRace([], { ...RULES, delta: 1.5 }), /delta 1\.5/);
  assert.throws(() => startRace([], { ...RULES, epsilon: 0 }), /epsilon 0/);
  assert.throws(() => startRace([], { ...RULES, budget: Number.NaN }), /budget of NaN/);
  const race = startRace(candidates("a", "b"), RULES);
  assert.throws(() => addBlock(race, block({ a: ok(1) })), /b is live and has no outcome/);
  assert.throws(
    () => addBlock(race, block({ a: ok(0), b: ok(1) })),
    /a has the value 0, expected a positive/,
  );
  assert.throws(() => addBlock(race, block({ a: ok(1), b: ok(Number.NaN) })), /NaN/);
  assert.throws(() => addBlock(startRace([], RULES), block({})), /the race ended \(none\)/);
  assert.throws(() => evidenceAgainst(race, "x"), /x: it is not in this race/);
});

Deno.test("names, units and the order of the candidates decide nothing", () => {
  const value = fc.integer({ min: 1, max: 6 });
  const blocks = fc.array(fc.tuple(value, value, value), { minLength: 20, maxLength: 60 });
  fc.assert(fc.property(blocks, (rows) => {
    const play = (ids: readonly string[], scale: number) => {
      let state = startRace(candidates(...ids), { ...RULES, epsilon: 1e-9 });
      for (const [a, b, c] of rows) {
        if (state.verdict !== null) break;
        state = addBlock(state, block({ a: ok(scale * a), b: ok(scale * b), c: ok(scale * c) }));
      }
      return { live: [...state.live].sort(), winner: state.verdict?.winner, blocks: state.blocks };
    };
    assert.deepEqual(play(["a", "b", "c"], 1), play(["c", "a", "b"], 8));
  }));
});
