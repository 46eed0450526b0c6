/** Requests of the OpenAI protocol, validated once. */
import { z } from "zod";
import type { ChatMessage } from "../endpoint/trace.ts";
import type { RequestSettings, ToolDefinition } from "../prompts/request_settings.ts";
import { ApiError } from "./api_error.ts";

/** How the next token is chosen. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly seed: number | null;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
}

/** What the answer must look like. */
export type RequestedFormat =
  | { readonly kind: "text" }
  | { readonly kind: "json" }
  | { readonly kind: "schema"; readonly schema: Record<string, unknown> };

/** One validated request for text, by either route. */
export interface AnswerRequest {
  readonly route: "chat" | "completions";
  readonly model: string;
  readonly input:
    | { readonly kind: "messages"; readonly messages: readonly ChatMessage[] }
    | { readonly kind: "text"; readonly text: string };
  /** Null: no limit but the model's end token and the context. */
  readonly maxTokens: number | null;
  readonly sampling: Sampling;
  readonly stop: readonly string[];
  /** Continue after the model's end token, so that the answer has exactly `maxTokens` tokens. */
  readonly ignoreEos: boolean;
  readonly format: RequestedFormat;
  /** Functions that the model may call; empty where it must not call any. */
  readonly tools: readonly ToolDefinition[];
  readonly toolChoice: Exclude<NonNullable<RequestSettings["toolChoice"]>, "none">;
  /** False allows one call per answer. */
  readonly parallelCalls: boolean;
  /** Variables of the chat template, such as `enable_thinking`. */
  readonly templateVariables: Readonly<Record<string, unknown>>;
  /** How many alternatives of every token come with its log-probability; null for no log-probabilities. */
  readonly logprobs: number | null;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const content = z.union([
  z.string(),
  z.array(textPart).transform((parts) => parts.map((p) => p.text).join("")),
], {
  error: "must be a string or a list of text parts; this engine reads text only",
});
const functionName = z.string().regex(/^[\w.-]{1,64}$/, {
  error: "must be 1 to 64 letters, digits, _, - or .",
});

/** A call in a message of an earlier answer. */
const madeCall = z.object({
  id: z.string(),
  function: z.object({ name: z.string(), arguments: z.string() }),
}).transform(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: text }));

const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer"]).transform(() => "system" as const), content }),
  z.object({ role: z.literal("user"), content }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish().transform((text) => text ?? ""),
    tool_calls: z.array(madeCall).nullish(),
  }).transform(({ tool_calls, ...rest }) => tool_calls ? { ...rest, tool_calls } : rest),
  z.object({ role: z.literal("tool"), content, tool_call_id: z.string() }),
], { error: "must have the role system, developer, user, assistant or tool" });

const tool = z.object({
  type: z.literal("function"),
  function: z.object({
    name: functionName,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
  }),
}).transform(({ function: { name, description, parameters } }): ToolDefinition => ({
  name,
  ...(description ? { description } : {}),
  ...(parameters ? { parameters } : {}),
}));

const toolChoice = z.union([
  z.enum(["auto", "none", "required"]),
  z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) })
    .transform(({ function: { name } }) => ({ name })),
], { error: "must be auto, none, required or {type: function, function: {name}}" });

const tokenLimit = z.int().min(1).max(1_000_000);

/** Fields that both routes share. Unknown fields are ignored: clients send many. */
const common = {
  model: z.string().min(1),
  max_tokens: tokenLimit.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: z.int().nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(16)], {
    error: "must be a string or a list of at most 16 strings",
  }).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  ignore_eos: z.boolean().nullish(),
  n: z.literal(1, { error: "must be 1: this engine gives one answer per request" }).nullish(),
};

const responseFormat = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
  z.object({
    type: z.literal("json_schema"),
    json_schema: z.object({ schema: z.record(z.string(), z.unknown()) }),
  }),
], { error: "must be {type: text}, {type: json_object} or {type: json_schema, json_schema: {schema}}" });

/** OpenAI's own limit. */
const MOST_LOGPROBS = 20;
const unsupported = "is not supported by this engine";
const chatRequest = z.object({
  ...common,
  messages: z.array(message).min(1),
  max_completion_tokens: tokenLimit.nullish(),
  response_format: responseFormat.nullish(),
  tools: z.array(tool).max(128).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  functions: z.array(z.unknown()).max(0, { error: "is what tools were called before: send tools" }).nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MOST_LOGPROBS).nullish(),
});

const completionRequest = z.object({
  ...common,
  prompt: z.union([z.string(), z.tuple([z.string()]).transform(([only]) => only)], {
    error: "must be one string",
  }),
  echo: z.literal(false, { error: unsupported }).nullish(),
  logprobs: z.literal(0, { error: unsupported }).nullish(),
  best_of: z.literal(1, { error: unsupported }).nullish(),
});

/** OpenAI's own default for /v1/completions. */
const completionDefaultTokens = 16;
/** llama.cpp's own default; the protocol does not define one. */
const defaultTopK = 40;

/**
 * Reads the body of `POST /v1/chat/completions`.
 *
 * @throws {ApiError} 400 naming the first field that is wrong
 *
 * ```ts
 * const request = parseChat({ model: "m", messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 8 });
 * if (request.maxTokens !== 8 || request.stream) throw new Error("read as written");
 * ```
 */
