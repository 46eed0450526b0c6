/** Tables that fit a terminal: long cells break at their brackets, long names at their parts, many columns get letters. */
import { terminalLine } from "../terminal_text.ts";
import { holdsWords, textTable, wrap } from "./terminal_layout.ts";

/** Model names wider than this at the head of columns become letters. */
const NARROWEST_NAME = 12;

/**
 * A table of at most `width` characters. Where it is wider, cells break before their brackets, then the first column
 * breaks, then the heads become letters with a key below. Where it is still too wide, the cells that don't fit follow below their rows.
 *
 * @example
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
  const safe = { head: head.map(terminalLine), rows: rows.map((row) => row.map(terminalLine)) };
  const fits = (text: string) => text.split("\n").every((line) => line.length <= width);
  const whole = textTable(safe.head, safe.rows);
  if (fits(whole)) return whole;
  const broken = safe.rows.map((row) =>
    row.map((cell, at) => at === 0 ? cell : cell.replace(/ (?=\()/, "\n"))
  );
  const narrow = (heads: readonly string[]) => {
    const longest = Math.max(...heads.slice(1).map((one) => one.length), 0);
    const rest = heads.slice(1).reduce((sum, name, at) => {
      const cells = broken.flatMap((row) => (row[at + 1] ?? "").split("\n"));
      return sum + 2 + Math.max(name.length, ...cells.map((cell) => cell.length));
    }, 2);
    const first = Math.max(NARROWEST_NAME, width - rest);
    const wrapped = broken.map(([name = "", ...cells]) => [wrap(name, first).join("\n"), ...cells]);
    return { text: textTable(heads, wrapped), longest };
  };
  const full = narrow(safe.head);
  if (fits(full.text)) return full.text;
  if (full.longest > NARROWEST_NAME) {
    const { head: letters, key } = lettered(safe.head);
    const keyed = narrow(letters).text;
    if (fits(keyed)) {
      const lines = key.map((line) => `  ${wrap(line, width - 2).join("\n    ")}`);
      return `${keyed}\n${lines.join("\n")}`;
    }
  }
  return withRestBelow(safe.head, safe.rows, width);
}

/** As many columns as fit, those of figures first; the other cells of each row follow below it, with their heads. */
function withRestBelow(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const column = (at: number) => rows.map((row) => row[at] ?? "");
  const widthOf = (at: number) =>
    2 + Math.max(...[head[at] ?? "", ...column(at)].map(({ length }) => length));
  const words = head.map((_, at) => Number(holdsWords(column(at))));
  const kept = new Set([0]);
  let left = width - widthOf(0);
  for (const at of head.keys().drop(1).toArray().sort((a, b) => (words[a] ?? 0) - (words[b] ?? 0) || a - b)) {
    if (widthOf(at) > left) continue;
    left -= widthOf(at);
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
