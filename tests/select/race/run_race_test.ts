import assert from "node:assert/strict";
import type { RaceRules } from "../../../lib/select/race/race.ts";
import { randomPrompts, replayRace, runRace } from "../../../lib/select/race/run_race.ts";
import {
  type RaceWorld,
  simulatedBlocks,
  simulatedCandidates,
  simulateRace,
} from "../../../lib/select/race/simulation.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

const RULES: RaceRules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 1000 };
const WORLD: RaceWorld = { gaps: [0, 0.2, 0.5], noise: 0.15, failShare: 0.02 };

Deno.test("live, recorded and simulated, the same answers give the same race", async () => {
  const simulated = simulateRace(WORLD, RULES, seededRandom(5));
  const makeBlock = simulatedBlocks(WORLD, seededRandom(5));
  const recorded: ReturnType<typeof makeBlock>[] = [];
  const replayed = replayRace(simulatedCandidates(WORLD), RULES, (state) => {
    const block = makeBlock(state);
    recorded.push(block);
    return block;
  });
  assert.deepEqual(replayed, simulated);
  const source = recorded.values();
  let asked = 0;
  let current = recorded[0];
  let live = WORLD.gaps.length;
  const race = await runRace(simulatedCandidates(WORLD), RULES, {
    prompts: ["p1", "p2", "p3"],
    random: seededRandom(9),
    sample: (candidate) => {
      if (asked++ % live === 0) current = source.next().value;
      return Promise.resolve(current?.get(candidate) ?? { status: "failed", reason: "not recorded" });
    },
    onBlock: (state) => {
      live = state.live.length;
      asked = 0;
    },
  });
  assert.deepEqual(race, simulated);
});

Deno.test("every prompt is asked once before any is asked again; candidates of a block take turns in going first", async () => {
  const [a, b, c, d] = randomPrompts(["p", "q"], seededRandom(2));
  assert.deepEqual([[a, b].sort(), [c, d].sort()], [["p", "q"], ["p", "q"]]);
  const asked: string[] = [];
  await runRace([{ id: "x", sizeMb: 1 }, { id: "y", sizeMb: 1 }], { ...RULES, budget: 40, epsilon: 1e-9 }, {
    prompts: ["p", "q", "r"],
    random: seededRandom(3),
    sample: (candidate, prompt) => {
      asked.push(`${candidate}${prompt}`);
      return Promise.resolve({ status: "ok", value: 1 });
    },
  });
  assert.equal(asked.length, 40);
  assert.equal(new Set(asked.slice(0, 6)).size, 6);
  const first = asked.filter((_, i) => i % 2 === 0);
  assert.ok(first.some((ask) => ask.startsWith("x")) && first.some((ask) => ask.startsWith("y")));
});

Deno.test("recorded blocks that run out leave it undecided", () => {
  const none = replayRace(simulatedCandidates(WORLD), RULES, () => null);
  assert.ok(none.verdict?.verdict === "undecided");
  assert.match(none.verdict.reason, /0 blocks did not/);
});

Deno.test("an abort ends a live race with its reason, and a race without prompts never starts", async () => {
  const stop = new AbortController();
  const course = {
    prompts: ["p"],
    random: seededRandom(1),
    signal: stop.signal,
    sample: () => {
      stop.abort(new Error("enough"));
      return Promise.resolve({ status: "ok", value: 1 } as const);
    },
  };
  await assert.rejects(runRace(simulatedCandidates(WORLD), RULES, course), /enough/);
  await assert.rejects(
    runRace(simulatedCandidates(WORLD), RULES, { ...course, prompts: [] }),
    /without prompts/,
  );
});
