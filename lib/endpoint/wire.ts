/** The border: one JSON document from an endpoint, checked once and turned into our words. */
import { z } from "zod";
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

/** A count that is not a count is worth less than none: then an estimate takes its place, marked as one. */
const usage = z.object({
  prompt_tokens: count.nullish(),
  completion_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count.nullish() }).nullish().catch(null),
  completion_tokens_details: z.object({ reasoning_tokens: count.nullish() }).nullish().catch(null),
}).nullish().catch(null);

/** llama.cpp's server. */
const timings = z.object({
  cache_n: count.nullish(),
  prompt_n: count.nullish(),
  prompt_ms: ms.nullish(),
  predicted_n: count.nullish(),
  predicted_ms: ms.nullish(),
}).nullish().catch(null);

/** Ollama's own fields; durations in nanoseconds. */
const ollama = {
  prompt_eval_count: count.nullish().catch(null),
  prompt_eval_duration: ms.nullish().catch(null),
  eval_count: count.nullish().catch(null),
  eval_duration: ms.nullish().catch(null),
};

const failure = z.union([
  z.string(),
  z.object({ message: z.string().nullish(), code: z.union([z.string(), z.number()]).nullish() }),
]).nullish();

const document = z.object({
  choices: z.array(choice).nullish(),
  usage,
  timings,
  error: failure,
  ...ollama,
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
  return messageOf(parsed.data);
}

function messageOf(data: z.infer<typeof document>): WireMessage {
  const first = data.choices?.find((one) => (one.index ?? 0) === 0);
  const body = first?.delta ?? first?.message;
  return {
    content: body?.content ?? first?.text ?? "",
    reasoning: body?.reasoning_content ?? body?.reasoning ?? "",
    finishReason: first?.finish_reason ?? null,
    usage: usageOf(data.usage),
    server: serverOf(data),
    error: errorOf(data.error),
  };
}

function usageOf(reported: z.infer<typeof usage>): ReportedUsage | null {
  if (!reported) return null;
  return {
    promptTokens: reported.prompt_tokens ?? 0,
    outputTokens: reported.completion_tokens,
    cachedTokens: reported.prompt_tokens_details?.cached_tokens ?? null,
    reasoningTokens: reported.completion_tokens_details?.reasoning_tokens ?? null,
  };
}

function serverOf(data: z.infer<typeof document>): ServerTimings | null {
  const { timings } = data;
  if (timings) {
    return {
      promptMs: timings.prompt_ms ?? null,
      decodeMs: timings.predicted_ms ?? null,
      promptTokens: timings.prompt_n ?? null,
      outputTokens: timings.predicted_n ?? null,
      cachedTokens: timings.cache_n ?? null,
    };
  }
  const [promptNs, decodeNs] = [data.prompt_eval_duration ?? null, data.eval_duration ?? null];
  const [promptTokens, outputTokens] = [data.prompt_eval_count ?? null, data.eval_count ?? null];
  if (promptNs === null && decodeNs === null && promptTokens === null && outputTokens === null) return null;
  return {
    promptMs: promptNs === null ? null : promptNs / 1e6,
    decodeMs: decodeNs === null ? null : decodeNs / 1e6,
    promptTokens,
    outputTokens,
    cachedTokens: null,
  };
}

function errorOf(error: z.infer<typeof failure>): string | null {
  if (error === null || error === undefined) return null;
  if (typeof error === "string") return error;
  return error.message ?? (error.code ? `error ${error.code}` : "an error without a message");
}
