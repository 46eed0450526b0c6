/** From the records of a run to summary.json: derived, and derivable again at any time. */
import { join } from "node:path";
import { comparePaired } from "../stats/paired.ts";
import { quantile } from "../stats/quantile.ts";
import { summarize } from "../stats/summary.ts";
import { type Collected, type CollectedRun, collectRun, requestMetrics } from "./collect.ts";
import { readAnswers, readRunInfo, replaceFile } from "./folder.ts";
import { type DeliveredLoad, deliveredLoad } from "./delivered_load.ts";
import { underLoad } from "./plan.ts";
import { RUN_SCHEMA, type RunInfo, type SampleRecord } from "./records.ts";
import {
  type CandidateSummary,
  type Comparison,
  comparisonMetrics,
  type Summary,
  type SummaryStatistic,
} from "./summary_schema.ts";
import { warningsOf } from "./warnings.ts";

/** Differences within this share are called similar. */
const SIMILAR = 0.1;

/**
 * The headline leaves disturbed blocks out where at least half of the blocks were quiet. On a machine that was
 * busy most of the time the quiet rest would be a chance selection: then all blocks stand, and no verdict.
 */
const QUIET_SHARE = 0.5;

/**
 * Summarises the run in `folder`. Reads run.json, samples.jsonl and answers.jsonl, nothing else.
 *
 * @param watch sees every record of samples.jsonl as it is read
 * @throws {UserError} when the folder holds no run, or a record is damaged
 *
 * ```ts ignore
 * const summary = await summarizeRun("reports/2026-11-21T04-55-07-ab12");
 * ```
 */
export async function summarizeRun(
  folder: string,
  watch: (record: SampleRecord) => void = () => {},
): Promise<Summary> {
  const info = await readRunInfo(folder);
  const { plan, candidates } = info;
  const promptIds = plan.prompt_set.prompts.map(({ id }) => id);
  const run = await collectRun(folder, { candidates, promptIds, slo: plan.slo, watch });
  const answers = await sampleAnswers(folder, run);
  const quiet = headlineBlocks(run);
  const loads = new Map([...run.candidates].map(([id, candidate]) => [id, candidateLoad(candidate, info)]));
  const rows = [...run.candidates.values()].map((candidate) =>
    candidateSummary(candidate, info, {
      quiet,
      load: loads.get(candidate.info.id) ?? null,
      answer: answers.get(candidate.sampleId ?? "") ?? null,
    })
  );
  const settled = quiet !== null || run.disturbed.size === 0;
  return {
    schema_version: RUN_SCHEMA,
    run_id: info.run_id,
    status: info.status,
    created_at: info.created_at,
    machine: info.machine,
    versions: info.versions,
    plan,
    candidates: rows,
    comparisons: compareAll([...run.candidates.values()], {
      promptIds,
      quiet,
      settled,
      loaded: underLoad(plan),
    }),
    blocks: { timed: run.blocks.size, disturbed: run.disturbed.size },
    warnings: warningsOf({ info, run, rows, settled }),
  };
}

