/** A race and a decision in a few calls, over a service whose truth is known. */
import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import { readRunInfo, readSamples } from "../../../lib/bench/read_run.ts";
import { findCandidates, measure, planInfo, type SessionPlan } from "../../../lib/bench/session.ts";
import { parsePromptSet } from "../../../lib/prompts/prompts.ts";
import { writeQuality } from "../../../lib/quality/quality.ts";
import { NO_CONSTRAINTS } from "../../../lib/select/decide/constraints.ts";
import { DEFAULT_TERMS, replayRecorded } from "../../../lib/select/race/recorded_race.ts";
import {
  decideOn,
  excludedFrom,
  paretoPoints,
  raceFound,
} from "../../../lib/select/decide/race_and_decide.ts";
import { seededRandom } from "../../../lib/stats/random.ts";
import { registry, withService } from "../../bench/service.ts";

const prompts = parsePromptSet(
  // Twelve: a race over cases like these bets once per case, and a floor is met by the lower bound.
  Array.from({ length: 12 }, (_, at) => `case-${at + 1}`).map((id) => ({
    id,
    prompt: `Say alpha ${id}.`,
    checks: [{ kind: "contains", name: "alpha", texts: ["alpha"] }],
  })),
  "alphas",
);
const plan: SessionPlan = {
  prompts,
  rounds: 1,
  warmup: 0,
  maxTokens: 8,
  temperature: 0,
  prefix: "as is",
  seed: 1,
  timeoutS: 30,
};
const models = {
  quick: { words: [" alpha"] },
  slow: { words: [" alpha"], ttftMs: 60 },
  wrong: { words: [" beta"], ttftMs: 60 },
};
const names = Object.keys(models);
const when = { now: new Date(0), random: () => 0.5 };
const wrongOut = { id: "", constraint: "quality", reason: "it is wrong", admit: "fix it" } as const;

Deno.test("a race is a run of its own: who is out is a row with the reason and is never asked", async () => {
  await withService(models, async (around, out) => {
    const found = await findCandidates({ names }, around);
    const [quick = "", slow = "", wrong = ""] = found.candidates.map(({ info }) => info.id);
    const terms = { ...DEFAULT_TERMS, budget: 60, excluded: [{ ...wrongOut, id: wrong }] };
    const blocks: number[] = [];
    const race = await raceFound(found, plan, terms, {
      resources: around,
      out,
      ...when,
      onBlock: (state) => blocks.push(state.blocks),
    });
    found.close();
    assert.deepEqual([race.state.verdict?.verdict, race.state.verdict?.winner], ["winner", quick]);
    assert.deepEqual(blocks, [1, 2, 3, 4, 5, 6, 7, 8], "the fastest verdict of two");
    assert.equal(dirname(race.folder), out);

    const info = await readRunInfo(race.folder);
    assert.equal(info.plan.rounds, 3, "a budget of 60 over 2 who race and 12 prompts");
    assert.deepEqual(info.candidates.map(({ id }) => id), [quick, slow, wrong]);
    const records = await Array.fromAsync(readSamples(race.folder));
    const ofWrong = records.filter((record) => "candidate" in record && record.candidate === wrong);
    assert.deepEqual(ofWrong.map((record) => record.kind === "candidate" ? record.reason : record.kind), [
      "excluded: it is wrong",
    ]);
    assert.deepEqual((await replayRecorded(race.folder)).state, race.state);
    assert.equal((await Deno.stat(join(race.folder, "summary.json"))).isFile, true);
  });
});

Deno.test("a decision holds the answers against the floor, with a race and without", async () => {
  await withService(models, async (around, out) => {
    const found = await findCandidates({ names }, around);
    const [quick = "", slow = "", wrong = ""] = found.candidates.map(({ info }) => info.id);
    const { folder: answers } = await measure(found, planInfo(plan, found.order), {
      resources: around,
      out,
      ...when,
    });
    await writeQuality(answers, prompts);
    const constraints = { ...NO_CONSTRAINTS, minPassRate: 0.5 };
    const terms = { constraints, registry, random: seededRandom("test") };

    const alone = await decideOn({ race: null, answers }, terms);
    assert.deepEqual(alone.excluded.map(({ id, constraint }) => [id, constraint]), [[wrong, "quality"]]);
    assert.equal(alone.runs.length, 1);
    assert.equal(alone.quality_run, basename(answers));

    const race = await raceFound(found, plan, {
      ...DEFAULT_TERMS,
      budget: 60,
      excluded: alone.excluded,
      quality_run: alone.quality_run,
    }, { resources: around, out, now: new Date(1e6), random: () => 0.25 });
    found.close();
    const raced = await decideOn({ race, answers }, terms);
    assert.deepEqual([raced.verdict, raced.winner, raced.choice], ["winner", quick, quick]);
    assert.deepEqual(raced.excluded, alone.excluded, "the race's own reason is told, once");
    assert.equal(raced.requests, race.state.requests, "the race's requests, not those of the answers");
    assert.deepEqual(raced.runs, [basename(race.folder)], "times come from the race alone");
    assert.equal(raced.quality_run, basename(answers));

    const points = paretoPoints(raced);
    assert.deepEqual(points.filter(({ onFront }) => onFront).map(({ id }) => id), [quick]);
    assert.equal(points.find(({ id }) => id === slow)?.quality, 1);
    const untimed = raced.candidates.map((one) => one.id === quick ? { ...one, latency_s: null } : one);
    assert.ok(
      paretoPoints({ candidates: untimed }).every(({ id }) => id !== quick),
      "a mark needs both figures",
    );
  });
});

Deno.test("constraints are held against candidates before anything is measured", async () => {
  await withService({ "phi-4-mini": {}, stranger: {} }, async (around) => {
    const found = await findCandidates({ names: ["phi-4-mini", "stranger"] }, around);
    found.close();
    const wanted = { ...NO_CONSTRAINTS, licenses: ["open"] };
    const excluded = await excludedFrom(found, wanted, { registry, quality: null });
    assert.deepEqual(excluded.map(({ id, constraint }) => [id.replace(/@.*/, ""), constraint]), [[
      "stranger",
      "license",
    ]]);
  });
});
