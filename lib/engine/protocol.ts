/**
 * The OpenAI protocol's shapes: requests as they come (validated once, here), answers, chunks and errors as
 * they go out. Nothing in this file knows how text is generated.
 */
import { z } from "zod";
import type { ChatMessage } from "../endpoint/trace.ts";

/** A refusal in OpenAI's shape; `status` is the HTTP status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | null;
  readonly code: string | null;

  constructor(readonly status: number, message: string, detail: { param?: string; code?: string } = {}) {
    super(message);
    this.param = detail.param ?? null;
    this.code = detail.code ?? null;
  }

  /** `{error: {message, type, param, code}}` with the right status. */
  toResponse(): Response {
    return Response.json(errorBody(this), { status: this.status });
  }
}

/**
 * The body of an error answer.
 *
 * ```ts
 * const body = errorBody(new ApiError(404, "no such model", { param: "model", code: "model_not_found" }));
 * if (body.error.type !== "invalid_request_error") throw new Error("4xx is the client's");
 * ```
 */
export function errorBody(error: ApiError) {
  const type = error.status === 401
    ? "authentication_error"
    : error.status >= 500
    ? "server_error"
    : "invalid_request_error";
  return { error: { message: error.message, type, param: error.param, code: error.code } };
}

/** How the next token is picked. */
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
export type AnswerFormat =
  | { readonly kind: "text" }
  | { readonly kind: "json" }
  | { readonly kind: "schema"; readonly schema: Record<string, unknown> };

/** One request, whatever route it came by. */
export interface Job {
  readonly route: "chat" | "completions";
  readonly model: string;
  readonly input:
    | { readonly kind: "messages"; readonly messages: readonly ChatMessage[] }
    | { readonly kind: "text"; readonly text: string };
  /** Null: until the model ends or the context is full. */
  readonly maxTokens: number | null;
  readonly sampling: Sampling;
  readonly stop: readonly string[];
  /** Go on past the model's end token, so that the answer has exactly `maxTokens` tokens. */
  readonly ignoreEos: boolean;
  readonly format: AnswerFormat;
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
const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant"]).transform((role) =>
    role === "developer" ? "system" as const : role
  ),
  content,
});

const tokenLimit = z.int().min(1).max(1_000_000);

/** Fields that both routes share. Unknown fields are let through: clients send many. */
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
  n: z.literal(1, { error: "must be 1: this engine gives one answer a request" }).nullish(),
};

const responseFormat = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
  z.object({
    type: z.literal("json_schema"),
    json_schema: z.object({ schema: z.record(z.string(), z.unknown()) }),
  }),
], { error: "must be {type: text}, {type: json_object} or {type: json_schema, json_schema: {schema}}" });

const unsupported = "is not supported by this engine";
const chatRequest = z.object({
  ...common,
  messages: z.array(message).min(1),
  max_completion_tokens: tokenLimit.nullish(),
  response_format: responseFormat.nullish(),
  tools: z.array(z.unknown()).max(0, { error: unsupported }).nullish(),
  logprobs: z.literal(false, { error: unsupported }).nullish(),
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
/** llama.cpp's own default; the protocol has no word for it. */
const defaultTopK = 40;

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined) throw new ApiError(400, "the request is not valid");
  const param = issue.path.join(".");
  if (param === "") throw new ApiError(400, "the request body must be a JSON object");
  throw new ApiError(400, `'${param}' ${inWords(issue.message)}`, { param });
}

/** Zod's standard messages, as the rest of a sentence about the field. */
function inWords(message: string): string {
  if (/received undefined$/.test(message)) return "is missing";
  return message
    .replace(/^Invalid input: expected (.+), received (.+)$/, "must be $1, not $2")
    .replace(/^(Too small|Too big): expected \w+ to (?:be|have) /, "must be ")
    .replace(/^Invalid option: expected one of /, "must be one of ")
    .replace(/^Invalid input: expected /, "must be ");
}

function samplingOf(request: z.output<typeof completionRequest> | z.output<typeof chatRequest>): Sampling {
  return {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? defaultTopK,
    minP: request.min_p ?? 0,
    seed: request.seed ?? null,
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
  };
}

