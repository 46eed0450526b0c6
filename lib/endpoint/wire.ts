/** The border: one JSON document from an endpoint, checked once and turned into our words. */
import { z } from "zod";
import type { EventShape } from "./event_template.ts";
import type { ReportedUsage, ServerTimings } from "./trace.ts";

/** What one document said: a chunk of a stream, or a whole answer. Absent parts are empty or null. */
export interface WireMessage {
  readonly content: string;
  readonly reasoning: string;
  readonly finishReason: string | null;
  readonly usage: ReportedUsage | null;
  readonly server: ServerTimings | null;
  /** The endpoint's own error message. */
  readonly error: string | null;
}

const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();

/** Plain text, or the list of parts that some servers answer with. */
const text = z.union([
  z.string(),
  z.array(z.object({ text: z.string().optional() })).transform((parts) =>
    parts.map((part) => part.text ?? "").join("")
  ),
]).nullish();

/** Unknown shapes of reasoning are no reason to refuse an answer. */
const thought = z.string().nullish().catch(null);

const said = z.object({ content: text, reasoning_content: thought, reasoning: thought });

const choice = z.object({
  index: z.number().optional(),
  delta: said.nullish(),
  message: said.nullish(),
  text: z.string().nullish(),
  finish_reason: z.string().nullish(),
});

const failure = z.union([
  z.string(),
  z.object({ message: z.string().nullish(), code: z.union([z.string(), z.number()]).nullish() }),
]).nullish();

/** What every chunk has. The rest is looked for only where it is: a stream is read thousands of times a second. */
const document = z.object({ choices: z.array(choice).nullish(), error: failure });

const usage = z.object({
  prompt_tokens: count.nullish(),
  completion_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count.nullish() }).nullish().catch(null),
  completion_tokens_details: z.object({ reasoning_tokens: count.nullish() }).nullish().catch(null),
});

/** llama.cpp's server. */
const timings = z.object({
  cache_n: count.nullish(),
  prompt_n: count.nullish(),
  prompt_ms: ms.nullish(),
  predicted_n: count.nullish(),
  predicted_ms: ms.nullish(),
});

/** Ollama's own fields; durations in nanoseconds. */
const ollama = z.object({
  prompt_eval_count: count.nullish(),
  prompt_eval_duration: ms.nullish(),
  eval_count: count.nullish(),
  eval_duration: ms,
});

/**
 * Reads one document of a stream, or a whole answer. Unknown fields are left alone; of several choices the
 * first counts; `delta` goes before `message`, since some servers send both in every chunk.
 *
 * @throws {SyntaxError} where it is not JSON, or JSON of another kind
 *
 * ```ts
 * const said = parseMessage('{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}');
 * if (said.content !== "Hi" || said.usage !== null) throw new Error("one delta, no usage");
 * ```
 */
export function parseMessage(json: string): WireMessage {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new SyntaxError(`not JSON: ${JSON.stringify(json.slice(0, 80))}`);
  }
  const parsed = document.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SyntaxError(`not an OpenAI answer: ${issue?.path.join(".") || "document"}: ${issue?.message}`);
  }
  const { choices, error } = parsed.data;
  const first = choices?.find((one) => (one.index ?? 0) === 0);
  const body = first?.delta ?? first?.message;
  return {
    content: body?.content ?? first?.text ?? "",
    reasoning: body?.reasoning_content ?? body?.reasoning ?? "",
    finishReason: first?.finish_reason ?? null,
    usage: usageOf(value),
    server: serverOf(value),
    error: errorOf(error),
  };
}

/**
 * `parseMessage` for the documents of one stream. They differ in one string, the text of the delta: where
 * everything around it is what the last document had, only that string is read. What comes out is the same
 * (a test holds the two together); it costs a tenth, and a load test reads a hundred thousand of them a second.
 *
 * ```ts
 * const stream = new StreamParser();
 * const chunk = (text: string) => `{"choices":[{"delta":{"content":"${text}"}}]}`;
 * if (stream.parse(chunk("Hi")).content !== "Hi" || stream.parse(chunk("you")).content !== "you") throw new Error("same");
 * ```
 */
