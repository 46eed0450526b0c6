/** A summary in the field names of the workshop's samples and its notebook. */
import type { Collected } from "../bench/collect.ts";
import type { CandidateSummary, Summary } from "../bench/summary_schema.ts";
import { quantile } from "../stats/quantile.ts";
import { P95_FROM } from "../stats/statistic.ts";

/** One model of `benchmark_oss_models`: the sample's fields, then Podium's. */
export interface BenchmarkRow {
  readonly alias: string;
  /** Seconds; null where no request succeeded. */
  readonly latency_avg: number | null;
  readonly latency_p95: number | null;
  /** Generated tokens per second, without prompt tokens. */
  readonly tokens_per_sec_avg: number | null;
  readonly rounds: number;
  /** Only with BENCH_STREAM=1, as in the sample; from the timed requests themselves. */
  readonly first_token_latency_avg?: number | null;
  readonly status: CandidateSummary["status"];
  readonly reason: string | null;
  /** Why latency_p95 says little; null if n is large enough. */
  readonly p95_note: string | null;
  readonly rounds_ok: number;
  readonly token_source: string | null;
  readonly prefix: Summary["plan"]["prefix"];
  readonly sample: string | null;
}

/**
 * Rows in the order of `names`, with these names unchanged; a model that failed keeps its row.
 *
 * ```ts ignore
 * const rows = benchmarkRows(summary, run.candidates, { names: ["phi-4-mini"], disturbed: new Set(), stream: true });
 * ```
 */
export function benchmarkRows(
  summary: Summary,
  candidates: ReadonlyMap<string, Collected>,
  options: {
    readonly names: readonly string[];
    readonly disturbed: ReadonlySet<number>;
    readonly stream: boolean;
  },
): BenchmarkRow[] {
  return summary.candidates.map((row, at) => {
    const collected = candidates.get(row.id);
    const p95 = p95WithNote(headlineLatencies(row, collected, options.disturbed));
    return {
      alias: options.names[at] ?? row.alias,
      latency_avg: row.latency_s.mean,
      latency_p95: p95.value,
      tokens_per_sec_avg: row.output_tokens_per_s.mean,
      rounds: summary.plan.rounds,
      ...(options.stream ? { first_token_latency_avg: row.ttft_s.mean } : {}),
      status: row.status,
      reason: row.reason,
      p95_note: p95.note,
      rounds_ok: row.requests.ok,
      token_source: row.tokens.source,
      prefix: summary.plan.prefix,
      sample: row.sample_answer,
    };
  });
}

/** The latencies behind the summary's figures, in seconds. */
function headlineLatencies(
  row: CandidateSummary,
  collected: Collected | undefined,
  disturbed: ReadonlySet<number>,
): number[] {
  return (collected?.good ?? []).filter(({ block }) => row.with_disturbed === null || !disturbed.has(block))
    .map(({ latency_s }) => latency_s ?? NaN);
}

/**
 * numpy's p95 of the values, and a note if they are too few for it.
 *
 * ```ts
 * const { value, note } = p95WithNote([1, 2, 3]);
 * if (value === null || Math.abs(value - 2.9) > 1e-9 || note === null) throw new Error("numpy's value, with a note");
 * ```
 */
export function p95WithNote(latencies: readonly number[]): { value: number | null; note: string | null } {
  const n = latencies.length;
  if (n === 0) return { value: null, note: null };
  return {
    value: quantile(latencies, 0.95),
    note: n >= P95_FROM
      ? null
      : `numpy's linear percentile of ${n} value${
        n === 1 ? "" : "s"
      }: it can't exceed the largest of them and says ` +
        `nothing of the tail; take ${P95_FROM} rounds or more`,
  };
}

const columns = ["Model", "Avg Latency (s)", "p95 (s)", "Tokens/sec", "Rounds", "First Token (s)"];

/**
 * The table of `export_benchmark_markdown`, with notes about its figures below.
 *
 * ```ts
 * if (!workshopMarkdown([]).startsWith("|Model|Avg Latency (s)|")) throw new Error("the sample's columns");
 * ```
 */
