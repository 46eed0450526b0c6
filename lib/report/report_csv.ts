/**
 * report.csv: one row per candidate, one column per figure of summary.json; where the lengths of prompts differ a lot,
 * also one row per candidate and length.
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

type Cell = string | number | null;

const parts = ["n", "mean", "sd", "min", "p50", "p95", "p99", "max"] as const;

/**
 * The summary as CSV. Column names carry the units and every row carries the conditions, so that rows of several runs
 * can be put in one table.
 *
 * @example
 * ```ts ignore
 * await Deno.writeTextFile("report.csv", reportCsv(summary));
 * ```
 */
export function reportCsv(summary: Summary, options: ReportOptions = {}): string {
  const rows = summary.candidates.flatMap((one) => [
    rowOf(summary, one, options),
    ...one.by_length.map((length) => rowOf(summary, one, options, length)),
  ]);
  const header = rows[0]?.map(([name]) => name) ?? ["run_id", "id"];
  return formatCsv(header, rows.map((row) => row.map(([, value]) => value)));
}

/** @param length of the prompts that the row is about; left out: all */
function rowOf(
  summary: Summary,
  one: CandidateSummary,
  options: ReportOptions,
  length?: LengthSummary,
): [string, Cell][] {
  const slo = summary.plan.slo;
  return [
    ["run_id", summary.run_id],
    ["id", one.id],
    ["alias", one.alias],
    ["variant", one.variant],
    ["device", one.device],
    ["endpoint", one.endpoint],
    ["model_id", one.model_id],
    ["status", one.status],
    ["reason", one.reason],
    ["requests_ok", length?.latency_s.n ?? one.requests.ok],
    ["requests_failed", length?.failed ?? one.requests.failed],
    ...metricNames.flatMap((metric): [string, Cell][] => {
      const statistic = length === undefined ? one[metric] : statisticOf(length, metric);
      return [
        ...parts.map((part): [string, Cell] => [`${metric}_${part}`, statistic?.[part] ?? null]),
        [`${metric}_mean_ci95_low`, statistic?.mean_ci95?.[0] ?? null],
        [`${metric}_mean_ci95_high`, statistic?.mean_ci95?.[1] ?? null],
        [`${metric}_p95_ci95_low`, statistic?.p95_ci95?.[0] ?? null],
        [`${metric}_p95_ci95_high`, statistic?.p95_ci95?.[1] ?? null],
      ];
    }),
    ["token_source", one.tokens.source],
    ["prompt_tokens_mean", length?.prompt_tokens_mean ?? one.tokens.prompt_mean],
    ["output_tokens_mean", length === undefined ? one.tokens.output_mean : null],
    ["output_tokens_p95", length === undefined ? one.tokens.output_p95 : null],
    ["finish_stop", one.finish.stop],
    ["finish_length", one.finish.length],
    ["load_s", one.load_s],
    ["memory_mb", one.memory_mb],
    ["size_mb", one.size_mb],
    ["license", one.license],
    ["joules_per_answer_estimate", joules(one, options.watts)],
    ["watts_stated", options.watts ?? null],
    ["prefix", summary.plan.prefix],
    ["max_tokens", summary.plan.max_tokens],
    ["temperature", summary.plan.temperature],
    ["cpu", summary.machine.cpu],
    ["os", summary.machine.os],
    ["llama_cpp", one.llama_cpp?.way ?? null],
    ["prompt_tokens_from", length?.from_tokens ?? null],
    ["prompt_tokens_to", length?.to_tokens ?? null],
    ["goodput_per_s", length === undefined ? one.goodput?.requests_per_s ?? null : null],
    ["within_limits", length === undefined ? one.goodput?.met ?? null : length.met],
    ["slo_ttft_s", slo?.ttft_s ?? null],
    ["slo_e2e_s", slo?.e2e_s ?? null],
  ];
}

function statisticOf(length: LengthSummary, metric: MetricName): SummaryStatistic | null {
  switch (metric) {
    case "latency_s":
    case "ttft_s":
    case "prefill_tokens_per_s":
    case "decode_tokens_per_s":
      return length[metric];
    default:
      return null;
  }
}

function joules(one: Parameters<typeof energyOf>[0], watts: number | undefined): number | null {
  return watts === undefined ? null : energyOf(one, watts)?.joulesPerAnswer ?? null;
}
