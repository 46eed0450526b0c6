/** The way back to a client: an answer's head and framing, as HTTP/1.1 has them. */
import { concat } from "../endpoint/bytes.ts";
import { type ApiError, errorBody } from "./api_error.ts";

/** Header names and values, in the order they are to be sent. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** The way back to the client. */
export interface Reply {
  /** Aborted when the client goes away before its answer is complete. */
  readonly gone: AbortSignal;
  /** Whether the head of the answer has been sent: from then on no other answer can be given. */
  readonly begun: boolean;
  /** A whole answer. */
  whole(status: number, headers: HeaderList, body: Uint8Array | string): Promise<void>;
  /** The first bytes of an answer of unknown length, with its head. */
  begin(status: number, headers: HeaderList, bytes: Uint8Array): Promise<void>;
  /** More of it; resolves when the socket has taken it. */
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  /** Closes the connection of a client that doesn't take its answer. */
  drop(): void;
}

/** What a reply needs of its connection. */
interface Wire {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

const encoder = new TextEncoder();
const CRLF = encoder.encode("\r\n");
const LAST_CHUNK = encoder.encode("0\r\n\r\n");

/** The reply to one request. */
export class Exchange implements Reply {
  begun = false;
  complete = false;
  #gone = new AbortController();
  #chunked = false;

  constructor(
    private readonly connection: Wire,
    private readonly http11: boolean,
    private readonly keep: boolean,
  ) {}

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Another request may follow. */
  get reusable(): boolean {
    return this.keep && this.complete && !this.gone.aborted;
  }

  left(): void {
    if (!this.complete) this.#gone.abort(new DOMException("the client went away", "AbortError"));
  }

  async whole(status: number, headers: HeaderList, body: Uint8Array | string): Promise<void> {
    const bytes = typeof body === "string" ? encoder.encode(body) : body;
    const bodiless = status === 204 || status === 304;
    this.begun = true;
    const framing = bodiless ? "" : `content-length: ${bytes.length}\r\n`;
    await this.connection.write(concat([encoder.encode(this.#head(status, headers, framing)), bytes]));
    this.complete = true;
  }

  async begin(status: number, headers: HeaderList, bytes: Uint8Array): Promise<void> {
    this.begun = true;
    this.#chunked = this.http11;
    const framing = this.#chunked ? "transfer-encoding: chunked\r\n" : "";
    const head = encoder.encode(this.#head(status, headers, framing));
    await this.connection.write(concat([head, ...this.#framed(bytes)]));
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    await this.connection.write(this.#chunked ? concat(this.#framed(bytes)) : bytes);
  }

  async end(): Promise<void> {
    if (this.#chunked) await this.connection.write(LAST_CHUNK);
    this.complete = true;
  }

  drop(): void {
    this.connection.close();
  }

  async refuse(error: ApiError): Promise<void> {
    await this.whole(error.status, JSON_HEADERS, JSON.stringify(errorBody(error)));
  }

  #framed(bytes: Uint8Array): Uint8Array[] {
    if (!this.#chunked || bytes.length === 0) return [bytes];
    return [encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, CRLF];
  }

  #head(status: number, headers: HeaderList, framing: string): string {
    let head = `HTTP/1.1 ${status} ${REASONS[status] ?? "Answer"}\r\n`;
    for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
    const closing = this.keep && (this.http11 || framing.startsWith("content-length"));
    return `${head}${framing}${closing ? "" : "connection: close\r\n"}\r\n`;
  }
}

export const JSON_HEADERS: HeaderList = [["content-type", "application/json"]];

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
