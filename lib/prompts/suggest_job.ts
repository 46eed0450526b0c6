/** What a table could be as a job: which column is sent, which says what is expected, and the job file that follows. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import { foldedLabel } from "./expected.ts";
import type { CaseTable } from "./rows.ts";
import { valueOf } from "./template.ts";

/** The fields of records, each with the JSON types that it has, or `date`; `null` stands for one that is left out. */
type RecordFields = ReadonlyMap<string, ReadonlySet<string>>;

/** What one column holds. */
export interface ColumnFacts {
  readonly name: string;
  /** Rows that have a value there. */
  readonly filled: number;
  readonly distinct: number;
  /** Mean length of its values, in characters. */
  readonly meanChars: number;
  readonly kind: "text" | "number" | "date" | "json";
  /** The values with their counts, most frequent first; null where there are too many to be labels. */
  readonly values: readonly (readonly [string, number])[] | null;
  /** Of objects in JSON: their fields. */
  readonly fields?: RecordFields;
}

/** What a job is made from; a field that is left out is guessed. */
export interface JobChoice {
  readonly task?: string | undefined;
  /** The column that is sent. */
  readonly text?: string | undefined;
  /** The columns that say what is expected. */
  readonly expected?: readonly string[] | undefined;
  readonly id?: string | undefined;
  /** What is sent, with `{{column}}`. */
  readonly prompt?: string | undefined;
  readonly system?: string | undefined;
  readonly labels?: readonly string[] | undefined;
}

/** The tasks that `quality new` writes jobs of; `free` has no check yet. */
export const NEW_TASKS = ["classify", "extract", "answer", "summarize", "free"] as const;

/** Labels are few, and each occurs more than once on average; a column that is called so may have rare ones. */
const MOST_LABELS = 40;
const DATE = /^(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})(?:[T ].*)?$/;
const LABEL = /label|class|categor|team|intent|topic|sentiment|priority|folder|type/i;

/**
 * What each column of a table holds.
 *
 * ```ts
 * const rows = ["a", "b", "a"].map((label, at) => ({ number: at + 1, place: "", values: { label } }));
 * const [facts] = columnFacts({ source: "x.csv", columns: ["label"], rows });
 * if (facts?.values?.[0]?.join() !== "a,2") throw new Error("two of a");
 * ```
 */
export function columnFacts({ columns, rows }: CaseTable): ColumnFacts[] {
  return columns.map((name) => {
    const values = rows.map((row) => valueOf(row.values, name)).filter((value) => value !== undefined);
    const texts = values.map((value) => typeof value === "string" ? value.trim() : JSON.stringify(value));
    const counts = new Map<string, number>();
    for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
    const few = counts.size <= MOST_LABELS &&
      (LABEL.test(name) ? counts.size < texts.length : counts.size * 2 <= texts.length);
    const kind = columnKind(values, texts);
    return {
      name,
      filled: texts.length,
      distinct: counts.size,
      meanChars: texts.reduce((sum, { length }) => sum + length, 0) / Math.max(1, texts.length),
      kind,
      ...(kind === "json" ? { fields: fieldsOfRecords(values) } : {}),
      values: few ? [...counts].sort(([, one], [, other]) => other - one) : null,
    };
  });
}

function columnKind(values: readonly unknown[], texts: readonly string[]): ColumnFacts["kind"] {
  const all = (pattern: RegExp) => texts.length > 0 && texts.every((text) => pattern.test(text));
  if (all(/^-?\d+(?:\.\d+)?$/)) return "number";
  if (all(DATE)) return "date";
  const object = values.some((value) => typeof value === "object") || all(/^[[{].*[\]}]$/s);
  return object ? "json" : "text";
}

function fieldsOfRecords(values: readonly unknown[]): Map<string, Set<string>> {
  const records = values.flatMap((value) => {
    const read = typeof value === "string" ? jsonOrText(value) : value;
    return isObject(read) ? [read] : [];
  });
  const names = new Set(records.flatMap((record) => Object.keys(record)));
  const typeOf = (value: unknown) => {
    if (value === undefined || value === null) return "null";
    if (typeof value === "string" && DATE.test(value)) return "date";
    return Array.isArray(value) ? "array" : typeof value;
  };
  return new Map(
    [...names].map((name) => [name, new Set(records.map((one) => typeOf(one[name])))]),
  );
}

