/** The tables of report.html: one row per candidate, failed ones included, every figure with its n. */
import { energyOf } from "../bench/energy.ts";
import { metrics } from "../bench/metrics.ts";
import type { CandidateSummary, Comparison, Summary, SummaryStatistic } from "../bench/summary_schema.ts";
import type { Content, Markup } from "../markup.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { lengthRows, lengthText } from "./by_length.ts";
import {
  counted,
  intervalOf,
  megabytes,
  missing,
  p95Of,
  percent,
  plain,
  ratio,
  seconds,
  secondsLike,
} from "./format.ts";
import { breakable, subline, swatch, type TableColumn, tableMarkup } from "./page_parts.ts";
import type { RunData } from "./run_data.ts";
import {
  comparisonsMade,
  estimatedTokens,
  measured,
  type ReportOptions,
  scopeText,
  statusText,
} from "./summary_text.ts";

type Show = (value: number | null) => string;

/** How long requests took. */
export function timeTable(summary: Summary): Markup {
  const shownAs = (...of: ((one: CandidateSummary) => number | null)[]) =>
    secondsLike(summary.candidates.flatMap((one) => of.map((value) => value(one))));
  const latency = shownAs(
    (one) => one.latency_s.mean,
    (one) => one.latency_s.p50,
    (one) => one.latency_s.p95,
  );
  const ttft = shownAs((one) => one.ttft_s.mean, (one) => one.ttft_s.p95);
  const gap = shownAs((one) => one.itl_s.max);
  return candidateTable("Time to answer", summary, [
    ["n", ({ latency_s: { n }, requests: { failed } }) => [plain(n), failedBelow(failed)]],
    ["Latency, mean", (one) => meanWithInterval(one, "latency_s", latency)],
    ["median", (one) => latency(one.latency_s.p50)],
    ["p95", (one) => p95WithInterval(one.latency_s, latency)],
    ["First token, mean", (one) => meanWithInterval(one, "ttft_s", ttft)],
    ["p95", (one) => p95WithInterval(one.ttft_s, ttft)],
    ["Longest gap", ({ itl_s: { max, n } }) => [gap(max), n > 0 && subline(`n = ${counted(n, "gap")}`)]],
  ], (one) => one.reason === null ? statusText(one) : `${statusText(one)}: ${one.reason}`);
}

/** How fast answers were generated, and how long they were; estimates are marked. */
export function throughputTable(summary: Summary): Markup {
  const mark = (one: CandidateSummary) => estimatedTokens(one) ? "≈ " : "";
  return candidateTable("Throughput and length of the answers", summary, [
    ["n", (one) => plain(one.latency_s.n)],
    ["Output tokens/s", (one) => meanWithInterval(one, "output_tokens_per_s", plain, mark(one))],
    ["Decode tokens/s", (one) => meanWithInterval(one, "decode_tokens_per_s", plain, mark(one))],
    ["Prefill tokens/s", (one) => meanWithInterval(one, "prefill_tokens_per_s", plain)],
    ["Characters/s", (one) => meanWithInterval(one, "output_chars_per_s", plain)],
    ["Tokens per answer", (one) => {
      const { output_mean: mean, source } = one.tokens;
      return [mark(one), plain(mean), source !== null && subline(`counted by ${source}`)];
    }],
    ["Ended / cut", ({ finish: { stop, length } }) => `${plain(stop)} / ${plain(length)}`],
  ]);
}

