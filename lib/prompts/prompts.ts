/** Prompt sets and jobs: what every candidate is sent. Read and checked once, and hashed so that a run can name them. */
import { basename, dirname, extname, isAbsolute, join } from "node:path";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import { caseJson, readCase, settingsJson, toPrompt } from "./case_item.ts";
import { type CaseChoice, chooseCases } from "./choose_cases.ts";
import { issueTexts, shownValue } from "./issue_text.ts";
import { assertJob, headOf, headShape, jobPrompts, setOf, type WithFiles } from "./job_file.ts";
import { type Prompt, type PromptSet, promptSet } from "./prompt.ts";
import { isPromptfoo, promptfooCases, type ReadNamed } from "./promptfoo.ts";
import {
  assertText,
  type CaseTable,
  decodeData,
  folderTable,
  listTable,
  type Note,
  parseJsonLines,
  parseTable,
} from "./rows.ts";

export type { Prompt, PromptMessage, PromptSet } from "./prompt.ts";
export type { Note } from "./rows.ts";

const prompts = z.array(z.unknown(), "a list of prompts").min(1, "at least one prompt");
const setObject = headShape.extend({ prompts });

/** Fields of a set that its prompts take over, where they have none of their own. */
const SHARED = [
  "task",
  "system",
  "labels",
  "schema",
  "fields",
  "tools",
  "documents",
  "tests",
  "settings",
  "checks",
];

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
      `prompt set ${name}: the document is ${
        shownValue(json)
      }, expected a list of prompts, or an object with "prompts"`,
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
 * Reads a job from a file or folder: a prompt set or a job in JSON or YAML, a table (CSV, TSV, JSON Lines, a list of
 * objects) or a folder of text files with a template, or what other tools write (promptfoo, OpenAI evals, alpaca,
 * sharegpt). Docs: `docs/jobs.md`.
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
  const { template, skipFaulty = false, note } = options;
  const opened = await openFile(path, note);
  if (!("rows" in opened)) return await readPromptSet(opened.document, path, options);
  if (opened.columns.includes("vars")) {
    return promptfooSet(opened.rows.map(({ values }) => values), path, options);
  }
  const prompt = template === undefined ? {} : { prompt: template };
  return jobPrompts(prompt, { ...sourceOf(path, note), skipFaulty, table: opened, direct: true });
}

const sourceOf = (path: string, note: Note | undefined) => ({
  name: basename(path, extname(path)),
  withFiles: filesOf(dirname(path), note),
  note,
});

function promptfooSet(
  json: unknown,
  path: string,
  { template, skipFaulty = false, note }: LoadOptions,
): PromptSet {
  const raws = promptfooCases(json, {
    source: path,
    read: (file) => readNamed(inFolder(dirname(path), file), note),
    note,
    template,
  });
  return setOf({}, raws, { source: path, defaults: {}, skipFaulty, note }, basename(path, extname(path)));
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
  const { template, skipFaulty = false, note } = options;
  const prompt = template === undefined ? {} : { prompt: template };
  const source = sourceOf(path, note);
  if (isPromptfoo(document)) return promptfooSet(document, path, options);
  if (isRows(document)) {
    return jobPrompts(prompt, { ...source, skipFaulty, table: listTable(document, path), direct: true });
  }
  if (isObject(document) && "cases" in document) {
    assertJob(document, path);
    const { cases, faulty_rows } = document;
    const table = await tableOf(cases, dirname(path), path, note);
    const skip = skipFaulty || faulty_rows === "skip";
    return jobPrompts({ ...document, ...prompt }, { ...source, skipFaulty: skip, table, direct: false });
  }
  if (template !== undefined) {
    throw new UserError(
      `--template fills in the rows of a table, and ${path} is a set of prompts: leave it out`,
    );
  }
  return parsePromptSet(document, source.name, source.withFiles);
}

/** The rows that a job names, or holds itself. */
async function tableOf(
  cases: unknown,
  folder: string,
  job: string,
  note: Note | undefined,
): Promise<CaseTable> {
  if (Array.isArray(cases)) return listTable(cases, job);
  const path = inFolder(folder, String(cases));
  const opened = await openFile(path, note);
  if ("rows" in opened) return opened;
  if (Array.isArray(opened.document)) return listTable(opened.document, path);
  throw new UserError(
    `the cases ${path} of ${job} are ${shownValue(opened.document)}, expected a list of rows`,
  );
}

/**
 * Opens a file or folder of rows, as `quality new` looks at it before there is a job.
 *
 * @throws {UserError} for a file that can't be read, and one that is a set of prompts or a job already
 */
export async function openTable(path: string, note?: Note): Promise<CaseTable> {
  const opened = await openFile(path, note);
  if ("rows" in opened) return opened;
  const { document } = opened;
  if (isRows(document)) return listTable(document, path);
  throw new UserError(
    `${path} is not a table of cases: if it is a job or a prompt set, give it to --prompts as it is`,
  );
}

