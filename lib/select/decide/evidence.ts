/** What was measured and scored of each candidate, by prompt: what a decision rests on. */
import type { RequestMetric } from "../../bench/collect.ts";
import { join, resolve } from "node:path";
import { energyMeter } from "../../bench/energy.ts";
import { readAnswers, readRunInfo } from "../../bench/folder.ts";
import { machineWasBusy } from "../../bench/noise_effect.ts";
import { underLoad } from "../../bench/plan.ts";
import type { MachineInfo, RunInfo } from "../../bench/records.ts";
import { readRun } from "../../bench/summary.ts";
import type { CandidateSummary, Summary } from "../../bench/summary_schema.ts";
import { reasonOf, UserError } from "../../errors.ts";
import { loadPromptSet, type PromptSet } from "../../prompts/prompts.ts";
import type { BoundedScore } from "../../bench/gate.ts";
import type { QualityReport, ScoreState } from "../../quality/quality_schema.ts";
import { type RatingRecord, readRatings } from "../../quality/ratings.ts";
import { readVotes, type VoteRecord, voteValue } from "../../quality/votes.ts";
import { scoreAnswer } from "../../quality/check.ts";
import { type BaselineAnswers, constantBaseline } from "./baseline.ts";
import { candidateIn, readQuality } from "./facts.ts";
import { compareSharedAnswers, type SharedAnswers } from "./shared_answers.ts";

/** The figures of speed that a decision uses; each by case (its hash), in the unit of the summary. */
const speedMetrics = ["latency_s", "ttft_s", "output_tokens_per_s"] as const;
export type SpeedMetric = typeof speedMetrics[number] & RequestMetric;

export interface CandidateEvidence {
  readonly id: string;
  readonly summary: CandidateSummary;
  /** The run that its times come from. */
  readonly run: string;
  /** Mean over the good requests of a prompt, quiet or not, of the figure's natural logarithm. */
  readonly logByPrompt: ReadonlyMap<string, Readonly<Partial<Record<SpeedMetric, number>>>>;
  /** Cases (their hashes) of which a timed request failed: its slowest answers may be among them. */
  readonly failedCases: ReadonlySet<string>;
  /** What a counter measured, in joules per request; null where there is none. */
  readonly joulesPerRequest: number | null;
  /** Mean worth of the answers to each prompt, 0 to 1; empty where nothing was scored. */
  readonly qualityByPrompt: ReadonlyMap<string, number>;
  /** Whose scores stand for its own, and whether their recorded answers agree; null where its own count, or none. */
  readonly shared: SharedAnswers | null;
}

/** How answers were judged: design's order is checks, then people, then a judge. */
export type QualitySource = "checks" | "people" | "votes" | "judge" | null;

/** What a choice without a quality floor must beat. */
export interface Baseline {
  /** What it is, for messages: `extractive-notes, 0.53`. */
  readonly what: string;
  /** Its mean score, 0 to 1. */
  readonly score: number;
  /** Score by case, as in `qualityByPrompt`. */
  readonly byPrompt: ReadonlyMap<string, number>;
}

export interface Evidence {
  readonly machine: MachineInfo;
  readonly runs: readonly RunInfo[];
  /** Of each run. */
  readonly summaries: readonly Summary[];
  readonly candidates: readonly CandidateEvidence[];
  /** Timed blocks of all runs together. */
  readonly blocks: number;
  readonly disturbedBlocks: number;
  /** Why the times of a run allow no verdict, by run. */
  readonly speedFaults: ReadonlyMap<string, string>;
  readonly quality: QualityReport | null;
  readonly qualitySource: QualitySource;
  /** Null where the checks are not with the run: then an empty answer, which scores 0, is the baseline. */
  readonly baseline: Baseline | null;
}

/** Where the baseline of a decision comes from. */
export interface BaselineSource {
  readonly answersOf?: BaselineAnswers;
  readonly prompts?: PromptSet;
}

/** Scored answers: quality.json and the ratings next to it. */
interface Scored {
  readonly report: QualityReport;
  readonly ratings: readonly RatingRecord[];
  readonly votes: readonly VoteRecord[];
  readonly source: Exclude<QualitySource, null>;
  readonly folder: string;
}

