/** Response bodies whose pieces carry the time of their arrival. */
import type { Clock } from "../clock.ts";

/** Bytes of a response body, and when they arrived, in ms. */
export interface TimedBytes {
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** A response body whose pieces carry the time of their arrival, in ms. */
export interface TimedBody {
  /** When the socket had taken the request, or began to connect; null where that is unknown. */
  readonly sentMs: number | null;
  /** When status line and headers were complete. */
  readonly headersMs: number;
  /** The body is known to be complete: `next` would return null at once. */
  readonly ended: boolean;
  /**
   * The next piece, null at the end. Its bytes are valid until the next call. Rejects when the connection
   * breaks or the request was aborted.
   */
  next(): Promise<TimedBytes | null>;
  /** Abandons the rest; the connection is closed unless the body had ended. */
  cancel(): Promise<void>;
}

/**
 * The body of a `Response`, each piece stamped when `fetch` hands it over.
 *
 * ```ts
 * const body = timedBody(new Response("data: {}\n\n"), () => 12);
 * const piece = await body.next();
 * if (piece?.atMs !== 12 || await body.next() !== null) throw new Error("one piece, stamped");
 * ```
 */
export function timedBody(response: Response, clock: Clock): TimedBody {
  const headersMs = clock();
  const reader = response.body?.getReader();
  let ended = reader === undefined;
  return {
    sentMs: null,
    headersMs,
    get ended() {
      return ended;
    },
    async next() {
      const piece = await reader?.read();
      const atMs = clock();
      if (piece !== undefined && !piece.done) return { bytes: piece.value, atMs };
      ended = true;
      return null;
    },
    async cancel() {
      await reader?.cancel();
    },
  };
}

/**
 * The text of a body, cut after `maxBytes`: a body may be endless.
 *
 * ```ts
 * const body = timedBody(new Response("a long story"), () => 0);
 * if (await limitedText(body, 6) !== "a long") throw new Error("cut");
 * ```
 */
export async function limitedText(body: TimedBody, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let left = maxBytes; left > 0;) {
    const piece = await body.next();
    if (piece === null) return text + decoder.decode();
    text += decoder.decode(piece.bytes.subarray(0, left), { stream: true });
    left -= piece.bytes.length;
  }
  await body.cancel();
  return text;
}
