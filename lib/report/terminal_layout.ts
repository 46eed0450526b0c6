/** Text for terminals: wrapping, colour, plain tables. */
import Table from "cli-table3";

type Paint = (text: string) => string;

/** Colours by what they are for; without colour, text as it is. */
export interface Painter {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly yellow: Paint;
}

/**
 * Paints with ANSI colours, or not at all.
 *
 * @example
 * ```ts
 * if (painter(false).red("x") !== "x") throw new Error("no colour was asked for");
 * ```
 */
export function painter(color: boolean): Painter {
  const ansi = (code: number): Paint => (text) => color ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { bold: ansi(1), dim: ansi(2), red: ansi(31), yellow: ansi(33) };
}

/**
 * Words on lines of at most `width` characters; a longer word gets a line of its own.
 *
 * @example
 * ```ts
 * if (wrap("one two three", 8).join("|") !== "one two|three") throw new Error("wrong lines");
 * ```
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/**
 * A table without lines: the first and the last column to the left, figures to the right.
 *
 * @example
 * ```ts
 * const text = textTable(["metric", "n", "verdict"], [["latency", "12", "similar"]]);
 * if (!text.includes("latency")) throw new Error("the row is missing");
 * ```
 */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = "";
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, i) => i === 0 || i === head.length - 1 ? "left" as const : "right" as const),
    style: { head: [], border: [], "padding-left": 2, "padding-right": 0, compact: true },
    chars: {
      top: none,
      "top-mid": none,
      "top-left": none,
      "top-right": none,
      bottom: none,
      "bottom-mid": none,
      "bottom-left": none,
      "bottom-right": none,
      left: none,
      "left-mid": none,
      mid: none,
      "mid-mid": none,
      right: none,
      "right-mid": none,
      middle: none,
    },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString().split("\n").map((line) => line.trimEnd()).join("\n");
}
