/** What the fake endpoint puts on the wire: heads, whole responses, and the frames of a stream. */
import { concat } from "../endpoint/bytes.ts";
import { answerOf, type Asked, type Behaviour } from "./fake_behaviour.ts";

const encoder = new TextEncoder();

/** An event of a stream as bytes, with its framing. */
export interface Frame {
  /** Since the request was read. */
  readonly dueMs: number;
  readonly bytes: Uint8Array;
  readonly carriesTokens: boolean;
}

/** Frames are the same for every request of a kind: made once, so that making them costs a flood nothing. */
const frameCache = new WeakMap<Behaviour, Map<string, Frame[]>>();

export function framesOf(b: Behaviour, asked: Asked): readonly Frame[] {
  const key = JSON.stringify(asked);
  let cache = frameCache.get(b);
  if (cache === undefined) frameCache.set(b, cache = new Map());
  const known = cache.get(key);
  if (known !== undefined) return known;
  const frames = makeFrames(b, asked);
  if (cache.size < 64) cache.set(key, frames);
  return frames;
}

function makeFrames(b: Behaviour, asked: Asked): Frame[] {
  const { events, lastDueMs } = answerOf(b, asked);
  const nl = b.newline;
  const frames = events.map((event, i): Frame => {
    const comment = b.comments && i % 2 === 0 ? `: keep-alive${nl}${nl}` : "";
    const bytes = eventFrame(b, `${comment}data: ${JSON.stringify(event.json)}${nl}${nl}`);
    return { dueMs: event.dueMs, bytes, carriesTokens: event.carriesTokens };
  });
  const last = concat([b.done ? eventFrame(b, `data: [DONE]${nl}${nl}`) : new Uint8Array(), ending(b)]);
  return [...frames, { dueMs: lastDueMs, bytes: last, carriesTokens: false }];
}

export function eventFrame(b: Behaviour, text: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (b.framing === "close") return bytes;
  return concat([encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n")]);
}

export const ending = (b: Behaviour): Uint8Array =>
  b.framing === "close" ? new Uint8Array() : encoder.encode("0\r\n\r\n");

export function streamHead(b: Behaviour): Uint8Array {
  const framing = b.framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : "";
  const closing = b.framing === "close" || b.closeAfter ? "Connection: close\r\n" : "";
  return encoder.encode(`HTTP/1.1 200 OK\r\nContent-Type: ${b.contentType}\r\n${framing}${closing}\r\n`);
}

export function response(status: number, type: string, body: string): Uint8Array {
  const bytes = encoder.encode(body);
  const head = `HTTP/1.1 ${status} Fake\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return concat([encoder.encode(head), bytes]);
}

export const jsonResponse = (status: number, value: unknown) =>
  response(status, "application/json", JSON.stringify(value));

export const errorResponse = (status: number, message: string) =>
  jsonResponse(status, { error: { message, type: "invalid_request_error", param: null, code: null } });
