/** Files of cases: opened by their ending as rows or as a document, with the files that those name. */
import { dirname, extname, isAbsolute, join } from "node:path";
import { parse as parseYaml } from "yaml";
import { isObject } from "../bounded_json.ts";
import { reasonOf, UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import { shownValue } from "./issue_text.ts";
import type { WithFiles } from "./job_file.ts";
import type { ReadNamed } from "./promptfoo.ts";
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

/** What a file holds: rows, or a document. */
type Opened = CaseTable | { readonly document: unknown };

/** A file by its ending, a folder by its files. */
export async function openFile(path: string, note: Note | undefined): Promise<Opened> {
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
      `the prompt set ${path} is not JSON (${reasonOf(error)}): ` +
        "give a list of prompts or a job in JSON or YAML, a table (.csv, .tsv, .jsonl), or a folder of text files",
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

/**
 * The rows that a job names, or holds itself.
 *
 * @param job the path of the job's file
 * @throws {UserError} for a file that can't be read, and one that holds no list of rows
 */
export async function tableOf(cases: unknown, job: string, note: Note | undefined): Promise<CaseTable> {
  if (Array.isArray(cases)) return listTable(cases, job);
  const path = inFolder(dirname(job), String(cases));
  const opened = await openFile(path, note);
  if ("rows" in opened) return opened;
  if (Array.isArray(opened.document)) return listTable(opened.document, path);
  throw new UserError(
    `the cases ${path} of ${job} are ${shownValue(opened.document)}, expected a list of rows`,
  );
}

/** A list of objects that are not prompts is a table: other tools write such lists. */
export const isRows = (value: unknown): value is Record<string, unknown>[] =>
  Array.isArray(value) && value.length > 0 &&
  value.every((one) => isObject(one) && !("prompt" in one) && !("messages" in one) && !("turns" in one));

/** A path that a file in `folder` names. */
export const inFolder = (folder: string, path: string) => isAbsolute(path) ? path : join(folder, path);

/** A file that a promptfoo file names. */
export function readNamed(path: string, note: Note | undefined): ReturnType<ReadNamed> {
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
export function filesFrom(folder: string, note: Note | undefined): WithFiles {
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
