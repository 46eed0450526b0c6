/**
 * Jobs and prompt sets: what every candidate is sent, from a file to checked and hashed cases.
 * `open_file.ts` reads a file as rows or as a document; of a job, `job_file.ts` fills each row into its
 * templates and `job_cases.ts` reports every fault by row; `case_item.ts` checks one case, whatever
 * kind of file it comes from.
 */
import { basename, dirname, extname } from "node:path";
import { z } from "zod";
import { isObject } from "../bounded_json.ts";
import { UserError } from "../errors.ts";
import { caseJson, readCase, settingsJson, toPrompt } from "./case_item.ts";
import { type CaseChoice, chooseCases } from "./choose_cases.ts";
import { issueTexts, shownValue } from "./issue_text.ts";
import { assertJob, headOf, headShape, jobPrompts, setOf, type WithFiles } from "./job_file.ts";
import { filesFrom, inFolder, isRows, openFile, readNamed, tableOf } from "./open_file.ts";
import { type Prompt, type PromptSet, promptSet } from "./prompt.ts";
import { isPromptfoo, promptfooCases } from "./promptfoo.ts";
import { type CaseTable, listTable, type Note } from "./rows.ts";

export { openTable } from "./open_file.ts";
export type { Prompt, PromptMessage, PromptSet } from "./prompt.ts";
export type { Note } from "./rows.ts";

/** How a file of cases is read. */
export interface LoadOptions extends CaseChoice {
  /** What each row of a table is sent, with `{{column}}` for its values; a job file has its own. */
  readonly template?: string | undefined;
  /** Leaves rows out that miss a value, repeat another or have a label that isn't one. @default false */
  readonly skipFaulty?: boolean | undefined;
  /** Takes what a person should know: a guessed encoding, rows that are left out. */
  readonly note?: Note | undefined;
}

/**
 * Reads a job from a file or folder: a prompt set or a job in JSON or YAML, a table (CSV, TSV, JSON Lines, a
 * list of objects) or a folder of text files with a template, or what other tools write (promptfoo, OpenAI
 * evals, alpaca, sharegpt). Docs: `docs/jobs.md`.
 *
 * @throws {UserError} when the file can't be read, or one message with every fault by its place
 *
 * ```ts
 * const set = await loadPromptSet("prompts/default.json", { shortest: 3 });
 * if (set.prompts.length !== 3) throw new Error("three cases");
 * ```
 */
export async function loadPromptSet(path: string, options: LoadOptions = {}): Promise<PromptSet> {
  const set = await wholeSet(path, options);
  const chosen = chooseCases(set.prompts, options, options.note);
  return chosen === set.prompts ? set : promptSet(set, chosen);
}

async function wholeSet(path: string, options: LoadOptions): Promise<PromptSet> {
  const opened = await openFile(path, options.note);
  if (!("rows" in opened)) return await readPromptSet(opened.document, path, options);
  return opened.columns.includes("vars")
    ? promptfooSet(opened.rows.map(({ values }) => values), path, options)
    : tableSet(opened, path, options);
}

/**
 * Reads a prompt set or job that is in memory.
 *
 * @param path where it comes from, or would lie: names what it refers to, and the set in messages
 * @throws {UserError} as `loadPromptSet`
 *
 * ```ts
 * const cases = [{ text: "I paid twice.", team: "billing" }, { text: "It crashes.", team: "bug" }];
 * const job = { task: "classify", labels: ["billing", "bug"], prompt: "Team? {{text}}", expected: "{{team}}", cases };
 * const { prompts } = await readPromptSet(job, "teams.json");
 * if (prompts[0]?.messages[0]?.content !== "Team? I paid twice.") throw new Error("the row is filled in");
 * ```
 */
export async function readPromptSet(
  document: unknown,
  path: string,
  options: LoadOptions = {},
): Promise<PromptSet> {
  if (isPromptfoo(document)) return promptfooSet(document, path, options);
  if (isRows(document)) return tableSet(listTable(document, path), path, options);
  const source = sourceOf(path, options);
  if (isObject(document) && "cases" in document) {
    assertJob(document, path);
    const table = await tableOf(document["cases"], path, options.note);
    const skipFaulty = source.skipFaulty || document["faulty_rows"] === "skip";
    const job = { ...document, ...templateOf(options) };
    return jobPrompts(job, { ...source, skipFaulty, table, direct: false });
  }
  if (options.template !== undefined) {
    throw new UserError(
      `--template fills in the rows of a table, and ${path} is a set of prompts: leave it out`,
    );
  }
  return parsePromptSet(document, source.name, source.withFiles);
}

/** A table that was given itself, without a job file. */
const tableSet = (table: CaseTable, path: string, options: LoadOptions): PromptSet =>
  jobPrompts(templateOf(options), { ...sourceOf(path, options), table, direct: true });

const templateOf = ({ template }: LoadOptions) => template === undefined ? {} : { prompt: template };

const sourceOf = (path: string, { skipFaulty = false, note }: LoadOptions) => ({
  name: basename(path, extname(path)),
  withFiles: filesFrom(dirname(path), note),
  skipFaulty,
  note,
});

