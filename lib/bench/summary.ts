/** From the records of a run to summary.json: derived, and derivable again at any time. */
import { join } from "node:path";
import { quantile } from "../stats/quantile.ts";
import { summarize } from "../stats/statistic.ts";
import { byLength } from "./by_length.ts";
import { compareCandidates, ranksOf } from "./compare_candidates.ts";
import {
  type Collected,
  type CollectedRun,
  collectRecords,
  requestMetrics,
  type Requests,
} from "./collect.ts";
import { noiseEffect } from "./noise_effect.ts";
import { sustainedSpeed } from "./sustained.ts";
import { driftOf, isStable } from "./stationarity.ts";
import { readAnswers, readRunInfo, readSamples, replaceFile } from "./folder.ts";
import { type DeliveredLoad, deliveredLoad } from "./delivered_load.ts";
import { underLoad } from "./plan.ts";
import { type AnswerRecord, RUN_SCHEMA, type RunInfo, type SampleRecord } from "./records.ts";
import type { CandidateSummary, Summary, SummaryStatistic } from "./summary_schema.ts";
import { warningsOf } from "./warnings.ts";

/** A run, read once: what summary.json says, and the requests behind its figures. */
export interface SummarizedRun {
  readonly summary: Summary;
  readonly run: CollectedRun;
}

/**
 * Summarises the run in `folder` and returns the requests behind the figures too. Reads run.json, samples.jsonl and
 * answers.jsonl once, nothing else.
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
  return await readRecords({ info, samples, answers: readAnswers(folder) }, watch, () => torn);
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

/** Summarises records that come from anywhere: a folder, or memory. */
export async function summarizeRecords(...read: Parameters<typeof readRecords>): Promise<Summary> {
  return (await readRecords(...read)).summary;
}

async function readRecords(
  { info, samples, answers }: {
    readonly info: RunInfo;
    readonly samples: AsyncIterable<SampleRecord> | Iterable<SampleRecord>;
    readonly answers: AsyncIterable<AnswerRecord> | Iterable<AnswerRecord>;
  },
  watch: (record: SampleRecord) => void = () => {},
  torn: () => boolean = () => false,
): Promise<SummarizedRun> {
  const { plan, candidates } = info;
  const promptIds = plan.prompt_set.prompts.map(({ id }) => id);
  const collected = await collectRecords(samples, { candidates, promptIds, slo: plan.slo, watch });
  const run = { ...collected, torn: torn() };
  const texts = await sampleAnswers(answers, run);
  const noise = noiseEffect(run);
  const quiet: Quiet = noise.treatment === "left out" ? (block) => !run.disturbed.has(block) : null;
  const loads = new Map([...run.candidates].map(([id, candidate]) => [id, candidateLoad(candidate, info)]));
  const grouping = groupingOf(run, plan);
  const rows = [...run.candidates.values()].map((candidate) =>
    candidateSummary(candidate, info, {
      run,
      quiet,
      grouping,
      load: loads.get(candidate.info.id) ?? null,
      answer: texts.get(candidate.sampleId ?? "") ?? null,
    })
  );
  const comparisons = compareCandidates(run, { plan, promptIds, quiet, noise });
  const cases = new Set([...run.candidates.values()].flatMap(({ good }) => [...good.prompt.view()])).size;
  const summary: Summary = {
    schema_version: RUN_SCHEMA,
    run_id: info.run_id,
    status: info.status,
    created_at: info.created_at,
    machine: info.machine,
    versions: info.versions,
    plan,
    candidates: rows,
    scope: {
      claim: underLoad(plan) ? "this load on these cases" : cases === 1 ? "this case" : "cases like these",
      cases,
      units: Math.max(0, ...rows.map(({ latency_s }) => latency_s.units)),
    },
    comparisons,
    ranks: ranksOf(comparisons, rows.filter(({ requests }) => requests.ok > 0).map(({ id }) => id)),
    blocks: {
      timed: run.blocks.size,
      disturbed: run.disturbed.size,
      treatment: noise.treatment,
      slowdown: noise.slowdown,
      busiest: noise.busiest,
    },
    warnings: warningsOf({ info, run, rows, noise }),
  };
  return { summary, run };
}

