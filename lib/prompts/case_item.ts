/**
 * One case as JSON, checked (`readCase`) and turned into a `Prompt` (`toPrompt`): the cases of a prompt set
 * come here from `prompts.ts`, the rows of a job or table from `job_cases.ts`.
 */
import { z } from "zod";
import { isObject } from "../bounded_json.ts";
import { UserError } from "../errors.ts";
import { parseAnchors, parseChecks } from "./checks.ts";
import { stratumOf, taskCheck } from "./expected.ts";
import { hashOfCase, type Prompt, type PromptMessage } from "./prompt.ts";
import type { RequestSettings, ToolDefinition } from "./request_settings.ts";

export const text = z.string("a text").trim().min(1, "a text that is not empty");
const content = z.string("a text: parts such as images are not supported, so join the texts of the parts")
  .trim()
  .min(1, "a text that is not empty");
const id = z.string('a text in quotes, such as "7"').regex(
  /^[\w.-]{1,64}$/,
  "up to 64 letters, digits, _, - or .",
);
const role = z.enum(["system", "user", "assistant"], {
  error: ({ input }) =>
    "system, user or assistant" +
    (input === "developer"
      ? '; "developer" is called system here'
      : input === "tool"
      ? "; a tool's message has a tool_call_id"
      : ""),
});

/** A call in OpenAI's shape, or flat; its arguments are JSON text or the object itself. */
const jsonText = z.union([
  z.string(),
  z.record(z.string(), z.unknown()).transform((one) => JSON.stringify(one)),
]);
const call = z.union([
  z.strictObject({
    id: z.string(),
    type: z.literal("function").optional(),
    function: z.strictObject({ name: text, arguments: jsonText }),
  }).transform(({ id, function: { name, arguments: given } }) => ({ id, name, arguments: given })),
  z.strictObject({ id: z.string(), name: text, arguments: jsonText }),
], 'a call: {"id", "type": "function", "function": {"name", "arguments"}}');
const spoken = z.strictObject({ role, content }, { error: 'an object with "role" and "content"' });
const calling = z.strictObject({
  role: z.literal("assistant"),
  content: z.string().trim().nullish().transform((one) => one ?? ""),
  tool_calls: z.array(call).min(1),
});
const toolAnswer = z.strictObject({ role: z.literal("tool"), content, tool_call_id: z.string() });

/** A message; those of tools, and those that call them, have fields of their own. */
const message = z.unknown().transform((input, context): PromptMessage => {
  const fields = isObject(input) ? input : {};
  const shape = "tool_calls" in fields ? calling : "tool_call_id" in fields ? toolAnswer : spoken;
  const parsed = shape.safeParse(input);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const { path, message } = issue;
    context.addIssue(
      issue.code === "unrecognized_keys"
        ? { code: issue.code, keys: issue.keys, path, message, input: {} }
        : { code: "custom", path, message },
    );
  }
  return z.NEVER;
});

const toolShape = z.strictObject({
  name: text,
  description: z.string().exactOptional(),
  parameters: z.record(z.string(), z.unknown()).exactOptional(),
  strict: z.boolean().nullish(),
}).transform(({ strict: _, ...tool }): ToolDefinition => tool);
const tool = z.union(
  [
    z.strictObject({ type: z.literal("function"), function: toolShape }).transform((one) => one.function),
    toolShape,
  ],
  'a tool: {"type": "function", "function": {"name", "description", "parameters"}}',
);

export const settingsShape = z.strictObject({
  max_tokens: z.int("a whole number").positive("above 0").exactOptional(),
  temperature: z.number("a number").min(0).max(2).exactOptional(),
  stop: z.union(
    [z.string().min(1).transform((one) => [one]), z.array(z.string().min(1))],
    "a text or a list of texts",
  )
    .exactOptional(),
  response_format: z.enum(["free", "json", "schema"], "free, json or schema").exactOptional(),
  tool_choice: z.union([z.enum(["auto", "none", "required"]), z.strictObject({ name: text })], {
    error: 'auto, none, required or {"name": …}',
  }).exactOptional(),
  thinking: z.union([z.enum(["on", "off"]), z.int().nonnegative()], "on, off or a number of tokens")
    .exactOptional(),
}, "an object of settings");

const messages = z.array(message, "a list of messages").min(1, "at least one message");
const wording = z.union([
  text,
  z.strictObject({ prompt: text.optional(), system: text.optional() }),
  messages,
], 'a text, an object with "prompt" and "system", or a list of messages');
const schemaShape = z.record(z.string(), z.unknown(), "a JSON schema, or the path of one");

const extras = z.strictObject({
  id: id.optional(),
  task: text.optional(),
  aspects: z.array(text, "a list of texts").optional(),
  checks: z.array(z.unknown(), "a list of checks").optional(),
  anchors: z.array(z.unknown(), "a list of anchored answers").optional(),
  reference: text.optional(),
  expected: z.unknown().optional(),
  labels: z.array(text, "a list of labels").optional(),
  schema: schemaShape.optional(),
  fields: z.record(z.string(), z.unknown(), "an object of rules by field").optional(),
  tools: z.array(tool, "a list of tools, or the path of one").optional(),
  documents: z.array(
    z.strictObject({ text }, 'an object with "text": a path is read where the set comes from a file'),
    "a list of paths, or of objects with a text",
  ).optional(),
  tests: text.optional(),
  turns: z.array(text, "a list of the user's messages").optional(),
  settings: settingsShape.optional(),
  wordings: z.record(z.string().regex(/^[\w.-]+$/, "a name of letters, digits, _, - or ."), wording)
    .optional(),
});
const single = extras.extend({ prompt: text, system: text.optional() });
const conversation = extras.extend({ messages });

/** A checked case as JSON. */
type CaseItem = z.infer<typeof single> | z.infer<typeof conversation>;

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

const bareText = z.string('a text, or an object with "prompt" (and "system"), or with "messages"').trim().min(
  1,
  "a text that is not empty",
).transform((prompt): CaseItem => ({ prompt }));

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