/** Writes summary.json into the folder of its run. */
export async function writeSummary(folder: string, summary: Summary): Promise<void> {
  await replaceFile(join(folder, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
}

/** Which blocks the headline rests on; null for all of them. */
type Quiet = ((block: number) => boolean) | null;

function headlineBlocks(run: CollectedRun): Quiet {
  const quiet = run.blocks.size - run.disturbed.size;
  if (run.disturbed.size === 0 || quiet < QUIET_SHARE * run.blocks.size) return null;
  return (block) => !run.disturbed.has(block);
}

async function sampleAnswers(folder: string, run: CollectedRun): Promise<Map<string, string>> {
  const wanted = new Set([...run.candidates.values()].flatMap(({ sampleId }) => sampleId ?? []));
  const found = new Map<string, string>();
  for await (const answer of readAnswers(folder)) {
    if (wanted.size === found.size) break;
    if (wanted.has(answer.id)) found.set(answer.id, answer.content || answer.reasoning);
  }
  return found;
}

function candidateSummary(
  candidate: Collected,
  { plan }: RunInfo,
  { quiet, load, answer }: { quiet: Quiet; load: DeliveredLoad | null; answer: string | null },
): CandidateSummary {
  const { info, good, timeline } = candidate;
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
    ...statistics(candidate, quiet),
    with_disturbed: quiet === null ? null : statistics(candidate, null),
    tokens: {
      source: candidate.source,
      prompt_mean: mean(known(kept(good.promptTokens.view(), good.block.view(), quiet))),
      output_mean: mean(tokens),
      output_p95: tokens.length < 20 ? null : quantile(tokens, 0.95),
    },
    finish: { stop: candidate.stop, length: candidate.length },
    load_s: candidate.load?.load_s ?? null,
    memory_mb: candidate.memoryMb,
    size_mb: info.size_mb,
    license: info.license,
    sample_answer: answer,
    queue_s: underLoad(plan) ? byPrompt(candidate, good.queueS.view(), quiet) : null,
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

function statistics(candidate: Collected, quiet: Quiet): Metrics {
  const { metrics } = candidate.good;
  const of = (name: typeof requestMetrics[number]) => byPrompt(candidate, metrics[name].view(), quiet);
  return {
    latency_s: of("latency_s"),
    ttft_s: of("ttft_s"),
    ttfo_s: of("ttfo_s"),
    tpot_s: of("tpot_s"),
    itl_s: gapStatistic(candidate, quiet),
    output_tokens_per_s: of("output_tokens_per_s"),
    decode_tokens_per_s: of("decode_tokens_per_s"),
    output_chars_per_s: of("output_chars_per_s"),
  };
}

/** Repeats of a prompt are not independent: intervals take prompts as the units, repeats where there is one. */
function byPrompt({ good }: Collected, values: ArrayLike<number>, quiet: Quiet): SummaryStatistic {
  const [blocks, prompts] = [good.block.view(), good.prompt.view()];
  const chosen: number[] = [];
  const groups: number[] = [];
  for (let at = 0; at < values.length; at++) {
    const value = values[at] ?? NaN;
    if (Number.isNaN(value) || (quiet !== null && !quiet(blocks[at] ?? 0))) continue;
    chosen.push(value);
    groups.push(prompts[at] ?? 0);
  }
  const one = new Set(groups).size < 2;
  return mutable(summarize(chosen, one ? {} : { groups }));
}

/** Over all gaps; its interval takes requests as the units, not gaps. */
function gapStatistic({ good }: Collected, quiet: Quiet): SummaryStatistic {
  const [blocks, counts, gaps] = [good.block.view(), good.gapCount.view(), good.gapsS.view()];
  const chosen = new Float32Array(gaps.length);
  const requests = new Int32Array(gaps.length);
  let [from, length] = [0, 0];
  for (let request = 0; request < counts.length; request++) {
    const to = from + (counts[request] ?? 0);
    if (quiet === null || quiet(blocks[request] ?? 0)) {
      chosen.set(gaps.subarray(from, to), length);
      requests.fill(request, length, length + to - from);
      length += to - from;
    }
    from = to;
  }
  return mutable(summarize(chosen.subarray(0, length), { groups: requests.subarray(0, length) }));
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

interface ComparisonTerms {
  readonly promptIds: readonly string[];
  readonly quiet: Quiet;
  readonly settled: boolean;
  /** Under load the stretch is the unit of evidence: its requests share the state of the machine. */
  readonly loaded: boolean;
}

/** Every pair of candidates, over the blocks that both answered well. */
function compareAll(candidates: readonly Collected[], terms: ComparisonTerms): Comparison[] {
  return candidates.flatMap((a, at) =>
    candidates.slice(at + 1).flatMap((b) =>
      comparisonMetrics.map((metric) => compareTwo(a, b, metric, terms))
    )
  );
}

function compareTwo(
  a: Collected,
  b: Collected,
  metric: Comparison["metric"],
  { promptIds, quiet, settled, loaded }: ComparisonTerms,
): Comparison {
  const ofB = new Map<number, number>();
  const [blocksB, valuesB] = [b.good.block.view(), b.good.metrics[metric].view()];
  for (let at = 0; at < blocksB.length; at++) ofB.set(blocksB[at] ?? 0, valuesB[at] ?? NaN);
  const [blocksA, valuesA] = [a.good.block.view(), a.good.metrics[metric].view()];
  const [prompts, stretches] = [a.good.prompt.view(), a.good.stretch.view()];
  const unitAt = (at: number) => {
    const stretch = stretches[at] ?? NaN;
    return loaded && !Number.isNaN(stretch) ? `stretch ${stretch}` : promptIds[prompts[at] ?? 0] ?? "";
  };
  const pairs: { prompt: string; a: number; b: number }[] = [];
  for (let at = 0; at < blocksA.length; at++) {
    const block = blocksA[at] ?? 0;
    const [left, right] = [valuesA[at] ?? NaN, ofB.get(block) ?? NaN];
    if (!(left > 0 && right > 0) || (quiet !== null && !quiet(block))) continue;
    pairs.push({ prompt: unitAt(at), a: left, b: right });
  }
  const { ratio, ci95, n, prompts: units } = comparePaired(pairs);
  const interval: [number, number] | null = ci95 === null ? null : [ci95[0], ci95[1]];
  const verdict = settled ? verdictOf(interval, metric.endsWith("_per_s")) : "undecided";
  const unit = loaded && stretches.some((stretch) => !Number.isNaN(stretch)) ? "stretch" : "case";
  return { a: a.info.id, b: b.info.id, metric, ratio, ci95: interval, n, unit, units, verdict };
}

/**
 * What an interval of a ratio a/b says: `similar` within ±10 %, better when it excludes 1.
 *
 * ```ts
 * if (verdictOf([1.2, 1.4], false) !== "b better") throw new Error("a takes longer");
 * if (verdictOf([0.97, 1.02], false) !== "similar") throw new Error("within ten percent");
 * if (verdictOf([0.8, 1.3], true) !== "undecided") throw new Error("can't be told apart");
 * ```
 */
export function verdictOf(
  interval: readonly [number, number] | null,
  higherIsBetter: boolean,
): Comparison["verdict"] {
  if (interval === null) return "undecided";
  const [low, high] = interval;
  if (low >= 1 / (1 + SIMILAR) && high <= 1 + SIMILAR) return "similar";
  if (low <= 1 && high >= 1) return "undecided";
  return (low > 1) === higherIsBetter ? "a better" : "b better";
}
