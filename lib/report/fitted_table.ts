/**
 * Tables that fit a terminal: long cells break at their brackets, long names at their
 * parts, many columns get letters.
 */
import { terminalLine } from "../terminal_text.ts";
import { holdsWords, textTable, wrap } from "./terminal_layout.ts";

/** Model names wider than this at the head of columns become letters. */
const NARROWEST_NAME = 12;

/**
 * A table of at most `width` characters. Where it is wider, cells and names break, then the heads become
 * letters with a key below. Where it is still too wide, the cells that don't fit follow below their rows.
 *
 * ```ts
 * const text = fittedTable(["check", "a-long-name:q4_k_m", "another-long-name:q4_k_m"], [["facts", "1/2", "2/2"]], 40);
 * if (Math.max(...text.split("\n").map((line) => line.length)) > 40) throw new Error(text);
 * ```
 */
export function fittedTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number,
): string {
  const names = head.map(terminalLine);
  const cells = rows.map((row) => row.map(terminalLine));
  const fits = (text: string) => text.split("\n").every((line) => line.length <= width);
  const whole = textTable(names, cells);
  if (fits(whole)) return whole;
  const narrow = narrowTable(names, cells, width);
  if (fits(narrow)) return narrow;
  const { head: letters, key } = lettered(names);
  const keyed = narrowTable(letters, cells, width);
  if (names.slice(1).some((name) => name.length > NARROWEST_NAME) && fits(keyed)) {
    const lines = key.map((line) => `  ${wrap(line, width - 2).join("\n    ")}`);
    return `${keyed}\n${lines.join("\n")}`;
  }
  return withRestBelow(names, cells, width);
}

/** Cells break before their brackets, and the first column where the others leave it too little. */
function narrowTable(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const broken = rows.map(([, ...cells]) => cells.map((cell) => cell.replace(/ (?=\()/, "\n")));
  const others = head.slice(1).map((name, at) => {
    const lines = broken.flatMap((row) => (row[at] ?? "").split("\n"));
    return 2 + Math.max(name.length, ...lines.map(({ length }) => length));
  });
  const first = Math.max(NARROWEST_NAME, width - 2 - others.reduce((sum, one) => sum + one, 0));
  return textTable(head, rows.map(([name = ""], at) => [wrap(name, first).join("\n"), ...broken[at] ?? []]));
}

/** As many columns as fit, those of figures first; the other cells of each row follow below it, with their heads. */
function withRestBelow(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const column = (at: number) => rows.map((row) => row[at] ?? "");
  const columnWidth = (at: number) =>
    2 + Math.max(...[head[at] ?? "", ...column(at)].map(({ length }) => length));
  const words = head.map((_, at) => Number(holdsWords(column(at))));
  const kept = new Set([0]);
  let left = width - columnWidth(0);
  for (const at of head.keys().drop(1).toArray().sort((a, b) => (words[a] ?? 0) - (words[b] ?? 0) || a - b)) {
    if (columnWidth(at) > left) continue;
    left -= columnWidth(at);
    kept.add(at);
  }
  const pick = (row: readonly string[]) => row.filter((_, at) => kept.has(at));
  const below = (row: readonly string[]) => {
    const cells = row.flatMap((cell, at) => kept.has(at) || cell === "" ? [] : [`${head[at]}: ${cell}`]);
    return cells.length === 0 ? [] : wrap(cells.join("; "), width - 6).map((line) => `      ${line}`);
  };
  // A name that takes the whole width leaves no table.
  if (kept.size === 1) {
    return rows.flatMap((row) => [...wrap(row[0] ?? "", width - 2).map((line) => `  ${line}`), ...below(row)])
      .join("\n");
  }
  const [heads = "", ...lines] = textTable(pick(head), rows.map(pick)).split("\n");
  return [heads, ...lines.flatMap((line, at) => [line, ...below(rows[at] ?? [])])].join("\n");
}

/** The first head unchanged, then A, B … Z, A2, B2 …, and the meaning of each letter. */
export function lettered(head: readonly string[]): { head: string[]; key: string[] } {
  const [first = "", ...names] = head;
  const letters = names.map((_, at) =>
    String.fromCharCode(65 + at % 26) + (at < 26 ? "" : String(1 + Math.floor(at / 26)))
  );
  return { head: [first, ...letters], key: names.map((name, at) => `${letters[at]} = ${name}`) };
}
