/** A race and a decision in a few calls, over candidates that a session found: what the notebooks share. */
import { busiestFinder } from "../../bench/busiest_program.ts";
import type { RunSink } from "../../bench/folder.ts";
import { machineReader } from "../../bench/noise.ts";
import type { Exclusion, PlanInfo, RaceTerms, RunInfo } from "../../bench/records.ts";
import type { NamedCandidate } from "../../bench/named_candidate.ts";
import {
  beginRun,
  type NewRun,
  planInfo,
  type SessionCandidates,
  type SessionEvent,
  type SessionPlan,
  type SessionResources,
} from "../../bench/session.ts";
import { summarizeRun, writeSummary } from "../../bench/summary.ts";
import { describeMachine } from "../../catalog/machine.ts";
import type { Registry } from "../../catalog/model.ts";
import type { QualityReport } from "../../quality/quality_schema.ts";
import { type Constraints, exclusionsOf } from "./constraints.ts";
import { decide, type DecisionTerms } from "./decision.ts";
import type { Decision } from "./decision_schema.ts";
import type { BaselineSource } from "./baseline.ts";
import { gatherEvidence } from "./evidence.ts";
import { factsOfCandidate } from "./facts.ts";
import { raceLive } from "../race/live_race.ts";
import type { RaceState } from "../race/race_state.ts";
import { needsScores } from "../race/criterion.ts";
import { type RecordedRace, replayRecorded, type Score } from "../race/recorded_race.ts";
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
  { named }: Pick<SessionCandidates, "named">,
  wanted: Constraints,
  { registry, quality }: { readonly registry: Registry; readonly quality: QualityReport | null },
): Promise<Exclusion[]> {
  const machine = await describeMachine();
  return named.flatMap((candidate) =>
    exclusionsOf(factsOfCandidate(candidate, { machine, freeDiskMb: null, quality, registry }), wanted)
  );
}

/** A race that has been run, and where its records are. */
export interface SessionRace extends RecordedRace {
  readonly folder: string;
  readonly status: RunInfo["status"];
}

/** What a race takes besides its candidates, its plan and its terms. */
export interface RaceFoundOptions extends NewRun {
  readonly resources: Pick<SessionResources, "clock" | "run" | "signal" | "sleep">;
  /** Those that run.json names, excluded ones too; left out: those that were found. */
  readonly entered?: readonly NamedCandidate[];
  /** Scores an answer, for a race by checks or utility. */
  readonly score?: Score;
  readonly onFolder?: (path: string) => Promise<void>;
  readonly onEvent?: (event: SessionEvent) => void;
  readonly onBlock?: (state: RaceState) => void;
}

/**
 * Races candidates into a run folder below `out`. The verdict is derived from the records, so that a replay
 * can't say anything else.
 *
 * @throws {UserError} as `raceLive`
 *
 * ```ts ignore
 * const race = await raceFound(found, plan, { ...DEFAULT_TERMS, budget: 60 }, {
 *   resources, out: "reports", now: new Date(), random: Math.random,
 * });
 * ```
 */
export async function raceFound(
  found: SessionCandidates,
  plan: SessionPlan,
  terms: RaceTerms,
  options: RaceFoundOptions,
): Promise<SessionRace> {
  const { resources, entered = found.named, score = () => null, onEvent, onBlock } = options;
  const { clock, run: runProgram, signal, sleep } = resources;
  const racing = found.candidates.filter(({ info }) => !terms.excluded.some(({ id }) => id === info.id));
  const run = { named: entered, machine: found.machine };
  const { info, folder } = await beginRun(run, racePlan(plan, terms, racing.length), options);
  let ended: RunInfo;
  try {
    await options.onFolder?.(folder.path);
    await recordExcluded(terms.excluded, folder);
    onEvent?.({ kind: "begin", info, done: new Set() });
    ended = await raceLive({
      info,
      candidates: racing,
      sink: folder,
      clock,
      sleep,
      readMachine: machineReader(clock),
      findBusiest: busiestFinder(runProgram, clock, Deno.build.os),
      signal,
      score,
      ...(onEvent === undefined ? {} : { onEvent }),
      ...(onBlock === undefined ? {} : { onBlock }),
    });
  } finally {
    folder.close();
  }
  await writeSummary(folder.path, await summarizeRun(folder.path));
  return { ...await replayRecorded(folder.path), folder: folder.path, status: ended.status };
}

async function recordExcluded(excluded: readonly Exclusion[], folder: RunSink): Promise<void> {
  for (const [candidate, same] of Map.groupBy(excluded, ({ id }) => id)) {
    const reason = `excluded: ${same.map((one) => one.reason).join("; ")}`;
    await folder.sample({ kind: "candidate", candidate, at_ms: 0, status: "skipped", reason });
  }
}

/** As many rounds as the budget takes. Answers that are scored get no nonce and nothing before them. */
export function racePlan(plan: SessionPlan, terms: RaceTerms, racing: number): PlanInfo {
  const perPass = Math.max(1, racing) * plan.prompts.prompts.length;
  const rounds = Math.max(1, Math.ceil(terms.budget / perPass));
  const scored = needsScores(terms) ? { prefix: "as is", warmup: 0 } as const : {};
  return planInfo({ ...plan, rounds, race: terms, ...scored }, "interleaved");
}

/**
 * Decides from the folder of the answers and, where there was one, that of the race. `prompts` and
 * `answersOf` give the baseline: see `gatherEvidence`.
 *
 * ```ts ignore
 * const decision = await decideOn({ race, answers }, { constraints, registry, random });
 * ```
 */
export async function decideOn(
  { race, answers, ...baseline }:
    & { readonly race: SessionRace | null; readonly answers: string }
    & BaselineSource,
  terms: Pick<DecisionTerms, "constraints" | "registry" | "random">,
): Promise<Decision> {
  const folders = [race === null ? answers : race.folder];
  return decide(await gatherEvidence(folders, answers, baseline), {
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
