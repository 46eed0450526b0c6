/** A run's results on a terminal: a table that fits, the highlights, the machine. */
import Table from "cli-table3";
import type { Summary } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { terminalLine } from "../terminal_text.ts";
import { type LengthRow, lengthRows } from "./by_length.ts";
import { missing } from "./format.ts";
import { fittedTable } from "./fitted_table.ts";
import { taskTables } from "./task_tables.ts";
import { highlights } from "./highlights.ts";
import { machineText, type SummaryRow, tableRows } from "./summary_text.ts";
import { type Painter, painter, wrap } from "./terminal_layout.ts";

/** How the terminal looks. */
export interface TerminalOptions {
  /** Width in characters; at least 60 is assumed. */
  readonly columns: number;
  readonly color: boolean;
  /** Checks and ratings, where the run was scored. */
  readonly quality?: QualityReport | null;
}

interface Column {
  readonly head: string;
  readonly of: (row: SummaryRow) => string;
}

const columns: readonly Column[] = [
  { head: "n", of: (row) => row.n },
  { head: "latency", of: (row) => row.latency },
  { head: "p95", of: (row) => row.p95 },
  { head: "TTFT", of: (row) => row.ttft },
  { head: "tokens/s", of: (row) => row.rate },
  { head: "prefill/s", of: (row) => row.prefill },
  { head: "goodput", of: (row) => row.goodput ?? missing },
  { head: "memory", of: (row) => row.memory },
];
/** Dropped from the right of this list where the terminal is too narrow for a readable name. */
const DROPPED_FIRST: readonly string[] = ["p95", "memory", "prefill/s"];
const NAME_WIDTH = 16;

/**
 * A table that fits the terminal, and the highlights below it. All text from models and services is made safe to print.
 *
 * @example
 * ```ts ignore
 * console.log(terminalSummary(summary, { columns: 80, color: false }));
 * ```
 */
export function terminalSummary(summary: Summary, options: TerminalOptions): string {
  const width = Math.max(60, options.columns);
  const paint = painter(options.color);
  const rows = tableRows(summary);
  const lengths = lengthRows(summary, options.quality ?? null);
  const shown = (name: string) => fitting(rows, width).some(({ head }) => head === name);
  const note = "Latency and time to first token (TTFT): mean per request" +
    (shown("p95") ? "; p95 of latency. " : ". ") + "Tokens/s: output tokens divided by latency." +
    (shown("prefill/s") ? " Prefill/s: prompt tokens read per second." : "") +
    (summary.plan.slo === null ? "" : " Goodput: requests per second within the limits, and their share.") +
    (rows.some(({ rate }) => rate.startsWith("≈")) ? " ≈: estimated token counts." : "");
  const lines = [
    resultTable(rows, width, paint),
    ...wrap(note, width).map(paint.dim),
    ...(lengths.length === 0 ? [] : ["", lengthTable(lengths, width, paint)]),
    "",
    ...taskTables(options.quality ?? { candidates: [] }).flatMap(({ caption, head, rows }) => [
      paint.bold(caption),
      fittedTable(head, rows, width),
      "",
    ]),
    ...highlights(summary, options.quality ?? null).flatMap(({ kind, text }) => {
      const indent = kind === "qualification" ? "  " : "";
      const [first = "", ...rest] = wrap(text.replaceAll("`", ""), width - 2 - indent.length);
      const mark = kind === "finding" ? "•" : kind === "failure" ? paint.red("✗") : paint.yellow("!");
      return [`${indent}${mark} ${first}`, ...rest.map((line) => `${indent}  ${line}`)];
    }),
    "",
    ...wrap(machineText(summary), width).map(paint.dim),
  ];
  return lines.join("\n") + "\n";
}

