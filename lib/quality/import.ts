/** Reads a filled-in sheet back. It takes nothing unless every row has its scores. */
import { csvLines, parseCsv } from "../csv.ts";
import { UserError } from "../errors.ts";
import type { RatingRecord } from "./ratings.ts";
import { highestScore, lowestScore } from "./rubric.ts";
import { hashItem, type Marks, rubricOf, sheetColumns, type SheetKey } from "./sheet.ts";

/** A filled-in sheet, with the key it belongs to. */
export interface FilledSheet {
  readonly key: SheetKey;
  /** The scores by item; rated items only. */
  readonly marks: ReadonlyMap<string, Marks>;
  /** Items without any score. */
  readonly unrated: number;
  /** Rows whose prompt or answer was changed in the sheet, as in `line 3 (i1a2b3c4d)`. */
  readonly changed: readonly string[];
}

/** Faults that one message names; the rest is counted. */
const MOST_FAULTS = 8;

/**
 * Reads the text of a sheet. Columns are found by their title and rows by their item, so that a spreadsheet
 * may add columns, sort whole rows, or retype a text (`007` as `7`, `1/2` as a date): a changed text is
 * reported in `changed` and costs no score.
 *
 * @param keys the keys of the run's sheets; the items say which one it is
 * @param name how messages name the sheet
 * @param partial whether rows without any score are left out instead of refused
 * @throws {UserError} one message with every fault and its line: a missing score, a score that is not 1 to 5,
 *   a row with another row's answer, an item that is not of this run, an item twice, a missing row
 */
export function readSheet(
  text: string,
  keys: readonly SheetKey[],
  { name, partial = false }: { name: string; partial?: boolean },
): FilledSheet {
  const [header = [], ...rows] = parseCsv(text);
  const lines = csvLines(text).starts;
  const known = new Map(keys.flatMap((key) => key.items.map(({ item }) => [item, key] as const)));
  const key = rows.flat().map((cell) => known.get(cell.trim())).find((one) => one !== undefined);
  if (!key) {
    throw new UserError(
      `${name}: no row belongs to a sheet of this run: give the sheet that "quality annotate" wrote for it`,
    );
  }
  const columns = columnReader(header, key, name);
  const faults: string[] = [];
  const changed: string[] = [];
  const blank: string[] = [];
  const marks = new Map<string, Marks>();
  const seen = new Set<string>();
  for (const [at, row] of rows.entries()) {
    const where = `line ${lines[at + 1] ?? at + 2}`;
    const read = readRow(row, columns, key, seen);
    if (read.kind === "fault") faults.push(`${where}: ${read.fault}`);
    if (read.kind === "blank") blank.push(where);
    if (read.kind !== "marks") continue;
    marks.set(read.item, read.marks);
    if (read.changed) changed.push(`${where} (${read.item})`);
  }
  const lost = key.items.filter(({ item }) => !seen.has(item)).length;
  if (lost > 0) faults.push(`${lost} of ${key.items.length} rows are missing`);
  if (!partial) faults.push(...blank.map((where) => `${where}: no score (--partial leaves such rows out)`));
  if (faults.length > 0) throw new UserError(`${name} is not taken: ${firstFaults(faults)}`);
  return { key, marks, unrated: blank.length, changed };
}

