/** A run's results on a terminal: a table that fits, the highlights, the machine. */
import Table from "cli-table3";
import type { Summary } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { terminalLine } from "../terminal_text.ts";
import { type LengthRow, lengthRows } from "./by_length.ts";
import { missing } from "./format.ts";
import { fittedTable } from "./fitted_table.ts";
import { taskTables } from "./task_tables.ts";
import { type Highlight, highlights } from "./highlights.ts";
import { machineText, type SummaryRow, tableRows } from "./summary_text.ts";
import { indented, knownColumns, type Painter, painter, type TextColumn, wrap } from "./terminal_layout.ts";

/** How the terminal looks. */
export interface TerminalOptions {
  /** Width in characters; at least 60 is assumed. */
  readonly columns: number;
  readonly color: boolean;
  /** Checks and ratings, where the run was scored. */
  readonly quality?: QualityReport | null;
}

const resultColumns: readonly TextColumn<SummaryRow>[] = [
  ["n", ({ n }) => n],
  ["latency", ({ latency }) => latency],
  ["p95", ({ p95 }) => p95],
  ["TTFT", ({ ttft }) => ttft],
  ["tokens/s", ({ rate }) => rate],
  ["prefill/s", ({ prefill }) => prefill === missing ? null : prefill],
  ["goodput", ({ goodput }) => goodput],
  ["memory", ({ memory }) => memory],
];
/** Dropped from the right of this list where the terminal is too narrow for a readable name. */
const DROPPED_FIRST: readonly string[] = ["p95", "memory", "prefill/s"];

/** By length of the prompt. */
const lengthColumns: readonly TextColumn<LengthRow>[] = [
  ["prompt tokens", ({ length }) => length],
  ["n", ({ n }) => n],
  ["TTFT", ({ ttft }) => ttft],
  ["prefill/s", ({ prefill }) => prefill],
  ["decode/s", ({ decode }) => decode],
  ["in limits", ({ met }) => met],
  ["right", ({ right }) => right],
];

const NAME_WIDTH = 16;
/** A narrower name can't be read. */
const LEAST_NAME_WIDTH = 12;

/**
 * A table that fits the terminal, and the highlights below it. All text from models and
 * services is made safe to print.
 *
 * ```ts ignore
 * console.log(terminalSummary(summary, { columns: 80, color: false }));
 * ```
 */
export function terminalSummary(summary: Summary, options: TerminalOptions): string {
  const { columns, color, quality = null } = options;
  const width = Math.max(60, columns);
  const paint = painter(color);
  const rows = tableRows(summary);
  const shown = fitting(rows, width);
  const lengths = lengthRows(summary, quality);
  const note = notes(summary, rows, new Set(shown.map(([head]) => head)));
  return [
    ruledTable(rows, shown, width, paint, (row) => row.latency === missing ? row.status : null),
    ...wrap(note, width).map(paint.dim),
    ...(lengths.length === 0
      ? []
      : ["", ruledTable(lengths, knownColumns(lengthColumns, lengths), width, paint, () => null)]),
    "",
    ...taskTables(quality ?? { candidates: [] }).flatMap(({ caption, head, rows }) => [
      paint.bold(caption),
      fittedTable(head, rows, width),
      "",
    ]),
    ...highlights(summary, quality).flatMap((one) => highlightLines(one, width, paint)),
    "",
    ...wrap(machineText(summary), width).map(paint.dim),
  ].join("\n") + "\n";
}

/** What the figures of the table mean. */
function notes({ plan }: Summary, rows: readonly SummaryRow[], shown: ReadonlySet<string>): string {
  return [
    `Latency and time to first token (TTFT): mean per request${shown.has("p95") ? "; p95 of latency" : ""}.`,
    "Tokens/s: output tokens divided by latency.",
    ...(shown.has("prefill/s") ? ["Prefill/s: prompt tokens read per second."] : []),
    ...(plan.slo === null ? [] : ["Goodput: requests per second within the limits, and their share."]),
    ...(rows.some(({ rate }) => rate.startsWith("≈")) ? ["≈: estimated token counts."] : []),
  ].join(" ");
}

function highlightLines({ kind, text }: Highlight, width: number, paint: Painter): string[] {
  const indent = kind === "qualification" ? "  " : "";
  const mark = kind === "finding" ? "•" : kind === "failure" ? paint.red("✗") : paint.yellow("!");
  return indented(text.replaceAll("`", ""), width - indent.length, mark).map((line) => indent + line);
}

/** The columns that leave space for names of up to `NAME_WIDTH` characters. */
function fitting(rows: readonly SummaryRow[], width: number): TextColumn<SummaryRow>[] {
  const longest = Math.max(...rows.map(({ id }) => id.length), 0);
  const wanted = Math.max(LEAST_NAME_WIDTH, Math.min(NAME_WIDTH, longest) + 2);
  let shown = knownColumns(resultColumns, rows);
  for (const dropped of DROPPED_FIRST.toReversed()) {
    if (taken(shown, rows) + wanted <= width) break;
    shown = shown.filter(([head]) => head !== dropped);
  }
  return shown;
}

/**
 * A table with rules, one row per candidate or several with the name in the first.
 *
 * @param instead what a row shows in red instead of its figures; null where it has some
 */
function ruledTable<Row extends { readonly id: string }>(
  rows: readonly Row[],
  columns: readonly TextColumn<Row>[],
  width: number,
  paint: Painter,
  instead: (row: Row) => string | null,
): string {
  const longest = Math.max("candidate".length, ...rows.map(({ id }) => id.length)) + 2;
  const nameWidth = Math.max(LEAST_NAME_WIDTH, Math.min(longest, width - taken(columns, rows)));
  const table = new Table({
    head: ["candidate", ...columns.map(([head]) => head)],
    colWidths: [nameWidth, ...columns.map((column) => columnWidth(column, rows))],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    // The table paints its head itself, after wrapping: wrapping would cut painted text inside its codes.
    style: { head: paint.bold("") === "" ? [] : ["bold"], border: [], compact: true },
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  for (const [at, row] of rows.entries()) {
    const name = rows[at - 1]?.id === row.id ? "" : brokenName(terminalLine(row.id), nameWidth - 2);
    const reason = instead(row);
    table.push(
      reason === null
        ? [name, ...columns.map(([, cell]) => cell(row) ?? missing)]
        : [name, { content: paint.red(reason), colSpan: columns.length, hAlign: "left" }],
    );
  }
  return table.toString();
}

function columnWidth<Row>([head, cell]: TextColumn<Row>, rows: readonly Row[]): number {
  return Math.max(head.length, ...rows.map((row) => (cell(row) ?? missing).length)) + 2;
}

/** The width of these columns and all rules. */
function taken<Row>(columns: readonly TextColumn<Row>[], rows: readonly Row[]): number {
  return columns.reduce((sum, column) => sum + columnWidth(column, rows) + 1, 2);
}

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
