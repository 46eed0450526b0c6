/** CSV in and out, behind one module, safe to open in a spreadsheet. */
// @ts-types="@types/d3-dsv"
import { csvFormatRows, dsvFormat } from "d3-dsv";

/** A spreadsheet runs a cell that begins with one of these as a formula; some do with their full-width forms too. */
const formula = /^'*[=+\-@\t\r＝＋－＠]/;

/**
 * Where the country's separator is a semicolon, a spreadsheet splits this file's cells at semicolons and line ends,
 * quoted or not: what follows one could be run as a formula too. A Markdown bullet (`- `) is none.
 */
const innerFormula = String.raw`(?:[;\t](?='*[=+\-@\t\r＝＋－＠])|[\r\n](?='*(?:[=+@\t\r＝＋－＠]|-(?! ))))`;
const inner = new RegExp(innerFormula, "g");
const guardedInner = new RegExp(innerFormula.replaceAll("(?='*", "'(?='*"), "g");

/** Without it Excel reads a file in the code page of its country. */
export const byteOrderMark = "\uFEFF";

/**
 * Rows as CSV text. Text that a spreadsheet would run as a formula, whatever its separator, gets an apostrophe in
 * front (a model's answer is hostile input); numbers are left alone, null is an empty cell.
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
    const safe = value.replace(inner, "$&'");
    return formula.test(safe) ? `'${safe}` : safe;
  };
  return csvFormatRows([[...header], ...rows.map((row) => row.map(cell))]) + "\n";
}

/**
 * Rows of CSV text, header first; undoes the apostrophe of `formatCsv`. A byte order mark is skipped. Where
 * the header is separated by semicolons or tabs, as a spreadsheet writes it in many countries, so are the rows.
 *
 * @example
 * ```ts
 * if (parseCsv("a\n'=1+1\n")[1]?.[0] !== "=1+1") throw new Error("the text has changed");
 * if (parseCsv("a;b\n1;2,5\n")[1]?.[1] !== "2,5") throw new Error("the separator is a semicolon");
 * ```
 */
export function parseCsv(text: string): string[][] {
  const plain = text.replace(/^\uFEFF/, "").replace(/\r?\n$/, "");
  return dsvFormat(separatorOf(plain)).parseRows(plain).map((row) =>
    row.map((value) => {
      const bare = value.startsWith("'") && formula.test(value) ? value.slice(1) : value;
      return bare.replace(guardedInner, (match) => match.slice(0, 1));
    })
  );
}

/** The separator that the header, outside quotes, has most of. */
function separatorOf(text: string): string {
  const header = (text.match(/^(?:"(?:[^"]|"")*"|[^"\n\r])*/)?.[0] ?? "").replaceAll(/"(?:[^"]|"")*"/g, "");
  const count = (separator: string) => header.split(separator).length;
  return [",", ";", "\t"].reduce((best, one) => count(one) > count(best) ? one : best);
}

/**
 * The line of the text, from 1, on which each row begins: a quoted cell may hold several lines.
 *
 * @example
 * ```ts
 * if (lineNumbers('a\n"x\ny"\nz\n').join() !== "1,2,4") throw new Error("the third row is on line 4");
 * ```
 */
export function lineNumbers(text: string): number[] {
  const starts = [1];
  let line = 1;
  let quoted = false;
  for (const { 0: mark } of text.replace(/\r?\n$/, "").matchAll(/"|\r\n|\n|\r/g)) {
    if (mark === '"') {
      quoted = !quoted;
    } else {
      line++;
      if (!quoted) starts.push(line);
    }
  }
  return starts;
}
