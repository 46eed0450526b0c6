/** CSV in and out, behind one module, safe to open in a spreadsheet. */
// @ts-types="@types/d3-dsv"
import { csvFormatRows, dsvFormat } from "d3-dsv";

/** A spreadsheet runs a cell that begins with one of these, or its full-width form, as a formula. */
const formula = /^'*[=+\-@\t\r＝＋－＠]/;

/**
 * Where the country's separator is a semicolon, a spreadsheet splits this file's cells at semicolons and line
 * ends, quoted or not: what follows one could be run as a formula too. A Markdown bullet (`- `) is none.
 */
const innerFormula = String.raw`(?:[;\t](?='*[=+\-@\t\r＝＋－＠])|[\r\n](?='*(?:[=+@\t\r＝＋－＠]|-(?! ))))`;
const inner = new RegExp(innerFormula, "g");
const guardedInner = new RegExp(innerFormula.replaceAll("(?='*", "'(?='*"), "g");

/** Without it Excel reads a file in the code page of its country. */
export const byteOrderMark = "\uFEFF";

/**
 * Rows as CSV text. Text that a spreadsheet would run as a formula, whatever its separator, gets an
 * apostrophe in front (a model's answer is hostile input); numbers are left alone, null is an empty cell.
 *
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
 * the header is separated by semicolons or tabs, as a spreadsheet writes it in many
 * countries, so are the rows.
 *
 * @param separator the character between cells, where the header must not decide it
 *
 * ```ts
 * if (parseCsv("a\n'=1+1\n")[1]?.[0] !== "=1+1") throw new Error("the text has changed");
 * if (parseCsv("a;b\n1;2,5\n")[1]?.[1] !== "2,5") throw new Error("the separator is a semicolon");
 * ```
 */
export function parseCsv(text: string, separator?: string): string[][] {
  const plain = plainCsv(text);
  return dsvFormat(separator ?? separatorOf(plain)).parseRows(plain).map((row) =>
    row.map((value) => {
      const bare = value.startsWith("'") && formula.test(value) ? value.slice(1) : value;
      return bare.replace(guardedInner, (match) => match.slice(0, 1));
    })
  );
}

/** Without the byte order mark and the last line end. */
const plainCsv = (text: string) => text.replace(/^\uFEFF/, "").replace(/\r?\n$/, "");

/** The separator that the header, outside quotes, has most of. */
function separatorOf(text: string): string {
  const header = (text.match(/^(?:"(?:[^"]|"")*"|[^"\n\r])*/)?.[0] ?? "").replaceAll(/"(?:[^"]|"")*"/g, "");
  const count = (separator: string) => header.split(separator).length;
  return [",", ";", "\t"].reduce((best, one) => count(one) > count(best) ? one : best);
}

/** Where the rows of CSV text are. */
export interface CsvLines {
  /** The line of the text, from 1, on which each row begins: a quoted cell may hold several lines. */
  readonly starts: readonly number[];
  /** The line of a quotation mark that opens a cell and is never closed; null where there is none. */
  readonly openQuote: number | null;
}

/**
 * The lines on which the rows begin, and a quotation mark that is never closed:
 * all text after it is one cell.
 *
 * ```ts
 * const { starts } = csvLines('a\n"x\ny"\nz\n');
 * if (starts.join() !== "1,2,4") throw new Error("the third row is on line 4");
 * if (csvLines('a,b\n1,"x\n2,y\n').openQuote !== 2) throw new Error("it opens on line 2");
 * ```
 */
export function csvLines(text: string, separator?: string): CsvLines {
  const plain = plainCsv(text);
  const between = separator ?? separatorOf(plain);
  const starts = [1];
  let [line, cellStart, closedAt, opened] = [1, 0, -1, 1];
  let openQuote: number | null = null;
  for (const { 0: mark, index } of plain.matchAll(/"|\r\n|\n|\r|[,;\t]/g)) {
    if (mark === '"') {
      // A mark in the middle of a cell, as in 5" pipe, opens nothing; a doubled one closes and opens again.
      if (openQuote !== null) [openQuote, closedAt] = [null, index];
      else if (index === cellStart) openQuote = opened = line;
      else if (index - 1 === closedAt) openQuote = opened;
    } else if (/[\r\n]/.test(mark)) {
      line++;
      if (openQuote === null) starts.push(line);
    }
    if (mark === between || /[\r\n]/.test(mark)) cellStart = index + mark.length;
  }
  return { starts, openQuote };
}
