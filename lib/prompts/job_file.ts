/**
 * Job files: cases in a file of their own, and templates that make each row's prompt and expected answer. The
 * filled rows go on to `job_cases.ts`, which checks each one as a case of `case_item.ts`.
 */
import { z } from "zod";
import { isObject, jsonOrText } from "../bounded_json.ts";
import { UserError } from "../errors.ts";
import { settingsOf } from "./case_item.ts";
import { settingsShape, text } from "./case_shape.ts";
import { labelsOf, promptsOf, type RawCase, type RowRules } from "./job_cases.ts";
import { issueTexts } from "./issue_text.ts";
import { type Prompt, type PromptSet, promptSet, type PromptSetHead } from "./prompt.ts";
import { COMPARED } from "./expected.ts";
import { noteLeftOut } from "./promptfoo_checks.ts";
import { columnsBesides, idText, type RowFormat, rowFormat } from "./row_formats.ts";
import type { CaseTable, Note } from "./rows.ts";
import { columnFacts, guessJob } from "./suggest_job.ts";
import { assertColumns, columnsOf, fill, valueOf } from "./template.ts";

/** Fields of a job that may be templates, filled in for every row. */
const TEMPLATES = (
  "id task prompt system messages wordings expected " +
  "documents tests turns checks anchors reference aspects tools"
).split(" ");
/** Those that are lists. */
const LISTS = ["tools", "turns", "messages", "checks", "aspects"];
/** Fields that apply to all cases unchanged. */
const CONSTANTS = ["labels", "schema", "fields", "settings"];

const given = z.unknown().optional();
/** The fields of a job file besides its cases. */
export const headShape = z.strictObject({
  cases: given,
  prompts: given,
  $schema: z.string().optional(),
  description: z.string("a text").optional(),
  name: text.optional(),
  baseline: text.optional(),
  rubric: given,
  faulty_rows: z.enum(["refuse", "skip"], "refuse or skip").optional(),
  settings: settingsShape.optional(),
  labels: z.array(text, "a list of labels").min(2, "at least two labels").optional(),
  ...Object.fromEntries([...TEMPLATES, "schema", "fields"].map((name) => [name, given])),
});
const jobShape = headShape.extend({
  cases: z.union([text, z.array(z.unknown())], "a path, or a list of rows"),
});

