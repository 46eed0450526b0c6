/** report.md: the run on one page, in Markdown that a repository host renders. */
import { metrics } from "../bench/metrics.ts";
import { prefixText } from "../bench/records.ts";
import type { Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { type LengthRow, lengthRows } from "./by_length.ts";
import { missing, sentence } from "./format.ts";
import { holdsWords, knownColumns, type TextColumn } from "./terminal_layout.ts";
import { qualityColumns } from "./quality_table.ts";
import { markdownTaskTables } from "./task_section.ts";
import { highlights } from "./highlights.ts";
import {
  comparisonsMade,
  energyText,
  instrumentText,
  machineText,
  planText,
  prefixMeanings,
  ratioText,
  type ReportOptions,
  scopeText,
  type SummaryRow,
  tableRows,
} from "./summary_text.ts";

const maxSample = 600;

/** Optional files of a run's folder. */
export interface Companions {
  /** The last self-check on the machine of the run. */
  readonly selfcheck?: SelfcheckResult | null;
  readonly quality?: QualityReport | null;
}

/**
 * The report in Markdown: highlights, the table, warnings with their remedies, comparisons, one sample answer
 * per candidate, and the conditions.
 *
 * ```ts ignore
 * await Deno.writeTextFile("report.md", markdownReport(summary, { watts: 15 }));
 * ```
 */
export function markdownReport(
  summary: Summary,
  options: ReportOptions = {},
  { selfcheck = null, quality = null }: Companions = {},
): string {
  return [
    `# Benchmark ${code(summary.run_id)}`,
    `${summary.created_at.slice(0, 10)} · ${summary.status} · ${escapeMarkdown(machineText(summary))}`,
    "## Highlights",
    highlights(summary, quality).map(({ text }) => `- ${highlightText(text)}`).join("\n"),
    ...qualitySection(quality),
    "## Results",
    columnsTable(resultColumns, tableRows(summary, options)),
    notes(summary, options),
    ...lengths(summary, quality),
    ...warnings(summary),
    ...comparisons(summary),
    ...samples(summary),
    "## Conditions",
    conditions(summary, selfcheck),
  ].join("\n\n") + "\n";
}

/**
 * A Markdown table; cells are escaped, the first column is code, figures are right-aligned and words left.
 *
 * ```ts
 * const table = markdownTable(["a", "b"], [["x|y", "1"]]);
 * if (!table.includes("x\\|y")) throw new Error("the bar must not end the cell");
 * ```
 */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const cell = (text: string, i: number) =>
    i === 0 ? code(text).replaceAll("|", "\\|") : escapeMarkdown(text);
  return [
    line(header),
    line(header.map((_, i) => i === 0 || holdsWords(rows.map((row) => row[i] ?? "")) ? "---" : "---:")),
    ...rows.map((row) => line(row.map(cell))),
  ].join("\n");
}

const resultColumns: readonly TextColumn<SummaryRow>[] = [
  ["Candidate", ({ id }) => id],
  ["Status", ({ status }) => status],
  ["n", ({ n }) => n],
  ["Mean latency", ({ latency }) => latency],
  ["p95", ({ p95 }) => p95],
  ["TTFT", ({ ttft }) => ttft],
  ["Tokens/s", ({ rate }) => rate],
  ["Prefill tokens/s", ({ prefill }) => prefill],
  ["Goodput", ({ goodput }) => goodput],
  ["Output tokens", ({ tokens }) => tokens],
  ["Load", ({ load }) => load],
  ["Memory", ({ memory }) => memory],
  ["Energy per answer", ({ energy }) => energy],
];

const lengthColumns: readonly TextColumn<LengthRow>[] = [
  ["Candidate", ({ id }) => id],
  ["Prompt tokens", ({ length }) => length],
  ["n", ({ n }) => n],
  ["TTFT", ({ ttft }) => ttft],
  ["Prefill tokens/s", ({ prefill }) => prefill],
  ["Decode tokens/s", ({ decode }) => decode],
  ["Within limits", ({ met }) => met],
  ["Right answers", ({ right }) => right],
];

/** Without the columns in which nothing is known. */
function columnsTable<Row>(columns: readonly TextColumn<Row>[], rows: readonly Row[]): string {
  const shown = knownColumns(columns, rows);
  return markdownTable(
    shown.map(([head]) => head),
    rows.map((row) => shown.map(([, cell]) => cell(row) ?? missing)),
  );
}