/**
 * Completes a choice from what the columns hold and are called.
 *
 * ```ts
 * const facts = (name: string, meanChars: number, values: [string, number][] | null) =>
 *   ({ name, filled: 9, distinct: values?.length ?? 9, meanChars, kind: "text" as const, values });
 * const guess = guessJob([facts("nr", 2, null), facts("mail", 90, null), facts("team", 4, [["a", 5], ["b", 4]])]);
 * if (guess.text !== "mail" || guess.task !== "classify" || guess.expected[0] !== "team") throw new Error("triage");
 * ```
 */
export function guessJob(
  columns: readonly ColumnFacts[],
  chosen: JobChoice = {},
): {
  readonly task: string;
  readonly text: string | null;
  readonly expected: readonly string[];
  readonly id: string | null;
} {
  const named = (pattern: RegExp, among: readonly ColumnFacts[]) =>
    among.find(({ name }) => pattern.test(name));
  const unique = columns.filter(({ distinct, filled, meanChars }) => distinct === filled && meanChars <= 40);
  const id = chosen.id ?? named(/(?:^|[_ -])(?:id|nr|no|key|number|ticket|file)$/i, unique)?.name ?? null;
  const given = new Set([id, ...chosen.expected ?? []]);
  const longest = columns.filter(({ name, kind }) => !given.has(name) && kind === "text")
    .toSorted((one, other) => other.meanChars - one.meanChars);
  const textual = longest.filter(({ meanChars }) => meanChars >= (longest[0]?.meanChars ?? 0) / 2);
  const sent = named(
    /text|body|message|mail|question|prompt|input|content|description|instruction/i,
    textual,
  );
  const text = chosen.text ?? (sent ?? longest[0])?.name ?? null;
  const others = columns.filter(({ name }) => name !== text && name !== id);
  const labels = others.filter(({ values, kind }) =>
    values !== null && values.length >= 2 && kind === "text"
  );
  const label = named(LABEL, labels) ?? labels.at(-1);
  const answer = named(/answer|expected|output|ideal|target|reference|summary|response/i, others);
  const task = chosen.task ?? taskFor(label, answer);
  const expected = chosen.expected ?? expectedFor(task, { label, answer, others });
  return { task, text, expected, id };
}

function taskFor(label: ColumnFacts | undefined, answer: ColumnFacts | undefined): string {
  if (answer === undefined) return label === undefined ? "free" : "classify";
  if (answer.kind === "json") return "extract";
  return answer.meanChars > 60 ? "summarize" : "answer";
}

function expectedFor(
  task: string,
  { label, answer, others }: {
    readonly label: ColumnFacts | undefined;
    readonly answer: ColumnFacts | undefined;
    readonly others: readonly ColumnFacts[];
  },
): string[] {
  if (task === "free") return [];
  if (task === "classify") return label === undefined ? [] : [label.name];
  if (task === "extract" && answer?.kind !== "json") return others.map(({ name }) => name);
  return answer === undefined ? [] : [answer.name];
}

/**
 * The job file of a choice: what a person would write by hand, ready to be edited.
 *
 * @param cases the path of the table, relative to the job file
 */
export function jobFile(
  cases: string,
  name: string,
  columns: readonly ColumnFacts[],
  choice: JobChoice,
): Record<string, unknown> {
  const { task, text, expected, id } = guessJob(columns, choice);
  const factsOf = (column: string) => columns.find((one) => one.name === column);
  const [first] = expected;
  const labels = choice.labels ??
    (task === "classify" && first !== undefined ? distinctLabels(factsOf(first)) : undefined);
  const column = `{{${text ?? columns[0]?.name ?? "text"}}}`;
  const record = expected.length === 1 ? factsOf(first ?? "")?.fields : undefined;
  const fields = record ?? fieldsOfColumns(expected, columns);
  const prompt = choice.prompt ??
    promptFor(task, column, { labels: labels ?? [], fields: [...fields.keys()] });
  return {
    name,
    cases,
    ...(id === null ? {} : { id: `{{${id}}}` }),
    ...(task === "free" ? {} : { task }),
    ...(labels === undefined ? {} : { labels }),
    ...(choice.system === undefined ? {} : { system: choice.system }),
    prompt,
    ...(task === "summarize"
      ? first === undefined ? {} : { reference: `{{${first}}}` }
      : expectedTemplate(task, expected, columns)),
    ...(task === "extract" ? { schema: recordSchema(fields), fields: recordRules(fields) } : {}),
    ...(task === "summarize" ? { checks: SUMMARY_CHECKS } : {}),
    settings: { max_tokens: task === "classify" ? 16 : task === "answer" ? 64 : 256, temperature: 0 },
  };
}

