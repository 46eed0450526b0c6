/**
 * One case as JSON, checked (`readCase`) and turned into a `Prompt` (`toPrompt`): the cases of a prompt set
 * come here from `prompts.ts`, the rows of a job or table from `job_cases.ts`.
 */
import type { z } from "zod";
import { isObject } from "../bounded_json.ts";
import { UserError } from "../errors.ts";
import { bareText, type CaseItem, conversation, type settingsShape, single } from "./case_shape.ts";
import { parseAnchors, parseChecks } from "./checks.ts";
import { stratumOf, taskCheck } from "./expected.ts";
import { hashOfCase, type Prompt, type PromptMessage } from "./prompt.ts";
import type { RequestSettings } from "./request_settings.ts";

/** A set's values for all its cases; a case's own value takes precedence. */
export type CaseDefaults = Readonly<Record<string, unknown>>;

/** Defaults that only cases without a list of messages take. */
const OF_SINGLE = ["system", "prompt", "wordings"];

/** A case that was read, or every fault of it: its path below `given`, the case with what its set says. */
export type ReadCase = { readonly value: CaseItem } | {
  readonly faults: readonly z.core.$ZodIssue[];
  readonly given: unknown;
};

/** Checks one case. A text alone is its prompt; the first of its `turns` is, where it has no prompt. */
export function readCase(json: unknown, defaults: CaseDefaults = {}): ReadCase {
  const plain = typeof json === "string" && json.trim() !== "" ? { prompt: json } : json;
  if (!isObject(plain)) return outcome(bareText.safeParse(json), json);
  const talks = "messages" in plain;
  const given = Object.entries({ ...defaults, ...plain }).filter(([key, value]) =>
    value !== undefined && !(talks && OF_SINGLE.includes(key) && !(key in plain))
  );
  const merged: Record<string, unknown> = Object.fromEntries(given);
  if (isObject(defaults["settings"]) && isObject(merged["settings"])) {
    merged["settings"] = { ...defaults["settings"], ...merged["settings"] };
  }
  if (!talks && merged["prompt"] === undefined && Array.isArray(merged["turns"])) {
    [merged["prompt"], ...merged["turns"]] = merged["turns"];
  }
  return outcome(talks ? conversation.safeParse(merged) : single.safeParse(merged), merged);
}

function outcome(
  parsed: { success: true; data: CaseItem } | { success: false; error: z.ZodError },
  given: unknown,
): ReadCase {
  return parsed.success ? { value: parsed.data } : { faults: parsed.error.issues, given };
}

/**
 * The case as the rest of Podium uses it.
 *
 * @param id its id where it states none
 * @param where names it in messages
 * @throws {UserError} for checks, anchors or an expected value that don't fit
 */
export function toPrompt(item: CaseItem, id: string, where: string): Prompt {
  const documents = (item.documents ?? []).map((one) => one.text);
  const withDocuments = (text: string) =>
    documents.length === 0 ? text : text.replaceAll(/\{\{\s*document\s*\}\}/g, () => documents.join("\n\n"));
  const said = (prompt: string, system: string | undefined): PromptMessage[] => [
    ...(system === undefined ? [] : [{ role: "system" as const, content: withDocuments(system) }]),
    { role: "user", content: withDocuments(prompt) },
  ];
  const wordings = Object.entries(item.wordings ?? {}).map(([name, one]): [string, PromptMessage[]] => {
    if (Array.isArray(one)) return [name, one];
    if ("messages" in item) {
      throw new UserError(`${where}: a case with "messages" takes wordings that are lists of messages`);
    }
    const own = typeof one === "string" ? { prompt: one } : one;
    return [name, said(own.prompt ?? item.prompt, own.system ?? item.system)];
  });
  const expected = expectedCheck(item, where);
  const checks = parseChecks([...(expected === null ? [] : [expected]), ...(item.checks ?? [])], where);
  const sent = {
    messages: "messages" in item ? item.messages : said(item.prompt, item.system),
    tools: item.tools ?? [],
    settings: settingsOf(item.settings, item.schema ?? labelSchema(checks), where),
    turns: item.turns ?? [],
  };
  return {
    id: item.id ?? id,
    ...sent,
    task: item.task ?? null,
    aspects: item.aspects ?? [],
    checks,
    anchors: parseAnchors(item.anchors ?? [], where),
    reference: item.reference ?? null,
    documents,
    wordings: new Map(wordings),
    label: stratumOf(checks),
    sha256: hashOfCase(sent),
  };
}