function resultTable(rows: readonly SummaryRow[], width: number, paint: Painter): string {
  const shown = fitting(rows, width);
  const widths = shown.map((column) => widthOf(column, rows));
  const longest = Math.max("candidate".length, ...rows.map((row) => row.id.length)) + 2;
  const nameWidth = Math.max(12, Math.min(longest, width - taken(widths)));
  const table = new Table({
    head: ["candidate", ...shown.map((column) => column.head)],
    colWidths: [nameWidth, ...widths],
    colAligns: ["left", ...shown.map(() => "right" as const)],
    // The table paints its head itself, after wrapping: wrapping would cut painted text inside its codes.
    style: { head: paint.bold("") === "" ? [] : ["bold"], border: [], compact: true },
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  for (const row of rows) {
    const name = brokenName(terminalLine(row.id), nameWidth - 2);
    const status = { content: paint.red(row.status), colSpan: shown.length, hAlign: "left" as const };
    const cells = shown.map((column) => ({ content: column.of(row), hAlign: "right" as const }));
    table.push(row.latency === missing ? [name, status] : [name, ...cells]);
  }
  return table.toString();
}

/** By length of the prompt: one row per candidate and length, the name only in a candidate's first row. */
function lengthTable(rows: readonly LengthRow[], width: number, paint: Painter): string {
  const extra: readonly [string, (row: LengthRow) => string | null][] = [
    ["in limits", ({ met }) => met],
    ["right", ({ right }) => right],
  ];
  const shown: readonly [string, (row: LengthRow) => string | null][] = [
    ["prompt tokens", ({ length }) => length],
    ["n", ({ n }) => n],
    ["TTFT", ({ ttft }) => ttft],
    ["prefill/s", ({ prefill }) => prefill],
    ["decode/s", ({ decode }) => decode],
    ...extra.filter(([, of]) => rows.some((row) => of(row) !== null)),
  ];
  const widths = shown.map(([head, of]) =>
    Math.max(head.length, ...rows.map((row) => (of(row) ?? missing).length)) + 2
  );
  const longest = Math.max("candidate".length, ...rows.map(({ id }) => id.length)) + 2;
  const nameWidth = Math.max(12, Math.min(longest, width - taken(widths)));
  const table = new Table({
    head: ["candidate", ...shown.map(([head]) => head)],
    colWidths: [nameWidth, ...widths],
    colAligns: ["left", ...shown.map(() => "right" as const)],
    style: { head: paint.bold("") === "" ? [] : ["bold"], border: [], compact: true },
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  for (const [at, row] of rows.entries()) {
    const name = rows[at - 1]?.id === row.id ? "" : brokenName(terminalLine(row.id), nameWidth - 2);
    table.push([name, ...shown.map(([, of]) => of(row) ?? missing)]);
  }
  return table.toString();
}

/** The columns that leave room for names of up to `NAME_WIDTH` characters. */
function fitting(rows: readonly SummaryRow[], width: number): readonly Column[] {
  const wanted = Math.max(12, Math.min(NAME_WIDTH, Math.max(...rows.map((row) => row.id.length), 0)) + 2);
  let shown = columns.filter((column) =>
    column.head !== "goodput" || rows.some(({ goodput }) => goodput !== null)
  )
    .filter((column) => column.head !== "prefill/s" || rows.some(({ prefill }) => prefill !== missing));
  for (const head of DROPPED_FIRST.toReversed()) {
    if (taken(shown.map((column) => widthOf(column, rows))) + wanted <= width) break;
    shown = shown.filter((column) => column.head !== head);
  }
  return shown;
}

const widthOf = (column: Column, rows: readonly SummaryRow[]) =>
  Math.max(column.head.length, ...rows.map((row) => column.of(row).length)) + 2;
/** The width of these columns and all rules. */
const taken = (widths: readonly number[]) => widths.reduce((sum, one) => sum + one + 1, 2);

/** Breaks a long name where its parts meet (`:`, `@`, `#`, `+`, `/`), so that it stays readable. */
function brokenName(name: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const part of name.split(/(?=[:@#+/])/)) {
    if (line !== "" && line.length + part.length > width) {
      lines.push(line);
      line = part;
    } else line += part;
  }
  return [...lines, line].join("\n");
}
