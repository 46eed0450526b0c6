/** Every promise about errors, held against worlds of known truth on the path that ships: one row per promise and world. */
import { join } from "node:path";
import { gateRuns } from "../lib/bench/gate.ts";
import { readComparableRun } from "../lib/bench/compare_runs.ts";
import type { PlanInfo, RaceTerms, RunInfo } from "../lib/bench/records.ts";
import { NO_CONSTRAINTS } from "../lib/select/decide/constraints.ts";
import { decide } from "../lib/select/decide/decision.ts";
import { gatherEvidence } from "../lib/select/decide/evidence.ts";
import { DEFAULT_WEIGHTS } from "../lib/select/decide/ranking.ts";
import { audit, type ScoredCase } from "../lib/select/route/audit.ts";
import { DEFAULT_INTENTS } from "../lib/select/route/intent.ts";
import { type Random, seededRandom } from "../lib/stats/random.ts";
import { binomialCdf } from "../lib/stats/special.ts";
import { tallyBenches } from "./bench_proofs.ts";
import { generatedQuality } from "./generated_run.ts";
import { type ProofWorld, worldCandidates, worldInfo } from "./proof_worlds.ts";
import { RecordList, VirtualTime } from "./simulated.ts";
import { tallyRaces } from "./race_proofs.ts";
import { runBench } from "../lib/bench/run.ts";

/** One promise in one world. */
export interface ProofRow {
  readonly claim: string;
  readonly world: string;
  /** The rate of errors that is stated. */
  readonly stated: number;
  readonly wrong: number;
  readonly runs: number;
}

/** Worlds in which identical candidates differ in nothing but what the machine and the cases do to them. */
const nulls: Readonly<Record<string, Omit<ProofWorld, "gaps">>> = {
  "plain noise": { noise: 0.1 },
  "case × model effects of the committed run": { noise: 0.22, caseEffect: 0.9 },
  "20 % failures, leaving": { noise: 0.1, failShare: 0.2 },
  "the slowest 38 % of one time out": { noise: 0.5, timeOutShare: [0, 0.38] },
  "heavy tails (t with 2 degrees of freedom)": { noise: 0.1, heavyTails: true },
  "position: first in a block 30 % slower": { noise: 0.1, firstInBlock: 1.3 },
  "first request five times slower": { noise: 0.1, firstRequest: 5 },
  "drift: 1 % slower per second": { noise: 0.1, driftPerS: 0.01 },
  "clock in steps of 25 ms, ties": { noise: 0.1, gridMs: 25 },
};

/** How much of the proofs is run. */
export interface ProofSize {
  readonly runs: number;
  /** Numbers of candidates. */
  readonly candidates: readonly number[];
}

/** The rows, one after the other; those with the same seed are the same. */
export async function* proofRows(
  { runs, candidates }: ProofSize,
  seed: number | string,
): AsyncGenerator<ProofRow> {
  const random = (name: string) => seededRandom(`${seed} ${name}`);
  for (const count of candidates) {
    for (const [name, rest] of Object.entries(nulls)) {
      if (rest.timeOutShare !== undefined && count > 2) continue;
      const world = { ...rest, gaps: Array<number>(count).fill(0) };
      yield await raceRow(
        `${name}, K = ${count}`,
        world,
        "cases like these",
        runs,
        random(`race ${name} ${count}`),
      );
      yield await benchRow(`${name}, K = ${count}`, world, {}, runs, random(`bench ${name} ${count}`));
    }
  }
  yield* racesOfTwo(runs, random);
  yield* loaded(runs, random);
  for (const count of candidates) yield await selectRow(count, runs, random(`select ${count}`));
  yield* gateRows(runs, random);
  yield auditRow(runs, random("audit"));
}

const terms = (scope: RaceTerms["scope"], budget: number): Partial<RaceTerms> => ({
  budget,
  ...(scope === undefined ? {} : { scope }),
});