export class StreamParser {
  #template: EventShape | null = null;
  /** Templates that may still be tried: some streams have no two documents alike. */
  #tries = 8;

  /** What the last document had around its text; null where it is no model for the next. */
  get shape(): EventShape | null {
    return this.#template;
  }

  /** @throws {SyntaxError} as `parseMessage` does */
  parse(json: string): WireMessage {
    const quick = this.#likeLast(json);
    if (quick !== null) return quick;
    const message = parseMessage(json);
    this.#template = this.#tries > 0 && message.content !== "" ? this.#learn(json, message) : null;
    return message;
  }

  #likeLast(json: string): WireMessage | null {
    if (this.#template === null) return null;
    const { before, after } = this.#template;
    const end = json.length - after.length;
    if (end < before.length || !json.startsWith(before) || !json.endsWith(after)) return null;
    const content = json.slice(before.length, end);
    if (!PLAIN.test(content)) return null;
    this.#tries = 8;
    return { ...NOTHING_ELSE, content };
  }

  /** A document becomes a template when a word in the place of its content comes out as its content, and no more. */
  #learn(json: string, { content }: WireMessage): EventShape | null {
    this.#tries--;
    const found = /"content"\s*:\s*"([^"\\]*)"/.exec(json);
    if (found?.[1] !== content) return null;
    const start = found.index + found[0].length - 1 - content.length;
    const template = { before: json.slice(0, start), after: json.slice(start + content.length) };
    const tried = parseMessage(`${template.before}PROBE${template.after}`);
    const { reasoning, finishReason, usage, server, error } = tried;
    const more = [finishReason, usage, server, error].some((part) => part !== null);
    return tried.content === "PROBE" && reasoning === "" && !more ? template : null;
  }
}

/** A string that JSON writes as it is: no quote, no escape, no control character. */
// deno-lint-ignore no-control-regex
const PLAIN = /^[^"\\\u0000-\u001f]*$/;

const NOTHING_ELSE = { reasoning: "", finishReason: null, usage: null, server: null, error: null } as const;

/** A count that is not a count is worth less than none: then an estimate takes its place, marked as one. */
function usageOf(value: unknown): ReportedUsage | null {
  if (!has(value, "usage") || value.usage === null) return null;
  const { success, data } = usage.safeParse(value.usage);
  if (!success) return null;
  return {
    promptTokens: data.prompt_tokens ?? 0,
    outputTokens: data.completion_tokens,
    cachedTokens: data.prompt_tokens_details?.cached_tokens ?? null,
    reasoningTokens: data.completion_tokens_details?.reasoning_tokens ?? null,
  };
}

function serverOf(value: unknown): ServerTimings | null {
  if (has(value, "timings")) {
    const { success, data } = timings.safeParse(value.timings);
    if (!success) return null;
    return {
      promptMs: data.prompt_ms ?? null,
      decodeMs: data.predicted_ms ?? null,
      promptTokens: data.prompt_n ?? null,
      outputTokens: data.predicted_n ?? null,
      cachedTokens: data.cache_n ?? null,
    };
  }
  if (!has(value, "eval_duration")) return null;
  const { success, data } = ollama.safeParse(value);
  if (!success) return null;
  const { prompt_eval_duration: promptNs } = data;
  return {
    promptMs: promptNs === null || promptNs === undefined ? null : promptNs / 1e6,
    decodeMs: data.eval_duration / 1e6,
    promptTokens: data.prompt_eval_count ?? null,
    outputTokens: data.eval_count ?? null,
    cachedTokens: null,
  };
}

const has = <Key extends string>(value: unknown, key: Key): value is { [key in Key]: unknown } =>
  typeof value === "object" && value !== null && key in value;

function errorOf(error: z.infer<typeof failure>): string | null {
  if (error === null || error === undefined) return null;
  if (typeof error === "string") return error;
  return error.message ?? (error.code ? `error ${error.code}` : "an error without a message");
}