export function parseChat(body: unknown): AnswerRequest {
  const request = parse(chatRequest, body);
  return {
    ...sharedFields(request),
    route: "chat",
    input: { kind: "messages", messages: request.messages },
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
    format: formatOf(request.response_format),
    ...toolsOf(request),
    templateVariables: request.chat_template_kwargs ?? {},
    logprobs: request.logprobs === true ? request.top_logprobs ?? 0 : null,
  };
}

/** The tools that may be called; none with the choice `none`. */
function toolsOf(
  request: z.output<typeof chatRequest>,
): Pick<AnswerRequest, "tools" | "toolChoice" | "parallelCalls"> {
  const tools = request.tools ?? [];
  const choice = request.tool_choice ?? "auto";
  const refuse = (why: string) => new ApiError(400, `'tool_choice' ${why}`, { param: "tool_choice" });
  if (tools.length === 0 && choice !== "auto" && choice !== "none") throw refuse("needs tools");
  if (typeof choice === "object" && !tools.some(({ name }) => name === choice.name)) {
    throw refuse(`names '${choice.name.slice(0, 100)}', which is not among the tools`);
  }
  const repeated = tools.find(({ name }, at) => tools.findIndex((one) => one.name === name) < at);
  if (repeated !== undefined) {
    throw new ApiError(400, `'tools' hold '${repeated.name}' twice`, { param: "tools" });
  }
  const parallelCalls = request.parallel_tool_calls !== false;
  if (choice === "none") return { tools: [], toolChoice: "auto", parallelCalls };
  const format = request.response_format?.type ?? "text";
  if (tools.length > 0 && format !== "text") {
    throw new ApiError(400, "'response_format' can't be combined with tools: leave one of them out", {
      param: "response_format",
    });
  }
  return { tools, toolChoice: choice, parallelCalls };
}

/**
 * Reads the body of `POST /v1/completions`.
 *
 * @throws {ApiError} 400 naming the first field that is wrong
 *
 * ```ts
 * const request = parseCompletion({ model: "m", prompt: "Once upon" });
 * if (request.maxTokens !== 16) throw new Error("the protocol's default");
 * ```
 */
export function parseCompletion(body: unknown): AnswerRequest {
  const request = parse(completionRequest, body);
  return {
    ...sharedFields(request),
    route: "completions",
    input: { kind: "text", text: request.prompt },
    maxTokens: request.max_tokens ?? completionDefaultTokens,
    format: { kind: "text" },
    tools: [],
    toolChoice: "auto",
    parallelCalls: true,
    templateVariables: {},
    logprobs: null,
  };
}

/** One validated request for vectors. */
export interface EmbeddingRequest {
  readonly model: string;
  readonly texts: readonly string[];
  /** Vectors as the bytes of 32-bit floats, in base64, as OpenAI's clients request by default. */
  readonly base64: boolean;
}

const embeddingRequest = z.object({
  model: z.string().min(1),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(2048)], {
    error: "must be a text or a list of up to 2048 texts, none of them empty",
  }),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.null({ error: "is not supported by this engine: vectors have the model's own length" })
    .optional(),
});

/**
 * Reads the body of `POST /v1/embeddings`.
 *
 * @throws {ApiError} 400 naming the first field that is wrong
 *
 * ```ts
 * if (parseEmbedding({ model: "m", input: "Hello" }).texts[0] !== "Hello") throw new Error("one text");
 * ```
 */
export function parseEmbedding(body: unknown): EmbeddingRequest {
  const { model, input, encoding_format } = parse(embeddingRequest, body);
  return { model, texts: typeof input === "string" ? [input] : input, base64: encoding_format === "base64" };
}

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined) throw new ApiError(400, "the request is not valid");
  const param = issue.path.join(".");
  if (param === "") throw new ApiError(400, "the request body must be a JSON object");
  throw new ApiError(400, `'${param}' ${faultOf(issue.message)}`, { param });
}

/** Zod's standard messages, worded to follow the field's name. */
function faultOf(message: string): string {
  if (/received undefined$/.test(message)) return "is missing";
  return message
    .replace(/^Invalid input: expected (.+), received (.+)$/, "must be $1, not $2")
    .replace(/^(Too small|Too big): expected \w+ to (?:be|have) /, "must be ")
    .replace(/^Invalid option: expected one of /, "must be one of ")
    .replace(/^Invalid input: expected /, "must be ");
}

/** The fields that both routes share, with the protocol's defaults. */
function sharedFields(request: z.output<typeof completionRequest> | z.output<typeof chatRequest>) {
  const stop = request.stop ?? [];
  return {
    model: request.model,
    sampling: {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      topK: request.top_k ?? defaultTopK,
      minP: request.min_p ?? 0,
      seed: request.seed ?? null,
      presencePenalty: request.presence_penalty ?? 0,
      frequencyPenalty: request.frequency_penalty ?? 0,
    },
    stop: typeof stop === "string" ? [stop] : stop,
    ignoreEos: request.ignore_eos ?? false,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}

function formatOf(format: z.output<typeof responseFormat> | null | undefined): RequestedFormat {
  if (format?.type === "json_schema") return { kind: "schema", schema: format.json_schema.schema };
  return { kind: format?.type === "json_object" ? "json" : "text" };
}
