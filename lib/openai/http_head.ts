/** The head of an HTTP/1.1 request (RFC 9112), read strictly: what two readers could take differently is refused. */
import { ApiError } from "./api_error.ts";

/** A request but for its body. */
export interface RequestHead {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Names in small letters; all but the body's length. */
  readonly headers: ReadonlyMap<string, string>;
  /** What the head says of the body's length, as it says it; null where it says nothing. */
  readonly contentLength: string | null;
  /** Whether the client understands HTTP/1.1: keeps connections, reads chunks. */
  readonly http11: boolean;
  /** Whether the client wants its connection kept. */
  readonly keep: boolean;
}

/**
 * Where the body begins, -1 while the head is not complete. Line feeds alone end no line here.
 *
 * ```ts
 * if (headEnd(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\nrest")) !== 18) throw new Error("behind the empty line");
 * ```
 */
export function headEnd(bytes: Uint8Array): number {
  for (let at = 3; at < bytes.length; at++) {
    if (bytes[at] === LF && bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) {
      return at + 1;
    }
  }
  return -1;
}

/**
 * The heads of one connection. A client sends the same one with every request, but for the length of its body:
 * what is known already is not read again.
 *
 * ```ts
 * const reader = new HeadReader();
 * const text = (length: number) => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\nX: y\r\n\r\n`;
 * const [first, second] = [text(7), text(12)].map((head) => reader.read(head, head.length));
 * if (first?.contentLength !== "7" || second?.contentLength !== "12") throw new Error("each has its own");
 * if (first.headers !== second.headers) throw new Error("and all the rest in common");
 * ```
 */
export class HeadReader {
  /** The last head: its text before and after the length, and what was read. */
  #last: { readonly before: string; readonly after: string; readonly head: RequestHead } | null = null;

  /** @throws {ApiError} as `parseHead` does */
  read(text: string, end: number): RequestHead {
    const known = this.#known(text, end);
    if (known !== null) return known;
    const head = parseHead(text, end);
    const length = /\r\ncontent-length: *(?=\d)/i.exec(text.slice(0, end));
    this.#last = null;
    if (length !== null && head.contentLength !== null) {
      const from = length.index + length[0].length;
      const after = text.slice(from + head.contentLength.length, end);
      this.#last = { before: text.slice(0, from), after, head };
    }
    return head;
  }

  #known(text: string, end: number): RequestHead | null {
    if (this.#last === null || !text.startsWith(this.#last.before)) return null;
    const { before, after, head } = this.#last;
    const digitsEnd = end - after.length;
    const digits = digitsEnd - before.length;
    if (digits < 1 || digits > 15 || !text.startsWith(after, digitsEnd)) return null;
    for (let at = before.length; at < digitsEnd; at++) {
      const code = text.charCodeAt(at);
      if (code < 48 || code > 57) return null;
    }
    const { method, path, headers, http11, keep } = head;
    return { method, path, headers, http11, keep, contentLength: text.slice(before.length, digitsEnd) };
  }
}

/**
 * Reads a head, which ends with its empty line at `end`; what comes after it is not looked at.
 *
 * By hand, character by character: at a gateway that has been idle every regular expression and every helper
 * costs some microseconds before it does anything, and a first token waits for all of them.
 *
 * @throws {ApiError} 400
 *
 * ```ts
 * const text = "GET /v1/models?x HTTP/1.1\r\nHost: a\r\n\r\n";
 * const { method, path, headers } = parseHead(text, text.length);
 * if (method !== "GET" || path !== "/v1/models" || headers.get("host") !== "a") throw new Error(path);
 * ```
 */
export function parseHead(text: string, end: number): RequestHead {
  const lineEnd = text.indexOf("\r");
  const methodEnd = text.indexOf(" ");
  const targetEnd = text.indexOf(" ", methodEnd + 1);
  const target = text.slice(methodEnd + 1, targetEnd);
  const version = text.slice(targetEnd + 1, lineEnd);
  const http11 = version === "HTTP/1.1";
  const isLine = targetEnd > 0 && targetEnd < lineEnd && isMethod(text, methodEnd) && isTarget(target) &&
    (http11 || version === "HTTP/1.0");
  if (!isLine) throw new ApiError(400, "that is no HTTP/1.1 request line");
  const headers = parseHeaders(text, lineEnd + 2, end - 2);
  if (http11 && !headers.has("host")) throw new ApiError(400, "a request of HTTP/1.1 names its host");
  const keep = http11 && !(headers.get("connection")?.toLowerCase().includes("close") ?? false);
  const contentLength = headers.get("content-length") ?? null;
  headers.delete("content-length");
  return { method: text.slice(0, methodEnd), path: pathOf(target), headers, http11, keep, contentLength };
}

const CR = 13;
const LF = 10;
const TAB = 9;
const COLON = 58;

/** The characters of a token: the names of headers. */
const TOKEN = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  TOKEN[char.charCodeAt(0)] = 1;
}

function isMethod(text: string, end: number): boolean {
  for (let at = 0; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < 65 || code > 90) return false;
  }
  return end >= 1 && end <= 16;
}

/** A path, everything (`*`), or a whole URL, as proxies send it; of printable ASCII. */
function isTarget(target: string): boolean {
  for (let at = 0; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return target.startsWith("/") || target === "*" || /^https?:\/\/./.test(target);
}

/** Header lines: a token, a colon, and no control character but the tab. */
function parseHeaders(text: string, from: number, end: number): Map<string, string> {
  const headers = new Map<string, string>();
  for (let at = from; at < end;) {
    let colon = at;
    while (TOKEN[text.charCodeAt(colon)] === 1) colon++;
    if (colon === at || text.charCodeAt(colon) !== COLON) {
      throw new ApiError(400, "one of the headers is none");
    }
    let next = colon + 1;
    for (let code = text.charCodeAt(next); code >= 0x20 && code !== 0x7f || code === TAB;) {
      code = text.charCodeAt(++next);
    }
    if (text.charCodeAt(next) !== CR || text.charCodeAt(next + 1) !== LF) {
      throw new ApiError(400, "one of the headers is none");
    }
    const name = text.slice(at, colon).toLowerCase();
    const value = text.slice(colon + 1, next).trim();
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) throw new ApiError(400, `header ${name} is there twice`);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
    at = next + 2;
  }
  return headers;
}

/** Headers that must not be there twice: two readers could take different ones. */
const SINGLE = new Set(["host", "content-length", "transfer-encoding", "authorization", "origin"]);

/** Without the query, and without the server's own name. */
function pathOf(target: string): string {
  if (target.startsWith("/") && !target.includes("?") && !target.includes("#")) return target;
  const path = target.replace(/^https?:\/\/[^/?]*/, "").replace(/[?#].*$/, "");
  return path === "" ? "/" : path;
}
