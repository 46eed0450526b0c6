/** HTTP/1.1 requests (RFC 9112) from the bytes of a connection: incremental, and suspicious of everything. */
import { concat } from "../endpoint/bytes.ts";
import { bodyOf } from "../endpoint/http1.ts";
import { ApiError } from "./api_error.ts";

/** One request, read to its end. Names of headers are in small letters. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** Whether the client understands HTTP/1.1: keeps connections, reads chunks. */
  readonly http11: boolean;
}

/** What a client may send. */
export interface RequestLimits {
  /** Request line and headers together. */
  readonly headBytes: number;
  readonly bodyBytes: number;
}

/** Where a request stands: its head is awaited, its body, or it is whole. */
export type Progress =
  | { readonly at: "head"; readonly begun: boolean }
  | { readonly at: "body"; readonly expectsContinue: boolean }
  | {
    readonly at: "whole";
    readonly request: HttpRequest;
    readonly rest: Uint8Array;
    readonly keep: boolean;
  };

type Head = Omit<HttpRequest, "body">;
type BodyState =
  & { readonly head: Head; readonly keep: boolean }
  & (
    | { readonly length: number }
    | { readonly decoder: ReturnType<typeof bodyOf> }
  );

const decoder = new TextDecoder();
/** Header lines: a token, a colon, and no control character but the tab. */
// deno-lint-ignore no-control-regex
const HEADERS = /^(?:\r\n[!#$%&'*+\-.^_`|~\w]+:[^\0-\x08\x0a-\x1f\x7f]*)*$/;

/**
 * Gathers the bytes of one request.
 *
 * ```ts
 * const reader = new RequestReader({ headBytes: 1024, bodyBytes: 1024 });
 * const bytes = new TextEncoder().encode("POST /v1/x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET");
 * const seen = reader.feed(bytes);
 * if (seen.at !== "whole" || seen.request.path !== "/v1/x" || seen.rest.length !== 3) throw new Error(seen.at);
 * ```
 */
export class RequestReader {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #body: BodyState | null = null;

  constructor(private readonly limits: RequestLimits) {}

  /**
   * Takes bytes (they are kept, not copied), tells how far the request has come.
   *
   * @throws {ApiError} 400, 413, 431 or 501, where the connection has to end after the answer
   */
  feed(bytes: Uint8Array): Progress {
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#body === null) {
      const all = this.#joined();
      const end = headEnd(all);
      if ((end < 0 ? all.length : end) > this.limits.headBytes) {
        throw new ApiError(
          431,
          `the headers have more than the ${this.limits.headBytes} bytes that are accepted`,
        );
      }
      if (end < 0) return { at: "head", begun: all.length > 0 };
      this.#useHead(decoder.decode(all.subarray(0, end - 4)));
      this.#parts = [all.subarray(end)];
      this.#bytes = all.length - end;
    }
    if (this.#body === null) throw new Error("a head was read");
    return "length" in this.#body ? this.#fixed(this.#body) : this.#chunked(this.#body);
  }

  #fixed({ head, keep, length }: Extract<BodyState, { length: number }>): Progress {
    if (this.#bytes < length) return this.#waiting(head);
    const all = this.#joined();
    const request = { ...head, body: all.subarray(0, length) };
    return { at: "whole", request, rest: all.subarray(length), keep };
  }

  /** Bytes after a chunked body are given up with the connection: nobody sends requests ahead of answers. */
  #chunked({ head, keep, decoder }: Extract<BodyState, { decoder: unknown }>): Progress {
    const fresh = this.#parts.pop();
    try {
      if (fresh !== undefined) { for (const piece of decoder.feed(fresh)) this.#parts.push(piece); }
    } catch (error) {
      if (error instanceof SyntaxError) throw new ApiError(400, "the body is not chunked as its header says");
      throw error;
    }
    this.#bytes = this.#parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#bytes > this.limits.bodyBytes) throw tooLarge(this.limits);
    if (!decoder.done) return this.#waiting(head);
    const request = { ...head, body: this.#joined() };
    return { at: "whole", request, rest: new Uint8Array(), keep: keep && decoder.reusable };
  }

  #waiting({ headers }: Head): Progress {
    return { at: "body", expectsContinue: headers.get("expect")?.toLowerCase() === "100-continue" };
  }

  #useHead(text: string): void {
    const { keep, ...head } = parseHead(text);
    const coding = head.headers.get("transfer-encoding")?.toLowerCase();
    const length = head.headers.get("content-length");
    if (coding !== undefined) {
      if (length !== undefined) {
        throw new ApiError(400, "a length and a transfer encoding contradict each other");
      }
      if (coding !== "chunked") throw new ApiError(501, "the only transfer encoding here is chunked");
      this.#body = { head, keep, decoder: bodyOf(new Map([["transfer-encoding", "chunked"]])) };
      return;
    }
    if (length !== undefined && !/^\d{1,15}$/.test(length)) {
      throw new ApiError(400, "that is no content length");
    }
    if (Number(length ?? 0) > this.limits.bodyBytes) throw tooLarge(this.limits);
    this.#body = { head, keep, length: Number(length ?? 0) };
  }

  #joined(): Uint8Array {
    const [first] = this.#parts;
    if (this.#parts.length === 1 && first !== undefined) return first;
    const all = concat(this.#parts);
    this.#parts = [all];
    return all;
  }
}

const tooLarge = ({ bodyBytes }: RequestLimits) =>
  new ApiError(413, `the request body has more than the ${bodyBytes} bytes that are accepted`);

/** Where the body begins, -1 while the head is not complete. Line feeds alone end no line here. */
function headEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (at >= 3 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1;
  }
  return -1;
}

function parseHead(text: string): Head & { readonly keep: boolean } {
  const [line = "", ...lines] = text.split("\r\n");
  const match = /^([A-Z]{1,16}) (\/[\x21-\x7e]*|\*|https?:\/\/[\x21-\x7e]+) HTTP\/1\.([01])$/.exec(line);
  if (match === null) throw new ApiError(400, "that is no HTTP/1.1 request line");
  const [, method = "", target = "", minor] = match;
  if (!HEADERS.test(text.slice(line.length))) throw new ApiError(400, "one of the headers is none");
  const headers = new Map<string, string>();
  for (const header of lines) {
    const colon = header.indexOf(":");
    if (colon < 1) throw new ApiError(400, "one of the headers is none");
    const name = header.slice(0, colon).toLowerCase();
    const value = header.slice(colon + 1).trim();
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) throw new ApiError(400, `header ${name} is there twice`);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const http11 = minor === "1";
  if (http11 && !headers.has("host")) throw new ApiError(400, "a request of HTTP/1.1 names its host");
  const connection = headers.get("connection")?.toLowerCase() ?? "";
  const keep = http11 ? !connection.includes("close") : false;
  const path = target.replace(/^https?:\/\/[^/?]*/, "").replace(/[?#].*$/, "");
  return { method, path: path === "" ? "/" : path, headers, http11, keep };
}

/** Headers that must not be there twice: two readers could take different ones. */
const SINGLE = new Set(["host", "content-length", "transfer-encoding", "authorization", "origin"]);
