/** What was measured and scored of each candidate, case by case: what a decision rests on. */
import { resolve } from "node:path";
import type { GoodRequest } from "../../bench/collect.ts";
import { energyMeter } from "../../bench/energy.ts";
import type { RequestMetric } from "../../bench/metrics.ts";
import { machineWasBusy } from "../../bench/noise_effect.ts";
import { underLoad } from "../../bench/plan.ts";
import { readRunInfo } from "../../bench/read_run.ts";
import type { MachineInfo, RunInfo } from "../../bench/records.ts";
import { readRun } from "../../bench/summary.ts";
import type { CandidateSummary, Summary } from "../../bench/summary_schema.ts";
import { UserError } from "../../errors.ts";
import type { QualityReport } from "../../quality/quality_schema.ts";
import { meanOf, sumOf } from "../../stats/mean.ts";
import { type Baseline, baselineOf, type BaselineSource, EMPTY_ANSWER } from "./baseline.ts";
import { candidateIn } from "./facts.ts";
import {
  caseOf,
  type QualitySource,
  type ScoredAnswers,
  scoredAnswers,
  worthByPrompt,
} from "./scored_answers.ts";
import { compareSharedAnswers, type SharedAnswers } from "./shared_answers.ts";

/** The figures of speed that a decision uses, in the unit of the summary. */
const speedMetrics = ["latency_s", "ttft_s", "output_tokens_per_s"] as const;
export type SpeedMetric = typeof speedMetrics[number] & RequestMetric;

/** By case, which is the hash of its prompt: the mean, over good requests, of each figure's natural logarithm. */
type SpeedByCase = ReadonlyMap<string, Readonly<Partial<Record<SpeedMetric, number>>>>;

export interface CandidateEvidence {
  readonly id: string;
  readonly summary: CandidateSummary;
  /** The run that its times come from. */
  readonly run: string;
  /** Over all good requests, quiet or not. */
  readonly logByPrompt: SpeedByCase;
  /** Cases (their hashes) of which a timed request failed: its slowest answers may be among them. */
  readonly failedCases: ReadonlySet<string>;
  /** What a counter measured, in joules per request; null where there is none. */
  readonly joulesPerRequest: number | null;
  /** Mean worth of the answers to each prompt, 0 to 1; empty where nothing was scored. */
  readonly qualityByPrompt: ReadonlyMap<string, number>;
  /** Whose scores stand for its own, and whether their recorded answers agree; null where its own count, or none. */
  readonly shared: SharedAnswers | null;
}

export interface Evidence {
  readonly machine: MachineInfo;
  readonly runs: readonly [RunInfo, ...RunInfo[]];
  /** Of each run. */
  readonly summaries: readonly Summary[];
  readonly candidates: readonly CandidateEvidence[];
  /** Timed blocks of all runs together. */
  readonly blocks: number;
  readonly disturbedBlocks: number;
  /** Why the times of a run allow no verdict, by run. */
  readonly speedFaults: ReadonlyMap<string, string>;
  readonly quality: QualityReport | null;
  readonly qualitySource: QualitySource | null;
  readonly baseline: Baseline;
}

/**
 * Gathers the evidence of runs. Of a candidate that several runs measured, the first one counts.
 *
 * @param qualityFolder the run whose answers count; default: the first of the runs whose answers were scored
 * @param source where the baseline comes from: `answersOf` gets the answers of the
 * model that the prompt set names
 *   (without it, the best constant answer counts), `prompts` is the set where the run's folder holds no copy
 * @throws {UserError} when the runs come from different machines, asked under
 * conditions that don't compare, or
 *   the answers of `qualityFolder` were not scored
 *
 * ```ts ignore
 * const evidence = await gatherEvidence(["reports/2026-11-21T04-55-07-ab12"], null);
 * ```
 */
export async function gatherEvidence(
  folders: readonly string[],
  qualityFolder: string | null,
  source: BaselineSource = {},
): Promise<Evidence> {
  const [first, ...others] = await Promise.all(folders.map(readRunInfo));
  if (first === undefined) throw new RangeError("Cannot decide without a run");
  for (const run of others) assertSameMachine(first, run);
  const runs = [first, ...others] as const;
  const scored = await scoredAnswers(qualityFolder === null ? folders : [qualityFolder]);
  if (qualityFolder !== null && scored === null) {
    throw new UserError(
      `the answers of ${qualityFolder} were not scored: deno task quality check ${qualityFolder}`,
    );
  }
  const summaries: Summary[] = [];
  const candidates = new Map<string, CandidateEvidence>();
  for (const [at, folder] of folders.entries()) {
    const measured = await measuredIn(folder, runs[at] ?? first, scored);
    summaries.push(measured.summary);
    for (const one of measured.candidates) {
      if ((candidates.get(one.id)?.summary.requests.ok ?? 0) === 0) candidates.set(one.id, one);
    }
  }
  return {
    machine: first.machine,
    runs,
    summaries,
    candidates: await withSharedChecked([...candidates.values()], scored, folders),
    blocks: sumOf(summaries.map(({ blocks }) => blocks.timed)),
    disturbedBlocks: sumOf(summaries.map(({ blocks }) => blocks.disturbed)),
    speedFaults: new Map(summaries.flatMap((summary, at) => {
      const fault = speedFault(summary, runs[at] ?? first);
      return fault === null ? [] : [[summary.run_id, fault] as const];
    })),
    quality: scored?.report ?? null,
    qualitySource: scored?.source ?? null,
    baseline: scored?.source === "checks" ? await baselineOf(scored, runs, source) : EMPTY_ANSWER,
  };
}

