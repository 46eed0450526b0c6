/** From our summary to the field names that the workshop's samples print. */
import type { Collected } from "../../lib/bench/collect.ts";
import type { CandidateSummary, Summary } from "../../lib/bench/summary_schema.ts";
import { quantile } from "../../lib/stats/quantile.ts";
import { P95_FROM } from "../../lib/stats/summary.ts";

/** One model of `benchmark_oss_models`: the sample's fields, then ours. */
export interface BenchmarkRow {
  readonly alias: string;
  /** Seconds; null where no request succeeded. */
  readonly latency_avg: number | null;
  readonly latency_p95: number | null;
  /** Generated tokens a second; prompt tokens are not counted. */
  readonly tokens_per_sec_avg: number | null;
  readonly rounds: number;
  /** Only with BENCH_STREAM=1, as in the sample; from the timed requests themselves. */
  readonly first_token_latency_avg?: number | null;
  readonly status: CandidateSummary["status"];
  readonly reason: string | null;
  /** Why latency_p95 is to be read with care; null where n carries it. */
  readonly p95_note: string | null;
  readonly rounds_ok: number;
  readonly token_source: string | null;
  readonly prefix: Summary["plan"]["prefix"];
  readonly sample: string | null;
}

/** The latencies that the summary's headline rests on, in seconds. */
export function headlineLatencies(
  row: CandidateSummary,
  collected: Collected,
  disturbed: ReadonlySet<number>,
) {
  const { block, metrics } = collected.good;
  const blocks = block.view();
  const latencies = metrics.latency_s.view();
  return row.with_disturbed === null
    ? [...latencies]
    : [...latencies].filter((_, at) => !disturbed.has(blocks[at] ?? -1));
}

/** numpy's p95 of the values at hand, and what it is worth. */
export function p95With(latencies: readonly number[]): { value: number | null; note: string | null } {
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

/** Rows in the order of `names`, which they carry as they were given; a model that failed keeps its row. */
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
    const p95 = p95With(
      collected === undefined ? [] : headlineLatencies(row, collected, options.disturbed),
    );
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

const columns = ["Model", "Avg Latency (s)", "p95 (s)", "Tokens/sec", "Rounds", "First Token (s)"];

/** The table of `export_benchmark_markdown`, with the notes that its figures need below it. */
export function markdownTable(rows: readonly BenchmarkRow[]): string {
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
