/** The report's story in short, for a terminal. */
import Table from "cli-table3";
import type { Summary } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { highlights } from "./highlights.ts";
import { machineText, type TableRow, tableRows } from "./summary_text.ts";
import { type Painter, painter, wrap } from "./terminal_layout.ts";

/** How the terminal looks. */
export interface TerminalOptions {
  /** Width in characters; at least 60 is assumed. */
  readonly columns: number;
  readonly color: boolean;
  /** Checks and ratings, where the run was scored. */
  readonly quality?: QualityReport | null;
}

const columns: readonly { readonly head: string; readonly of: (row: TableRow) => string }[] = [
  { head: "n", of: (row) => row.n },
  { head: "latency", of: (row) => row.latency },
  { head: "p95", of: (row) => row.p95 },
  { head: "TTFT", of: (row) => row.ttft },
  { head: "tokens/s", of: (row) => row.rate },
  { head: "memory", of: (row) => row.memory },
];

/**
 * A table that fits the terminal, the findings under it, and how many warnings qualify them.
 *
 * @example
 * ```ts ignore
 * console.log(terminalSummary(summary, { columns: 80, color: false }));
 * ```
 */
export function terminalSummary(summary: Summary, options: TerminalOptions): string {
  const width = Math.max(60, options.columns);
  const paint = painter(options.color);
  const lines = [
    resultTable(tableRows(summary), width, paint),
    wrap("mean latency and time to first token (TTFT) per request, p95 of latency; ≈ estimated tokens", width)
      .map(paint.dim).join("\n"),
    "",
    ...highlights(summary, options.quality ?? null).flatMap(({ kind, text }) => {
      const [first = "", ...rest] = wrap(text.replaceAll("`", ""), width - 2);
      const mark = kind === "failure" ? paint.red("✗") : kind === "caution" ? paint.yellow("!") : "•";
      return [`${mark} ${first}`, ...rest.map((line) => `  ${line}`)];
    }),
    "",
    ...wrap(machineText(summary), width).map(paint.dim),
  ];
  return lines.join("\n") + "\n";
}

function resultTable(rows: readonly TableRow[], width: number, paint: Painter): string {
  const widths = columns.map((column) =>
    Math.max(column.head.length, ...rows.map((row) => column.of(row).length)) + 2
  );
  const taken = widths.reduce((sum, one) => sum + one + 1, 2);
  const longest = Math.max("model".length, ...rows.map((row) => row.id.length)) + 2;
  const nameWidth = Math.max(12, Math.min(longest, width - taken));
  const table = new Table({
    head: ["model", ...columns.map((column) => column.head)],
    colWidths: [nameWidth, ...widths],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    // The table paints its head itself, after wrapping: wrapping would cut painted text inside its codes.
    style: { head: paint.bold("") === "" ? [] : ["bold"], border: [], compact: true },
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  for (const row of rows) {
    const failed = row.latency === "—";
    const cells = columns.map((column) => ({ content: column.of(row), hAlign: "right" as const }));
    table.push(
      failed
        ? [brokenName(row.id, nameWidth - 2), {
          content: paint.red(row.status),
          colSpan: columns.length,
          hAlign: "left",
        }]
        : [brokenName(row.id, nameWidth - 2), ...cells],
    );
  }
  return table.toString();
}

/** A long name goes on where its parts meet (`:`, `@`, `#`, `+`), so that it can be read. */
function brokenName(name: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const part of name.split(/(?=[:@#+])/)) {
    if (line !== "" && line.length + part.length > width) {
      lines.push(line);
      line = part;
    } else line += part;
  }
  return [...lines, line].join("\n");
}
