/** CSV in and out, behind one module, safe to open in a spreadsheet. */
// @ts-types="@types/d3-dsv"
import { csvFormatRows, csvParseRows } from "d3-dsv";

/** A spreadsheet runs a cell that begins with one of these as a formula. */
const formula = /^'*[=+\-@\t\r]/;

/**
 * Rows as CSV text. Text that a spreadsheet would run as a formula gets an apostrophe in front (a model's
 * answer is hostile input); numbers are left alone, null is an empty cell.
 *
 * @example
 * ```ts
 * const text = formatCsv(["a", "b"], [["=1+1", -2]]);
 * if (text !== "a,b\n'=1+1,-2\n") throw new Error(text);
 * ```
 */
export function formatCsv(
  header: readonly string[],
  rows: readonly (readonly (string | number | boolean | null)[])[],
): string {
  const cell = (value: string | number | boolean | null) => {
    if (value === null) return "";
    if (typeof value !== "string") return String(value);
    return formula.test(value) ? `'${value}` : value;
  };
  return csvFormatRows([[...header], ...rows.map((row) => row.map(cell))]) + "\n";
}

/**
 * Rows of CSV text, header first; undoes the apostrophe of `formatCsv`.
 *
 * @example
 * ```ts
 * if (parseCsv("a\n'=1+1\n")[1]?.[0] !== "=1+1") throw new Error("the text has changed");
 * ```
 */
export function parseCsv(text: string): string[][] {
  return csvParseRows(text.replace(/\r?\n$/, "")).map((row) =>
    row.map((value) => value.startsWith("'") && formula.test(value) ? value.slice(1) : value)
  );
}