function firstFaults(faults: readonly string[]): string {
  const more = faults.length - MOST_FAULTS;
  return faults.slice(0, MOST_FAULTS).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

/** The value of a row in the column of this title; empty where the sheet has no such column. */
type Columns = (row: readonly string[], title: string) => string;

/** @throws {UserError} when the item or a score has no column */
function columnReader(header: readonly string[], key: SheetKey, name: string): Columns {
  const titles = header.map((title) => title.trim().toLowerCase());
  const missing = ["item", ...rubricOf(key).dimensions.map((dimension) => dimension.name)]
    .filter((title) => !titles.includes(title));
  if (missing.length > 0) {
    const has = titles.filter((title) => title !== "").join(", ") || "no title";
    throw new UserError(
      `${name}, line 1: no column ${missing.join(", ")}; the columns are ${has}, ` +
        `expected ${sheetColumns(rubricOf(key)).join(", ")}`,
    );
  }
  const places = new Map(titles.map((title, at) => [title, at] as const).reverse());
  return (row, title) => row[places.get(title) ?? -1] ?? "";
}

type Row =
  | { readonly kind: "marks"; readonly item: string; readonly marks: Marks; readonly changed: boolean }
  | { readonly kind: "blank" | "empty line" }
  | { readonly kind: "fault"; readonly fault: string };

function readRow(row: readonly string[], columns: Columns, key: SheetKey, seen: Set<string>): Row {
  if (row.every((value) => value.trim() === "")) return { kind: "empty line" };
  const item = columns(row, "item").trim();
  const known = key.items.find((one) => one.item === item);
  if (!known) return { kind: "fault", fault: `this run has no item ${item || "without a name"}` };
  if (seen.has(item)) return { kind: "fault", fault: `${item} occurs twice` };
  seen.add(item);
  const sha256 = hashItem({ prompt: columns(row, "prompt"), answer: columns(row, "answer") });
  const other = key.items.find((one) => one.sha256 === sha256 && one.item !== item);
  if (sha256 !== known.sha256 && other !== undefined) {
    const fault = `${item} has the answer of ${other.item}: sort whole rows, not one column`;
    return { kind: "fault", fault };
  }
  const { scores, missing, fault } = scoresIn(row, columns, key);
  if (fault !== null) return { kind: "fault", fault };
  if (Object.keys(scores).length === 0) return { kind: "blank" };
  if (missing.length > 0) return { kind: "fault", fault: `half-filled, ${missing.join(", ")} is missing` };
  const marks = { scores, comment: columns(row, "comment").trim() };
  return { kind: "marks", item, marks, changed: sha256 !== known.sha256 };
}

/**
 * The scores so far in an unfinished sheet: the page starts with them.
 *
 * @throws {UserError} when the sheet is not the one of `key`, or a score is not 1 to 5
 */
export function readMarks(text: string, key: SheetKey, name: string): Map<string, Marks> {
  const [header = [], ...rows] = parseCsv(text);
  const columns = columnReader(header, key, name);
  const marks = new Map<string, Marks>();
  for (const row of rows) {
    const item = columns(row, "item").trim();
    if (!key.items.some((one) => one.item === item)) continue;
    const { scores, fault } = scoresIn(row, columns, key);
    if (fault !== null) throw new UserError(`${name}, ${item}: ${fault}`);
    marks.set(item, { scores, comment: columns(row, "comment").trim() });
  }
  return marks;
}

/** The scores of a row, the dimensions that have none, and the first cell that is no score; null where all are. */
function scoresIn(row: readonly string[], columns: Columns, key: SheetKey) {
  const cells = rubricOf(key).dimensions.map(({ name }) => {
    const text = columns(row, name).normalize("NFKC").trim();
    // A spreadsheet may write 4 as 4.0 or 4,0.
    return { name, text, value: /^\d+(?:[.,]0+)?$/.test(text) ? parseInt(text, 10) : NaN };
  });
  const filled = cells.filter(({ text }) => text !== "");
  const wrong = filled.find(({ value }) => !(value >= lowestScore && value <= highestScore));
  return {
    scores: Object.fromEntries(filled.map(({ name, value }) => [name, value])),
    missing: cells.filter(({ text }) => text === "").map(({ name }) => name),
    fault: wrong === undefined
      ? null
      : `${wrong.name} is ${wrong.text}, expected a whole number from ${lowestScore} to ${highestScore}`,
  };
}

/**
 * The ratings that a sheet holds: one for every answer behind an item.
 *
 * ```ts
 * const key = {
 *   schema_version: 1 as const, run_id: "run", annotator: "ana", rubric: "fluency" as const,
 *   items: [{ item: "i1", prompt_id: "p", sha256: "", answers: [{ id: "1", candidate: "a" }, { id: "2", candidate: "b" }] }],
 * };
 * const marks = new Map([["i1", { scores: { fluency: 4, relevance: 4, correctness: 5 }, comment: "" }]]);
 * if (ratingsOf({ key, marks }).length !== 2) throw new Error("one for each answer");
 * ```
 */
export function ratingsOf({ key, marks }: Pick<FilledSheet, "key" | "marks">): RatingRecord[] {
  return key.items.flatMap(({ item, answers, prompt_id }) => {
    const mark = marks.get(item);
    if (!mark) return [];
    return answers.map(({ id, candidate }) => ({
      source: "person" as const,
      rater: key.annotator,
      rubric: key.rubric,
      answer: id,
      candidate,
      prompt_id,
      scores: { ...mark.scores },
      comment: mark.comment === "" ? null : mark.comment,
    }));
  });
}
