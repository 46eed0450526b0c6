/** One JSON document of an answer, checked once: a chunk of a stream, or a whole answer. */
import { z } from "zod";
import type { ReportedUsage, ServerTimings } from "./trace.ts";

/** What one document holds. Absent parts are empty or null. */
export interface AnswerChunk {
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

/** Reasoning of an unknown shape is left out: the answer is still good. */
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

/** What every chunk has. Usage and timings are validated only where they are present. */
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
 * Reads one document of a stream, or a whole answer. Unknown fields are ignored; of several choices the first one
 * counts; `delta` precedes `message`, since some servers send both in every chunk.
 *
 * @throws {SyntaxError} where it is not JSON, or not shaped like an OpenAI answer
 *
 * ```ts
 * const said = parseChunk('{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}');
 * if (said.content !== "Hi" || said.usage !== null) throw new Error("one delta, no usage");
 * ```
 */
export function parseChunk(json: string): AnswerChunk {
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

/** An invalid usage counts as none: an estimate, marked as one, then takes its place. */
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