/** One row per candidate and length of the prompt; null where lengths are about equal. */
export function lengthTable(summary: Summary, quality: QualityReport | null): Markup | null {
  const texts = lengthRows(summary, quality);
  if (texts.length === 0) return null;
  const rows = summary.candidates.flatMap(({ id, by_length }) => by_length.map((row) => ({ id, ...row })))
    .map((row, at) => ({ ...row, text: texts[at] }));
  const ttft = secondsLike(rows.map((row) => row.ttft_s.mean));
  return tableMarkup("By length of the prompt", rows, [
    ["Candidate", ({ id }) => nameOf(summary, id)],
    ["Prompt tokens", lengthText],
    ["n", ({ latency_s: { n }, failed }) => [plain(n), failedBelow(failed)]],
    ["First token, mean", (row) => meanWithInterval(row, "ttft_s", ttft)],
    ["Prefill tokens/s", (row) => meanWithInterval(row, "prefill_tokens_per_s", plain)],
    ["Decode tokens/s", (row) => meanWithInterval(row, "decode_tokens_per_s", plain)],
    texts.some(({ met }) => met !== null) && ["Within limits", ({ text }) => text?.met ?? missing],
    texts.some(({ right }) => right !== null) && ["Right answers", ({ text }) => text?.right ?? missing],
  ]);
}

/** The needs of a candidate: load time, memory, disk, licence, energy. */
export function footprintTable(summary: Summary, { loads }: RunData, { watts }: ReportOptions): Markup {
  const time = secondsLike(summary.candidates.map(({ load_s }) => load_s));
  return candidateTable("Load, memory and disk", summary, [
    ["Load", ({ id, load_s }) => {
      const own = loads.get(id) ?? [];
      const caches = [...new Set(own.map((load) => load.file_cache))].filter((cache) => cache !== "unknown");
      const cached = caches.length === 0 ? "" : `, ${caches.join(" and ")} file cache`;
      return [time(load_s), own.length > 0 && subline(`n = ${own.length}${cached}`)];
    }],
    ["Memory", (one) => megabytes(one.memory_mb)],
    ["Disk", (one) => megabytes(one.size_mb)],
    ["Licence", (one) => one.license ?? missing, "text"],
    watts !== undefined && ["Energy per answer", (one) => energyPerAnswer(one, watts)],
  ]);
}

function energyPerAnswer(one: CandidateSummary, watts: number): Content {
  const energy = energyOf(one, watts);
  if (energy === null) return missing;
  return [`≈ ${plain(energy.joulesPerAnswer)} J`, subline(`${plain(energy.wattHoursPer1000)} Wh per 1,000`)];
}

/** Requested and delivered load; null in a closed loop of one client without limits. */
export function loadTable(summary: Summary): Markup | null {
  if (summary.candidates.every((one) => one.load === null && one.goodput === null)) return null;
  const rate: Show = (value) => value === null ? missing : `${plain(value)}/s`;
  return candidateTable("Load and goodput", summary, [
    ["Requested", ({ load }) => rate(load?.asked_rate ?? null)],
    ["Sent", ({ load }) => rate(load?.delivered_rate ?? null)],
    ["Completed", ({ load }) => rate(load?.completed_rate ?? null)],
    ["Most in flight", ({ load }) => load?.max_in_flight ?? missing],
    [
      "Wait in the client's queue, p95",
      ({ queue_s }) => queue_s === null ? missing : p95Of(queue_s, seconds),
    ],
    ["Goodput", ({ goodput }) =>
      goodput === null ? missing : [
        rate(goodput.requests_per_s),
        subline(`${percent(goodput.met)} of ${goodput.n} met the limits`),
      ]],
  ]);
}

/** The server's own times next to the client's; null where no service reports any. */
export function serverTable(summary: Summary, { server }: RunData): Markup | null {
  if (server.every((one) => one.promptS === null && one.decodeS === null && !one.cachedTokens)) return null;
  const time = secondsLike(server.flatMap((one) => [one.promptS, one.ttftS, one.decodeS, one.streamS]));
  const rows = summary.candidates.flatMap(({ id }) => server.find(({ candidate }) => candidate === id) ?? []);
  return tableMarkup("Times reported by the server (medians)", rows, [
    ["Candidate", ({ candidate }) => nameOf(summary, candidate)],
    ["n", ({ n }) => n],
    ["Prompt, server", ({ promptS }) => time(promptS)],
    ["First token, client", ({ ttftS }) => time(ttftS)],
    ["Decode, server", ({ decodeS }) => time(decodeS)],
    ["First to last, client", ({ streamS }) => time(streamS)],
    ["Cached prompt tokens", ({ cachedTokens }) => plain(cachedTokens)],
  ]);
}

