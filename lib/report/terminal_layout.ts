/** Layout of text on a terminal: wrapping, colour, tables without rules. */
import Table from "cli-table3";
import { terminalLine } from "../terminal_text.ts";
import { unbroken } from "./format.ts";

type Paint = (text: string) => string;

/** Colours a terminal can show; without colour, each returns its text unchanged. */
export interface Painter {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly yellow: Paint;
}

/**
 * A painter that uses ANSI colours, or none.
 *
 * ```ts
 * if (painter(false).red("x") !== "x") throw new Error("must stay unpainted");
 * ```
 */
export function painter(color: boolean): Painter {
  const ansi = (code: number): Paint => (text) => color ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { bold: ansi(1), dim: ansi(2), red: ansi(31), yellow: ansi(33) };
}

/**
 * Wraps words into lines of at most `width` characters. A longer word is broken where its parts meet (`:`,
 * `@`, `/` …), else at the width. Control characters are made safe to print.
 *
 * ```ts
 * if (wrap("one two three", 8).join("|") !== "one two|three") throw new Error("wrong lines");
 * ```
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of unbroken(terminalLine(text)).split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (joined.length <= width) line = joined;
    else {
      if (line !== "") lines.push(line);
      const parts = pieces(word, width);
      line = parts.pop() ?? "";
      lines.push(...parts);
    }
  }
  return [...lines, line].map((one) => one.replaceAll("\u00a0", " "));
}

/** Wrapped text, two characters further in, the first of its lines after `mark`. */
export function indented(text: string, width: number, mark = " "): string[] {
  return wrap(text, width - 2).map((line, at) => `${at === 0 ? mark : " "} ${line}`);
}

/** A word in pieces of at most `width` characters. */
function pieces(word: string, width: number): string[] {
  const found: string[] = [];
  let rest = word;
  while (rest.length > width) {
    const at = Math.max(...[...":@#+/,="].map((char) => rest.lastIndexOf(char, width - 1)));
    const cut = at > 0 ? at : width;
    found.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...found, rest];
}

/**
 * Whether a column holds words, and is aligned left; figures are aligned right. A cell of figures begins with
 * a digit, after a sign or a bracket at most.
 *
 * ```ts
 * if (holdsWords(["12 ms", "—"]) || !holdsWords(["similar", "1 better"])) throw new Error("wrong alignment");
 * ```
 */
export function holdsWords(cells: readonly string[]): boolean {
  return cells.some((cell) => !/^(?:[−-]|[≈<>±+−(-]*\s*\d|[—·?]|$)/.test(cell.trim()));
}

/** What cli-table3 draws between cells. */
const rules =
  "top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle"
    .split(" ");

/**
 * A table without rules: the first column and those of words are aligned left, figures right.
 *
 * ```ts
 * const text = textTable(["metric", "n", "verdict"], [["latency", "12", "similar"]]);
 * if (!text.includes("latency")) throw new Error("the row is missing");
 * ```
 */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, i) =>
      i === 0 || holdsWords(rows.map((row) => row[i] ?? "")) ? "left" as const : "right" as const
    ),
    style: { head: [], border: [], "padding-left": 2, "padding-right": 0, compact: true },
    chars: Object.fromEntries(rules.map((rule) => [rule, ""])),
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString().split("\n").map((line) => line.trimEnd()).join("\n");
}

/** A heading and the text below it in each row; null where it is not known. */
export type TextColumn<Row> = readonly [head: string, cell: (row: Row) => string | null];

/** The columns with a known cell. */
export function knownColumns<Row>(
  columns: readonly TextColumn<Row>[],
  rows: readonly Row[],
): TextColumn<Row>[] {
  return columns.filter(([, cell]) => rows.some((row) => cell(row) !== null));
}
