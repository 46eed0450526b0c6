/** Rows whose columns are named as people and other tools name them: recognised, so that no template is needed. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import type { CaseTable } from "./rows.ts";
import { expectedCells, isExpectedColumn } from "./promptfoo_checks.ts";
import { type RowValues, textOf, valueOf } from "./template.ts";

/** How rows of one format become cases. */
export interface RowFormat {
  /** For people: `alpaca`. */
  readonly name: string;
  /** The case that a row stands for; fields that the row leaves out are missing. */
  readonly item: (values: RowValues) => Record<string, unknown>;
  /** The columns that a field of the case comes from. */
  readonly columnsOf: (field: string) => readonly string[];
  /** promptfoo's types of assertions that have no check here, as the rows that were made so far named them. */
  readonly leftOut?: ReadonlySet<string>;
}

/** Fields of a case that a column of the same name may hold. */
const OWN_FIELDS = (
  "id task prompt system messages turns expected labels reference " +
  "aspects checks anchors schema tools documents tests settings wordings"
).split(" ");
/** Those that are text; the others are JSON, in a cell of a table as text. */
const TEXT_FIELDS = ["id", "task", "prompt", "system", "expected", "reference", "tests"];

/**
 * The format of a table, by its columns; null where nothing in it says what the prompt is.
 *
 * ```ts
 * const table = { source: "x.jsonl", columns: ["instruction", "input", "output"], rows: [] };
 * if (rowFormat(table)?.name !== "alpaca") throw new Error("its columns are alpaca's");
 * ```
 */
export function rowFormat({ columns }: Pick<CaseTable, "columns">): RowFormat | null {
  const has = (...names: readonly string[]) => names.every((name) => columns.includes(name));
  if (has("conversations")) return conversations("sharegpt", "conversations");
  if (has("input", "ideal")) return evals;
  if (has("instruction", "output")) return alpaca;
  if (has("messages")) return conversations("messages", "messages");
  if (has("prompt") || has("turns")) return ownColumns(columns);
  const [only, ...others] = columns.filter((name) => name !== "file" && name !== "folder");
  if (only !== undefined && others.length === 0) {
    return {
      name: "one column",
      item: (values) => defined({ prompt: valueOf(values, only) }),
      columnsOf: () => [only],
    };
  }
  return null;
}

/**
 * What the columns say besides the prompt, which a template gives: `id`, `system`, `expected` or `label`,
 * `reference`; promptfoo's `__expected`.
 */
export function columnsBesides(columns: readonly string[]): RowFormat {
  return ownColumns(columns.filter((name) => name !== "prompt" && name !== "messages" && name !== "turns"));
}

function ownColumns(columns: readonly string[]): RowFormat {
  const own = OWN_FIELDS.filter((name) => columns.includes(name));
  const label = columns.includes("label") && !columns.includes("expected");
  const promptfoo = columns.filter(isExpectedColumn);
  const leftOut = new Set<string>();
  return {
    leftOut,
    name: promptfoo.length > 0 ? "promptfoo" : "own columns",
    item: (values) => {
      const named = Object.fromEntries(own.map((name) => [name, cellOf(name, valueOf(values, name))]));
      if (label) Object.assign(named, { task: "classify", expected: valueOf(values, "label") });
      else if (named["expected"] !== undefined) named["task"] ??= "answer";
      if (promptfoo.length > 0) Object.assign(named, expectedCells(values, promptfoo, leftOut));
      return defined(named);
    },
    columnsOf: (field) =>
      field === "expected" && label
        ? ["label"]
        : field === "checks" && promptfoo.length > 0
        ? promptfoo
        : columns.includes(field)
        ? [field]
        : [],
  };
}

/** A cell of a table holds lists and objects as JSON. */
function cellOf(field: string, value: unknown): unknown {
  if (field === "id" && value !== undefined) return idText(value);
  if (TEXT_FIELDS.includes(field) || typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  return jsonOrText(value);
}

/**
 * A value as the id of a case: other characters than letters, digits, `_`, `-` and `.` become `-`.
 *
 * ```ts
 * if (idText("T 12/3") !== "T-12-3" || idText(7) !== "7") throw new Error(idText("T 12/3"));
 * ```
 */
export function idText(value: unknown): string {
  return textOf(value).trim().replaceAll(/[^\w.-]+/g, "-").slice(0, 64);
}

/** Instructions with an optional input, and the output that was wanted. */
const alpaca: RowFormat = {
  name: "alpaca",
  item: (values) => {
    const [instruction, input] = [valueOf(values, "instruction"), valueOf(values, "input")];
    const prompt = [instruction, input].filter((part) => part !== undefined).map(textOf).join("\n\n");
    return defined({
      prompt: prompt === "" ? undefined : prompt,
      system: valueOf(values, "system"),
      reference: valueOf(values, "output"),
    });
  },
  columnsOf: (field) => field === "reference" ? ["output"] : ["instruction"],
};

/** OpenAI evals: messages or a text, and one or several ideal answers. */
const evals: RowFormat = {
  name: "OpenAI evals",
  item: (values) => {
    const [input, ideal] = [valueOf(values, "input"), valueOf(values, "ideal")];
    return defined({
      ...(Array.isArray(input) ? { messages: input } : { prompt: input }),
      task: ideal === undefined ? undefined : "answer",
      expected: typeof ideal === "string" ? [ideal] : ideal,
    });
  },
  columnsOf: (field) => field === "expected" ? ["ideal"] : ["input"],
};

const ROLES: Readonly<Record<string, string>> = {
  human: "user",
  gpt: "assistant",
  bot: "assistant",
  chatgpt: "assistant",
};

/** Conversations: the model's last turn is the reference, and what comes before it is sent. */
function conversations(name: string, column: string): RowFormat {
  return {
    name,
    item: (values) => {
      const { [column]: _, ...others } = ownColumns(Object.keys(values)).item(values);
      const given = valueOf(values, column);
      if (!Array.isArray(given)) return { ...others, messages: given };
      const messages = given.map((turn: unknown) => turnOf(turn));
      const last = messages.at(-1);
      if (last?.["role"] !== "assistant" || last["tool_calls"] !== undefined) return { ...others, messages };
      return { reference: last["content"], ...others, messages: messages.slice(0, -1) };
    },
    columnsOf: () => [column],
  };
}

function turnOf(turn: unknown): Record<string, unknown> {
  if (!isObject(turn)) return { content: turn };
  const { from, value, ...message } = turn;
  if (from === undefined) return message;
  const role = textOf(from);
  return { role: ROLES[role] ?? role, content: value };
}

function defined(item: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined));
}