/** In alphabetical order, each spelled as most rows do. */
function distinctLabels(facts: ColumnFacts | undefined): string[] | undefined {
  const labels = new Map<string, string>();
  for (const [label] of facts?.values ?? []) {
    if (!labels.has(foldedLabel(label))) labels.set(foldedLabel(label), label);
  }
  return labels.size < 2 ? undefined : [...labels.values()].toSorted();
}

const SUMMARY_CHECKS = [
  { kind: "words", name: "at most 80 words", max: 80 },
  { kind: "nothing_invented", name: "nothing invented", required: true },
];

function expectedTemplate(
  task: string,
  expected: readonly string[],
  columns: readonly ColumnFacts[],
): Record<string, unknown> {
  const [first, ...others] = expected;
  if (first === undefined || task === "free") return {};
  const whole = task !== "extract" ||
    others.length === 0 && columns.find(({ name }) => name === first)?.kind === "json";
  return {
    expected: whole
      ? `{{${first}}}`
      : Object.fromEntries(expected.map((name) => [fieldName(name), `{{${name}}}`])),
  };
}

/** A column as the name of a JSON field. */
const fieldName = (column: string) => column.trim().replaceAll(/[^\p{L}\p{N}]+/gu, "_").toLowerCase();

/** Columns as the fields of a record. */
function fieldsOfColumns(names: readonly string[], columns: readonly ColumnFacts[]): RecordFields {
  const rows = Math.max(...columns.map(({ filled }) => filled));
  return new Map(names.map((name) => {
    const facts = columns.find((one) => one.name === name);
    const type = facts === undefined || facts.kind === "text" ? "string" : facts.kind;
    // A row without a value: the text doesn't state it.
    return [fieldName(name), new Set(facts !== undefined && facts.filled < rows ? [type, "null"] : [type])];
  }));
}

/** A schema that all records fit. A cell with JSON is a text, and so is a date. */
function recordSchema(fields: RecordFields): Record<string, unknown> {
  const typed = [...fields].map(([name, found]) => {
    const types = [
      ...new Set([...found].map((type) => type === "date" || type === "json" ? "string" : type)),
    ];
    return [name, { type: types.length === 1 ? types[0] : types }];
  });
  return {
    type: "object",
    properties: Object.fromEntries(typed),
    required: [...fields.keys()],
    additionalProperties: false,
  };
}

const RULES = new Map(
  Object.entries({ number: { tolerance: 0.005 }, date: { as: "date" }, string: { ignore_case: true } }),
);

function recordRules(fields: RecordFields): Record<string, unknown> {
  return Object.fromEntries(
    [...fields].flatMap(([name, types]) => {
      const [type = "", other] = [...types].filter((one) => one !== "null");
      const rule = RULES.get(type);
      return rule === undefined || other !== undefined ? [] : [[name, rule]];
    }),
  );
}

function promptFor(
  task: string,
  column: string,
  { labels, fields }: { readonly labels: readonly string[]; readonly fields: readonly string[] },
): string {
  switch (task) {
    case "classify":
      return `Which of these does the text belong to: ${labels.join(", ")}? ` +
        `Answer with one of them and nothing else.\n\n${column}`;
    case "extract":
      return `Read the text and answer with a JSON object with the fields ${fields.join(", ")}. ` +
        `Use null for what the text doesn't state.\n\n${column}`;
    case "summarize":
      return `Summarise the text in at most three sentences. Use only what it says.\n\n${column}`;
    case "answer":
      return `Answer as briefly as you can.\n\n${column}`;
    default:
      return column;
  }
}
