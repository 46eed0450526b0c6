/**
 * Annotation sheets: answers to rate, blinded (nothing says which candidate gave them) and shuffled (each
 * annotator gets them in another order). A sheet is CSV for any spreadsheet; its key stays in the run's
 * folder and leads from an item back to its answers.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import type { AnswerRecord } from "../bench/records.ts";
import { byteOrderMark, formatCsv } from "../csv.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { Prompt } from "../prompts/prompts.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import { parseDocument } from "../text_file.ts";
import { answersByText } from "./recorded_answers.ts";
import { type Rubric, type RubricName, rubricNames, rubrics } from "./rubric.ts";
import { visibleAnswer } from "./text.ts";

/** The key that leads from a sheet back to the run. */
const sheetKey = z.object({
  schema_version: z.literal(1),
  run_id: z.string(),
  annotator: z.string(),
  rubric: z.enum(rubricNames),
  /** Those of a job's own rubric. */
  dimensions: z.array(z.object({ name: z.string(), question: z.string(), one: z.string(), five: z.string() }))
    .optional(),
  items: z.array(z.object({
    item: z.string(),
    /** The same text for the same prompt is one item, even from several candidates or several times. */
    answers: z.array(z.object({ id: z.string(), candidate: z.string() })).min(1),
    prompt_id: z.string(),
    /** A hash of the text without white space, to notice a cell that a spreadsheet changed. */
    sha256: z.string(),
  })),
});
export type SheetKey = z.infer<typeof sheetKey>;

/** What a sheet is rated by. */
export function rubricOf({ rubric, dimensions = [] }: Pick<SheetKey, "rubric" | "dimensions">): Rubric {
  return rubric === "job" ? { name: rubric, dimensions } : rubrics[rubric];
}

/** One item as the annotator sees it. */
export interface SheetItem {
  readonly item: string;
  readonly prompt: string;
  readonly aspects: string;
  readonly answer: string;
}

export interface Sheet {
  readonly key: SheetKey;
  /** In the order in which they are shown. */
  readonly items: readonly SheetItem[];
}

/** Scores given so far, by item and dimension; an item may be half done. */
export interface Marks {
  readonly scores: Readonly<Record<string, number>>;
  readonly comment: string;
}

/** A spreadsheet silently cuts off longer cells. */
const widestCell = 32_000;

/**
 * Prepares a sheet of a run's answers. Empty answers are left out: there is nothing to rate, and the checks
 * count them as failures.
 *
 * @throws {UserError} when no answer is left
 *
 * ```ts
 * const answer = { id: "1", candidate: "a", prompt_id: "p", phase: "timed" as const, round: 1, content: "Yes.", reasoning: "" };
 * const prompt = { id: "p", messages: [{ role: "user" as const, content: "Is it?" }], aspects: ["yes"] };
 * const { items, key } = makeSheet([answer, { ...answer, id: "2", candidate: "b" }], [prompt], {
 *   runId: "run", annotator: "ana", rubric: "fluency",
 * });
 * if (items.length !== 1 || key.items[0]?.answers.length !== 2) throw new Error("one text, one item");
 * ```
 */
export function makeSheet(
  answers: readonly AnswerRecord[],
  prompts: readonly Pick<Prompt, "id" | "messages" | "aspects">[],
  { runId, annotator, rubric: given }: { runId: string; annotator: string; rubric: RubricName | Rubric },
): Sheet {
  const { name: rubric, dimensions } = typeof given === "string" ? rubricOf({ rubric: given }) : given;
  const seed = `${runId} ${annotator} ${rubric}`;
  const drafts = answersByText(answers).flatMap((same) => {
    const [first] = same;
    const prompt = prompts.find(({ id }) => id === first?.prompt_id);
    if (!first || !prompt) return [];
    const shown = promptForPeople(prompt);
    return [{
      item: itemId(`${seed} ${first.id}`),
      prompt: cell(shown.prompt),
      aspects: cell(shown.aspects),
      answer: cell(visibleAnswer(first.content)),
      same,
      prompt_id: prompt.id,
    }];
  });
  if (drafts.length === 0) throw new UserError("no answer to rate: all are empty", 1);
  const shuffled = shuffle(drafts, seededRandom(seed));
  return {
    items: shuffled.map(({ item, prompt, aspects, answer }) => ({ item, prompt, aspects, answer })),
    key: {
      schema_version: 1,
      run_id: runId,
      annotator,
      rubric,
      ...(rubric === "job" ? { dimensions: dimensions.map((one) => ({ ...one })) } : {}),
      items: shuffled.map(({ item, prompt, answer, same, prompt_id }) => ({
        item,
        answers: same.map(({ id, candidate }) => ({ id, candidate })),
        prompt_id,
        sha256: hashItem({ prompt, answer }),
      })),
    },
  };
}

