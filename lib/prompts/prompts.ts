/** Prompt sets: what every candidate is asked. Read and checked once, and hashed so that a run can name them. */
import { createHash } from "node:crypto";
import { basename, extname } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { readTextFile } from "../text_file.ts";
import { type Anchor, type AnswerCheck, parseAnchors, parseChecks } from "./checks.ts";
import type { RequestSettings, ToolCall, ToolDefinition } from "./request_settings.ts";

/** One message of a chat, in the OpenAI protocol's words. */
export interface PromptMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  /** Empty where an assistant's message only calls tools. */
  readonly content: string;
  /** Calls that an assistant's message makes. */
  readonly tool_calls?: readonly ToolCall[];
  /** The call that a tool's message answers. */
  readonly tool_call_id?: string;
}

export interface Prompt {
  readonly id: string;
  readonly messages: readonly PromptMessage[];
  /** The kind of task (`summarize`, `code` …); null where the set doesn't say. */
  readonly task: string | null;
  /** What a good answer contains: read by people, and by a judge. */
  readonly aspects: readonly string[];
  /** Deterministic checks: what lib/quality scores an answer by. */
  readonly checks: readonly AnswerCheck[];
  /** Answers of known worth: what a judge is tried on. */
  readonly anchors: readonly Anchor[];
  readonly reference: string | null;
  /** Functions that the model may call. */
  readonly tools: readonly ToolDefinition[];
  readonly settings: RequestSettings;
  /** The texts that the answer must rest on; they are part of the messages. */
  readonly documents: readonly string[];
  /** The user's further messages, each sent after the model's own answer to the one before. */
  readonly turns: readonly string[];
  /** Other messages for the same case, by the wording's name. */
  readonly wordings: ReadonlyMap<string, readonly PromptMessage[]>;
  /** What a draw is stratified by: the expected label; null where there is none. */
  readonly label: string | null;
  /** SHA-256 of what is sent (messages, tools, settings, turns), as lower-case hex. */
  readonly sha256: string;
}

export interface PromptSet {
  readonly name: string;
  /** SHA-256 over the ids and messages of all prompts, in order. */
  readonly sha256: string;
  /** The model that a choice must beat (an alias of the registry): an adapter; null where the set names none. */
  readonly baseline: string | null;
  /** Settings of every request of the set, unless its case has its own. */
  readonly settings: RequestSettings;
  /** What a case may be classified as; empty where nothing is classified. */
  readonly labels: readonly string[];
  readonly prompts: readonly Prompt[];
}

const text = z.string("a text").trim().min(1, "a text that is not empty");
const content = z.string("a text: parts such as images are not supported, so join the texts of the parts")
  .trim()
  .min(1, "a text that is not empty");
const id = z.string('a text in quotes, such as "7"').regex(
  /^[\w.-]{1,64}$/,
  "up to 64 letters, digits, _, - or .",
);
const role = z.enum(["system", "user", "assistant"], {
  error: ({ input }) =>
    `system, user or assistant${input === "developer" ? '; "developer" is called system here' : ""}`,
});
const message = z.strictObject({ role, content }, {
  error: 'an object with "role" and "content"',
});

const extras = z.strictObject({
  id: id.optional(),
  task: text.optional(),
  aspects: z.array(text, "a list of texts").optional(),
  checks: z.array(z.unknown(), "a list of checks").optional(),
  anchors: z.array(z.unknown(), "a list of anchored answers").optional(),
  reference: text.optional(),
});
const single = extras.extend({ prompt: text, system: text.optional() });
const conversation = extras.extend({
  messages: z.array(message, "a list of messages").min(1, "at least one message"),
});

const prompts = z.array(z.unknown(), "a list of prompts").min(1, "at least one prompt");
const setObject = z.strictObject({
  $schema: z.string().optional(),
  description: z.string("a text").optional(),
  name: text.optional(),
  baseline: text.optional(),
  prompts,
});

type PromptShape = string | z.infer<typeof single> | z.infer<typeof conversation>;

const hash = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/** Hash of what a model is asked: the same messages have the same hash in every set. */
function hashMessages(messages: readonly PromptMessage[]): string {
  return hash(messages.map(({ role, content }) => [role, content]));
}

/**
 * Checks a prompt set that was read from JSON: a plain array of strings, an array of prompt objects, or an
 * object with `name` and `prompts`. Prompts without an id are called p1, p2 … in their order.
 *
 * @param json the parsed JSON, of any shape
 * @param name the name of a set that states none, and the set's name in messages
 * @throws {UserError} one message with every fault: the place, the value, and what is expected
 *
 * ```ts
 * const set = parsePromptSet(["Say hello.", { id: "bye", system: "Be brief.", prompt: "Say goodbye." }], "greetings");
 * const ids = set.prompts.map((prompt) => prompt.id);
 * if (ids.join() !== "p1,bye") throw new Error(ids.join());
 * if (set.prompts[1]?.messages[0]?.role !== "system") throw new Error("the system message comes first");
 * ```
 */
