/** Answers that a server packed although it was asked not to: their arrival is known less well. */
import type { ResponseHead } from "./http1.ts";
import { streamOf, type TimedBody } from "./timed_body.ts";

/**
 * The body as it was before it was packed; null where it was not.
 *
 * @throws {SyntaxError} for a packing that nobody here can undo
 *
 * ```ts
 * const body = { sentMs: 0, headersMs: 0, ended: false, next: () => Promise.resolve(null), cancel: () => Promise.resolve() };
 * if (unpacked({ status: 200, headers: new Map() }, body) !== null) throw new Error("it was not packed");
 * ```
 */
export function unpacked(
  { headers }: ResponseHead,
  body: TimedBody,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const coding = headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (coding === "identity") return null;
  if (coding !== "gzip" && coding !== "deflate") {
    throw new SyntaxError(`unknown content encoding: ${coding.slice(0, 40)}`);
  }
  return streamOf(body).pipeThrough(new DecompressionStream(coding));
}