async function raceRow(
  world: string,
  shape: ProofWorld,
  scope: RaceTerms["scope"],
  races: number,
  random: Random,
): Promise<ProofRow> {
  const cases = scope === "these cases" ? 10 : 60;
  const budget = 60 * shape.gaps.length;
  const { wrong } = await tallyRaces(shape, { cases, races, terms: terms(scope, budget), random });
  return {
    claim: `race: a winner among identical candidates (${scope})`,
    world,
    stated: 0.05,
    wrong,
    runs: races,
  };
}

async function benchRow(
  world: string,
  shape: ProofWorld,
  plan: Partial<PlanInfo>,
  runs: number,
  random: Random,
): Promise<ProofRow> {
  const { wrong } = await tallyBenches(shape, { cases: 20, runs, plan: { rounds: 2, ...plan }, random });
  return { claim: `bench: "better" anywhere, in any metric`, world, stated: 0.05, wrong, runs };
}

/** What a race of two promises besides: the scope of these cases, a tie, an interval. */
async function* racesOfTwo(runs: number, random: (name: string) => Random): AsyncGenerator<ProofRow> {
  const two = (rest: Omit<ProofWorld, "gaps">, gap = 0): ProofWorld => ({ ...rest, gaps: [0, gap] });
  for (
    const [world, shape] of [
      ["ten cases that treat both alike in the mean", two({ noise: 0.22, caseEffect: 0.9, mirrored: true })],
      ["plain noise", two({ noise: 0.1 })],
    ] as const
  ) yield await raceRow(world, shape, "these cases", runs, random(`these ${world}`));
  const options = { cases: 60, races: runs, terms: terms("cases like these", 120) };
  const tail = await tallyRaces(two({ noise: 0.05, tailShare: [0, 0.05] }), {
    ...options,
    random: random("tail"),
  });
  const claim = "race: a tie that is none";
  yield {
    claim,
    world: "5 % of one's requests take ten times as long",
    stated: 0.05,
    wrong: tail.ties,
    runs,
  };
  const apart = await tallyRaces(two({ noise: 0.1 }, 0.1), { ...options, random: random("epsilon") });
  yield { claim, world: "one is ε = 10 % slower", stated: 0.05, wrong: apart.ties, runs };
  yield {
    claim: "race: the wrong winner",
    world: "one is 10 % slower",
    stated: 0.025,
    wrong: apart.wrong,
    runs,
  };
  const missed = await tallyRaces(two({ noise: 0.22, caseEffect: 0.9 }), {
    ...options,
    random: random("missed"),
  });
  yield {
    claim: "race: the anytime interval misses the true ratio when the race ends",
    world: "case × model effects",
    stated: 0.05,
    wrong: missed.missed,
    runs,
  };
}

/** Overlapping requests: candidates take turns in stretches, and the machine drifts. */
async function* loaded(runs: number, random: (name: string) => Random): AsyncGenerator<ProofRow> {
  for (const [name, driftPerS] of [["no drift", 0], ["drift: 1 % slower per second", 0.01]] as const) {
    const world = { gaps: [0, 0], noise: 0.1, driftPerS };
    const few = Math.max(50, Math.floor(runs / 4));
    const row = await benchRow(
      `8 clients, ${name}`,
      world,
      { concurrency: 8, rounds: 10 },
      few,
      random(`load ${name}`),
    );
    yield row;
  }
}

async function runInto(folder: string, world: ProofWorld, cases: number, random: Random): Promise<RunInfo> {
  const time = new VirtualTime();
  const live = worldCandidates(world, time, random);
  const info = worldInfo(live, cases, { seed: Math.floor(random() * 2 ** 31) });
  const records = new RecordList();
  await runBench({
    info,
    candidates: live,
    sink: records,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: time.readMachine,
    signal: new AbortController().signal,
  });
  await Deno.mkdir(folder, { recursive: true });
  const done: RunInfo = { ...info, status: "completed" };
  await Deno.writeTextFile(join(folder, "run.json"), JSON.stringify(done));
  const lines = (list: readonly unknown[]) => list.map((one) => JSON.stringify(one) + "\n").join("");
  await Deno.writeTextFile(join(folder, "samples.jsonl"), lines(records.samples));
  return done;
}