export function parsePromptSet(json: unknown, name: string): PromptSet {
  const listed = Array.isArray(json);
  if (!listed && (typeof json !== "object" || json === null)) {
    throw new UserError(
      `prompt set ${name}: the document is ${
        show(json)
      }, expected a list of prompts, or an object with "prompts"`,
    );
  }
  const outer = listed ? prompts.safeParse(json) : setObject.safeParse(json);
  const found: string[] = outer.success ? [] : faults(json, outer.error, []);
  const items: unknown = listed ? json : Reflect.get(json, "prompts");
  const shapes = Array.isArray(items)
    ? items.map((item: unknown, index) => readPrompt(item, listed ? [index] : ["prompts", index], found))
    : [];
  if (found.length > 0) throw new UserError(`prompt set ${name}: ${found.join("; ")}`);
  const read = shapes.flatMap((shape, index) => shape === null ? [] : [toPrompt(shape, index, name)]);
  const repeated = read.find((prompt, at) => read.findIndex(({ id }) => id === prompt.id) < at);
  if (repeated) {
    throw new UserError(`prompt set ${name}: the id "${repeated.id}" occurs twice: give each prompt its own`);
  }
  const own = (key: "name" | "baseline"): unknown => listed ? undefined : Reflect.get(json, key);
  const [ownName, baseline] = [own("name"), own("baseline")];
  return {
    name: typeof ownName === "string" ? ownName.trim() : name,
    sha256: hash(read.map((prompt) => [prompt.id, prompt.sha256])),
    baseline: typeof baseline === "string" ? baseline.trim() : null,
    settings: {},
    labels: [],
    prompts: read,
  };
}

/** One prompt in any of its three shapes; null where it has faults, which are added to `found`. */
function readPrompt(json: unknown, path: readonly PropertyKey[], found: string[]): PromptShape | null {
  const shape = typeof json !== "object" || json === null
    ? z.string('a text, or an object with "prompt" (and "system"), or with "messages"').trim().min(
      1,
      "a text that is not empty",
    )
    : "messages" in json
    ? conversation
    : single;
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  found.push(...faults(json, parsed.error, path));
  return null;
}

function toPrompt(shape: PromptShape, index: number, set: string): Prompt {
  const given = typeof shape === "string" ? { prompt: shape } : shape;
  const messages = "messages" in given ? given.messages : userMessages(given);
  const { task, aspects, reference, ...more }: Partial<z.infer<typeof extras>> = given;
  const id = more.id ?? `p${index + 1}`;
  const where = `prompt set ${set}, prompt "${id}"`;
  return {
    id,
    messages,
    task: task ?? null,
    aspects: aspects ?? [],
    checks: parseChecks(more.checks ?? [], where),
    anchors: parseAnchors(more.anchors ?? [], where),
    reference: reference ?? null,
    tools: [],
    settings: {},
    documents: [],
    turns: [],
    wordings: new Map(),
    label: null,
    sha256: hashMessages(messages),
  };
}

function userMessages(given: { prompt: string; system?: string | undefined }): PromptMessage[] {
  const user: PromptMessage = { role: "user", content: given.prompt };
  return given.system === undefined ? [user] : [{ role: "system", content: given.system }, user];
}

/** Every fault with its place. */
function faults(json: unknown, error: z.ZodError, base: readonly PropertyKey[]): string[] {
  return error.issues.flatMap((issue) => {
    const place = placeText([...base, ...issue.path]);
    if (issue.code === "unrecognized_keys") {
      const keys = issue.keys.map((key) => JSON.stringify(key)).join(", ");
      return [`${place} has the unknown key ${keys}`];
    }
    return [`${place} is ${show(valueAt(json, issue.path))}, expected ${issue.message}`];
  });
}

const placeText = (path: readonly PropertyKey[]) =>
  path.length === 0
    ? "the document"
    : path.map((step, at) => typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${String(step)}`)
      .join("");

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined,
    json,
  );
}

function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/**
 * Reads a prompt set from a JSON file.
 *
 * @throws {UserError} when the file can't be read, is not JSON, or is not a prompt set
 *
 * ```ts ignore
 * const set = await loadPromptSet("prompts/default.json");
 * ```
 */
export async function loadPromptSet(path: string): Promise<PromptSet> {
  const name = basename(path, extname(path));
  return parsePromptSet(parseJson(await readTextFile(path, "the prompt set"), path), name);
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

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(
      `the prompt set ${path} is not JSON (${reasonOf(error)}): give an array of strings, ` +
        `or an object with "prompts"`,
      2,
      { cause: error },
    );
  }
}