const inFolder = (folder: string, path: string) => isAbsolute(path) ? path : join(folder, path);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A list of objects that are not prompts is a table: other tools write such lists. */
const isRows = (value: unknown): value is Record<string, unknown>[] =>
  Array.isArray(value) && value.length > 0 &&
  value.every((one) => isObject(one) && !("prompt" in one) && !("messages" in one) && !("turns" in one));

type Opened = CaseTable | { readonly document: unknown };

/** A file by its ending, a folder by its files. */
async function openFile(path: string, note: Note | undefined): Promise<Opened> {
  if (await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false)) {
    return folderTable(path, note);
  }
  return openText(path, note);
}

function openText(path: string, note: Note | undefined): Opened {
  const kind = extname(path).toLowerCase();
  const bytes = readBytes(path, "the prompt set");
  assertText(bytes, path);
  switch (kind) {
    case ".csv":
      return parseTable(decodeData(bytes, path, note), path);
    case ".tsv":
    case ".tab":
      return parseTable(decodeData(bytes, path, note), path, "\t");
    case ".jsonl":
    case ".ndjson":
      return parseJsonLines(decodeData(bytes, path, note), path);
    case ".yaml":
    case ".yml":
      return { document: yamlOf(decodeText(bytes, `the prompt set ${path}`), path) };
    default:
      return jsonOf(decodeText(bytes, `the prompt set ${path}`), path);
  }
}

/** JSON; JSON Lines where it is that. */
function jsonOf(text: string, path: string): Opened {
  try {
    return { document: JSON.parse(text) };
  } catch (error) {
    const [first = "", second] = text.split("\n").filter((line) => line.trim() !== "");
    if (second !== undefined && first.trim().startsWith("{") && first.trim().endsWith("}")) {
      return parseJsonLines(text, path);
    }
    throw new UserError(
      `the prompt set ${path} is not JSON (${
        reasonOf(error)
      }): give a list of prompts or a job in JSON or YAML, a ` +
        "table (.csv, .tsv, .jsonl), or a folder of text files",
      2,
      { cause: error },
    );
  }
}

function yamlOf(text: string, path: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    throw new UserError(`${path} is not YAML: ${reasonOf(error)}`, 2, { cause: error });
  }
}

function readBytes(path: string, what: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read ${what} ${path}: ${reason}`, 2, { cause: error });
  }
}

/** A file that a promptfoo file names. */
function readNamed(path: string, note: Note | undefined): ReturnType<ReadNamed> {
  const kind = extname(path).toLowerCase();
  if ([".js", ".ts", ".mjs", ".cjs", ".py"].includes(kind) || path.includes("*")) {
    throw new UserError(
      `${path} is not read: give files of data, since code that makes prompts or tests is not run`,
    );
  }
  if (![".csv", ".tsv", ".jsonl", ".json", ".yaml", ".yml"].includes(kind)) {
    return { value: decodeData(readBytes(path, "the file"), path, note).trim() };
  }
  const opened = openText(path, note);
  return "rows" in opened ? { rows: opened.rows.map(({ values }) => values) } : { value: opened.document };
}

/** Reads what a case names by its path, relative to `folder`; each file once. */
function filesOf(folder: string, note: Note | undefined): WithFiles {
  const texts = new Map<string, string>();
  const documents = new Map<string, unknown>();
  const read = (path: string, what: string): string => {
    const whole = inFolder(folder, path.trim());
    const text = texts.get(whole) ?? decodeData(readBytes(whole, what), whole, note);
    texts.set(whole, text);
    return text;
  };
  const json = (path: string, what: string): unknown => {
    const known = documents.get(path);
    if (known !== undefined) return known;
    const opened = jsonOf(read(path, what), path);
    const value = "rows" in opened ? opened.rows : opened.document;
    documents.set(path, value);
    return value;
  };
  return (item) => {
    const { schema, tools, tests, documents: named } = item;
    const isPath = typeof tests === "string" && /^[^\n]+\.[cm]?[jt]sx?$/.test(tests.trim());
    return {
      ...item,
      ...(typeof schema === "string" ? { schema: json(schema, "the schema") } : {}),
      ...(typeof tools === "string" ? { tools: json(tools, "the tools") } : {}),
      ...(isPath ? { tests: read(tests, "the tests") } : {}),
      ...(named === undefined ? {} : {
        documents: (Array.isArray(named) ? named : [named]).map((one: unknown) =>
          typeof one === "string" ? { text: read(one, "the document") } : one
        ),
      }),
    };
  };
}

/**
 * A set as JSON that `parsePromptSet` reads back to the same, whatever file it came from: a run keeps it, so that its
 * answers can be scored anywhere.
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
  return `${
    JSON.stringify({ ...head, prompts: prompts.map(caseJson) }, null, prompts.length > 500 ? 0 : 2)
  }\n`;
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
