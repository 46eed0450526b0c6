/** A race and a decision in a few calls, over candidates that a session found: what the notebooks share. */
import { createRunFolder } from "../../bench/folder.ts";
import { machineReader } from "../../bench/noise.ts";
import type { Exclusion, RaceTerms } from "../../bench/records.ts";
import { newRunInfo } from "../../bench/run_info.ts";
import type { RunEvent } from "../../bench/seat.ts";
import { type FoundCandidates, planOf, type SessionPlan, type Surroundings } from "../../bench/session.ts";
import { summarizeRun, writeSummary } from "../../bench/summary.ts";
import { describeMachine } from "../../catalog/machine.ts";
import type { Registry } from "../../catalog/model.ts";
import type { QualityReport } from "../../quality/quality_schema.ts";
import type { Random } from "../../stats/random.ts";
import { type Constraints, exclusionsOf } from "./constraints.ts";
import { decide, type DecisionTerms } from "./decision.ts";
import type { Decision } from "./decision_schema.ts";
import { gatherEvidence } from "./evidence.ts";
import { factsOfChoice } from "./facts.ts";
import { raceLive } from "../race/live_race.ts";
import type { RaceState } from "../race/race.ts";
import { type RecordedRace, replayRecorded } from "../race/recorded_race.ts";
import { DEFAULT_WEIGHTS } from "./ranking.ts";

/**
 * Holds constraints against candidates that are yet to be measured. Their files are here already, so that the
 * disk is no question any more.
 *
 * ```ts ignore
 * const excluded = await excludedFrom(found, { ...NO_CONSTRAINTS, licenses: ["open"] }, { registry, quality: null });
 * ```
 */
export async function excludedFrom(
  { choices }: Pick<FoundCandidates, "choices">,
  wanted: Constraints,
  { registry, quality }: { readonly registry: Registry; readonly quality: QualityReport | null },
): Promise<Exclusion[]> {
  const machine = await describeMachine();
  return choices.flatMap((choice) =>
    exclusionsOf(factsOfChoice(choice, { machine, freeDiskMb: null, quality, registry }), wanted)
  );
}

/** A race that has been run, and where its records lie. */
export interface SessionRace extends RecordedRace {
  readonly folder: string;
}

/**
 * Races candidates by latency, TTFT or throughput, into a run folder below `out`. The verdict is derived from
 * the records, so that a replay can't say anything else.
 *
 * @throws {UserError} as `raceLive`
 *
 * ```ts ignore
 * const race = await raceFound(found, plan, { ...DEFAULT_TERMS, budget: 60 }, {
 *   around, out: "reports", now: new Date(), random: Math.random,
 * });
 * ```
 */
export async function raceFound(
  found: FoundCandidates,
  plan: SessionPlan,
  terms: RaceTerms,
  options: {
    readonly around: Surroundings;
    readonly out: string;
    readonly now: Date;
    readonly random: Random;
    readonly onEvent?: (event: RunEvent) => void;
    readonly onBlock?: (state: RaceState) => void;
  },
): Promise<SessionRace> {
  const { around, out, now, random, onEvent, onBlock } = options;
  const racing = found.candidates.filter(({ info }) => !terms.excluded.some(({ id }) => id === info.id));
  const perPass = Math.max(1, racing.length) * plan.prompts.prompts.length;
  const rounds = Math.max(1, Math.ceil(terms.budget / perPass));
  const info = newRunInfo({
    plan: { ...planOf({ ...plan, rounds }, "interleaved"), mode: "race", race: terms },
    machine: await describeMachine(),
    candidates: found.candidates.map((candidate) => candidate.info),
    now,
    random,
  });
  const folder = await createRunFolder(out, info);
  try {
    for (const [candidate, reasons] of Map.groupBy(terms.excluded, ({ id }) => id)) {
      const reason = `excluded: ${reasons.map((one) => one.reason).join("; ")}`;
      await folder.sample({ kind: "candidate", candidate, at_ms: 0, status: "skipped", reason });
    }
    await raceLive({
      info,
      candidates: racing,
      sink: folder,
      clock: around.clock,
      readMachine: machineReader(around.clock),
      signal: around.signal,
      score: () => null,
      ...(onEvent === undefined ? {} : { onEvent }),
      ...(onBlock === undefined ? {} : { onBlock }),
    });
  } finally {
    folder.close();
  }
  await writeSummary(folder.path, await summarizeRun(folder.path));
  return { ...await replayRecorded(folder.path), folder: folder.path };
}

/**
 * Decides from the folder of the answers and, where there was one, that of the race.
 *
 * ```ts ignore
 * const decision = await decideOn({ race, answers }, { constraints, registry, random });
 * ```
 */
export async function decideOn(
  { race, answers }: { readonly race: SessionRace | null; readonly answers: string },
  terms: Pick<DecisionTerms, "constraints" | "registry" | "random">,
): Promise<Decision> {
  const folders = race === null ? [answers] : [race.folder, answers];
  return decide(await gatherEvidence(folders, answers), {
    weights: DEFAULT_WEIGHTS,
    delta: 0.05,
    epsilon: 0.05,
    race,
    watts: null,
    pricePerKwh: null,
    course: null,
    ...terms,
  });
}

/** Quality and latency of a candidate, as `paretoPlot` draws them. */
export interface ParetoPoint {
  readonly id: string;
  readonly quality: number;
  readonly latencyS: number;
  readonly memoryMb: number | null;
  readonly onFront: boolean;
}

/** The marks of a decision for `paretoPlot`: those of which quality and latency are known. */
export function paretoPoints({ candidates }: Pick<Decision, "candidates">): ParetoPoint[] {
  return candidates.flatMap(({ id, quality, latency_s, memory_mb, on_front }) =>
    quality === null || latency_s === null
      ? []
      : [{ id, quality, latencyS: latency_s, memoryMb: memory_mb, onFront: on_front }]
  );
}
