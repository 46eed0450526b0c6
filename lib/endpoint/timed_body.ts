/** Response bodies whose pieces carry the time of their arrival. */
import type { Clock } from "../clock.ts";

/** Bytes of a response body, and when they arrived. */
export interface TimedBytes {
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** A response body whose pieces carry their arrival. */
export interface TimedBody {
  /** When the socket had taken the request, or the dialling of one began; null where nobody knows. */
  readonly sentMs: number | null;
  /** When the response's head was complete. */
  readonly headersMs: number;
  /** Nothing more will come, and nobody need be asked to know it. */
  readonly ended: boolean;
  /** The next piece, null at the end. Its bytes are valid until the one after it is asked for. Rejects when the connection breaks or the request was aborted. */
  next(): Promise<TimedBytes | null>;
  /** Gives the rest up; the connection is closed unless the body had ended. */
  cancel(): Promise<void>;
}

const bodies = new WeakMap<Response, TimedBody>();

/** Makes `timedBody` give this body for that response. */
export function attachBody(response: Response, body: TimedBody): void {
  bodies.set(response, body);
}

/** What our own readers ask of `fetch`; the platform's own ignores the word. */
export interface TimedInit extends RequestInit {
  /** Only `timedBody` will read the body: spare the stream that nobody would use. */
  readonly timedOnly?: true;
}

/**
 * The body of a response with arrival times: those taken at the socket where `rawTransport` made the
 * response, otherwise the moment each piece is handed over by `fetch`.
 *
 * ```ts
 * const body = timedBody(new Response("data: {}\n\n"), () => 12);
 * const piece = await body.next();
 * if (piece?.atMs !== 12 || await body.next() !== null) throw new Error("one piece, stamped");
 * ```
 */
export function timedBody(response: Response, clock: Clock): TimedBody {
  const known = bodies.get(response);
  if (known !== undefined) return known;
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
 * A body for readers that know nothing of arrival times: read only as far as one asks.
 *
 * ```ts
 * let left = 2;
 * const next = () => Promise.resolve(left-- > 0 ? { bytes: Uint8Array.of(65), atMs: 0 } : null);
 * const stream = streamOf({ sentMs: 0, headersMs: 0, ended: false, next, cancel: () => Promise.resolve() });
 * if (await new Response(stream).text() !== "AA") throw new Error("two pieces");
 * ```
 */
export function streamOf(body: TimedBody): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    pull: async (controller) => {
      const piece = await body.next();
      if (piece === null) controller.close();
      else controller.enqueue(new Uint8Array(piece.bytes));
    },
    cancel: () => body.cancel(),
  }, { highWaterMark: 0 });
}

/**
 * The text of a body, cut after `maxBytes`: what a stranger sends need not end.
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