async function selectRow(count: number, runs: number, random: Random): Promise<ProofRow> {
  const folder = await Deno.makeTempDir({ prefix: "podium-proof-" });
  let wrong = 0;
  try {
    for (let i = 0; i < runs; i++) {
      const world = { gaps: Array<number>(count).fill(0), noise: 0.2, caseEffect: 0.4 };
      const info = await runInto(folder, world, 24, random);
      const ids = info.candidates.map(({ id }) => id);
      const quality = generatedQuality(info, ids, () => random() < 0.6 ? 1 : 0);
      await Deno.writeTextFile(join(folder, "quality.json"), JSON.stringify(quality));
      const decision = decide(await gatherEvidence([folder], null), {
        constraints: NO_CONSTRAINTS,
        weights: DEFAULT_WEIGHTS,
        delta: 0.05,
        epsilon: 0.05,
        registry: null,
        race: null,
        watts: null,
        pricePerKwh: null,
        course: null,
        random,
      });
      if (decision.verdict === "winner") wrong++;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const claim = "select: a winner among identical candidates";
  return { claim, world: `24 scored cases, K = ${count}`, stated: 0.05, wrong, runs };
}

async function* gateRows(runs: number, random: (name: string) => Random): AsyncGenerator<ProofRow> {
  const folder = await Deno.makeTempDir({ prefix: "podium-gate-" });
  try {
    for (
      const [claim, change, bad] of [
        ["gate: fails the same thing again", {}, "fail"],
        ["gate: passes a true +15 % at 10 %", { gaps: [0.15] }, "pass"],
        ["gate: passes failures that rose by 10 points at 10", { failShare: 0.1 }, "pass"],
      ] as const
    ) {
      const draw = random(claim);
      let wrong = 0;
      for (let i = 0; i < runs; i++) {
        // The difficulty of a case is the same on both days: it comes from a source of its own.
        const cases = Math.floor(draw() * 2 ** 31);
        const day = async (name: string, change: Partial<ProofWorld>) => {
          const path = join(folder, name);
          await runInto(path, { gaps: [0], noise: 0.2, fixedCases: cases, ...change }, 40, draw);
          return await readComparableRun(path, name);
        };
        const [before, after] = [await day("before", {}), await day("after", change)];
        const limits = { maxSlowdown: 0.1, maxDrop: 0.1, maxFailures: 0.1 };
        const report = gateRuns(before, after, null, { ...limits, random: () => seededRandom(i) });
        const failures = report.parts.find(({ part }) => part === "failures")?.verdict;
        if (("failShare" in change ? failures : report.verdict) === bad) wrong++;
      }
      yield { claim, world: "40 cases, one candidate", stated: 0.05, wrong, runs };
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function auditRow(runs: number, random: Random): ProofRow {
  const topics = ["Refactor function", "Summarize the minutes of meeting", "What is the capital of country"];
  let wrong = 0;
  for (let i = 0; i < runs; i++) {
    const outcomes = Array.from({ length: 30 }, (_, n): ScoredCase => ({
      id: `p${n}`,
      text: `${topics[n % 3]} ${Math.floor(random() * 1e6).toString(36)} ${
        Math.floor(random() * 1e6).toString(36)
      }`,
      worth: { a: random() < 0.5 ? 1 : 0, b: random() < 0.5 ? 1 : 0 },
    }));
    const options = { intents: DEFAULT_INTENTS, repeats: 1, folds: 5, permutations: 99, random };
    if (audit(outcomes, ["a", "b"], options).chosen !== null) wrong++;
  }
  const claim = "audit: switches on a rule that gains nothing";
  return { claim, world: "30 prompts, scores of 0 and 1", stated: 0.05, wrong, runs };
}

/**
 * Whether so many errors show that the stated rate is broken: the exact binomial probability of as many is below the
 * given error.
 */
export function isBroken({ stated, wrong, runs }: ProofRow, error: number): boolean {
  return 1 - binomialCdf(wrong - 1, runs, stated) < error;
}