function assertSameMachine(a: RunInfo, b: RunInfo): void {
  const shown = ({ cpu, cores, ram_gb, gpu }: MachineInfo) =>
    `${cpu}, ${cores} cores, ${Math.round(ram_gb)} GB, ${gpu.join(" and ") || "no GPU"}`;
  const [machineA, machineB] = [shown(a.machine), shown(b.machine)];
  if (machineA === machineB) return;
  throw new UserError(
    `${a.run_id} and ${b.run_id} come from different machines (${machineA}; ${machineB}), whose ` +
      "times say nothing about each other: decide for each machine by itself",
  );
}

async function measuredIn(
  folder: string,
  { plan }: RunInfo,
  scored: ScoredAnswers | null,
): Promise<{ readonly summary: Summary; readonly candidates: CandidateEvidence[] }> {
  const { prompts } = plan.prompt_set;
  const meter = energyMeter();
  const failed = new Map<string, Set<string>>();
  const { summary, run } = await readRun(folder, (record) => {
    if (record.kind === "request" || record.kind === "machine") meter.add(record);
    if (record.kind !== "request" || record.phase !== "timed" || record.status === "ok") return;
    const hash = prompts.find(({ id }) => id === record.prompt_id)?.sha256;
    if (hash === undefined) return;
    failed.set(record.candidate, (failed.get(record.candidate) ?? new Set()).add(hash));
  });
  const joules = meter.joulesPerRequest();
  const candidates = summary.candidates.map((row): CandidateEvidence => ({
    id: row.id,
    summary: row,
    run: summary.run_id,
    logByPrompt: speedByCase(run.candidates.get(row.id)?.good ?? [], prompts.map(({ sha256 }) => sha256)),
    failedCases: failed.get(row.id) ?? new Set(),
    joulesPerRequest: joules.get(row.id) ?? null,
    qualityByPrompt: new Map(
      scored === null
        ? []
        : [...worthByPrompt(row.id, scored)].map(([id, worth]) => [caseOf(id, scored, plan), worth]),
    ),
    shared: null,
  }));
  return { summary, candidates };
}

function speedByCase(good: readonly GoodRequest[], hashes: readonly string[]): SpeedByCase {
  const speed = new Map<string, Partial<Record<SpeedMetric, number>>>();
  for (const [prompt, same] of Map.groupBy(good, ({ prompt }) => prompt)) {
    const hash = hashes[prompt];
    if (hash === undefined) continue;
    for (const metric of speedMetrics) {
      const logs = same.flatMap(({ [metric]: value }) =>
        value !== null && value > 0 ? [Math.log(value)] : []
      );
      if (logs.length > 0) speed.set(hash, { ...speed.get(hash), [metric]: meanOf(logs) });
    }
  }
  return speed;
}

/** Those whose recorded answers differ from the answers that were scored for them have no quality. */
async function withSharedChecked(
  candidates: readonly CandidateEvidence[],
  scored: ScoredAnswers | null,
  folders: readonly string[],
): Promise<readonly CandidateEvidence[]> {
  if (scored === null) return candidates;
  const pairs = candidates.flatMap(({ id }) => {
    const from = candidateIn(id, scored.report)?.id ?? id;
    return from === id ? [] : [{ id, from }];
  });
  const found = await compareSharedAnswers(pairs, [...folders, scored.folder].map((path) => resolve(path)));
  return candidates.map((one) => {
    const shared = found.find(({ id }) => id === one.id) ?? null;
    const differs = shared !== null && shared.different > 0;
    return { ...one, shared, ...(differs ? { qualityByPrompt: new Map<string, number>() } : {}) };
  });
}

/**
 * Why drift or other programs may have made a difference in times: the reasons for which
 * a summary gives no verdict.
 */
function speedFault({ blocks: { treatment, busiest } }: Summary, { plan }: RunInfo): string | null {
  if (treatment === "too many") return machineWasBusy(busiest);
  if (plan.order === "by model") return "the candidates ran one after the other: drift was not controlled";
  return underLoad(plan) ? "requests overlapped, so that cases are not independent" : null;
}

/**
 * Why the times of some candidates don't compare: their runs asked under different
 * conditions. Null where they do.
 *
 * ```ts
 * if (incomparable([], []) !== null) throw new Error("nothing differs");
 * ```
 */
export function incomparable(
  runs: readonly RunInfo[],
  candidates: readonly Pick<CandidateEvidence, "run">[],
): string | null {
  const [first, ...rest] = runs.filter(({ run_id }) => candidates.some(({ run }) => run === run_id));
  if (first === undefined) return null;
  const conditions = ({ plan }: RunInfo) =>
    new Map<string, string | number>([
      ["max-tokens", plan.max_tokens],
      ["prefix", plan.prefix],
      ["temperature", plan.temperature],
      ["concurrency", plan.concurrency],
      ["rate", plan.rate ?? "none"],
    ]);
  const own = conditions(first);
  for (const run of rest) {
    for (const [name, other] of conditions(run)) {
      if (own.get(name) === other) continue;
      return `${first.run_id} and ${run.run_id} asked under different conditions (${name} ${
        own.get(name)
      } and ${other}), so their times don't compare`;
    }
  }
  return null;
}
