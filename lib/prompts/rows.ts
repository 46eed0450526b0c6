/** Files of cases as rows: CSV, TSV, JSON Lines, lists in JSON or YAML, and folders of text files. */
import { basename, extname, join } from "node:path";
import { csvLines, parseCsv } from "../csv.ts";
import { isObject } from "../bounded_json.ts";
import { reasonOf, UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import { shownValue } from "./issue_text.ts";
import type { RowValues } from "./template.ts";

/** One row of a file, and where it stands there. */
export interface CaseRow {
  /** From 1, the header not counted: the case of row 7 is called c7 unless the job names it. */
  readonly number: number;
  /** For messages: `row 7 (line 9)`, `file 0007.txt`. */
  readonly place: string;
  readonly values: RowValues;
}

/** The rows of a file, with the columns that any of them has. */
export interface CaseTable {
  /** The file or folder, for messages. */
  readonly source: string;
  readonly columns: readonly string[];
  readonly rows: readonly CaseRow[];
}

/** Says what a person should know about a file that was read: an encoding, rows that were left out. */
export type Note = (line: string) => void;

/** How many faults one message names. */
const MOST_FAULTS = 8;

/**
 * One message for many faults of one file; nothing happens where there are none.
 *
 * @param advice what may be done about them
 * @throws {UserError} with the first of them, and how many there are
 */
export function throwFaults(source: string, faults: readonly string[], advice = ""): void {
  if (faults.length === 0) return;
  const more = faults.length - MOST_FAULTS;
  const shown = more > 0 ? [...faults.slice(0, MOST_FAULTS), `and ${more} more`] : faults;
  throw new UserError(`${source}: ${shown.join("; ")}${advice}`);
}

/** Bytes that Windows-1252 leaves undefined: a file with one of them is in yet another encoding. */
const UNDEFINED_1252 = new Set([0x81, 0x8d, 0x8f, 0x90, 0x9d]);

/** Refuses the files that people take for text, with what to do. */
export function assertText(bytes: Uint8Array, source: string): void {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3) {
    throw new UserError(`${source} is a workbook (or another zip file): save the sheet as "CSV UTF-8"`);
  }
  if (new TextDecoder().decode(bytes.subarray(0, 4)) === "%PDF") {
    throw new UserError(`${source} is a PDF: save its text as .txt`);
  }
}

/**
 * The text of a file of data: UTF-8 or UTF-16 by its mark, else Windows-1252, as
 * Excel saves CSV, with a note.
 *
 * @throws {UserError} for a workbook, and for text in any other encoding
 */
export function decodeData(bytes: Uint8Array, source: string, note?: Note): string {
  assertText(bytes, source);
  try {
    return decodeText(bytes, source);
  } catch (error) {
    if (bytes.some((byte) => UNDEFINED_1252.has(byte) || byte === 0)) throw error;
    const text = new TextDecoder("windows-1252").decode(bytes);
    const line = text.split("\n").find((one) => /[^\0-\x7f]/.test(one)) ?? "";
    const at = line.search(/[^\0-\x7f]/);
    const sample = line.slice(Math.max(0, at - 20), at + 20).trim();
    note?.(
      `${source} is not UTF-8 and was read as Windows-1252, as Excel saves CSV: ${JSON.stringify(sample)}. ` +
        "If that looks wrong, save it as UTF-8.",
    );
    return text;
  }
}

/**
 * The rows of CSV or TSV text.
 *
 * @throws {UserError} for a header that can't name columns, a quotation mark that is
 * never closed, or too many cells
 *
 * ```ts
 * const { columns, rows } = parseTable("id;text\n1;Hello\n", "tickets.csv");
 * if (columns.join() !== "id,text" || rows[0]?.place !== "row 1 (line 2)") throw new Error(rows[0]?.place);
 * ```
 */
export function parseTable(text: string, source: string, separator?: string): CaseTable {
  const { starts, openQuote } = csvLines(text, separator);
  if (openQuote !== null) {
    throw new UserError(
      `${source}: the quotation mark that opens a cell on line ${openQuote} is never closed`,
    );
  }
  const [header = [], ...lines] = parseCsv(text, separator);
  const columns = header.map((name) => name.trim());
  while (columns.at(-1) === "") columns.pop();
  const faults = headerFaults(columns);
  const rows = lines.flatMap((cells, at): CaseRow[] => {
    if (cells.every((cell) => cell.trim() === "")) return [];
    const place = `row ${at + 1} (line ${starts[at + 1] ?? "?"})`;
    if (cells.slice(columns.length).some((cell) => cell.trim() !== "")) {
      faults.push(
        `${place} has ${cells.length} cells and the header ${columns.length}: put text that holds a separator ` +
          'in quotation marks ("…")',
      );
    }
    const values = Object.fromEntries(columns.map((name, column) => [name, cells[column] ?? ""]));
    return [{ number: at + 1, place, values }];
  });
  throwFaults(source, faults);
  return { source, columns, rows };
}