/** A case as the texts that people see: what was sent, and what a good answer covers. */
export function promptForPeople(
  { messages, aspects }: Pick<Prompt, "messages" | "aspects">,
): { readonly prompt: string; readonly aspects: string } {
  return {
    prompt: messages.map(({ content }) => content).join("\n\n"),
    aspects: aspects.map((aspect) => `• ${aspect}`).join("\n"),
  };
}

/** A letter first, because a spreadsheet reads 12345678 and 1234e567 as numbers. */
const itemId = (text: string) => `i${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;

function cell(text: string): string {
  return text.length <= widestCell ? text : `${text.slice(0, widestCell)} […]`;
}

/** A hash of what must not change; a spreadsheet may change line ends and outer space, and drop an apostrophe. */
export function hashItem({ prompt, answer }: Pick<SheetItem, "prompt" | "answer">): string {
  const bare = (text: string) => text.normalize("NFC").replace(/^'+/, "").replaceAll(/\s+/g, " ").trim();
  return createHash("sha256").update(JSON.stringify([bare(prompt), bare(answer)])).digest("hex");
}

/** The columns of a sheet, in order. */
export function sheetColumns(rubric: Rubric): string[] {
  return ["item", "prompt", "aspects", "answer", ...rubric.dimensions.map(({ name }) => name), "comment"];
}

/**
 * A sheet as CSV, with the marks given so far.
 *
 * ```ts
 * import { rubrics } from "./rubric.ts";
 *
 * const item = { item: "i1", prompt: "Is it?", aspects: "• yes", answer: "=Yes" };
 * const text = formatSheet([item], rubrics.fluency, new Map([["i1", { scores: { fluency: 4 }, comment: "" }]]));
 * if (!text.endsWith("i1,Is it?,• yes,'=Yes,4,,,\n")) throw new Error(text);
 * ```
 */
export function formatSheet(
  items: readonly SheetItem[],
  rubric: Rubric,
  marks: ReadonlyMap<string, Marks> = new Map(),
): string {
  const rows = items.map(({ item, prompt, aspects, answer }) => {
    const mark = marks.get(item);
    const scores = rubric.dimensions.map(({ name }) => mark?.scores[name] ?? null);
    return [item, prompt, aspects, answer, ...scores, mark?.comment ?? ""];
  });
  return byteOrderMark + formatCsv(sheetColumns(rubric), rows);
}

/** The folder of a run's sheets and keys. */
export function sheetFolder(run: string): string {
  return join(run, "annotation");
}

/**
 * Writes a new sheet and its key.
 *
 * @param path the sheet's file; null for the default one in the run's folder
 * @returns the path of the sheet
 * @throws {UserError} when the sheet or the key is there already, or the folder can't be written
 */
export async function writeSheet(
  run: string,
  { key, items }: Sheet,
  path: string | null = null,
): Promise<string> {
  const folder = sheetFolder(run);
  const name = `${key.annotator}-${key.rubric}`;
  const sheetPath = path ?? join(folder, `${name}.csv`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(sheetPath, formatSheet(items, rubricOf(key)), { createNew: true });
    // The same run, annotator and rubric give the same items, so an older key is the same.
    await replaceFile(join(folder, `${name}.json`), `${JSON.stringify(key, null, 2)}\n`);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new UserError(
        `${sheetPath} already exists and may hold scores: fill it in, give another --annotator, or move it away`,
      );
    }
    throw new UserError(`can't write the sheet ${sheetPath}: ${reasonOf(error)}`, 1, { cause: error });
  }
  return sheetPath;
}

/**
 * The keys of all sheets of a run.
 *
 * @throws {UserError} for a damaged key
 */
export async function readSheetKeys(run: string): Promise<SheetKey[]> {
  const keys: SheetKey[] = [];
  try {
    for await (const { name } of Deno.readDir(sheetFolder(run))) {
      if (name.endsWith(".json")) keys.push(await readKey(join(sheetFolder(run), name)));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return keys;
}

async function readKey(path: string): Promise<SheetKey> {
  const text = await Deno.readTextFile(path);
  return parseDocument(text, { schema: sheetKey, newest: 1, name: `the key ${path}` });
}