function qualitySection(quality: QualityReport | null): string[] {
  if (quality === null) return [];
  return [
    "## Quality",
    columnsTable(qualityColumns, quality.candidates),
    "n: prompts with checks. 95 % intervals treat prompts as the independent unit.",
    ...markdownTaskTables(quality).flatMap(({ caption, head, rows, note, key }) => [
      `### ${escapeMarkdown(caption)}`,
      markdownTable(head, rows),
      [...(key.length === 0 ? [] : [key.map(code).join(" · ")]), escapeMarkdown(note)].join("  \n"),
    ]),
  ];
}

function lengths(summary: Summary, quality: QualityReport | null): string[] {
  const rows = lengthRows(summary, quality);
  return rows.length === 0 ? [] : ["## By prompt length", columnsTable(lengthColumns, rows)];
}

function notes({ plan: { prefix, slo } }: Summary, options: ReportOptions): string {
  return `n: successful timed requests. Latency runs from when a request was due to its last token, TTFT to its first ` +
    `token; both are means, with a ${prefixText(prefix)} (${prefixMeanings[prefix]}). ` +
    `Tokens/s: output tokens divided by latency, without prompt tokens; ≈ marks estimated token counts. ` +
    `Prefill tokens/s: prompt tokens divided by the time from sending to the first token. ` +
    (slo === null ? "" : "Goodput: requests per second within the limits, and their share. ") +
    `A p95 needs 20 cases. Memory is the largest resident size of the engine process. ${energyText(options)}`
      .trimEnd();
}

function comparisons(summary: Summary): string[] {
  const made = comparisonsMade(summary);
  if (made.length === 0) return [];
  const rows = made.map((one) => [
    `${one.a} / ${one.b}`,
    metrics[one.metric].title,
    ratioText(one),
    scopeText(one),
    one.verdict === "a better"
      ? `${one.a} better`
      : one.verdict === "b better"
      ? `${one.b} better`
      : one.verdict,
  ]);
  return [
    "## Comparisons",
    markdownTable(["Pair", "Metric", "Ratio (95 % interval), n", "Interval for", "Verdict"], rows),
    "Ratios are geometric means over the blocks that both candidates answered; a few long answers can move a mean, but " +
    "not this comparison. n counts pairs of requests; each interval is at 95 % by itself. " +
    "Better: corrected over all comparisons of the run (Holm). Similar: the interval lies within ±10 %, and no block " +
    "lies more than a factor of two apart.",
  ];
}

function warnings(summary: Summary): string[] {
  if (summary.warnings.length === 0) return [];
  const items = summary.warnings.map((one) => {
    return `- **${one.code}**: ${escapeMarkdown(sentence(one.message))} ${
      escapeMarkdown(sentence(one.remedy))
    }`;
  });
  return ["## Warnings", items.join("\n")];
}

function samples(summary: Summary): string[] {
  const shown = summary.candidates.flatMap((one) => {
    if (one.sample_answer === null) return [];
    const whole = one.sample_answer;
    const text = whole.length > maxSample ? `${whole.slice(0, maxSample)} …` : whole;
    return [`${code(one.id)}\n\n${fenced(text)}`];
  });
  return shown.length === 0 ? [] : ["## One answer per candidate", ...shown];
}

function conditions(summary: Summary, selfcheck: SelfcheckResult | null): string {
  const versions = Object.entries(summary.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const { disturbed } = summary.blocks;
  const left = disturbed === 0
    ? ""
    : summary.blocks.treatment === "left out"
    ? " and left out"
    : ", none left out";
  return [
    `- Plan: ${escapeMarkdown(planText(summary))}`,
    `- Machine: ${escapeMarkdown(machineText(summary))}`,
    `- Versions: ${escapeMarkdown(versions)}`,
    `- Prompt set sha256: ${code(summary.plan.prompt_set.sha256)}`,
    `- Blocks: ${summary.blocks.timed} timed, ${summary.blocks.disturbed} disturbed${left}`,
    ...(selfcheck === null ? [] : [`- Instrument: ${escapeMarkdown(instrumentText(selfcheck))}`]),
    `- Rebuild this page: ${code(`deno task report ${summary.run_id}`)}`,
  ].join("\n");
}

/** Inline code, whatever backticks and line breaks are in the text. */
function code(text: string): string {
  const flat = text.replaceAll(/\s+/g, " ");
  const longest = Math.max(0, ...[...flat.matchAll(/`+/g)].map(([run]) => run.length));
  if (longest === 0) return `\`${flat}\``;
  const fence = "`".repeat(longest + 1);
  return `${fence} ${flat} ${fence}`;
}

/** A fence longer than any inside: an answer can't close it. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}

/** Names in highlights are in backticks; the words around them are escaped. */
function highlightText(text: string): string {
  return text.split("`").map((part, i) => i % 2 === 1 ? code(part) : escapeMarkdown(part)).join("");
}

function escapeMarkdown(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\*_[\]<>|`#]/g, (c) => `\\${c}`);
}
