/**
 * report.csv: one row per candidate, one column per figure of summary.json; where the lengths of prompts
 * differ a lot, also one row per candidate and length.
 */
import { type MetricName, metricNames } from "../bench/metrics.ts";
import {
  type CandidateSummary,
  type LengthSummary,
  type Summary,
  type SummaryStatistic,
} from "../bench/summary_schema.ts";
import { formatCsv } from "../csv.ts";
import { energyOf } from "../bench/energy.ts";
import type { ReportOptions } from "./summary_text.ts";

type Row = Readonly<Record<string, string | number | null>>;

const parts = ["n", "mean", "sd", "min", "p50", "p95", "p99", "max"] as const;

/**
 * The summary as CSV. Column names carry the units and every row carries the conditions, so that rows of
 * several runs can be put in one table.
 *
 * ```ts ignore
 * await Deno.writeTextFile("report.csv", reportCsv(summary));
 * ```
 */
export function reportCsv(summary: Summary, options: ReportOptions = {}): string {
  const rows = summary.candidates.flatMap((one) => {
    const row = candidateRow(summary, one, options);
    return [row, ...one.by_length.map((length) => lengthRow(row, length))];
  });
  return formatCsv(Object.keys(rows[0] ?? { run_id: "", id: "" }), rows.map((row) => Object.values(row)));
}

function candidateRow(summary: Summary, one: CandidateSummary, { watts }: ReportOptions): Row {
  const { plan, machine } = summary;
  return {
    run_id: summary.run_id,
    id: one.id,
    alias: one.alias,
    variant: one.variant,
    device: one.device,
    endpoint: one.endpoint,
    model_id: one.model_id,
    status: one.status,
    reason: one.reason,
    requests_ok: one.requests.ok,
    requests_failed: one.requests.failed,
    ...statistics(one),
    token_source: one.tokens.source,
    prompt_tokens_mean: one.tokens.prompt_mean,
    output_tokens_mean: one.tokens.output_mean,
    output_tokens_p95: one.tokens.output_p95,
    finish_stop: one.finish.stop,
    finish_length: one.finish.length,
    load_s: one.load_s,
    memory_mb: one.memory_mb,
    size_mb: one.size_mb,
    license: one.license,
    joules_per_answer_estimate: watts === undefined ? null : energyOf(one, watts)?.joulesPerAnswer ?? null,
    watts_stated: watts ?? null,
    prefix: plan.prefix,
    max_tokens: plan.max_tokens,
    temperature: plan.temperature,
    cpu: machine.cpu,
    os: machine.os,
    llama_cpp: one.llama_cpp?.way ?? null,
    prompt_tokens_from: null,
    prompt_tokens_to: null,
    goodput_per_s: one.goodput?.requests_per_s ?? null,
    within_limits: one.goodput?.met ?? null,
    slo_ttft_s: plan.slo?.ttft_s ?? null,
    slo_e2e_s: plan.slo?.e2e_s ?? null,
  };
}

/** A candidate's row with the figures of one length of the prompt; what is not known by length is empty. */
function lengthRow(candidate: Row, length: LengthSummary): Row {
  return {
    ...candidate,
    requests_ok: length.latency_s.n,
    requests_failed: length.failed,
    ...statistics(length),
    prompt_tokens_mean: length.prompt_tokens_mean,
    output_tokens_mean: null,
    output_tokens_p95: null,
    prompt_tokens_from: length.from_tokens,
    prompt_tokens_to: length.to_tokens,
    goodput_per_s: null,
    within_limits: length.met,
  };
}

function statistics(of: Readonly<Partial<Record<MetricName, SummaryStatistic>>>): Row {
  return Object.fromEntries(metricNames.flatMap((metric): [string, number | null][] => {
    const statistic = of[metric];
    return [
      ...parts.map((part): [string, number | null] => [`${metric}_${part}`, statistic?.[part] ?? null]),
      [`${metric}_mean_ci95_low`, statistic?.mean_ci95?.[0] ?? null],
      [`${metric}_mean_ci95_high`, statistic?.mean_ci95?.[1] ?? null],
      [`${metric}_p95_ci95_low`, statistic?.p95_ci95?.[0] ?? null],
      [`${metric}_p95_ci95_high`, statistic?.p95_ci95?.[1] ?? null],
    ];
  }));
}