/** The schema of an answer where decoding is constrained to the labels: `{"label": "bug"}`. */
function labelSchema(checks: Prompt["checks"]): RequestSettings["schema"] {
  const labelled = checks.find((check) => check.kind === "label");
  return labelled === undefined ? undefined : {
    type: "object",
    properties: { label: { type: "string", enum: labelled.labels } },
    required: ["label"],
    additionalProperties: false,
  };
}

function expectedCheck(item: CaseItem, where: string): Record<string, unknown> | null {
  try {
    return taskCheck(item);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`, 2, { cause: error });
    throw error;
  }
}

/**
 * A file's settings in the protocol's words as a request takes them.
 *
 * @throws {UserError} where answers are to fit a schema and there is none
 */
export function settingsOf(
  settings: z.infer<typeof settingsShape> = {},
  schema: RequestSettings["schema"],
  where: string,
): RequestSettings {
  const { max_tokens, response_format, tool_choice, ...same } = settings;
  if (response_format === "schema" && schema === undefined) {
    throw new UserError(`${where}: "response_format" is "schema", and there is no "schema"`);
  }
  return {
    ...same,
    ...(max_tokens === undefined ? {} : { maxTokens: max_tokens }),
    ...(response_format === undefined ? {} : { format: response_format }),
    ...(schema === undefined ? {} : { schema }),
    ...(tool_choice === undefined ? {} : { toolChoice: tool_choice }),
  };
}

/** A case as JSON that `readCase` reads back to the same: files that it named are part of it. */
export function caseJson(prompt: Prompt): Record<string, unknown> {
  const { id, task, messages, aspects, checks, anchors, reference, tools, settings, documents, turns } =
    prompt;
  const [first, second, ...others] = messages;
  const plain = others.length === 0 &&
    (second === undefined ? first?.role === "user" : first?.role === "system" && second.role === "user");
  const given: Record<string, unknown> = {
    id,
    task,
    ...(plain && documents.length === 0
      ? second === undefined ? { prompt: first?.content } : { system: first?.content, prompt: second.content }
      : { messages: messages.map(messageJson) }),
    aspects,
    checks,
    anchors,
    reference,
    tools: tools.map((one) => ({ type: "function", function: one })),
    ...settingsJson(settings),
    documents: documents.map((text) => ({ text })),
    turns,
    wordings: Object.fromEntries([...prompt.wordings].map(([name, said]) => [name, said.map(messageJson)])),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => !isEmpty(value)));
}

/** Settings as `settings` and `schema` of a file state them. */
export function settingsJson(given: RequestSettings): Record<string, unknown> {
  const { maxTokens, format, toolChoice, schema, ...same } = given;
  const settings = {
    ...same,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(format === undefined ? {} : { response_format: format }),
    ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }),
  };
  return {
    ...(schema === undefined ? {} : { schema }),
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
  };
}

function messageJson({ tool_calls, ...message }: PromptMessage): Record<string, unknown> {
  return tool_calls === undefined ? message : {
    ...message,
    tool_calls: tool_calls.map(({ id, ...call }) => ({ id, type: "function", function: call })),
  };
}

const isEmpty = (value: unknown) =>
  value === undefined || value === null ||
  typeof value === "object" && Object.keys(value).length === 0;
