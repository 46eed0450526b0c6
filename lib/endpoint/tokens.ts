/** How many tokens an answer had, and who says so. */
import type { Trace } from "./trace.ts";

/** Where a count came from; only `usage` is not an estimate. */
export type CountSource = "usage" | "chunks" | "chars/4";

/**
 * How many tokens came out: the endpoint's usage, the server's own timings, else the chunks that arrived, else
 * a quarter of the characters. The last two are estimates.
 *
 * ```ts
 * const chunk = { atMs: 1, contentChars: 4, reasoningChars: 0 };
 * const trace = { usage: null, server: null, streamed: true, chunks: [chunk, chunk, chunk] };
 * const count = outputTokens(trace);
 * if (count.tokens !== 3 || count.source !== "chunks") throw new Error("one token a chunk");
 * ```
 */
export function outputTokens(trace: Pick<Trace, "usage" | "server" | "streamed" | "chunks">): {
  tokens: number;
  source: CountSource;
} {
  if (trace.usage !== null) return { tokens: trace.usage.outputTokens, source: "usage" };
  const served = trace.server?.outputTokens ?? null;
  if (served !== null) return { tokens: served, source: "usage" };
  const chars = charsOf(trace);
  if (trace.streamed && chars <= TOKEN_CHARS * trace.chunks.length) {
    return { tokens: trace.chunks.length, source: "chunks" };
  }
  return { tokens: Math.ceil(chars / 4), source: "chars/4" };
}

/** Above this many characters a chunk, chunks are no longer single tokens (English: 4 to 5 characters each). */
const TOKEN_CHARS = 8;

const charsOf = ({ chunks }: Pick<Trace, "chunks">) =>
  chunks.reduce((sum, chunk) => sum + chunk.contentChars + chunk.reasoningChars, 0);