/**
 * Gathers the evidence of runs. Of a candidate that several runs measured, the first one counts.
 *
 * @param qualityFolder the run whose answers count; default: the first of the runs whose answers were scored
 * @param source where the baseline comes from: `answersOf` gets the answers of the model that the prompt set names
 *   (without it, the best constant answer counts), `prompts` is the set where the run's folder holds no copy
 * @throws {UserError} when the runs come from different machines, asked under conditions that don't compare, or
 *   the answers of `qualityFolder` were not scored
 *
 * @example
 * ```ts ignore
 * const evidence = await gatherEvidence(["reports/2026-11-21T04-55-07-ab12"], null);
 * ```
 */
export async function gatherEvidence(
  folders: readonly string[],
  qualityFolder: string | null,
  source: BaselineSource = {},
): Promise<Evidence> {
  const runs = await Promise.all(folders.map(readRunInfo));
  const [first] = runs;
  if (first === undefined) throw new RangeError("Cannot decide without a run");
  for (const run of runs) assertSameMachine(first, run);
  const scored = await scoredAnswers(qualityFolder === null ? folders : [qualityFolder]);
  if (qualityFolder !== null && scored === null) {
    throw new UserError(
      `the answers of ${qualityFolder} were not scored: deno task quality check ${qualityFolder}`,
    );
  }
  const found = new Map<string, CandidateEvidence>();
  const speedFaults = new Map<string, string>();
  let [blocks, disturbedBlocks] = [0, 0];
  const summaries: Summary[] = [];
  for (const [at, folder] of folders.entries()) {
    const info = runs[at] ?? first;
    const { summary, candidates } = await evidenceOf(folder, info, scored);
    summaries.push(summary);
    const fault = speedFault(summary, info);
    if (fault !== null) speedFaults.set(summary.run_id, fault);
    blocks += summary.blocks.timed;
    disturbedBlocks += summary.blocks.disturbed;
    for (const one of candidates) {
      const known = found.get(one.id);
      if (known === undefined || known.summary.requests.ok === 0) found.set(one.id, one);
    }
  }
  return {
    machine: first.machine,
    runs,
    summaries,
    candidates: await withSharedChecked([...found.values()], scored, folders),
    blocks,
    disturbedBlocks,
    speedFaults,
    quality: scored?.report ?? null,
    qualitySource: scored?.source ?? null,
    baseline: scored?.source !== "checks" ? null : await baselineOf(scored, runs, source),
  };
}

