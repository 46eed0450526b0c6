/** What every task prints is as wide as the terminal that shows it; piped text keeps its lines. */
import { fittedTable } from "../lib/report/fitted_table.ts";
import { wrap } from "../lib/report/terminal_layout.ts";

type Stream = typeof Deno.stdout | typeof Deno.stderr;

const columnsOf = (stream: Stream) => stream.isTerminal() ? Deno.consoleSize().columns || 80 : Infinity;

/** Text with its wide lines broken between words; what continues a line begins with `indent`. */
export function fitTerminal(text: string, stream: Stream, indent = ""): string {
  const columns = columnsOf(stream);
  if (columns === Infinity) return text;
  return text.split("\n").map((line) => {
    if (line.length <= columns) return line;
    const start = /^ */.exec(line)?.[0] ?? "";
    const wrapped = wrap(line.trimStart(), columns - start.length - indent.length);
    return start + wrapped.join(`\n${start}${indent}`);
  }).join("\n");
}

/** Prints text on stdout; what continues a wide line begins with `indent`. */
export const say = (text: string, indent = "") => console.log(fitTerminal(text, Deno.stdout, indent));

/** Prints a line on stderr. */
export const note = (line: string) => console.error(fitTerminal(line, Deno.stderr));

/** A table for stdout: figures aligned right, words left. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  fittedTable(head, rows, columnsOf(Deno.stdout));

/** Width and colour of a text for stdout; a pipe gets `piped` columns and no colour. */
export function stdoutStyle(piped: number): { readonly columns: number; readonly color: boolean } {
  const columns = columnsOf(Deno.stdout);
  return columns === Infinity ? { columns: piped, color: false } : { columns, color: !Deno.noColor };
}
