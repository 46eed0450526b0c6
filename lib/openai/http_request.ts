/** HTTP/1.1 requests (RFC 9112) from the bytes of a connection: incremental, and suspicious of everything. */
import { concat } from "../endpoint/bytes.ts";
import { bodyOf } from "../endpoint/http1.ts";
import { ApiError } from "./api_error.ts";
import { headEnd, HeadReader, type RequestHead } from "./http_head.ts";

/** One request, read to its end. */
export interface HttpRequest extends Omit<RequestHead, "keep" | "contentLength"> {
  readonly body: Uint8Array;
  /** The body as text. */
  readonly text: string;
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

type Framing = { readonly length: number } | { readonly decoder: ReturnType<typeof bodyOf> };

const decoder = new TextDecoder();
const NOTHING = new Uint8Array();

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
  /** Copies of what came before: of the head while it is not complete, then of the body. */
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #head: RequestHead | null = null;
  #framing: Framing = { length: 0 };

  constructor(private readonly limits: RequestLimits, private readonly heads = new HeadReader()) {}

  /**
   * Takes bytes, tells how far the request has come. A request that is whole may be a view into the bytes that it
   * came in; of one that is not, they are copied.
   *
   * @throws {ApiError} 400, 413, 431 or 501, where the connection has to end after the answer
   */
  feed(bytes: Uint8Array): Progress {
    return this.#head === null ? this.#takeHead(bytes) : this.#takeBody(this.#head, bytes);
  }

  #takeHead(bytes: Uint8Array): Progress {
    const all = this.#parts.length === 0 ? bytes : concat([...this.#parts, bytes]);
    const end = headEnd(all);
    if ((end < 0 ? all.length : end) > this.limits.headBytes) {
      throw new ApiError(
        431,
        `the headers have more than the ${this.limits.headBytes} bytes that are accepted`,
      );
    }
    if (end < 0) {
      this.#parts = [all.slice()];
      return { at: "head", begun: all.length > 0 };
    }
    this.#parts = [];
    const text = decoder.decode(all);
    const isAscii = text.length === all.length;
    const headText = isAscii ? text : decoder.decode(all.subarray(0, end));
    const head = this.#head = this.heads.read(headText, isAscii ? end : headText.length);
    this.#framing = framingOf(head, this.limits);
    const bodyEnd = "length" in this.#framing ? end + this.#framing.length : Infinity;
    if (bodyEnd > all.length) return this.#takeBody(head, all.subarray(end));
    // The whole request in one piece, as nearly always: nothing is copied, and little decoded twice.
    const body = all.subarray(end, bodyEnd);
    const { method, path, headers, http11, keep } = head;
    const request = {
      method,
      path,
      headers,
      http11,
      body,
      text: isAscii ? text.slice(end, bodyEnd) : decoder.decode(body),
    };
    return { at: "whole", request, rest: bodyEnd === all.length ? NOTHING : all.subarray(bodyEnd), keep };
  }

  #takeBody(head: RequestHead, bytes: Uint8Array): Progress {
    return "length" in this.#framing
      ? this.#fixed(head, bytes, this.#framing.length)
      : this.#chunked(head, bytes, this.#framing.decoder);
  }

  #fixed(head: RequestHead, bytes: Uint8Array, length: number): Progress {
    this.#keep(bytes);
    if (this.#bytes < length) return waiting(head);
    const all = concat(this.#parts);
    return {
      at: "whole",
      request: whole(head, all.subarray(0, length)),
      rest: all.subarray(length),
      keep: head.keep,
    };
  }

  /** Bytes after a chunked body are given up with the connection: nobody sends requests ahead of answers. */
  #chunked(head: RequestHead, bytes: Uint8Array, chunks: ReturnType<typeof bodyOf>): Progress {
    try {
      this.#keep(chunks.feed(bytes));
    } catch (error) {
      if (error instanceof SyntaxError) throw new ApiError(400, "the body is not chunked as its header says");
      throw error;
    }
    if (this.#bytes > this.limits.bodyBytes) throw tooLarge(this.limits);
    if (!chunks.done) return waiting(head);
    const request = whole(head, concat(this.#parts));
    return { at: "whole", request, rest: NOTHING, keep: head.keep && chunks.reusable };
  }

  #keep(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.#bytes += bytes.length;
  }
}

function framingOf({ headers, contentLength }: RequestHead, limits: RequestLimits): Framing {
  const coding = headers.get("transfer-encoding")?.toLowerCase();
  if (coding !== undefined) {
    if (contentLength !== null) {
      throw new ApiError(400, "a length and a transfer encoding contradict each other");
    }
    if (coding !== "chunked") throw new ApiError(501, "the only transfer encoding here is chunked");
    return { decoder: bodyOf(new Map([["transfer-encoding", "chunked"]])) };
  }
  if (contentLength === null) return { length: 0 };
  if (!/^\d{1,15}$/.test(contentLength)) throw new ApiError(400, "that is no content length");
  if (Number(contentLength) > limits.bodyBytes) throw tooLarge(limits);
  return { length: Number(contentLength) };
}

function waiting({ headers }: RequestHead): Progress {
  return { at: "body", expectsContinue: headers.get("expect")?.toLowerCase() === "100-continue" };
}

function whole({ method, path, headers, http11 }: RequestHead, body: Uint8Array): HttpRequest {
  return { method, path, headers, http11, body, text: decoder.decode(body) };
}

const tooLarge = ({ bodyBytes }: RequestLimits) =>
  new ApiError(413, `the request body has more than the ${bodyBytes} bytes that are accepted`);