function headerFaults(columns: readonly string[]): string[] {
  if (columns.length === 0) return ["the first line must name the columns"];
  return columns.flatMap((name, at) =>
    name === ""
      ? [`column ${at + 1} has no name in the first line`]
      : columns.indexOf(name) < at
      ? [`the columns ${columns.indexOf(name) + 1} and ${at + 1} are both called ${JSON.stringify(name)}`]
      : []
  );
}

/**
 * The rows of JSON Lines: one object per line. A line that is a text is the row `{"prompt": text}`.
 *
 * @throws {UserError} naming every line that is neither
 *
 * ```ts
 * const { rows } = parseJsonLines('{"text": "a"}\n\n{"text": "b"}\n', "cases.jsonl");
 * if (rows[1]?.place !== "row 2 (line 3)") throw new Error(rows[1]?.place);
 * ```
 */
export function parseJsonLines(text: string, source: string): CaseTable {
  const faults: string[] = [];
  const rows: CaseRow[] = [];
  for (const [at, line] of text.replace(/^\uFEFF/, "").split("\n").entries()) {
    if (line.trim() === "") continue;
    const number = rows.length + 1;
    const place = `row ${number} (line ${at + 1})`;
    try {
      const values = rowOf(JSON.parse(line));
      if (values === null) faults.push(`line ${at + 1} is ${shortly(line)}, expected an object`);
      rows.push({ number, place, values: values ?? {} });
    } catch (error) {
      faults.push(`line ${at + 1} is not JSON (${reasonOf(error)})`);
      if (faults.length > MOST_FAULTS) break;
    }
  }
  throwFaults(source, faults);
  return { source, columns: columnsIn(rows), rows };
}

/**
 * Rows from a list of objects.
 *
 * @throws {UserError} where an item is no object
 *
 * ```ts
 * if (listTable([{ a: 1 }, { b: 2 }], "x.json").columns.join() !== "a,b") throw new Error("columns of all");
 * ```
 */
export function listTable(list: readonly unknown[], source: string): CaseTable {
  const faults: string[] = [];
  const rows = list.map((item, at): CaseRow => {
    const values = rowOf(item);
    if (values === null) faults.push(`[${at}] is ${shownValue(item)}, expected an object`);
    return { number: at + 1, place: `row ${at + 1}`, values: values ?? {} };
  });
  throwFaults(source, faults);
  return { source, columns: columnsIn(rows), rows };
}

function rowOf(value: unknown): RowValues | null {
  if (typeof value === "string") return { prompt: value };
  return isObject(value) ? value : null;
}

function columnsIn(rows: readonly CaseRow[]): string[] {
  const names = new Set<string>();
  for (const { values } of rows) for (const name of Object.keys(values)) names.add(name);
  return [...names];
}

const shortly = (text: string) => text.length > 60 ? `${text.slice(0, 57)}…` : text;

/** Files that a folder of cases is made of. */
const TEXT_FILE = /\.(?:txt|md|text|eml)$/i;

/**
 * The text files of a folder as rows: `text`, `file` (the name without its ending) and, where they lie in
 * folders of their own, `folder`: a folder per label is a common way to keep labelled texts.
 *
 * @throws {UserError} where it holds no text file
 */
export function folderTable(path: string, note?: Note): CaseTable {
  const files = (folder: string) =>
    [...Deno.readDirSync(join(path, folder))].filter(({ name }) => name[0] !== ".");
  const names = files("").flatMap(({ name, isDirectory }) =>
    isDirectory
      ? files(name).map((one) => ({ folder: name, name: one.isFile ? one.name : "" }))
      : [{ folder: "", name }]
  ).filter(({ name }) => TEXT_FILE.test(name));
  const order = new Intl.Collator("en", { numeric: true });
  names.sort((a, b) => order.compare(a.folder, b.folder) || order.compare(a.name, b.name));
  if (names.length === 0) throw new UserError(`the folder ${path} holds no text file (.txt, .md or .eml)`);
  const folders = names.some(({ folder }) => folder !== "");
  const rows = names.map(({ folder, name }, at): CaseRow => {
    const file = join(folder, name);
    const text = decodeData(Deno.readFileSync(join(path, file)), join(path, file), note);
    const own = { text, file: basename(name, extname(name)) };
    return { number: at + 1, place: `file ${file}`, values: folders ? { ...own, folder } : own };
  });
  return { source: path, columns: folders ? ["text", "file", "folder"] : ["text", "file"], rows };
}
