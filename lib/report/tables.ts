/** The tables of report.html: one row per candidate, failed ones included, every figure with its n. */
import type { CandidateSummary, Summary, SummaryStatistic } from "../bench/summary_schema.ts";
import { seriesStyle } from "../plot/series.ts";
import { energyOf } from "../bench/energy.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { lengthRows, lengthText } from "./by_length.ts";
import {
  counted,
  intervalOf,
  megabytes,
  missing,
  p95Of,
  plain,
  ratio,
  seconds,
  secondsLike,
  unbroken,
} from "./format.ts";
import { type Markup, markup, trusted } from "../markup.ts";
import type { RunData } from "./run_data.ts";
import {
  comparisonsMade,
  estimatedTokens,
  measured,
  metricTitles,
  type ReportOptions,
  scopeText,
  statusText,
} from "./summary_text.ts";

type Show = (value: number | null) => string;

/** Columns of words, not of figures. */
const words: ReadonlySet<string> = new Set(["Metric", "Interval for", "Verdict", "Answers", "Licence"]);

/** A table in a box of its own that scrolls sideways, so that the page does not. */
export function scrollTable(caption: string, head: readonly string[], rows: readonly Markup[]): Markup {
  const cells = head.map((name) =>
    markup`<th scope="col"${words.has(name) && trusted(' class="text"')}>${name}</th>`
  );
  return markup`
    <div class="scroll" role="region" tabindex="0" aria-label="${caption}">
      <table>
        <caption>${caption} <span class="more">scroll →</span></caption>
        <thead>
          <tr>${cells}</tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

/** The mark that identifies a candidate in figures and tables. */
export function swatch(index: number): Markup {
  const { color, symbol } = seriesStyle(index);
  const shapes: Record<typeof symbol, string> = {
    circle: "M8,1A7,7,0,1,1,7.99,1z",
    square: "M2,2h12v12h-12z",
    triangle: "M8,1L15,14H1z",
    diamond2: "M8,0L16,8L8,16L0,8z",
    star: "M8,0L10.2,5.4L16,5.8L11.6,9.6L13,15.4L8,12.2L3,15.4L4.4,9.6L0,5.8L5.8,5.4z",
    cross: "M5.5,0h5v5.5H16v5h-5.5V16h-5v-5.5H0v-5h5.5z",
  };
  return markup`
    <svg class="swatch" viewBox="0 0 16 16" aria-hidden="true">
      <path d="${shapes[symbol]}" fill="${color}" />
    </svg>
  `;
}

/**
 * One row per candidate. A candidate without a successful request shows its status instead of figures, with the reason
 * if `reasons` is true.
 */
function candidateRows(
  summary: Summary,
  width: number,
  cells: (candidate: CandidateSummary) => Markup[],
  reasons = false,
): Markup[] {
  return summary.candidates.map((one, index) => {
    const name = markup`<th scope="row">${swatch(index)}${breakable(one.id)}${subline(origin(one))}</th>`;
    if (measured(one)) return markup`<tr>${name}${cells(one)}</tr>`;
    const why = reasons && one.reason !== null ? `${statusText(one)}: ${one.reason}` : statusText(one);
    return markup`<tr class="failed">${name}<td colspan="${width - 1}">${why}</td></tr>`;
  });
}

function origin(one: CandidateSummary): string {
  const way = one.llama_cpp === null
    ? ""
    : one.llama_cpp.way === "direct"
    ? "llama.cpp called directly"
    : "through node-llama-cpp";
  const parts = [one.model_id === one.id ? "" : one.model_id, one.device ?? "", way, one.endpoint];
  return [...new Set(parts.filter((part) => part !== ""))].join(" · ");
}

/** A name that may break where its parts meet. */
export function breakable(name: string): Markup[] {
  return name.split(/(?<=[/:@+_-])/).map((part, i) => i === 0 ? markup`${part}` : markup`<wbr>${part}`);
}

/** A second line in a cell; none for no text. */
export function subline(text: string): Markup | null {
  return text === "" ? null : markup`<span class="sub">${unbroken(text)}</span>`;
}

/** A mean with its interval below, and its n where that differs from the row's. */
function meanCell(statistic: SummaryStatistic, show: Show, rowN: number, mark = ""): Markup {
  if (statistic.mean === null) return markup`<td>${missing}</td>`;
  const interval = intervalOf(statistic.mean_ci95, show);
  const own = statistic.n === rowN ? "" : `n = ${plain(statistic.n)}`;
  const under = [interval, own].filter((text) => text !== "").join(", ");
  return markup`<td>${mark}${show(statistic.mean)}${subline(under)}</td>`;
}

function p95Cell(statistic: SummaryStatistic, show: Show): Markup {
  return markup`<td>${p95Of(statistic, show)}${subline(intervalOf(statistic.p95_ci95, show))}</td>`;
}

/** How long requests took. */
export function timeTable(summary: Summary): Markup {
  const head = [
    "Candidate",
    "n",
    "Latency, mean",
    "median",
    "p95",
    "First token, mean",
    "p95",
    "Longest gap",
  ];
  const column = (...of: ((one: CandidateSummary) => number | null)[]) =>
    secondsLike(summary.candidates.flatMap((one) => of.map((value) => value(one))));
  const latency = column((one) => one.latency_s.mean, (one) => one.latency_s.p50, (one) => one.latency_s.p95);
  const ttft = column((one) => one.ttft_s.mean, (one) => one.ttft_s.p95);
  const gap = column((one) => one.itl_s.max);
  const rows = candidateRows(summary, head.length, (one) => [
    markup`<td>${plain(one.latency_s.n)}${
      one.requests.failed > 0 && subline(`${one.requests.failed} failed`)
    }</td>`,
    meanCell(one.latency_s, latency, one.latency_s.n),
    markup`<td>${latency(one.latency_s.p50)}</td>`,
    p95Cell(one.latency_s, latency),
    meanCell(one.ttft_s, ttft, one.latency_s.n),
    p95Cell(one.ttft_s, ttft),
    markup`<td>${gap(one.itl_s.max)}${one.itl_s.n > 0 && subline(`n = ${counted(one.itl_s.n, "gap")}`)}</td>`,
  ], true);
  return scrollTable("Time to answer", head, rows);
}

/** How fast answers were generated, and how long they were; estimates are marked. */
export function throughputTable(summary: Summary): Markup {
  const head = [
    "Candidate",
    "n",
    "Output tokens/s",
    "Decode tokens/s",
    "Prefill tokens/s",
    "Characters/s",
    "Tokens per answer",
    "Ended / cut",
  ];
  const rows = candidateRows(summary, head.length, (one) => {
    const mark = estimatedTokens(one) ? "≈ " : "";
    const n = one.latency_s.n;
    const source = one.tokens.source === null ? "" : `counted by ${one.tokens.source}`;
    return [
      markup`<td>${plain(n)}</td>`,
      meanCell(one.output_tokens_per_s, plain, n, mark),
      meanCell(one.decode_tokens_per_s, plain, n, mark),
      meanCell(one.prefill_tokens_per_s, plain, n),
      meanCell(one.output_chars_per_s, plain, n),
      markup`<td>${mark}${plain(one.tokens.output_mean)}${subline(source)}</td>`,
      markup`<td>${plain(one.finish.stop)} / ${plain(one.finish.length)}</td>`,
    ];
  });
  return scrollTable("Throughput and length of the answers", head, rows);
}

/** One row per candidate and length of the prompt; null where lengths are about equal. */
export function lengthTable(summary: Summary, quality: QualityReport | null): Markup | null {
  const texts = lengthRows(summary, quality);
  if (texts.length === 0) return null;
  const [met, right] = [texts.some((row) => row.met !== null), texts.some((row) => row.right !== null)];
  const head = [
    "Candidate",
    "Prompt tokens",
    "n",
    "First token, mean",
    "Prefill tokens/s",
    "Decode tokens/s",
    ...(met ? ["Within limits"] : []),
    ...(right ? ["Right answers"] : []),
  ];
  let at = 0;
  const ttft = secondsLike(
    summary.candidates.flatMap(({ by_length }) => by_length.map((row) => row.ttft_s.mean)),
  );
  const rows = summary.candidates.flatMap((one, index) =>
    one.by_length.map((row) => {
      const text = texts[at++];
      const n = row.latency_s.n;
      return markup`<tr><th scope="row">${swatch(index)}${breakable(one.id)}</th><td>${
        lengthText(row)
      }</td><td>${plain(n)}${row.failed > 0 && subline(`${row.failed} failed`)}</td>${
        meanCell(row.ttft_s, ttft, n)
      }${meanCell(row.prefill_tokens_per_s, plain, n)}${meanCell(row.decode_tokens_per_s, plain, n)}${
        met && markup`<td>${text?.met ?? missing}</td>`
      }${right && markup`<td>${text?.right ?? missing}</td>`}</tr>`;
    })
  );
  return scrollTable("By length of the prompt", head, rows);
}

/** The needs of a candidate: load time, memory, disk, licence, energy. */
export function footprintTable(summary: Summary, data: RunData, options: ReportOptions): Markup {
  const watts = options.watts;
  const head = [
    "Candidate",
    "Load",
    "Memory",
    "Disk",
    "Licence",
    ...(watts === undefined ? [] : ["Energy per answer"]),
  ];
  const time = secondsLike(summary.candidates.map(({ load_s }) => load_s));
  const rows = candidateRows(summary, head.length, (one) => {
    const loads = data.loads.get(one.id) ?? [];
    const caches = [...new Set(loads.map((load) => load.file_cache))].filter((cache) => cache !== "unknown");
    const load = loads.length === 0
      ? ""
      : `n = ${loads.length}${caches.length === 0 ? "" : `, ${caches.join(" and ")} file cache`}`;
    const energy = watts === undefined ? null : energyOf(one, watts);
    return [
      markup`<td>${time(one.load_s)}${subline(load)}</td>`,
      markup`<td>${megabytes(one.memory_mb)}</td>`,
      markup`<td>${megabytes(one.size_mb)}</td>`,
      markup`<td class="text">${one.license ?? missing}</td>`,
      ...(watts === undefined ? [] : [
        markup`<td>${energy === null ? missing : `≈ ${plain(energy.joulesPerAnswer)} J`}${
          energy !== null && subline(`${plain(energy.wattHoursPer1000)} Wh per 1,000`)
        }</td>`,
      ]),
    ];
  });
  return scrollTable("Load, memory and disk", head, rows);
}

/** Requested and delivered load; null in a closed loop of one client without limits. */
export function loadTable(summary: Summary): Markup | null {
  if (summary.candidates.every((one) => one.load === null && one.goodput === null)) return null;
  const rate: Show = (value) => value === null ? missing : `${plain(value)}/s`;
  const head = [
    "Candidate",
    "Requested",
    "Sent",
    "Completed",
    "Most in flight",
    "Wait in the client's queue, p95",
    "Goodput",
  ];
  const rows = candidateRows(summary, head.length, (one) => [
    markup`<td>${rate(one.load?.asked_rate ?? null)}</td>`,
    markup`<td>${rate(one.load?.delivered_rate ?? null)}</td>`,
    markup`<td>${rate(one.load?.completed_rate ?? null)}</td>`,
    markup`<td>${one.load?.max_in_flight ?? missing}</td>`,
    markup`<td>${one.queue_s === null ? missing : p95Of(one.queue_s, seconds)}</td>`,
    one.goodput === null
      ? markup`<td>${missing}</td>`
      : markup`<td>${rate(one.goodput.requests_per_s)}${
        subline(`${plain(one.goodput.met * 100)} % of ${one.goodput.n} met the limits`)
      }</td>`,
  ]);
  return scrollTable("Load and goodput", head, rows);
}

/** The server's own times next to the client's; null where no service reports any. */
export function serverTable(summary: Summary, { server }: RunData): Markup | null {
  if (server.every((one) => one.promptS === null && one.decodeS === null && !one.cachedTokens)) return null;
  const head = [
    "Candidate",
    "n",
    "Prompt, server",
    "First token, client",
    "Decode, server",
    "First to last, client",
    "Cached prompt tokens",
  ];
  const time = secondsLike(server.flatMap((one) => [one.promptS, one.ttftS, one.decodeS, one.streamS]));
  const rows = summary.candidates.flatMap(({ id }, index): Markup[] => {
    const one = server.find((side) => side.candidate === id);
    if (one === undefined) return [];
    return [
      markup`<tr><th scope="row">${swatch(index)}${breakable(id)}</th><td>${one.n}</td><td>${
        time(one.promptS)
      }</td><td>${time(one.ttftS)}</td><td>${time(one.decodeS)}</td><td>${time(one.streamS)}</td><td>${
        plain(one.cachedTokens)
      }</td></tr>`,
    ];
  });
  return scrollTable("Times reported by the server (medians)", head, rows);
}

/** Every comparison with its interval, its blocks and its verdict. */
export function comparisonTable(summary: Summary): Markup {
  const rows = comparisonsMade(summary).map((one) => {
    const better = one.verdict === "a better" ? one.a : one.verdict === "b better" ? one.b : null;
    return markup`
      <tr>
        <th scope="row" class="pair">${breakable(one.a)} / ${breakable(one.b)}</th>
        <td class="text">${metricTitles[one.metric]}</td>
        <td>${ratio(one.ratio)}</td>
        <td>${one.ci95 === null ? "no interval" : intervalOf(one.ci95, ratio)}</td>
        <td>${one.n}</td>
        <td class="text">${scopeText(one)}</td>
        <td class="text">${better === null ? one.verdict : `${better} better`}</td>
      </tr>
    `;
  });
  return scrollTable(
    "Ratio of the first to the second, block by block",
    ["Pair", "Metric", "Ratio", "95 % interval", "n", "Interval for", "Verdict"],
    rows,
  );
}

/** Quiet blocks next to all blocks; null where no block was disturbed. */
export function disturbedTable(summary: Summary): Markup | null {
  if (summary.candidates.every((one) => one.with_disturbed === null)) return null;
  const head = [
    "Candidate",
    "Latency, quiet blocks",
    "Latency, all blocks",
    "First token, quiet blocks",
    "First token, all blocks",
  ];
  const time = secondsLike(
    summary.candidates.flatMap((one) => [one.latency_s.mean, one.with_disturbed?.latency_s.mean ?? null]),
  );
  const cell = (statistic: SummaryStatistic | undefined) =>
    markup`<td>${time(statistic?.mean ?? null)}${subline(`n = ${plain(statistic?.n ?? 0)}`)}</td>`;
  const rows = candidateRows(summary, head.length, (one) => [
    cell(one.latency_s),
    cell(one.with_disturbed?.latency_s),
    cell(one.ttft_s),
    cell(one.with_disturbed?.ttft_s),
  ]);
  return scrollTable("With and without the disturbed blocks (means)", head, rows);
}
