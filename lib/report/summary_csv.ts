/** report.csv: one row per candidate, one column per figure of summary.json. */
import { metricNames, type Summary } from "../bench/summary_schema.ts";
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
 * await Deno.writeTextFile("report.csv", summaryCsv(summary));
 * ```
 */
export function summaryCsv(summary: Summary, options: ReportOptions = {}): string {
  const rows = summary.candidates.map((one): [string, Cell][] => [
    ["run_id", summary.run_id],
    ["id", one.id],
    ["alias", one.alias],
    ["variant", one.variant],
    ["device", one.device],
    ["endpoint", one.endpoint],
    ["model_id", one.model_id],
    ["status", one.status],
    ["reason", one.reason],
    ["requests_ok", one.requests.ok],
    ["requests_failed", one.requests.failed],
    ...metricNames.flatMap((metric): [string, Cell][] => {
      const statistic = one[metric];
      return [
        ...parts.map((part): [string, Cell] => [`${metric}_${part}`, statistic[part]]),
        [`${metric}_mean_ci95_low`, statistic.mean_ci95?.[0] ?? null],
        [`${metric}_mean_ci95_high`, statistic.mean_ci95?.[1] ?? null],
        [`${metric}_p95_ci95_low`, statistic.p95_ci95?.[0] ?? null],
        [`${metric}_p95_ci95_high`, statistic.p95_ci95?.[1] ?? null],
      ];
    }),
    ["token_source", one.tokens.source],
    ["prompt_tokens_mean", one.tokens.prompt_mean],
    ["output_tokens_mean", one.tokens.output_mean],
    ["output_tokens_p95", one.tokens.output_p95],
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
  ]);
  const header = rows[0]?.map(([name]) => name) ?? ["run_id", "id"];
  return formatCsv(header, rows.map((row) => row.map(([, value]) => value)));
}

function joules(one: Parameters<typeof energyOf>[0], watts: number | undefined): number | null {
  return watts === undefined ? null : energyOf(one, watts)?.joulesPerAnswer ?? null;
}