/** Writes summary.json into the folder of its run. */
export async function writeSummary(folder: string, summary: Summary): Promise<void> {
  await replaceFile(join(folder, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
}

/** Which blocks the headline rests on; null for all of them. */
type Quiet = ((block: number) => boolean) | null;

async function sampleAnswers(
  answers: AsyncIterable<AnswerRecord> | Iterable<AnswerRecord>,
  run: CollectedRun,
): Promise<Map<string, string>> {
  const wanted = new Set([...run.candidates.values()].flatMap(({ sampleId }) => sampleId ?? []));
  const found = new Map<string, string>();
  for await (const answer of answers) {
    if (wanted.size === found.size) break;
    if (wanted.has(answer.id)) found.set(answer.id, answer.content || answer.reasoning);
  }
  return found;
}

function candidateSummary(
  candidate: Collected,
  { plan }: RunInfo,
  { run, quiet, grouping, load, answer }: {
    run: Pick<CollectedRun, "machine">;
    quiet: Quiet;
    grouping: Grouping;
    load: DeliveredLoad | null;
    answer: string | null;
  },
): CandidateSummary {
  const { info, good, timeline } = candidate;
  const drift = driftOf(candidate, quiet);
  const tokens = kept(good.outputTokens.view(), good.block.view(), quiet);
  return {
    id: info.id,
    alias: info.alias,
    variant: info.variant,
    device: candidate.load?.device ?? info.device,
    llama_cpp: info.llama_cpp ?? null,
    endpoint: info.endpoint,
    model_id: info.model_id,
    ...statusOf(candidate),
    requests: { ok: candidate.ok, failed: candidate.failed },
    ...withoutPrefill(statistics(candidate, quiet, grouping), plan),
    with_disturbed: quiet === null ? null : withoutPrefill(statistics(candidate, null, grouping), plan),
    sustained: plan.for_s === undefined ? null : sustainedSpeed(candidate, run, quiet),
    by_length: byLength(candidate, plan, (name, prompts) => {
      if (name === "prefill_tokens_per_s" && underLoad(plan)) return mutable(summarize([]));
      const asked = good.prompt.view();
      const values = Array.from(
        good.metrics[name].view(),
        (value, at) => prompts.has(asked[at] ?? -1) ? value : NaN,
      );
      return grouped(candidate, values, quiet, grouping);
    }),
    tokens: {
      source: candidate.source,
      prompt_mean: mean(known(kept(good.promptTokens.view(), good.block.view(), quiet))),
      output_mean: mean(tokens),
      output_p95: tokens.length < 20 ? null : quantile(tokens, 0.95),
    },
    finish: { stop: candidate.stop, length: candidate.length },
    load_s: candidate.load?.load_s ?? null,
    warmup: {
      n: candidate.warmups.length,
      stable: candidate.warmups.length < 2 ? null : isStable(candidate.warmups),
    },
    drift: drift === null ? null : { ...drift, ci95: [drift.ci95[0], drift.ci95[1]] },
    memory_mb: candidate.memoryMb,
    size_mb: info.size_mb,
    license: info.license,
    sample_answer: answer,
    queue_s: underLoad(plan) ? grouped(candidate, good.queueS.view(), quiet, grouping) : null,
    goodput: plan.slo === null || load === null ? null : goodput(timeline.met.view(), load),
    load: load === null || !underLoad(plan) ? null : {
      asked_rate: plan.rate,
      delivered_rate: load.deliveredRate,
      completed_rate: load.completedRate,
      max_in_flight: load.maxInFlight,
    },
  };
}

function statusOf(candidate: Collected): Pick<CandidateSummary, "status" | "reason"> {
  const { ok, failed, left, firstReason } = candidate;
  if (ok === 0 && failed === 0 && left === null) {
    return { status: "skipped", reason: "the run ended before its turn" };
  }
  const reason = left?.reason ??
    (failed === 0 ? null : `${failed} of ${ok + failed} failed, first: ${firstReason}`);
  if (ok === 0) return { status: "failed", reason };
  return { status: reason === null ? "ok" : "partial", reason };
}

function candidateLoad({ timeline }: Collected, { plan }: RunInfo): DeliveredLoad | null {
  if (timeline.due.length === 0) return null;
  const spans = { due: timeline.due.view(), sent: timeline.sent.view(), end: timeline.end.view() };
  return deliveredLoad(spans, plan.rate);
}

function goodput(met: ArrayLike<number>, load: DeliveredLoad): CandidateSummary["goodput"] {
  const good = Array.from(met).reduce((sum, value) => sum + value, 0);
  return {
    requests_per_s: load.busyS > 0 ? good / load.busyS : 0,
    met: met.length === 0 ? 0 : good / met.length,
    n: met.length,
  };
}

type Metrics = Pick<CandidateSummary, typeof requestMetrics[number] | "itl_s">;

function statistics(candidate: Collected, quiet: Quiet, grouping: Grouping): Metrics {
  const { metrics } = candidate.good;
  const of = (name: typeof requestMetrics[number]) =>
    grouped(candidate, metrics[name].view(), quiet, grouping);
  return {
    latency_s: of("latency_s"),
    ttft_s: of("ttft_s"),
    ttfo_s: of("ttfo_s"),
    tpot_s: of("tpot_s"),
    itl_s: gapStatistic(candidate, quiet, grouping),
    output_tokens_per_s: of("output_tokens_per_s"),
    decode_tokens_per_s: of("decode_tokens_per_s"),
    output_chars_per_s: of("output_chars_per_s"),
    prefill_tokens_per_s: of("prefill_tokens_per_s"),
  };
}

/** Under load the time to the first token is also waiting in the server's queue, and no speed of reading. */
function withoutPrefill(metrics: Metrics, plan: RunInfo["plan"]): Metrics {
  return underLoad(plan) ? { ...metrics, prefill_tokens_per_s: mutable(summarize([])) } : metrics;
}

/** The independent unit that a request belongs to, by its number among the good ones. */
type Grouping = (good: Requests, request: number) => number;

/**
 * Repeats of a case are not independent, and under load neither are requests that overlap: intervals take cases, or
 * stretches, as the units; repeats where there is one case.
 */
function groupingOf(run: CollectedRun, plan: RunInfo["plan"]): Grouping {
  // Runs of schema 1 recorded no stretches: the whole run counts as one.
  if (underLoad(plan)) return (good, at) => good.stretch.view()[at] || 0;
  const cases = new Set([...run.candidates.values()].flatMap(({ good }) => [...good.prompt.view()])).size;
  return cases < 2 ? (good, at) => good.block.view()[at] ?? 0 : (good, at) => good.prompt.view()[at] ?? 0;
}

function grouped(
  { good }: Collected,
  values: ArrayLike<number>,
  quiet: Quiet,
  grouping: Grouping,
): SummaryStatistic {
  const blocks = good.block.view();
  const chosen: number[] = [];
  const groups: number[] = [];
  for (let at = 0; at < values.length; at++) {
    const value = values[at] ?? NaN;
    if (Number.isNaN(value) || (quiet !== null && !quiet(blocks[at] ?? 0))) continue;
    chosen.push(value);
    groups.push(grouping(good, at));
  }
  return mutable(summarize(chosen, { groups }));
}

/** Over all gaps; all gaps of a unit hang together. */
function gapStatistic({ good }: Collected, quiet: Quiet, grouping: Grouping): SummaryStatistic {
  const blocks = good.block.view();
  const [counts, gaps] = [good.gapCount.view(), good.gapsS.view()];
  const chosen = new Float32Array(gaps.length);
  const groups = new Float64Array(gaps.length);
  let [from, length] = [0, 0];
  for (let request = 0; request < counts.length; request++) {
    const to = from + (counts[request] ?? 0);
    if (quiet === null || quiet(blocks[request] ?? 0)) {
      chosen.set(gaps.subarray(from, to), length);
      groups.fill(grouping(good, request), length, length + to - from);
      length += to - from;
    }
    from = to;
  }
  return mutable(summarize(chosen.subarray(0, length), { groups: groups.subarray(0, length) }));
}

function mutable(statistic: ReturnType<typeof summarize>): SummaryStatistic {
  return { ...statistic };
}

function kept(values: ArrayLike<number>, blocks: ArrayLike<number>, quiet: Quiet): number[] {
  return Array.from(values).filter((_, at) => quiet === null || quiet(blocks[at] ?? 0));
}

const known = (values: readonly number[]) => values.filter((value) => !Number.isNaN(value));

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