/** Every comparison with its interval, its blocks and its verdict. */
export function comparisonTable(summary: Summary): Markup {
  const verdict = (one: Comparison) =>
    one.verdict === "a better"
      ? `${one.a} better`
      : one.verdict === "b better"
      ? `${one.b} better`
      : one.verdict;
  return tableMarkup("Ratio of the first to the second, block by block", comparisonsMade(summary), [
    ["Pair", (one) => [breakable(one.a), " / ", breakable(one.b)]],
    ["Metric", (one) => metrics[one.metric].title, "text"],
    ["Ratio", (one) => ratio(one.ratio)],
    ["95 % interval", (one) => one.ci95 === null ? "no interval" : intervalOf(one.ci95, ratio)],
    ["n", (one) => one.n],
    ["Interval for", scopeText, "text"],
    ["Verdict", verdict, "text"],
  ]);
}

/** Quiet blocks next to all blocks; null where no block was disturbed. */
export function disturbedTable(summary: Summary): Markup | null {
  if (summary.candidates.every((one) => one.with_disturbed === null)) return null;
  const time = secondsLike(
    summary.candidates.flatMap((one) => [one.latency_s.mean, one.with_disturbed?.latency_s.mean ?? null]),
  );
  const mean = (statistic: SummaryStatistic | undefined): Content => [
    time(statistic?.mean ?? null),
    subline(`n = ${plain(statistic?.n ?? 0)}`),
  ];
  return candidateTable("With and without the disturbed blocks (means)", summary, [
    ["Latency, quiet blocks", (one) => mean(one.latency_s)],
    ["Latency, all blocks", (one) => mean(one.with_disturbed?.latency_s)],
    ["First token, quiet blocks", (one) => mean(one.ttft_s)],
    ["First token, all blocks", (one) => mean(one.with_disturbed?.ttft_s)],
  ]);
}

/** One row per candidate; one without a successful request shows its status instead of figures. */
function candidateTable(
  caption: string,
  summary: Summary,
  figures: readonly (TableColumn<CandidateSummary> | false)[],
  status: (candidate: CandidateSummary) => string = statusText,
): Markup {
  const name: TableColumn<CandidateSummary> = [
    "Candidate",
    (one) => [nameOf(summary, one.id), subline(originOf(one))],
  ];
  return tableMarkup(
    caption,
    summary.candidates,
    [name, ...figures],
    (one) => measured(one) ? null : status(one),
  );
}

/** A candidate's mark and name. */
export function nameOf({ candidates }: Pick<Summary, "candidates">, id: string): Content {
  return [swatch(candidates.findIndex((one) => one.id === id)), breakable(id)];
}

function originOf(one: CandidateSummary): string {
  const way = one.llama_cpp === null
    ? ""
    : one.llama_cpp.way === "direct"
    ? "llama.cpp called directly"
    : "through node-llama-cpp";
  const parts = [one.model_id === one.id ? "" : one.model_id, one.device ?? "", way, one.endpoint];
  return [...new Set(parts.filter((part) => part !== ""))].join(" · ");
}

/** A mean with its interval below, and its n where that differs from the row's. */
function meanWithInterval<Metric extends string>(
  row: Readonly<Record<Metric | "latency_s", SummaryStatistic>>,
  metric: Metric,
  show: Show,
  mark = "",
): Content {
  const { mean, mean_ci95, n } = row[metric];
  if (mean === null) return missing;
  const own = n === row.latency_s.n ? "" : `n = ${plain(n)}`;
  return [
    mark,
    show(mean),
    subline([intervalOf(mean_ci95, show), own].filter((text) => text !== "").join(", ")),
  ];
}

const p95WithInterval = (statistic: SummaryStatistic, show: Show): Content => [
  p95Of(statistic, show),
  subline(intervalOf(statistic.p95_ci95, show)),
];

const failedBelow = (failed: number) => failed > 0 && subline(`${failed} failed`);
