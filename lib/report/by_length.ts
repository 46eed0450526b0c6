/** The length of prompts in terminal, Markdown, CSV and page: rows, figures and sentences. */
import type { CandidateSummary, LengthSummary, Summary } from "../bench/summary_schema.ts";
import { curvePlot } from "../plot/curve.ts";
import type { Figure } from "../plot/figure.ts";
import { passRate } from "../quality/pass_rate.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { missing, percent, plain, seconds } from "./format.ts";

/** One candidate at one length, as text. */
export interface LengthRow {
  readonly id: string;
  /** `1,024`, or `222–240` where prompts were as long as they are. */
  readonly length: string;
  readonly n: string;
  readonly ttft: string;
  readonly prefill: string;
  readonly decode: string;
  /** Share of the requests within the limits; null without --slo. */
  readonly met: string | null;
  /** Share of right answers; null where none were scored. */
  readonly right: string | null;
}

/** Length of a row's prompts. */
export function lengthText({ from_tokens: from, to_tokens: to }: LengthSummary): string {
  return from === to ? plain(from) : `${plain(from)}–${plain(to)}`;
}

/** One row per candidate and length; none where lengths are about equal. */
export function lengthRows(summary: Summary, quality: QualityReport | null): LengthRow[] {
  return summary.candidates.flatMap((one) =>
    one.by_length.map((row) => ({
      id: one.id,
      length: lengthText(row),
      n: `${row.latency_s.n}${row.failed === 0 ? "" : ` (${row.failed} failed)`}`,
      ttft: seconds(row.ttft_s.mean),
      prefill: plain(row.prefill_tokens_per_s.mean),
      decode: plain(row.decode_tokens_per_s.mean),
      met: row.met === null ? null : percent(row.met),
      right: rightText(summary, one.id, row, quality),
    }))
  );
}

/** Right answers of a candidate at a length that --prompt-tokens asked for; null where they are not known. */
function rightOf(
  { plan }: Pick<Summary, "plan">,
  candidate: string,
  { target_tokens: target }: LengthSummary,
  quality: QualityReport | null,
): { rate: number; n: number; ci95: readonly [number, number] | null } | null {
  if (quality === null || target === null) return null;
  const prompts = new Set(
    plan.prompt_set.prompts.filter((one) => one.target_tokens === target).map(({ id }) => id),
  );
  const answers = quality.answers.filter((one) =>
    one.candidate === candidate && one.state !== "unsupported" && prompts.has(one.prompt_id)
  );
  const byPrompt = [...Map.groupBy(answers, ({ prompt_id }) => prompt_id).values()];
  const { rate, n, ci95 } = passRate(
    byPrompt.map((same) => same.filter(({ passed }) => passed).length / same.length),
  );
  return rate === null ? null : { rate, n, ci95 };
}

function rightText(summary: Summary, id: string, row: LengthSummary, quality: QualityReport | null) {
  const right = rightOf(summary, id, row, quality);
  return right === null ? null : `${percent(right.rate)} of ${right.n}`;
}

type Measure = "ttft_s" | "prefill_tokens_per_s" | "decode_tokens_per_s";
const MEASURES: readonly { name: Measure; title: string; y: string }[] = [
  { name: "ttft_s", title: "Time to first token by prompt length", y: "seconds to first token" },
  { name: "prefill_tokens_per_s", title: "Prefill speed by prompt length", y: "prompt tokens/s" },
  { name: "decode_tokens_per_s", title: "Decode speed by prompt length", y: "output tokens/s" },
];

/** Time to first token, prefill and decode speed, and the share of right answers, against prompt length. */
export function lengthFigures(summary: Summary, quality: QualityReport | null): Figure[] {
  const rows = summary.candidates.filter(({ by_length }) => by_length.length > 1);
  if (rows.length === 0) return [];
  const shared = { x: "prompt tokens", xScale: "log" } as const;
  const speed = MEASURES.flatMap(({ name, title, y }) => {
    const series = rows.map((one) => ({ name: one.id, points: meanPoints(one, name) }));
    if (series.every(({ points }) => points.length === 0)) return [];
    const limit = name === "ttft_s" ? summary.plan.slo?.ttft_s ?? null : null;
    const n = rows.flatMap(({ by_length }) => by_length.map((row) => row[name].n));
    return [curvePlot(series, {
      ...shared,
      title,
      y,
      limit,
      caption: `Dot: mean per length; bar: its 95 % interval, where there is one. n = ${
        nRange(n)
      } requests per dot.`,
    })];
  });
  const right = rows.map((one) => ({
    name: one.id,
    points: one.by_length.flatMap((row) => {
      const found = rightOf(summary, one.id, row, quality);
      if (found === null) return [];
      const bar = found.ci95 === null ? {} : { low: 100 * found.ci95[0], high: 100 * found.ci95[1] };
      return [{ x: row.prompt_tokens_mean, y: 100 * found.rate, ...bar }];
    }),
  }));
  if (right.every(({ points }) => points.length === 0)) return speed;
  const caption = "Dot: share of cases answered right; bar: 95 % interval (Wilson), cases as the unit.";
  return [
    ...speed,
    curvePlot(right, { ...shared, title: "Right answers by prompt length", y: "% right", caption }),
  ];
}

const nRange = (n: readonly number[]) => {
  const [least, most] = [Math.min(...n), Math.max(...n)];
  return least === most ? `${least}` : `${least} to ${most}`;
};

function meanPoints({ by_length }: CandidateSummary, name: Measure) {
  return by_length.flatMap((row) => {
    const { mean, mean_ci95: ends } = row[name];
    if (mean === null) return [];
    const bar = ends === null ? {} : { low: ends[0], high: ends[1] };
    return [{ x: row.prompt_tokens_mean, y: mean, ...bar }];
  });
}

/** A length meets the limits where at least this share of its timed requests did. */
const ENOUGH = 0.95;

/** Where each candidate leaves the limits of --slo; empty without limits, or where lengths are about equal. */
export function limitSentences(summary: Summary): string[] {
  const { slo } = summary.plan;
  if (slo === null) return [];
  const limits = [
    ...(slo.ttft_s === null ? [] : [`first token in ${seconds(slo.ttft_s)}`]),
    ...(slo.e2e_s === null ? [] : [`answer in ${seconds(slo.e2e_s)}`]),
  ].join(", ");
  return summary.candidates.filter(({ by_length }) => by_length.length > 0).map(({ id, by_length }) => {
    const out = by_length.findIndex(({ met }) => (met ?? 0) < ENOUGH);
    const [last, first] = [by_length[out === -1 ? by_length.length - 1 : out - 1], by_length[out]];
    const share = (row: LengthSummary) =>
      `${percent(row.met ?? 0)} of ${row.latency_s.n + row.failed} requests, mean time to first token ${
        row.ttft_s.mean === null ? missing : seconds(row.ttft_s.mean)
      }`;
    const kept = last === undefined
      ? `\`${id}\` misses the limits (${limits}) from the shortest prompts on`
      : `\`${id}\` meets the limits (${limits}) up to ${plain(last.to_tokens)} prompt tokens`;
    return first === undefined
      ? `${kept}, the longest that were measured.`
      : `${kept}${last === undefined ? "" : ", and misses them"} at ${lengthText(first)} (${share(first)}).`;
  });
}
