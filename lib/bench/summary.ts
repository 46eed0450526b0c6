/** From the records of a run to summary.json: derived, and derivable again at any time. */
import { join } from "node:path";
import { meanOf } from "../stats/mean.ts";
import { quantile } from "../stats/quantile.ts";
import { P95_FROM, summarize } from "../stats/statistic.ts";
import { byLength } from "./by_length.ts";
import {
  type Collected,
  type CollectedRequest,
  type CollectedRun,
  collectRecords,
  type GoodRequest,
} from "./collect.ts";
import { compareCandidates, ranksOf } from "./compare_candidates.ts";
import { deliveredLoad } from "./delivered_load.ts";
import { replaceFile } from "./folder.ts";
import { readAnswers, readRunInfo, readSamples } from "./read_run.ts";
import { byMetric, type MetricName, metricNames } from "./metrics.ts";
import { noiseEffect } from "./noise_effect.ts";
import { underLoad } from "./plan.ts";
import {
  type AnswerRecord,
  type PlanInfo,
  RUN_SCHEMA,
  type RunInfo,
  type SampleRecord,
  tokenSource,
} from "./records.ts";
import { driftOf, isStable } from "./stationarity.ts";
import type { CandidateSummary, Summary, SummaryStatistic } from "./summary_schema.ts";
import { sustainedSpeed } from "./sustained.ts";
import { warningsOf } from "./warnings.ts";

/** A run, read once: what summary.json says, and the requests behind its figures. */
export interface SummarizedRun {
  readonly summary: Summary;
  readonly run: CollectedRun;
}

/**
 * Summarises the run in `folder` and returns the requests behind the figures too. Reads run.json,
 * samples.jsonl and answers.jsonl once, nothing else.
 *
 * @param watch sees every record of samples.jsonl as it is read
 * @throws {UserError} when the folder holds no run, or a record is damaged
 *
 * ```ts ignore
 * const { summary, run } = await readRun("reports/2026-11-21T04-55-07-ab12");
 * ```
 */
export async function readRun(
  folder: string,
  watch: (record: SampleRecord) => void = () => {},
): Promise<SummarizedRun> {
  const info = await readRunInfo(folder);
  let torn = false;
  const samples = readSamples(folder, () => torn = true);
  return await summarizeRecords({ info, samples, answers: readAnswers(folder) }, watch, () => torn);
}

/**
 * Summarises the run in `folder`: `readRun`, without the requests.
 *
 * ```ts ignore
 * const summary = await summarizeRun("reports/2026-11-21T04-55-07-ab12");
 * ```
 */
export async function summarizeRun(...read: Parameters<typeof readRun>): Promise<Summary> {
  return (await readRun(...read)).summary;
}

type Records<T> = AsyncIterable<T> | Iterable<T>;

/** Summarises records that come from anywhere: a folder, or memory. */
export async function summarizeRecords(
  { info, samples, answers }: {
    readonly info: RunInfo;
    readonly samples: Records<SampleRecord>;
    readonly answers: Records<AnswerRecord>;
  },
  watch: (record: SampleRecord) => void = () => {},
  torn: () => boolean = () => false,
): Promise<SummarizedRun> {
  const { plan } = info;
  const promptIds = plan.prompt_set.prompts.map(({ id }) => id);
  const options = { candidates: info.candidates, promptIds, slo: plan.slo, watch };
  const run = { ...await collectRecords(samples, options), torn: torn() };
  const candidates = [...run.candidates.values()];
  const texts = await sampleAnswers(answers, candidates);
  const noise = noiseEffect(run);
  const quiet: Quiet = noise.treatment === "left out" ? (block) => !run.disturbed.has(block) : null;
  const cases = new Set(candidates.flatMap(({ good }) => good.map(({ prompt }) => prompt))).size;
  const unit = underLoad(plan) ? "stretch" : cases < 2 ? "block" : "prompt";
  const rows = candidates.map((candidate) =>
    candidateSummary(candidate, { plan, machine: run.machine, quiet, unit, texts })
  );
  const claim = underLoad(plan) ? "this load on these cases" : cases === 1 ? "this case" : "cases like these";
  const comparisons = compareCandidates(run, { plan, promptIds, quiet, noise });
  const { treatment, slowdown, busiest } = noise;
  const summary: Summary = {
    schema_version: RUN_SCHEMA,
    run_id: info.run_id,
    status: info.status,
    created_at: info.created_at,
    machine: info.machine,
    versions: info.versions,
    plan,
    candidates: rows,
    scope: { claim, cases, units: Math.max(0, ...rows.map(({ latency_s }) => latency_s.units)) },
    comparisons,
    ranks: ranksOf(comparisons, rows.filter(({ requests }) => requests.ok > 0).map(({ id }) => id)),
    blocks: { timed: run.blocks.size, disturbed: run.disturbed.size, treatment, slowdown, busiest },
    warnings: warningsOf({ info, run, rows, noise }),
  };
  return { summary, run };
}

