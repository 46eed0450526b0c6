/** Parses one HTTP/1.1 response (RFC 9112) from the bytes of a connection, incrementally and strictly. */

import { concat } from "./bytes.ts";

/** The start of a response. */
export interface ResponseHead {
  readonly status: number;
  /** Names in lower case; the values of a repeated header are joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
}

/** How long the parts of a response may be. */
export interface ParserLimits {
  /** Status line and headers together, and trailers together. */
  readonly headBytes: number;
  /** One line with a chunk size and its extensions. */
  readonly lineBytes: number;
}

const DEFAULT_LIMITS: ParserLimits = { headBytes: 64 * 1024, lineBytes: 4 * 1024 };

const LF = 10;
const CR = 13;

type State =
  | { at: "head" }
  | { at: "fixed"; left: number }
  | { at: "chunk size" }
  | { at: "chunk data"; left: number }
  | { at: "chunk end" }
  | { at: "trailers"; bytes: number }
  | { at: "until close" }
  | { at: "done" };

const DONE: State = { at: "done" };
const CHUNK_SIZE: State = { at: "chunk size" };
const CHUNK_END: State = { at: "chunk end" };
const NOTHING = new Uint8Array();

/**
 * Takes the bytes of a response to a GET or POST as they arrive, and returns those of its body.
 *
 * A body may be framed by chunks, by its length, or by the end of the connection. A body that ends before its
 * frame does is an error, never a short answer.
 *
 * ```ts
 * const parser = new ResponseParser();
 * const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
 * const body = parser.feed(new TextEncoder().encode(text));
 * if (parser.head?.status !== 200 || body.length !== 3 || !parser.done) throw new Error("not parsed");
 * ```
 */
export class ResponseParser {
  #state: State = { at: "head" };
  #head: ResponseHead | null = null;
  /** Bytes of a line, or of the head, that is not complete yet. */
  #rest: Uint8Array = NOTHING;
  #reusable = false;

  constructor(private readonly limits: ParserLimits = DEFAULT_LIMITS) {}

  /** Null until the blank line after the headers has arrived. */
  get head(): ResponseHead | null {
    return this.#head;
  }

  /** The whole response has been read. */
  get done(): boolean {
    return this.#state.at === "done";
  }

  /** Whether another request may follow on this connection: where the response ended as framed. */
  get reusable(): boolean {
    return this.done && this.#reusable;
  }

  /**
   * The body in these bytes, without its framing: the parts are moved together in place, and a view of them
   * is returned. Bytes after the end of the response make the connection unfit for reuse.
   *
   * @throws {SyntaxError} where the bytes are not HTTP/1.1, or exceed the limits
   */
  feed(bytes: Uint8Array): Uint8Array {
    const body = new Gathered(bytes);
    let at = this.#state === CHUNK_SIZE && this.#rest === NOTHING ? takeWholeChunks(bytes, body) : 0;
    while (at < bytes.length) {
      const state = this.#state;
      switch (state.at) {
        case "done":
          this.#reusable = false;
          return body.view();
        case "until close":
          body.add(at, bytes.length);
          return body.view();
        case "fixed":
        case "chunk data": {
          const end = Math.min(bytes.length, at + state.left);
          body.add(at, end);
          state.left -= end - at;
          at = end;
          if (state.left === 0) this.#state = state.at === "fixed" ? DONE : CHUNK_END;
          break;
        }
        case "head":
          at = this.#takeHead(bytes, at);
          break;
        default:
          at = this.#takeLine(state, bytes, at);
      }
    }
    return body.view();
  }

  /**
   * The connection has ended.
   *
   * @throws {Error} unless the response was complete, or one that lasts until its connection ends
   */
  end(): void {
    if (this.#state.at === "until close") this.#state = DONE;
    if (this.done) return;
    throw new Error(
      this.#head === null
        ? "the connection closed before an answer came"
        : "the connection closed in the middle of the answer",
    );
  }

  /** Gathers bytes up to the empty line that ends the head; returns where the next byte is. */
  #takeHead(bytes: Uint8Array, from: number): number {
    const known = this.#rest.length;
    const all = known === 0 ? bytes.subarray(from) : concat([this.#rest, bytes.subarray(from)]);
    const end = headEnd(all, Math.max(0, known - 3));
    if (!looksLikeHttp(all)) throw new SyntaxError("the answer is not HTTP/1.1");
    if ((end < 0 ? all.length : end) > this.limits.headBytes) {
      throw new SyntaxError(`the head of the response is longer than ${this.limits.headBytes} bytes`);
    }
    if (end < 0) {
      this.#rest = all.slice();
      return bytes.length;
    }
    this.#rest = NOTHING;
    this.#useHead(latin1(all, 0, end));
    return from + end - known;
  }

  #useHead(text: string): void {
    const { head, http10 } = parseHead(text);
    if (head.status < 200) return; // 100 Continue, 103 Early Hints: the response itself follows
    this.#head = head;
    this.#state = framingOf(head);
    const connection = head.headers.get("connection")?.toLowerCase() ?? "";
    this.#reusable = this.#state.at !== "until close" && !connection.includes("close") &&
      (!http10 || connection.includes("keep-alive"));
  }

  /** Gathers one line and acts on it; returns where the next byte is. */
  #takeLine(state: State, bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(LF, from);
    const upto = end < 0 ? bytes.length : end + 1;
    const limit = state.at === "trailers" ? this.limits.headBytes : this.limits.lineBytes;
    if (this.#rest.length + upto - from > limit) {
      throw new SyntaxError(`the ${state.at} of the response is longer than ${limit} bytes`);
    }
    if (end < 0 || this.#rest.length > 0) {
      const whole = concat([this.#rest, bytes.subarray(from, upto)]);
      this.#rest = end < 0 ? whole : NOTHING;
      if (end >= 0) this.#useLine(state, whole, 0, whole.length - 1);
    } else this.#useLine(state, bytes, from, end);
    return upto;
  }

  /** `end` is the position of the line's LF. */
  #useLine(state: State, bytes: Uint8Array, from: number, end: number): void {
    const stop = end > from && bytes[end - 1] === CR ? end - 1 : end;
    if (state.at === "chunk end") {
      if (stop > from) throw new SyntaxError("a chunk of the response is longer than it says");
      this.#state = CHUNK_SIZE;
    } else if (state.at === "chunk size") {
      const left = chunkSize(bytes, from, stop);
      this.#state = left === 0 ? { at: "trailers", bytes: 0 } : { at: "chunk data", left };
    } else if (state.at === "trailers") {
      state.bytes += stop - from;
      if (state.bytes > this.limits.headBytes) {
        throw new SyntaxError("the trailers of the response have no end");
      }
      if (stop === from) this.#state = DONE;
    }
  }
}

/** Parts of one array, moved together in place. */
class Gathered {
  #start = 0;
  #end = 0;

