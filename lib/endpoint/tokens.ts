/** How many tokens an answer has, and where that number comes from. */
import type { Trace } from "./trace.ts";

/** Where a count comes from; only `usage` is not an estimate. */
type CountSource = "usage" | "chunks" | "chars/4";

/**
 * The output tokens of an answer: from the endpoint's usage, else the server's own timings, else the number
 * of chunks, else a quarter of the characters. The last two are estimates.
 *
 * ```ts
 * const chunk = { atMs: 1, contentChars: 4, reasoningChars: 0 };
 * const trace = { usage: null, server: null, streamed: true, chunks: [chunk, chunk, chunk] };
 * const count = outputTokens(trace);
 * if (count.tokens !== 3 || count.source !== "chunks") throw new Error("one token per chunk");
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

/** Above this many characters a chunk holds several tokens (an English token has 4 to 5). */
const TOKEN_CHARS = 8;

const charsOf = ({ chunks }: Pick<Trace, "chunks">) =>
  chunks.reduce((sum, chunk) => sum + chunk.contentChars + chunk.reasoningChars, 0);
