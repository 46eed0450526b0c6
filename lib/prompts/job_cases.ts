/**
 * From the rows that `job_file.ts` or `promptfoo.ts` filled in, each with its place in a file, to prompts:
 * one message names every fault by row and column. `case_item.ts` checks each case.
 */
import { UserError } from "../errors.ts";
import { type CaseDefaults, readCase, toPrompt } from "./case_item.ts";
import { foldedLabel } from "./expected.ts";
import { issueTexts } from "./issue_text.ts";
import type { Prompt } from "./prompt.ts";
import { type Note, throwFaults } from "./rows.ts";
import { textOf } from "./template.ts";

/** A case as a row made it, before it is checked. */
export interface RawCase {
  /** For messages: `row 7 (line 9)`. */
  readonly place: string;
  /** The case's id where it states none. */
  readonly id: string;
  readonly item: Readonly<Record<string, unknown>>;
  /** The row's own faults: missing values. */
  readonly faults: readonly string[];
  /** The columns that a field of the case was made from. */
  readonly columnsOf: (field: string) => readonly string[];
}

/** What holds for all rows. */
export interface RowRules {
  /** The file, for messages. */
  readonly source: string;
  readonly defaults: CaseDefaults;
  /** Leave rows out that have a fault, instead of refusing the file. */
  readonly skipFaulty: boolean;
  readonly note: Note | undefined;
}

/** More labels than this are taken for a wrong column. */
const MOST_LABELS = 100;

/**
 * The labels of a job whose cases are classified: those it names, else those that
 * occur, in the order of the file.
 *
 * @throws {UserError} where so many occur that the column holds no labels
 */
export function labelsOf(raws: readonly RawCase[], { source, defaults }: RowRules): string[] {
  const named = defaults["labels"];
  if (named !== undefined) return Array.isArray(named) ? named.map(textOf) : [];
  const found = new Map<string, string>();
  for (const { item, faults } of raws) {
    const { expected } = item;
    if (faults.length > 0) continue;
    if ((item["task"] ?? defaults["task"]) !== "classify") continue;
    if (expected === undefined || item["labels"] !== undefined) continue;
    const label = typeof expected === "string" ? expected.trim() : JSON.stringify(expected);
    const folded = foldedLabel(label);
    if (!found.has(folded)) found.set(folded, label);
  }
  if (found.size > MOST_LABELS) {
    const [first] = raws;
    const column = first?.columnsOf("expected").join(", ") ?? "";
    throw new UserError(
      `${source}: ${found.size} different values are expected (${column}), too many for labels: ` +
        'name the "labels", or another column',
    );
  }
  return [...found.values()];
}

/**
 * Checks raw cases and makes them prompts.
 *
 * @throws {UserError} naming up to eight faults by row and column, and how many there are
 */
export function promptsOf(raws: readonly RawCase[], rules: RowRules): Prompt[] {
  const { source, defaults, skipFaulty, note } = rules;
  if (raws.length === 0) throw new UserError(`${source} holds no case: it has no rows`);
  const prompts: Prompt[] = [];
  const faults: string[] = [];
  const seen: Seen = { ids: new Map(), cases: new Map() };
  let faulty = 0;
  for (const raw of raws) {
    const read = raw.faults.length > 0 ? raw.faults : promptOf(raw, defaults);
    const found = "id" in read ? repeats(read, raw, seen) : read;
    if ("id" in read && found.length === 0) prompts.push(read);
    else faulty++;
    faults.push(...found);
  }
  if (!skipFaulty || prompts.length === 0) {
    const advice = faulty < raws.length
      ? ' ("faulty_rows": "skip" in a job, or --skip-faulty, leaves them out)'
      : "";
    throwFaults(source, faults, advice);
  } else if (faulty > 0) {
    const examples = faults.slice(0, 3).join("; ");
    const more = faults.length > 3 ? "; …" : "";
    note?.(`${source}: ${faulty} of ${raws.length} rows are left out: ${examples}${more}`);
  }
  return prompts;
}

function promptOf(raw: RawCase, defaults: CaseDefaults): Prompt | string[] {
  const read = readCase(raw.item, defaults);
  if ("faults" in read) {
    return read.faults.map((issue) =>
      `${placeOf(raw, String(issue.path[0]))}: ${issueTexts(read.given, [issue], []).join("; ")}`
    );
  }
  try {
    return toPrompt(read.value, raw.id, raw.place);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [error.message.replace(`${raw.place}:`, `${placeOf(raw, "expected")}:`)];
  }
}

/** The row, and the columns that a field of its case was made from. */
function placeOf({ place, columnsOf }: RawCase, field: string): string {
  const columns = columnsOf(field);
  return columns.length === 0 ? place : `${place}, column ${columns.join(" or ")}`;
}

/** The ids and cases of earlier rows, with the place of each. */
interface Seen {
  readonly ids: Map<string, string>;
  readonly cases: Map<string, { readonly place: string; readonly prompt: Prompt }>;
}

/** A case that occurs twice would count twice in every interval. */
function repeats(prompt: Prompt, raw: RawCase, { ids, cases }: Seen): string[] {
  const { place } = raw;
  const sameId = ids.get(prompt.id);
  if (sameId !== undefined) return [`${placeOf(raw, "id")}: the id "${prompt.id}" is that of ${sameId} too`];
  const same = cases.get(prompt.sha256);
  if (same === undefined) {
    ids.set(prompt.id, place);
    cases.set(prompt.sha256, { place, prompt });
    return [];
  }
  const agrees = JSON.stringify(prompt.checks) === JSON.stringify(same.prompt.checks);
  const labels = prompt.label === null ? "" : ` (${same.prompt.label} there, ${prompt.label} here)`;
  return [
    agrees
      ? `${place}: the same case as ${same.place}, which would count twice`
      : `${place}: the same text as ${same.place}, but something else is expected${labels}`,
  ];
}
