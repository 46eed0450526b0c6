/** report.md: the run in a page that a reader can act on, and that a repository host shows as it is. */
import type { Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { instrumentText } from "./instrument.ts";
import { highlights } from "./highlights.ts";
import {
  comparisonsMade,
  machineText,
  metricTitles,
  planText,
  ratioText,
  type ReportOptions,
  type TableRow,
  tableRows,
} from "./summary_text.ts";

const maxSample = 600;

/** What may stand beside the records in a run's folder. */
export interface Companions {
  /** Of the machine of the run, as it was last. */
  readonly selfcheck?: SelfcheckResult | null;
  readonly quality?: QualityReport | null;
}

/**
 * The report in Markdown: highlights, the table, comparisons, warnings with their remedies, one sample answer
 * a candidate, and the conditions.
 *
 * @example
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
    "## Results",
    resultTable(tableRows(summary, options)),
    notes(summary, options),
    ...comparisons(summary),
    ...warnings(summary),
    ...samples(summary),
    "## Conditions",
    conditions(summary, selfcheck),
  ].join("\n\n") + "\n";
}

/**
 * A Markdown table; cells are escaped, the first column is code, the others are right-aligned.
 *
 * @example
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
    line(header.map((_, i) => (i === 0 ? "---" : "---:"))),
    ...rows.map((row) => line(row.map(cell))),
  ].join("\n");
}

function resultTable(rows: readonly TableRow[]): string {
  const energy = rows.some((row) => row.energy !== null);
  const header = [
    "Model",
    "Status",
    "n",
    "Avg latency",
    "p95",
    "TTFT",
    "Tokens/s",
    "Output tokens",
    "Load",
    "Memory",
  ];
  return markdownTable(
    energy ? [...header, "Energy an answer"] : header,
    rows.map((row) => [
      row.id,
      row.status,
      row.n,
      row.latency,
      row.p95,
      row.ttft,
      row.rate,
      row.tokens,
      row.load,
      row.memory,
      ...(energy ? [row.energy ?? "—"] : []),
    ]),
  );
}

function notes(summary: Summary, options: ReportOptions): string {
  const prefixes: Record<Summary["plan"]["prefix"], string> = {
    "cold":
      "cold prefix (a number that no earlier request had opens every prompt, so the prompt cache is of no use)",
    "warm": "warm prefix (the same prompt was sent right before, so its cache helps)",
    "as is": "prompts as they are (the prompt cache may help)",
  };
  const energy = options.watts === undefined
    ? ""
    : ` Energy is an estimate: output tokens ÷ tokens/s × ${options.watts} W, the watts as stated, not measured.`;
  return `n: good timed requests. Latency is from due to the last token, TTFT to the first; means, ${
    prefixes[summary.plan.prefix]
  }. ` +
    `Tokens/s are output tokens over the whole latency, never prompt tokens; ≈ marks counts that are estimates. ` +
    `A p95 needs n = 20. Memory is the largest resident size of the engine process.${energy}`;
}

function comparisons(summary: Summary): string[] {
  const made = comparisonsMade(summary);
  if (made.length === 0) return [];
  const rows = made.map((one) => [
    `${one.a} / ${one.b}`,
    metricTitles[one.metric],
    ratioText(one),
    one.verdict === "a better"
      ? `${one.a} better`
      : one.verdict === "b better"
      ? `${one.b} better`
      : one.verdict,
  ]);
  return [
    "## Comparisons",
    markdownTable(["Pair", "Metric", "Ratio (95 % interval), blocks", "Verdict"], rows),
    "Ratios are geometric means over the blocks that both answered; the interval takes prompts as the " +
    "independent unit. Similar: the interval lies within ±10 %.",
  ];
}

function warnings(summary: Summary): string[] {
  if (summary.warnings.length === 0) return [];
  const items = summary.warnings.map((one) => {
    return `- **${one.code}** — ${escapeMarkdown(one.message)}. *Remedy: ${escapeMarkdown(one.remedy)}.*`;
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
  return shown.length === 0 ? [] : ["## One answer each", ...shown];
}

function conditions(summary: Summary, selfcheck: SelfcheckResult | null): string {
  const versions = Object.entries(summary.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return [
    `- Plan: ${escapeMarkdown(planText(summary))}`,
    `- Machine: ${escapeMarkdown(machineText(summary))}`,
    `- Versions: ${escapeMarkdown(versions)}`,
    `- Prompt set sha256: ${code(summary.plan.prompt_set.sha256)}`,
    `- Blocks: ${summary.blocks.timed} timed, ${summary.blocks.disturbed} disturbed and left out`,
    ...(selfcheck === null ? [] : [`- Instrument: ${escapeMarkdown(instrumentText(selfcheck))}`]),
    `- Rebuild this page: ${code(`deno task report ${summary.run_id}`)}`,
  ].join("\n");
}

/** Inline code that survives backticks and line breaks in the text. */
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

/** Highlights carry names between backticks; the words around them are escaped. */
function highlightText(text: string): string {
  return text.split("`").map((part, i) => i % 2 === 1 ? code(part) : escapeMarkdown(part)).join("");
}

function escapeMarkdown(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\*_[\]<>|`#]/g, (c) => `\\${c}`);
}
