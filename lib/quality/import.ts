/** Reads a filled-in sheet back: every row is whole and unchanged, or nothing is taken. */
import { lineNumbers, parseCsv } from "../csv.ts";
import { UserError } from "../errors.ts";
import type { RatingRecord } from "./ratings.ts";
import { highestScore, lowestScore, rubrics } from "./rubric.ts";
import { columnsOf, hashItem, type Marks, type SheetKey } from "./sheet.ts";

/** A filled-in sheet, with the key it belongs to. */
export interface FilledSheet {
  readonly key: SheetKey;
  /** By item; only those that were rated. */
  readonly marks: ReadonlyMap<string, Marks>;
  /** Items without any score. */
  readonly unrated: number;
}

/** So many faults are named; more would not be read. */
const namedFaults = 8;

/**
 * Reads the text of a sheet.
 *
 * @param keys the keys of the run's sheets; the items say which one it is
 * @param name how messages name the sheet
 * @param partial whether rows without any score are left out instead of refused
 * @throws {UserError} one message with every fault and its line: a missing score, a score that is not 1 to 5,
 *   a changed prompt or answer, an item that is not of this run, an item twice, a missing row
 */
export function readSheet(
  text: string,
  keys: readonly SheetKey[],
  { name, partial = false }: { name: string; partial?: boolean },
): FilledSheet {
  const [header = [], ...rows] = parseCsv(text);
  const lines = lineNumbers(text.replace(/^\uFEFF/, ""));
  const key = keys.find(({ items }) => items.some(({ item }) => rows.some((row) => row[0]?.trim() === item)));
  if (!key) {
    throw new UserError(
      `${name}: no row belongs to a sheet of this run: give the sheet that "quality annotate" wrote for it`,
    );
  }
  const columns = columnsOf(rubrics[key.rubric]);
  if (header.map((title) => title.trim()).join() !== columns.join()) {
    throw new UserError(
      `${name}, line 1: the columns are ${header.join(", ")}; expected ${columns.join(", ")}`,
    );
  }
  const faults: string[] = [];
  const marks = new Map<string, Marks>();
  const seen = new Set<string>();
  const blank: string[] = [];
  for (const [at, row] of rows.entries()) {
    const where = `line ${lines[at + 1] ?? at + 2}`;
    const read = readRow(row, key, seen);
    if (read.kind === "fault") faults.push(`${where}: ${read.fault}`);
    else if (read.kind === "blank") blank.push(where);
    else if (read.kind === "marks") marks.set(read.item, read.marks);
  }
  const lost = key.items.filter(({ item }) => !seen.has(item)).length;
  if (lost > 0) faults.push(`${lost} of ${key.items.length} rows are missing`);
  if (!partial) faults.push(...blank.map((where) => `${where}: no score (--partial leaves such rows out)`));
  if (faults.length > 0) throw new UserError(`${name} is not taken: ${listed(faults)}`);
  return { key, marks, unrated: blank.length };
}

function listed(faults: readonly string[]): string {
  const more = faults.length - namedFaults;
  return faults.slice(0, namedFaults).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

type Row =
  | { readonly kind: "marks"; readonly item: string; readonly marks: Marks }
  | { readonly kind: "blank" | "empty line" }
  | { readonly kind: "fault"; readonly fault: string };

function readRow(row: readonly string[], key: SheetKey, seen: Set<string>): Row {
  if (row.every((value) => value.trim() === "")) return { kind: "empty line" };
  const [item = "", prompt = "", , answer = "", ...rest] = row;
  const known = key.items.find((one) => one.item === item.trim());
  if (!known) {
    return { kind: "fault", fault: `this run has no item ${item.trim() || "without a name"}` };
  }
  if (seen.has(known.item)) return { kind: "fault", fault: `${known.item} occurs twice` };
  seen.add(known.item);
  if (hashItem({ prompt, answer }) !== known.sha256) {
    return { kind: "fault", fault: `the prompt or the answer of ${known.item} was changed` };
  }
  const { dimensions } = rubrics[key.rubric];
  const given = dimensions.map(({ name }, at) => ({ name, score: scoreOf(rest[at] ?? "") }));
  if (given.every(({ score }) => score.kind === "none")) return { kind: "blank" };
  const scores: Record<string, number> = {};
  for (const { name, score } of given) {
    if (score.kind === "none") return { kind: "fault", fault: `half-filled, ${name} is missing` };
    if (score.kind === "fault") return { kind: "fault", fault: `${name} ${score.fault}` };
    scores[name] = score.value;
  }
  return {
    kind: "marks",
    item: known.item,
    marks: { scores, comment: (rest[dimensions.length] ?? "").trim() },
  };
}

/**
 * The marks in a sheet that is still being filled in, whole rows or not: what the page goes on from.
 *
 * @throws {UserError} when the sheet is not the one of `key`, or a score is none
 */
export function readMarks(text: string, key: SheetKey, name: string): Map<string, Marks> {
  const { dimensions } = rubrics[key.rubric];
  const marks = new Map<string, Marks>();
  const [header = [], ...rows] = parseCsv(text);
  if (header.map((title) => title.trim()).join() !== columnsOf(rubrics[key.rubric]).join()) {
    throw new UserError(`${name} is not a sheet of this run and rubric: give another --annotator or --sheet`);
  }
  for (const row of rows) {
    const item = (row[0] ?? "").trim();
    if (!key.items.some((one) => one.item === item)) continue;
    const scores: Record<string, number> = {};
    for (const [at, dimension] of dimensions.entries()) {
      const score = scoreOf(row[4 + at] ?? "");
      if (score.kind === "fault") throw new UserError(`${name}: ${dimension.name} of ${item} ${score.fault}`);
      if (score.kind === "score") scores[dimension.name] = score.value;
    }
    marks.set(item, { scores, comment: (row[4 + dimensions.length] ?? "").trim() });
  }
  return marks;
}

type Score =
  | { readonly kind: "score"; readonly value: number }
  | { readonly kind: "none" }
  | { readonly kind: "fault"; readonly fault: string };

function scoreOf(cell: string): Score {
  const text = cell.trim();
  if (text === "") return { kind: "none" };
  // A spreadsheet may write 4 as 4.0 or 4,0.
  const value = /^\d+(?:[.,]0+)?$/.test(text) ? parseInt(text, 10) : NaN;
  return value >= lowestScore && value <= highestScore
    ? { kind: "score", value }
    : { kind: "fault", fault: `is ${text}, expected a whole number from 1 to 5` };
}

/**
 * The ratings that a sheet holds: one for every answer behind an item.
 *
 * @example
 * ```ts
 * const key = {
 *   schema_version: 1 as const, run_id: "run", annotator: "ana", rubric: "fluency" as const,
 *   items: [{ item: "i1", prompt_id: "p", sha256: "", answers: [{ id: "1", candidate: "a" }, { id: "2", candidate: "b" }] }],
 * };
 * const marks = new Map([["i1", { scores: { fluency: 4, relevance: 4, correctness: 5 }, comment: "" }]]);
 * if (ratingsOf({ key, marks, unrated: 0 }).length !== 2) throw new Error("one for each answer");
 * ```
 */
export function ratingsOf({ key, marks }: FilledSheet): RatingRecord[] {
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