/** Reads the files that a case or a job names: a schema, tools, tests, documents. */
export type WithFiles = (item: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/** What a job is made from. */
export interface JobSource {
  /** The job's own name for messages: its file's. */
  readonly name: string;
  readonly table: CaseTable;
  readonly withFiles: WithFiles;
  /** True where the file itself was given, and what its columns are called says more than its prompt. */
  readonly direct: boolean;
  readonly skipFaulty: boolean;
  readonly note: Note | undefined;
}

/**
 * Holds that a document is a job file.
 *
 * @throws {UserError} naming every fault
 */
export function assertJob(json: object, name: string): void {
  const parsed = jobShape.safeParse(json);
  if (parsed.success) return;
  throw new UserError(`job ${name}: ${issueTexts(json, parsed.error.issues, []).join("; ")}`);
}

/**
 * The prompts of a job: each row of its table, put into its templates.
 *
 * @param job the fields of the job file; of a table alone, what the command line says
 * @throws {UserError} one message with every fault by row and column
 */
export function jobPrompts(job: Readonly<Record<string, unknown>>, source: JobSource): PromptSet {
  const { table, name, note, withFiles, skipFaulty } = source;
  const format = formatFor(job, source);
  checkTemplates(job, source);
  const perRow = TEMPLATES.filter((field) => columnsOf(job[field]).length > 0);
  const fixed = [...TEMPLATES, ...CONSTANTS].filter((field) =>
    job[field] !== undefined && !perRow.includes(field)
  );
  const defaults = withFiles(Object.fromEntries(fixed.map((field) => [field, job[field]])));
  const templates = Object.fromEntries(perRow.map((field) => [field, job[field]]));
  const raws = table.rows.map((row) => {
    const raw = rawCase(row, templates, format, isExtract(job));
    return raw.faults.length > 0 ? raw : withRead(raw, withFiles);
  });
  if (format?.leftOut !== undefined) noteLeftOut(format.leftOut, table.source, note);
  return setOf(job, raws, { source: table.source, defaults, skipFaulty, note }, name);
}

function checkTemplates(job: Readonly<Record<string, unknown>>, { table, name, note, direct }: JobSource) {
  const hasDocuments = job["documents"] !== undefined;
  for (const field of TEMPLATES) {
    const columns = hasDocuments && ["prompt", "system", "wordings"].includes(field)
      ? [...table.columns, "document"]
      : table.columns;
    const where = direct ? "--template" : `"${field}" of the job ${name}`;
    assertColumns(job[field], columns, where, table.source);
  }
  const sent = [job["prompt"], job["system"], job["wordings"], job["messages"], job["turns"]];
  if (hasDocuments && !/\{\{\s*document\s*\}\}/.test(JSON.stringify(sent))) {
    note?.(`Job ${name}: no prompt has {{document}}, so that the models are not shown the documents.`);
  }
}

/** The set of prompts that raw cases make, with what the job says of all of them. */
export function setOf(
  job: Readonly<Record<string, unknown>>,
  raws: readonly RawCase[],
  rules: RowRules,
  name: string,
): PromptSet {
  const labels = labelsOf(raws, rules);
  const defaults = labels.length === 0 ? rules.defaults : { ...rules.defaults, labels };
  const prompts = promptsOf(raws, { ...rules, defaults });
  assertExpected(job, prompts, name);
  assertFields(defaults, prompts, name);
  return promptSet({ ...headOf(job, defaults, name), labels }, prompts);
}

/** A job whose task compares answers, and which says nowhere what is right, would be run for nothing. */
function assertExpected(
  { task }: Readonly<Record<string, unknown>>,
  prompts: readonly Prompt[],
  name: string,
) {
  const compares = task === "code" ? "tests" : COMPARED.some((one) => one === task) ? "expected" : null;
  if (compares === null || prompts.some(({ checks }) => checks.length > 0)) return;
  throw new UserError(
    `job ${name}: "${compares}" is missing: the task "${task}" compares answers with it (such as "{{column}}"). To ` +
      'collect answers and score none, leave "task" out',
  );
}

/** A rule for a field that appears nowhere would silently have no effect. */
function assertFields(
  { fields, schema }: Readonly<Record<string, unknown>>,
  prompts: readonly Prompt[],
  name: string,
) {
  const keys = (value: unknown) => isObject(value) ? Object.keys(value) : [];
  const properties = isObject(schema) ? schema["properties"] : null;
  const expected = prompts.flatMap(({ checks }) =>
    checks.flatMap((check) => check.kind === "record" ? keys(check.expected) : [])
  );
  const known = new Set([...keys(properties), ...expected]);
  const strange = keys(fields).filter((path) => !known.has(path) && !known.has(path.split(".")[0] ?? ""));
  if (strange.length === 0) return;
  const quoted = (names: readonly string[]) => names.map((one) => `"${one}"`).join(", ");
  throw new UserError(
    `job ${name}: "fields" has a rule for ${quoted(strange)}, and the fields are ${quoted([...known])}`,
  );
}

/**
 * What a set says besides its cases.
 *
 * @param defaults what the head says of every case, with the files that it names
 * @throws {UserError} for settings that don't fit
 */
export function headOf(
  head: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>>,
  name: string,
): PromptSetHead {
  const { name: ownName = name, baseline = null, settings, labels = [] } = headShape.parse(head);
  const schema = z.record(z.string(), z.unknown()).safeParse(defaults["schema"]).data;
  return {
    name: ownName,
    baseline,
    rubric: head["rubric"] ?? null,
    settings: settingsOf(settings, schema, name),
    labels,
  };
}

const isExtract = (job: Readonly<Record<string, unknown>>) => job["task"] === "extract";

/** A job that says what is sent needs no format; what a table's columns are called may say the rest. */
function formatFor(
  job: Readonly<Record<string, unknown>>,
  { table, name, direct }: JobSource,
): RowFormat | null {
  const says = job["prompt"] !== undefined || job["messages"] !== undefined || job["turns"] !== undefined;
  if (says) {
    return direct || table.columns.some((one) => one.startsWith("__expected"))
      ? columnsBesides(table.columns)
      : null;
  }
  const format = rowFormat(table);
  if (format !== null) return format;
  const columns = table.columns.map((one) => JSON.stringify(one)).join(", ");
  const example = guessJob(columnFacts(table)).text ?? table.columns[0] ?? "text";
  throw new UserError(
    direct
      ? `${table.source} has the columns ${columns}, and none is called prompt: say what to send with ` +
        `--template "…{{${example}}}…", or make a job of it with deno task quality new ${table.source}`
      : `job ${name}: "prompt" is missing: say what to send, as in "Classify: {{${example}}}" (columns: ${columns})`,
  );
}

function rawCase(
  { number, place, values }: CaseTable["rows"][number],
  templates: Readonly<Record<string, unknown>>,
  format: RowFormat | null,
  extract: boolean,
): RawCase {
  const faults: string[] = [];
  const item: Record<string, unknown> = { ...format?.item(values) };
  for (const [field, template] of Object.entries(templates)) {
    if (field === "turns" && Array.isArray(template)) {
      // A conversation may have fewer turns than the table has columns for them.
      item[field] = template.filter((one) =>
        columnsOf(one).every((name) => valueOf(values, name) !== undefined)
      )
        .map((one) => fill(one, values, () => ""));
      continue;
    }
    item[field] = fill(template, values, (column) => {
      if (column === "document") return "{{document}}";
      // A record's field that the text doesn't state is null.
      if (field === "expected" && extract && typeof template === "object") return null;
      faults.push(`${place}, column ${column}: no value`);
      return "";
    });
  }
  if (item["id"] !== undefined) item["id"] = idText(item["id"]);
  const columns = (field: string) =>
    field in templates ? columnsOf(templates[field]) : format?.columnsOf(field) ?? [];
  return { place, id: `c${number}`, item: jsonCells(item), faults: [...new Set(faults)], columnsOf: columns };
}

/** Lists that stand in a cell of a table as JSON. */
function jsonCells(item: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(item).map(([field, value]) => {
      const isList = LISTS.includes(field) && typeof value === "string" && /^\s*\[/.test(value);
      return [field, isList ? jsonOrText(value) : value];
    }),
  );
}

function withRead(raw: RawCase, withFiles: WithFiles): RawCase {
  try {
    return { ...raw, item: withFiles(raw.item) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ...raw, faults: [`${raw.place}: ${error.message}`] };
  }
}