function promptfooSet(json: unknown, path: string, { template, skipFaulty = false, note }: LoadOptions) {
  const read = (file: string) => readNamed(inFolder(dirname(path), file), note);
  const raws = promptfooCases(json, { source: path, read, note, template });
  return setOf({}, raws, { source: path, defaults: {}, skipFaulty, note }, basename(path, extname(path)));
}

const prompts = z.array(z.unknown(), "a list of prompts").min(1, "at least one prompt");
const setObject = headShape.extend({ prompts });

/** Fields of a set that its prompts take over, where they have none of their own. */
const SHARED = "task system labels schema fields tools documents tests settings checks".split(" ");

/**
 * Checks a prompt set that was read from JSON: a plain array of strings, an array of prompt objects, or an
 * object with `name` and `prompts`. Prompts without an id are called p1, p2 … in their order.
 *
 * @param json the parsed JSON, of any shape
 * @param name the name of a set that states none, and the set's name in messages
 * @param withFiles reads the files that the set names
 * @throws {UserError} one message with every fault: the place, the value, and what is expected
 *
 * ```ts
 * const set = parsePromptSet(["Say hello.", { id: "bye", system: "Be brief.", prompt: "Say goodbye." }], "greetings");
 * const ids = set.prompts.map((prompt) => prompt.id);
 * if (ids.join() !== "p1,bye") throw new Error(ids.join());
 * if (set.prompts[1]?.messages[0]?.role !== "system") throw new Error("the system message comes first");
 * ```
 */
export function parsePromptSet(
  json: unknown,
  name: string,
  withFiles: WithFiles = (item) => ({ ...item }),
): PromptSet {
  const listed = Array.isArray(json);
  if (!listed && (typeof json !== "object" || json === null)) {
    throw new UserError(
      `prompt set ${name}: the document is ${shownValue(json)}, ` +
        'expected a list of prompts, or an object with "prompts"',
    );
  }
  const head: Record<string, unknown> = listed ? {} : { ...json };
  const outer = listed ? prompts.safeParse(json) : setObject.safeParse(json);
  const found: string[] = outer.success ? [] : issueTexts(json, outer.error.issues, []);
  const items: unknown = listed ? json : head["prompts"];
  const defaults = withFiles(
    Object.fromEntries(SHARED.flatMap((key) => head[key] === undefined ? [] : [[key, head[key]]])),
  );
  const cases = (Array.isArray(items) ? items : []).map((item: unknown, index) => {
    const whole = isObject(item) ? withFiles(item) : item;
    const read = readCase(whole, defaults);
    if ("value" in read) return read.value;
    found.push(...issueTexts(read.given, read.faults, listed ? [index] : ["prompts", index]));
    return null;
  });
  if (found.length > 0) throw new UserError(`prompt set ${name}: ${found.join("; ")}`);
  const read = cases.flatMap((item, index) => {
    if (item === null) return [];
    const id = `p${index + 1}`;
    return [toPrompt(item, id, `prompt set ${name}, prompt "${item.id ?? id}"`)];
  });
  assertOwnIds(read, name);
  return promptSet(headOf(head, defaults, name), read);
}

function assertOwnIds(read: readonly Prompt[], name: string): void {
  const ids = new Set<string>();
  for (const { id } of read) {
    if (ids.has(id)) {
      throw new UserError(`prompt set ${name}: the id "${id}" occurs twice: give each prompt its own`);
    }
    ids.add(id);
  }
}

/**
 * A set as JSON that `parsePromptSet` reads back to the same, whatever file it came from: a run keeps it, so
 * that its answers can be scored anywhere.
 *
 * ```ts
 * const set = parsePromptSet([{ id: "a", prompt: "Hi", checks: [{ kind: "words", name: "short", max: 3 }] }], "x");
 * if (parsePromptSet(JSON.parse(promptSetJson(set)), "x").sha256 !== set.sha256) throw new Error("the same set");
 * ```
 */
export function promptSetJson({ name, baseline, rubric, labels, settings, prompts }: PromptSet): string {
  const head = {
    name,
    ...(baseline === null ? {} : { baseline }),
    ...(rubric === null ? {} : { rubric }),
    ...(labels.length === 0 ? {} : { labels }),
    ...settingsJson(settings),
  };
  const indent = prompts.length > 500 ? 0 : 2;
  return `${JSON.stringify({ ...head, prompts: prompts.map(caseJson) }, null, indent)}\n`;
}

/**
 * A set of one prompt, as `--prompt` gives it.
 *
 * ```ts
 * if (singlePrompt("Say hello.").prompts[0]?.id !== "prompt") throw new Error("its id is prompt");
 * ```
 */
export function singlePrompt(prompt: string): PromptSet {
  if (prompt.trim() === "") {
    throw new UserError("the prompt (--prompt, BENCH_PROMPT) is empty: give a text, or leave it out");
  }
  return parsePromptSet([{ id: "prompt", prompt }], "prompt");
}