/** Writes summary.json into the folder of its run. */
export async function writeSummary(folder: string, summary: Summary): Promise<void> {
  await replaceFile(join(folder, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
}

/** The text of each candidate's first good answer, by the request's id. */
async function sampleAnswers(
  answers: Records<AnswerRecord>,
  candidates: readonly Collected[],
): Promise<Map<string, string>> {
  const wanted = new Set(candidates.flatMap(({ sampleId }) => sampleId ?? []));
  const found = new Map<string, string>();
  for await (const answer of answers) {
    if (wanted.size === found.size) break;
    if (wanted.has(answer.id)) found.set(answer.id, answer.content || answer.reasoning);
  }
  return found;
}

/** Which blocks the headline rests on; null for all of them. */
type Quiet = ((block: number) => boolean) | null;

/**
 * What requests that are not independent have in common: repeats of a case, and under load requests that
 * overlap. Intervals take cases, or stretches, as the units; repeats where there is one case.
 */
type Unit = "stretch" | "block" | "prompt";

function metricStatistic(
  name: MetricName,
  requests: readonly GoodRequest[],
  unit: Unit,
  plan: PlanInfo,
): SummaryStatistic {
  if (name === "itl_s") return gapStatistic(requests, unit);
  // Under load the time to the first token is also waiting in the server's queue, and no speed of reading.
  if (name === "prefill_tokens_per_s" && underLoad(plan)) return summarize([]);
  return statisticOf(requests, unit, (request) => request[name]);
}

function statisticOf(
  requests: readonly GoodRequest[],
  unit: Unit,
  valueOf: (request: GoodRequest) => number | null,
): SummaryStatistic {
  const values: number[] = [];
  const groups: number[] = [];
  for (const request of requests) {
    const value = valueOf(request);
    if (value === null) continue;
    values.push(value);
    groups.push(request[unit]);
  }
  return summarize(values, { groups });
}

/** Over all gaps, in typed arrays: a long run has millions. */
function gapStatistic(requests: readonly GoodRequest[], unit: Unit): SummaryStatistic {
  const n = requests.reduce((sum, { itl_s }) => sum + itl_s.length, 0);
  const [gaps, groups] = [new Float32Array(n), new Float64Array(n)];
  let at = 0;
  for (const request of requests) {
    gaps.set(request.itl_s, at);
    groups.fill(request[unit], at, at + request.itl_s.length);
    at += request.itl_s.length;
  }
  return summarize(gaps, { groups });
}

function candidateSummary(
  candidate: Collected,
  { plan, machine, quiet, unit, texts }: {
    readonly plan: PlanInfo;
    readonly machine: CollectedRun["machine"];
    readonly quiet: Quiet;
    readonly unit: Unit;
    readonly texts: ReadonlyMap<string, string>;
  },
): CandidateSummary {
  const { info, timed, good, load, warmups } = candidate;
  const { id, alias, variant, endpoint, model_id, size_mb, license } = info;
  const counted = quiet === null ? good : good.filter(({ block }) => quiet(block));
  const statistic = (name: MetricName, requests: readonly GoodRequest[]) =>
    metricStatistic(name, requests, unit, plan);
  const cut = good.filter((request) => request.cut).length;
  return {
    id,
    alias,
    variant,
    device: load?.device ?? info.device,
    llama_cpp: info.llama_cpp ?? null,
    endpoint,
    model_id,
    ...statusOf(candidate),
    requests: { ok: good.length, failed: timed.length - good.length },
    ...byMetric(metricNames, (name) => statistic(name, counted)),
    with_disturbed: quiet === null ? null : byMetric(metricNames, (name) => statistic(name, good)),
    sustained: plan.for_s === undefined ? null : sustainedSpeed(counted, machine),
    by_length: byLength(
      candidate,
      plan,
      (name, prompts) => statistic(name, counted.filter(({ prompt }) => prompts.has(prompt))),
    ),
    tokens: tokenFigures(good, counted),
    finish: { stop: good.length - cut, length: cut },
    load_s: load?.load_s ?? null,
    warmup: { n: warmups.length, stable: warmups.length < 2 ? null : isStable(warmups) },
    drift: driftOf(counted),
    memory_mb: candidate.memoryMb,
    size_mb,
    license,
    sample_answer: texts.get(candidate.sampleId ?? "") ?? null,
    queue_s: underLoad(plan) ? statisticOf(counted, unit, ({ queueS }) => queueS) : null,
    ...loadFigures(timed, plan),
  };
}

function statusOf({ timed, good, left }: Collected): Pick<CandidateSummary, "status" | "reason"> {
  const [first, ...others] = timed.flatMap(({ failure }) => failure ?? []);
  if (timed.length === 0 && left === null) {
    return { status: "skipped", reason: "the run ended before its turn" };
  }
  const reason = left?.reason ??
    (first === undefined ? null : `${1 + others.length} of ${timed.length} failed, first: ${first}`);
  if (good.length === 0) return { status: "failed", reason };
  return { status: reason === null ? "ok" : "partial", reason };
}

/** @param counted the requests of quiet blocks; every good one tells whether tokens were estimated */
function tokenFigures(
  good: readonly GoodRequest[],
  counted: readonly GoodRequest[],
): CandidateSummary["tokens"] {
  const sources = new Set(good.map((request) => request.tokenSource));
  const prompt = counted.flatMap(({ promptTokens }) => promptTokens ?? []);
  const output = counted.map(({ outputTokens }) => outputTokens);
  return {
    source: tokenSource.options.findLast((source) => sources.has(source)) ?? null,
    prompt_mean: prompt.length === 0 ? null : meanOf(prompt),
    output_mean: output.length === 0 ? null : meanOf(output),
    output_p95: output.length < P95_FROM ? null : quantile(output, 0.95),
  };
}

function loadFigures(
  timed: readonly CollectedRequest[],
  plan: PlanInfo,
): Pick<CandidateSummary, "goodput" | "load"> {
  if (timed.length === 0) return { goodput: null, load: null };
  const load = deliveredLoad(timed, plan.rate);
  const met = timed.filter((request) => request.met).length;
  return {
    goodput: plan.slo === null ? null : {
      requests_per_s: load.busyS > 0 ? met / load.busyS : 0,
      met: met / timed.length,
      n: timed.length,
    },
    load: !underLoad(plan) ? null : {
      asked_rate: plan.rate,
      delivered_rate: load.deliveredRate,
      completed_rate: load.completedRate,
      max_in_flight: load.maxInFlight,
    },
  };
}
