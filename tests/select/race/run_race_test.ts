import assert from "node:assert/strict";
import type { RaceRules } from "../../../lib/select/race/race_state.ts";
import { caseOrder, replayRace, runRace } from "../../../lib/select/race/run_race.ts";
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
    prompts: Array.from({ length: 200 }, (_, at) => `p${at}`),
    scope: "cases like these",
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

Deno.test("each case comes once where others like it are meant, and again and again where they alone are", () => {
  const cases = ["p", "q", "r"];
  assert.deepEqual([...caseOrder(cases, "cases like these", seededRandom(2))].sort(), cases);
  const drawn = caseOrder(cases, "these cases", seededRandom(2));
  const first = Array.from({ length: 300 }, () => drawn.next().value);
  for (const one of cases) assert.ok(first.filter((drawn) => drawn === one).length > 70);
});

Deno.test("candidates of a block take turns in going first, and the cases of a set end the race undecided", async () => {
  const asked: string[] = [];
  const race = await runRace([{ id: "x", sizeMb: 1 }, { id: "y", sizeMb: 1 }], { ...RULES, epsilon: 1e-9 }, {
    prompts: Array.from({ length: 20 }, (_, at) => `p${at}`),
    scope: "cases like these",
    random: seededRandom(3),
    sample: (candidate, prompt) => {
      asked.push(`${candidate}${prompt}`);
      return Promise.resolve({ status: "ok", value: 1 });
    },
  });
  assert.ok(race.verdict?.verdict === "undecided");
  assert.match(race.verdict.reason, /20 cases did not decide it.*x and y were equal in all 20 blocks/);
  assert.equal(new Set(asked).size, 40);
  const first = asked.filter((_, i) => i % 2 === 0);
  assert.ok(first.some((ask) => ask.startsWith("x")) && first.some((ask) => ask.startsWith("y")));
});

Deno.test("recorded blocks that run out leave it undecided", () => {
  const none = replayRace(simulatedCandidates(WORLD), RULES, () => null);
  assert.ok(none.verdict?.verdict === "undecided");
  assert.match(none.verdict.reason, /0 cases did not/);
});

Deno.test("an abort ends a live race with its reason, and a race without cases never starts", async () => {
  const stop = new AbortController();
  const source = {
    prompts: ["p"],
    scope: "cases like these" as const,
    random: seededRandom(1),
    signal: stop.signal,
    sample: () => {
      stop.abort(new Error("enough"));
      return Promise.resolve({ status: "ok", value: 1 } as const);
    },
  };
  await assert.rejects(runRace(simulatedCandidates(WORLD), RULES, source), /enough/);
  await assert.rejects(
    runRace(simulatedCandidates(WORLD), RULES, { ...source, prompts: [] }),
    /without cases/,
  );
});
