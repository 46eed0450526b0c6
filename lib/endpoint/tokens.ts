/** How many tokens an answer had, and how we know. */
import type { Trace } from "./trace.ts";

/** Where a count came from; only `usage` is not an estimate. */
export type CountSource = "usage" | "chunks" | "chars/4";

/**
 * Output tokens of an answer: what the endpoint reported, otherwise an estimate named as one.
 *
 * ```ts
 * const chunk = { atMs: 1, contentChars: 4, reasoningChars: 0 };
 * const trace = { usage: null, streamed: true, chunks: [chunk, chunk, chunk] };
 * const counted = outputTokens(trace);
 * if (counted.tokens !== 3 || counted.source !== "chunks") throw new Error("one token a chunk");
 * ```
 */
export function outputTokens(trace: Pick<Trace, "usage" | "streamed" | "chunks">): {
  tokens: number;
  source: CountSource;
} {
  if (trace.usage !== null) return { tokens: trace.usage.outputTokens, source: "usage" };
  const source = estimatedSource(trace);
  return { tokens: source === "chunks" ? trace.chunks.length : Math.ceil(charsOf(trace) / 4), source };
}

/** Above this many characters a chunk, chunks are no longer single tokens (English: 4 to 5 characters each). */
const TOKEN_CHARS = 8;

/** The better estimate where nothing was reported: chunks while they look like single tokens. */
export function estimatedSource(trace: Pick<Trace, "streamed" | "chunks">): "chunks" | "chars/4" {
  const { chunks } = trace;
  return trace.streamed && chunks.length > 1 && charsOf(trace) / chunks.length <= TOKEN_CHARS
    ? "chunks"
    : "chars/4";
}

const charsOf = ({ chunks }: Pick<Trace, "chunks">) =>
  chunks.reduce((sum, chunk) => sum + chunk.contentChars + chunk.reasoningChars, 0);