  constructor(private readonly bytes: Uint8Array) {}

  add(from: number, to: number): void {
    if (this.#end === this.#start) this.#start = this.#end = from;
    if (from !== this.#end) this.bytes.copyWithin(this.#end, from, to);
    this.#end += to - from;
  }

  view(): Uint8Array {
    return this.#end === this.#start ? NOTHING : this.bytes.subarray(this.#start, this.#end);
  }
}

/**
 * Takes whole chunks, which is what a streaming server usually sends per token; returns
 * where anything else begins.
 */
function takeWholeChunks(bytes: Uint8Array, body: Gathered): number {
  for (let at = 0;;) {
    let [size, digits] = [0, 0];
    for (; digits < 6; digits++) {
      const digit = hexDigit(bytes[at + digits] ?? 0);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    const start = at + digits + 2;
    const end = start + size;
    const isWhole = size > 0 && bytes[start - 2] === CR && bytes[start - 1] === LF && bytes[end] === CR &&
      bytes[end + 1] === LF;
    if (!isWhole) return at;
    body.add(start, end);
    at = end + 2;
  }
}

/** Where the head ends: after the empty line, with or without carriage returns; -1 before that. */
function headEnd(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

const START = new TextEncoder().encode("HTTP/1.");

function looksLikeHttp(bytes: Uint8Array): boolean {
  return START.subarray(0, bytes.length).every((byte, i) => bytes[i] === byte);
}

/** Hexadecimal digits, then perhaps blanks and an extension, which is ignored. */
function chunkSize(bytes: Uint8Array, from: number, stop: number): number {
  let [size, at] = [0, from];
  for (; at < stop; at++) {
    const digit = hexDigit(bytes[at] ?? 0);
    if (digit < 0) break;
    size = size * 16 + digit;
  }
  const digits = at - from;
  while (at < stop && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  if (digits === 0 || digits > 12 || (at < stop && bytes[at] !== 0x3b)) {
    const line = latin1(bytes, from, Math.min(stop, from + 40));
    throw new SyntaxError(`not the size of a chunk: ${JSON.stringify(line)}`);
  }
  return size;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function parseHead(text: string): { head: ResponseHead; http10: boolean } {
  const [statusLine = "", ...lines] = text.split("\n").map(trimEol);
  const match = /^HTTP\/1\.([01]) (\d{3})(?: .*)?$/.exec(statusLine);
  if (match === null) {
    throw new SyntaxError(`not an HTTP/1.1 status line: ${JSON.stringify(statusLine.slice(0, 80))}`);
  }
  const headers = new Map<string, string>();
  for (const line of lines) {
    if (line === "") continue;
    if (!HEADER.test(line)) throw new SyntaxError(`not a header: ${JSON.stringify(line.slice(0, 80))}`);
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const status = Number(match[2]);
  if (status < 100 || status > 599) throw new SyntaxError(`not an HTTP status: ${status}`);
  return { head: { status, headers }, http10: match[1] === "0" };
}

/** A token, a colon, and no control character but the tab. */
// deno-lint-ignore no-control-regex
const HEADER = /^[!#$%&'*+\-.^_`|~\w]+:[^\0-\x08\x0a-\x1f\x7f]*$/;

function framingOf({ status, headers }: ResponseHead): State {
  if (status === 204 || status === 304) return DONE;
  const coding = headers.get("transfer-encoding")?.toLowerCase();
  if (coding !== undefined) {
    // The same line twice is harmless: `Transfer-Encoding: chunked, chunked` could only mean nested chunks.
    const codings = coding.split(",").map((part) => part.trim());
    if (codings.some((one) => one !== "chunked")) {
      throw new SyntaxError(`unknown transfer encoding: ${coding.slice(0, 80)}`);
    }
    return CHUNK_SIZE;
  }
  const length = headers.get("content-length");
  if (length === undefined) return { at: "until close" };
  const [first = "", ...others] = length.split(",").map((part) => part.trim());
  if (!/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) {
    throw new SyntaxError(`not a content length: ${JSON.stringify(length.slice(0, 80))}`);
  }
  return Number(first) === 0 ? DONE : { at: "fixed", left: Number(first) };
}

const trimEol = (line: string) => line.replace(/\r?\n?$/, "");

function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}