/** Those whose recorded answers differ from the answers that were scored for them have no quality. */
async function withSharedChecked(
  candidates: readonly CandidateEvidence[],
  scored: Scored | null,
  folders: readonly string[],
): Promise<CandidateEvidence[]> {
  if (scored === null) return [...candidates];
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

/** Why drift or other programs may have made a difference in times: the reasons for which a summary gives no verdict. */
function speedFault({ blocks: { treatment, busiest } }: Summary, run: RunInfo): string | null {
  if (treatment === "too many") return machineWasBusy(busiest);
  if (run.plan.order === "by model") {
    return "the candidates ran one after the other: drift was not controlled";
  }
  return underLoad(run.plan) ? "requests overlapped, so that cases are not independent" : null;
}

/**
 * The answers of the model that the prompt set names; where it names none, or that one can't answer, the best constant
 * answer, which then says why.
 */
async function baselineOf(
  scored: Scored,
  runs: readonly RunInfo[],
  source: BaselineSource,
): Promise<Baseline | null> {
  const set = await scoredSet(scored.folder, source);
  if (set === null) return null;
  const { plan } = runs.find(({ plan }) => plan.prompt_set.sha256 === scored.report.prompt_set.sha256) ??
    await readRunInfo(scored.folder);
  const baseline = (scores: ReadonlyMap<string, number>, name: string, note = ""): Baseline => {
    const score = mean([...scores.values()]);
    const byPrompt = new Map([...scores].map(([id, one]) => [hashOf(id, scored, plan), one] as const));
    return { what: `${name}, ${score.toFixed(2)}${note}`, score, byPrompt };
  };
  let note = "";
  const checked = set.prompts.filter(({ checks }) => checks.length > 0);
  if (set.baseline !== null && source.answersOf !== undefined && checked.length > 0) {
    try {
      const given = await source.answersOf(set.baseline, checked, plan.max_tokens);
      const scores = checked.map((prompt) =>
        [prompt.id, scoreAnswer(given.get(prompt.id) ?? "", prompt.checks, prompt).score] as const
      );
      return baseline(new Map(scores), set.baseline);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      note = `; ${set.name} names ${set.baseline}, but ${reasonOf(error)}`;
    }
  }
  const answers: { prompt: string; text: string }[] = [];
  for await (const { prompt_id, content } of readAnswers(scored.folder)) {
    answers.push({ prompt: prompt_id, text: content });
  }
  const constants = constantBaseline(set.prompts, answers);
  return constants === null ? null : baseline(constants, "the best constant answer", note);
}

/** The copy in the run's folder; where there is none, the set that the caller has. */
async function scoredSet(folder: string, { prompts }: BaselineSource): Promise<PromptSet | null> {
  const path = join(folder, "prompts.json");
  const copied = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
  return copied ? await loadPromptSet(path) : prompts ?? null;
}

async function scoredAnswers(folders: readonly string[]): Promise<Scored | null> {
  for (const folder of folders) {
    const report = await readQuality(folder);
    const source = report === null ? null : sourceOf(report);
    if (report !== null && source !== null) {
      return { report, source, ratings: await readRatings(folder), votes: await readVotes(folder), folder };
    }
  }
  return null;
}

function assertSameMachine(a: RunInfo, b: RunInfo): void {
  const shown = ({ cpu, cores, ram_gb, gpu }: MachineInfo) =>
    `${cpu}, ${cores} cores, ${Math.round(ram_gb)} GB, ${gpu.join(" and ") || "no GPU"}`;
  if (shown(a.machine) === shown(b.machine)) return;
  throw new UserError(
    `${a.run_id} and ${b.run_id} come from different machines (${shown(a.machine)}; ${
      shown(b.machine)
    }), whose ` +
      "times say nothing about each other: decide for each machine by itself",
  );
}

/**
 * Why the times of some candidates don't compare: their runs asked under different conditions. Null where they do.
 *
 * @example
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

async function evidenceOf(
  folder: string,
  { plan }: RunInfo,
  scored: Scored | null,
): Promise<{ readonly summary: Summary; readonly candidates: CandidateEvidence[] }> {
  const promptIds = plan.prompt_set.prompts.map(({ id }) => id);
  const hashes = plan.prompt_set.prompts.map(({ sha256 }) => sha256);
  const meter = energyMeter();
  const failed = new Map<string, Set<string>>();
  const { summary, run } = await readRun(folder, (record) => {
    if (record.kind === "request" || record.kind === "machine") meter.add(record);
    if (record.kind !== "request" || record.phase !== "timed" || record.status === "ok") return;
    const hash = hashes[promptIds.indexOf(record.prompt_id)];
    if (hash !== undefined) {
      failed.set(record.candidate, (failed.get(record.candidate) ?? new Set()).add(hash));
    }
  });
  const joules = meter.joulesPerRequest();
  const candidates = summary.candidates.map((row): CandidateEvidence => {
    const good = run.candidates.get(row.id)?.good;
    const sums = new Map<string, Partial<Record<SpeedMetric, { sum: number; n: number }>>>();
    const asked = good?.prompt.view() ?? [];
    for (const metric of speedMetrics) {
      const values = good?.metrics[metric].view() ?? [];
      for (let at = 0; at < values.length; at++) {
        const [value, hash] = [values[at] ?? NaN, hashes[asked[at] ?? -1]];
        if (!(value > 0) || hash === undefined) continue;
        const logs = sums.get(hash) ?? {};
        const { sum, n } = logs[metric] ?? { sum: 0, n: 0 };
        logs[metric] = { sum: sum + Math.log(value), n: n + 1 };
        sums.set(hash, logs);
      }
    }
    const logByPrompt = new Map([...sums].map(([hash, logs]) => [hash, means(logs)] as const));
    return {
      id: row.id,
      summary: row,
      run: summary.run_id,
      logByPrompt,
      failedCases: failed.get(row.id) ?? new Set(),
      joulesPerRequest: joules.get(row.id) ?? null,
      shared: null,
      qualityByPrompt: new Map(
        [...qualityByPrompt(row.id, scored)].map(([id, value]) => [hashOf(id, scored, plan), value] as const),
      ),
    };
  });
  return { summary, candidates };
}

function means(
  logs: Partial<Record<SpeedMetric, { sum: number; n: number }>>,
): Partial<Record<SpeedMetric, number>> {
  return Object.fromEntries(Object.entries(logs).map(([metric, { sum, n }]) => [metric, sum / n]));
}

function sourceOf({ answers, candidates, votes }: QualityReport): QualitySource {
  if (answers.length > 0) return "checks";
  const sources = candidates.flatMap(({ ratings }) => ratings.map(({ source }) => source));
  if (sources.includes("person")) return "people";
  return votes !== undefined ? "votes" : sources.includes("judge") ? "judge" : null;
}

/** The same prompt has the same name in times and answers, so that both can be resampled together. */
function hashOf(id: string, scored: Scored | null, plan: RunInfo["plan"] | null): string {
  const prompt_set = plan?.prompt_set;
  const known = prompt_set !== undefined && scored?.report.prompt_set.sha256 === prompt_set.sha256;
  return (known ? prompt_set.prompts.find((one) => one.id === id)?.sha256 : undefined) ?? `answers to ${id}`;
}

/** Check scores by prompt, ratings from 1 to 5 drawn to 0 to 1, or the share of votes that were won. */
function qualityByPrompt(id: string, scored: Scored | null): Map<string, number> {
  const found = candidateIn(id, scored?.report ?? null);
  if (scored === null || found === null) return new Map();
  const wanted = scored.source === "people" ? "person" : "judge";
  const values = scored.source === "checks"
    ? scored.report.answers.filter(({ candidate, state }) =>
      candidate === found.id && state !== "unsupported"
    )
      .map(({ prompt_id, score }) => ({ prompt_id, value: score }))
    : scored.source === "votes"
    ? scored.votes.flatMap((vote) => {
      const value = voteValue(vote, found.id);
      return value === null ? [] : [{ prompt_id: vote.prompt_id, value }];
    })
    : scored.ratings.filter(({ candidate, source }) => candidate === found.id && source === wanted)
      .map(({ prompt_id, scores }) => ({ prompt_id, value: (mean(Object.values(scores)) - 1) / 4 }));
  return new Map(
    [...Map.groupBy(values, ({ prompt_id }) => prompt_id)].map((
      [prompt, same],
    ) => [prompt, mean(same.map(({ value }) => value))]),
  );
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Mean score by case of each candidate of a scored run, under the prompt's hash, with its bounds: what a gate pairs two
 * runs by.
 *
 * @example
 * ```ts ignore
 * const scores = scoresByCase(quality, info).get("smollm2:q4_1");
 * ```
 */
export function scoresByCase(
  report: QualityReport,
  { plan }: RunInfo,
): Map<string, Map<string, BoundedScore>> {
  const hashes = new Map(plan.prompt_set.prompts.map(({ id, sha256 }) => [id, sha256]));
  return new Map(
    [...Map.groupBy(report.answers, ({ candidate }) => candidate)].map(([candidate, answers]) => {
      const byPrompt = Map.groupBy(answers, ({ prompt_id }) => prompt_id);
      const scores = [...byPrompt].map(([id, same]) => {
        const bounds = {
          score: mean(same.map(({ score }) => score)),
          least: mean(same.map(({ score, state }) => isOpen(state) ? 0 : score)),
          most: mean(same.map(({ score, state }) => isOpen(state) ? 1 : score)),
        };
        return [hashes.get(id) ?? id, bounds] as const;
      });
      return [candidate, new Map(scores)] as const;
    }),
  );
}

/** Whether another token limit, or other checks, could have given any score. */
const isOpen = (state: ScoreState) => state === "cut" || state === "unsupported";
