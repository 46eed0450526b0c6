/** What a case may hold in a file, field by field; every message says what the field takes. */
import { z } from "zod";
import { isObject } from "../bounded_json.ts";
import type { PromptMessage } from "./prompt.ts";
import type { ToolDefinition } from "./request_settings.ts";

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

/** The settings of a request, as files state them. */
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
export const single = extras.extend({ prompt: text, system: text.optional() });
export const conversation = extras.extend({ messages });

/** A checked case as JSON. */
export type CaseItem = z.infer<typeof single> | z.infer<typeof conversation>;

/** A case that is its prompt alone. */
export const bareText = z.string('a text, or an object with "prompt" (and "system"), or with "messages"')
  .trim().min(
    1,
    "a text that is not empty",
  ).transform((prompt): CaseItem => ({ prompt }));