function sharedFields(request: z.output<typeof completionRequest> | z.output<typeof chatRequest>) {
  const stop = request.stop ?? [];
  return {
    model: request.model,
    sampling: samplingOf(request),
    stop: typeof stop === "string" ? [stop] : stop,
    ignoreEos: request.ignore_eos ?? false,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}

function formatOf(format: z.output<typeof responseFormat> | null | undefined): AnswerFormat {
  if (format?.type === "json_schema") return { kind: "schema", schema: format.json_schema.schema };
  return { kind: format?.type === "json_object" ? "json" : "text" };
}

/**
 * Reads the body of `POST /v1/chat/completions`.
 *
 * @throws {ApiError} 400 naming the first field that is wrong
 *
 * ```ts
 * const job = parseChat({ model: "m", messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 8 });
 * if (job.maxTokens !== 8 || job.stream) throw new Error("read as written");
 * ```
 */
export function parseChat(body: unknown): Job {
  const request = parse(chatRequest, body);
  return {
    ...sharedFields(request),
    route: "chat",
    input: { kind: "messages", messages: request.messages },
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
    format: formatOf(request.response_format),
  };
}

/**
 * Reads the body of `POST /v1/completions`.
 *
 * @throws {ApiError} 400 naming the first field that is wrong
 *
 * ```ts
 * const job = parseCompletion({ model: "m", prompt: "Once upon" });
 * if (job.maxTokens !== 16) throw new Error("the protocol's default");
 * ```
 */
export function parseCompletion(body: unknown): Job {
  const request = parse(completionRequest, body);
  return {
    ...sharedFields(request),
    route: "completions",
    input: { kind: "text", text: request.prompt },
    maxTokens: request.max_tokens ?? completionDefaultTokens,
    format: { kind: "text" },
  };
}

/** What came of one job. Times are milliseconds on the engine's monotonic clock. */
export interface Generated {
  readonly finishReason: "stop" | "length";
  readonly promptTokens: number;
  /** Prompt tokens that the engine had evaluated before and did not again. */
  readonly cachedTokens: number;
  /** Tokens of the answer; the end token is not one of them. */
  readonly outputTokens: number;
  /** From the start of work on this request to its first token; waiting in the queue is not in it. */
  readonly promptMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

/** OpenAI's `usage`. */
export function usageOf(result: Generated) {
  return {
    prompt_tokens: result.promptTokens,
    completion_tokens: result.outputTokens,
    total_tokens: result.promptTokens + result.outputTokens,
    prompt_tokens_details: { cached_tokens: result.cachedTokens },
  };
}

/** The engine's own times, under the names that llama.cpp's server gives them. */
export function timingsOf(result: Generated) {
  return {
    cache_n: result.cachedTokens,
    prompt_n: result.promptTokens - result.cachedTokens,
    prompt_ms: round(result.promptMs),
    predicted_n: result.outputTokens,
    predicted_ms: round(result.decodeMs),
  };
}

const round = (ms: number) => Math.round(ms * 1000) / 1000;

/** What every chunk of one answer has in common. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** The answer to a request that did not ask for a stream. */
export function wholeAnswer(job: Job, head: AnswerHead, text: string, result: Generated) {
  const finish_reason = result.finishReason;
  const choice = job.route === "chat"
    ? {
      index: 0,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: null,
      finish_reason,
    }
    : { index: 0, text, logprobs: null, finish_reason };
  return {
    ...head,
    object: job.route === "chat" ? "chat.completion" : "text_completion",
    choices: [choice],
    usage: usageOf(result),
    timings: timingsOf(result),
  };
}

/**
 * Writes the server-sent events of one streamed answer. All that stays the same from chunk to chunk is
 * prepared once: this runs between two tokens.
 *
 * ```ts
 * const job = parseCompletion({ model: "m", prompt: "Hi", stream: true });
 * const writer = new ChunkWriter(job, { id: "cmpl-1", created: 0, model: "m" });
 * const text = new TextDecoder().decode(writer.delta("yes"));
 * if (!text.startsWith('data: {"id":"cmpl-1"') || !text.includes('"text":"yes"')) throw new Error(text);
 * ```
 */
export class ChunkWriter {
  readonly #encoder = new TextEncoder();
  readonly #head: string;
  readonly #before: string;
  readonly #after: string;
  #first = true;

  constructor(private readonly job: Job, head: AnswerHead) {
    const object = job.route === "chat" ? "chat.completion.chunk" : "text_completion";
    this.#head = JSON.stringify({ ...head, object }).slice(0, -1);
    this.#before = `data: ${this.#head},"choices":[{"index":0,` +
      (job.route === "chat" ? `"delta":{"content":` : `"text":`);
    this.#after = `${job.route === "chat" ? "}" : ""},"logprobs":null,"finish_reason":null}]}\n\n`;
  }

  /** One piece of text. The first one of a chat also says who speaks. */
  delta(text: string): Uint8Array<ArrayBuffer> {
    if (this.#first && this.job.route === "chat") {
      this.#first = false;
      return this.#event([{
        index: 0,
        delta: { role: "assistant", content: text },
        logprobs: null,
        finish_reason: null,
      }]);
    }
    return this.#encoder.encode(this.#before + JSON.stringify(text) + this.#after);
  }

  /** The end: the finish reason, the usage chunk where it was asked for, and `[DONE]`. */
  end(result: Generated): Uint8Array<ArrayBuffer>[] {
    const last = { index: 0, logprobs: null, finish_reason: result.finishReason };
    const choices = [this.job.route === "chat" ? { ...last, delta: {} } : { ...last, text: "" }];
    const timings = timingsOf(result);
    const done = this.#encoder.encode("data: [DONE]\n\n");
    if (!this.job.includeUsage) return [this.#event(choices, { timings }), done];
    return [this.#event(choices), this.#event([], { usage: usageOf(result), timings }), done];
  }

  /** A failure after the answer had begun: there is no other way to tell it any more. */
  failure(error: ApiError): Uint8Array<ArrayBuffer> {
    return this.#encoder.encode(`data: ${JSON.stringify(errorBody(error))}\n\n`);
  }

  #event(choices: unknown[], extra: Record<string, unknown> = {}): Uint8Array<ArrayBuffer> {
    const tail = JSON.stringify({ choices, ...extra }).slice(1);
    return this.#encoder.encode(`data: ${this.#head},${tail}\n\n`);
  }
}
