/** One HTTP/1.1 response (RFC 9112) from the bytes of a connection: pure, incremental, suspicious. */

/** The start of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
}

/** What a server may send before we call it hostile. */
export interface ParserLimits {
  /** Status line and headers together, and trailers together. */
  readonly headBytes: number;
  /** One chunk-size line with its extensions. */
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

/**
 * Takes the bytes of a response to a GET or POST as they come and gives back those of its body.
 *
 * Every way a body can be framed is known: chunked, by length, by the end of the connection. A body that ends
 * before its frame does is an error, never a short answer.
 *
 * ```ts
 * const parser = new ResponseParser();
 * const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
 * const [body] = parser.feed(new TextEncoder().encode(text));
 * if (parser.head?.status !== 200 || body?.length !== 3 || !parser.done) throw new Error("not parsed");
 * ```
 */
export class ResponseParser {
  #state: State = { at: "head" };
  #head: ResponseHead | null = null;
  #line: number[] = [];
  #reusable = false;

  constructor(private readonly limits: ParserLimits = DEFAULT_LIMITS) {}

  /** Null until the blank line after the headers has come. */
  get head(): ResponseHead | null {
    return this.#head;
  }

  /** The whole response has been read. */
  get done(): boolean {
    return this.#state.at === "done";
  }

  /** Whether another request may follow on this connection: true only when the response ended cleanly. */
  get reusable(): boolean {
    return this.done && this.#reusable;
  }

  /**
   * The pieces of the body in these bytes, as views into them. Bytes after the end of the response make the
   * connection unfit for reuse.
   *
   * @throws {SyntaxError} where the bytes are not HTTP/1.1, or go past the limits
   */
  feed(bytes: Uint8Array): Uint8Array[] {
    const body: Uint8Array[] = [];
    let at = 0;
    while (at < bytes.length) {
      const state = this.#state;
      switch (state.at) {
        case "done":
          this.#reusable = false;
          return body;
        case "until close":
          body.push(bytes.subarray(at));
          return body;
        case "fixed":
        case "chunk data": {
          const piece = bytes.subarray(at, at + state.left);
          body.push(piece);
          at += piece.length;
          state.left -= piece.length;
          if (state.left === 0) this.#state = state.at === "fixed" ? { at: "done" } : { at: "chunk end" };
          break;
        }
        default:
          at = this.#feedLine(state, bytes, at);
      }
    }
    return body;
  }

  /**
   * The connection has ended.
   *
   * @throws {Error} unless the response was complete, or one that lasts until its connection ends
   */
  end(): void {
    if (this.#state.at === "until close") this.#state = { at: "done" };
    if (this.done) return;
    throw new Error(
      this.#head === null
        ? "the connection closed before an answer came"
        : "the connection closed in the middle of the answer",
    );
  }

  /** Gathers one line (or the whole head) and acts on it; returns where the next byte is. */
  #feedLine(state: State, bytes: Uint8Array, from: number): number {
    const limit = state.at === "head" || state.at === "trailers"
      ? this.limits.headBytes
      : this.limits.lineBytes;
    const end = bytes.indexOf(LF, from);
    const upto = end < 0 ? bytes.length : end + 1;
    if (this.#line.length + upto - from > limit) {
      throw new SyntaxError(`the ${state.at} of the response is longer than ${limit} bytes`);
    }
    for (let i = from; i < upto; i++) this.#line.push(bytes[i] ?? 0);
    if (end < 0) return upto;
    if (state.at === "head") this.#headLine();
    else {
      const line = trimEol(latin1(this.#line));
      this.#line = [];
      this.#bodyLine(state, line);
    }
    return upto;
  }

  /** A line of the head came in: complete only when it is empty. */
  #headLine(): void {
    const line = this.#line;
    const n = line.length;
    const empty = line[n - 2] === LF || (line[n - 2] === CR && line[n - 3] === LF);
    if (!empty && line[0] === CR && n === 2) throw new SyntaxError("the response starts with an empty line");
    if (n > 8 && !latin1(line.slice(0, 7)).startsWith("HTTP/1.")) {
      throw new SyntaxError("the answer is not HTTP/1.1");
    }
    if (!empty) return;
    this.#line = [];
    const { head, http10 } = parseHead(latin1(line));
    if (head.status < 200) return; // 100 Continue, 103 Early Hints: the response itself follows
    this.#head = head;
    this.#state = framingOf(head);
    const connection = head.headers.get("connection")?.toLowerCase() ?? "";
    this.#reusable = this.#state.at !== "until close" && !connection.includes("close") &&
      (!http10 || connection.includes("keep-alive"));
  }

  #bodyLine(state: State, line: string): void {
    if (state.at === "chunk end") {
      if (line !== "") throw new SyntaxError("a chunk of the response is longer than it says");
      this.#state = { at: "chunk size" };
    } else if (state.at === "chunk size") {
      const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
      if (size === undefined) {
        throw new SyntaxError(`not the size of a chunk: ${JSON.stringify(line.slice(0, 40))}`);
      }
      const left = Number.parseInt(size, 16);
      this.#state = left === 0 ? { at: "trailers", bytes: 0 } : { at: "chunk data", left };
    } else if (state.at === "trailers") {
      state.bytes += line.length;
      if (state.bytes > this.limits.headBytes) {
        throw new SyntaxError("the trailers of the response have no end");
      }
      if (line === "") this.#state = { at: "done" };
    }
  }
}

function parseHead(text: string): { head: ResponseHead; http10: boolean } {
  const [statusLine = "", ...lines] = text.split("\n").map(trimEol);
  const match = /^HTTP\/1\.([01]) (\d{3})(?: .*)?$/.exec(statusLine);
  if (match === null) {
    throw new SyntaxError(`not an HTTP/1.1 status line: ${JSON.stringify(statusLine.slice(0, 80))}`);
  }
  const headers = new Headers();
  for (const line of lines) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon < 1) throw new SyntaxError(`not a header: ${JSON.stringify(line.slice(0, 80))}`);
    try {
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    } catch (cause) {
      throw new SyntaxError(`not a header: ${JSON.stringify(line.slice(0, 80))}`, { cause });
    }
  }
  const status = Number(match[2]);
  if (status < 100 || status > 599) throw new SyntaxError(`not an HTTP status: ${status}`);
  return { head: { status, headers }, http10: match[1] === "0" };
}

function framingOf({ status, headers }: ResponseHead): State {
  if (status === 204 || status === 304) return { at: "done" };
  const coding = headers.get("transfer-encoding")?.toLowerCase().trim();
  if (coding !== undefined) {
    if (coding !== "chunked") throw new SyntaxError(`unknown transfer encoding: ${coding.slice(0, 80)}`);
    return { at: "chunk size" };
  }
  const length = headers.get("content-length");
  if (length === null) return { at: "until close" };
  const [first = "", ...others] = length.split(",").map((part) => part.trim());
  if (!/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) {
    throw new SyntaxError(`not a content length: ${JSON.stringify(length.slice(0, 80))}`);
  }
  return first === "0" || Number(first) === 0 ? { at: "done" } : { at: "fixed", left: Number(first) };
}

const trimEol = (line: string) => line.replace(/\r?\n?$/, "");

const latin1 = (bytes: readonly number[]) => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};