export function workshopMarkdown(rows: readonly BenchmarkRow[]): string {
  const cell = (value: number | null | undefined, digits: number) => value?.toFixed(digits) ?? "-";
  const line = (cells: readonly string[]) =>
    `|${cells.map((text) => text.replaceAll("|", "\\|")).join("|")}|`;
  const notes = rows.flatMap((row) => [
    ...(row.reason === null ? [] : [`${row.alias}: ${row.status}: ${row.reason}`]),
    ...(row.p95_note === null ? [] : [`${row.alias}: p95: ${row.p95_note}`]),
    ...(row.token_source === "usage" || row.token_source === null
      ? []
      : [`${row.alias}: tokens/sec rests on an estimate (${row.token_source})`]),
  ]);
  return [
    line(columns),
    line(columns.map(() => "---")),
    ...rows.map((row) =>
      line([
        row.alias,
        cell(row.latency_avg, 2),
        cell(row.latency_p95, 2),
        cell(row.tokens_per_sec_avg, 1),
        `${row.rounds}`,
        cell(row.first_token_latency_avg, 2),
      ])
    ),
    "",
    `**Interpretation**: lower latency is better. Tokens/sec counts generated tokens alone, over the whole request. ` +
    `Prompts were ${
      rows[0]?.prefix ?? "cold"
    }. Speed alone recommends no model: read the answers, or score them.`,
    ...(notes.length === 0 ? [] : ["", ...notes.map((note) => `- ${note}`)]),
    "",
  ].join("\n");
}

/** One model of the notebook `session03_benchmark_oss_models`: its fields, then Podium's. */
export interface NotebookRow {
  readonly alias: string;
  readonly model_id: string;
  readonly latency_avg_s: number | null;
  readonly latency_min_s: number | null;
  readonly latency_max_s: number | null;
  readonly latency_p95_s: number | null;
  /** Generated tokens per second, without prompt tokens. */
  readonly tokens_per_sec_avg: number | null;
  readonly avg_prompt_tokens: number | null;
  readonly avg_completion_tokens: number | null;
  readonly avg_total_tokens: number | null;
  readonly prompt_tokens_total: number | null;
  readonly completion_tokens_total: number;
  readonly total_tokens_sum: number | null;
  readonly rounds_ok: number;
  readonly configured_rounds: number;
  readonly sample_output: string | null;
  readonly status: CandidateSummary["status"];
  readonly reason: string | null;
  readonly p95_note: string | null;
  readonly token_source: string | null;
}

/**
 * The notebook's rows. Token sums are over every successful request; null if the
 * endpoint does not count the prompt.
 *
 * ```ts ignore
 * const rows = notebookRows(summary, run.candidates, { names: ["phi-4-mini"], disturbed: new Set() });
 * ```
 */
export function notebookRows(
  summary: Summary,
  candidates: ReadonlyMap<string, Collected>,
  options: { readonly names: readonly string[]; readonly disturbed: ReadonlySet<number> },
): NotebookRow[] {
  return summary.candidates.map((row, at) => {
    const collected = candidates.get(row.id);
    const p95 = p95WithNote(headlineLatencies(row, collected, options.disturbed));
    const good = collected?.good ?? [];
    const prompt = known(total(good.map(({ promptTokens }) => promptTokens ?? NaN)));
    const completion = total(good.map(({ outputTokens }) => outputTokens));
    const { prompt_mean, output_mean } = row.tokens;
    return {
      alias: options.names[at] ?? row.alias,
      model_id: row.model_id,
      latency_avg_s: row.latency_s.mean,
      latency_min_s: row.latency_s.min,
      latency_max_s: row.latency_s.max,
      latency_p95_s: p95.value,
      tokens_per_sec_avg: row.output_tokens_per_s.mean,
      avg_prompt_tokens: prompt_mean,
      avg_completion_tokens: output_mean,
      avg_total_tokens: prompt_mean === null || output_mean === null ? null : prompt_mean + output_mean,
      prompt_tokens_total: prompt,
      completion_tokens_total: completion,
      total_tokens_sum: prompt === null ? null : prompt + completion,
      rounds_ok: row.requests.ok,
      configured_rounds: summary.plan.rounds,
      sample_output: row.sample_answer?.slice(0, 200) ?? null,
      status: row.status,
      reason: row.reason,
      p95_note: p95.note,
      token_source: row.tokens.source,
    };
  });
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
/** A sum with an unknown part is NaN, and so unknown. */
const known = (sum: number) => Number.isNaN(sum) ? null : sum;
