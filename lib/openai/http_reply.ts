/** The way back to a client: an answer's head and framing, as HTTP/1.1 has them. */
import { type ApiError, errorBody } from "./api_error.ts";
import { Stop } from "./stop.ts";

/** Header names and values, in the order they are to be sent. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** The way back to the client. */
export interface Reply {
  /** Stopped when the client goes away before its answer is complete. */
  readonly gone: Stop;
  /** Whether the head of the answer has been sent: from then on no other answer can be given. */
  readonly begun: boolean;
  /** A whole answer. */
  whole(status: number, headers: HeaderList, body: Uint8Array | string): Promise<void>;
  /** The head of an answer of unknown length. It goes out with the first `write`, and can be replaced until then. */
  begin(status: number, headers: HeaderList): void;
  /** More of the answer; the bytes are copied. Resolves when the socket has taken it. */
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
  /** Closes the connection of a client that doesn't take its answer. */
  drop(): void;
}

/** What a reply needs of its connection. */
interface Wire {
  /** Room for a message, to be filled and sent at once. */
  room(bytes: number): Uint8Array;
  send(bytes: Uint8Array): Promise<void>;
  close(): void;
}

const encoder = new TextEncoder();
const NOTHING = new Uint8Array();
const LAST_CHUNK = encoder.encode("0\r\n\r\n");

/** The reply to one request. */
export class ClientReply implements Reply {
  begun = false;
  complete = false;
  readonly gone = new Stop();
  /** A head that waits for its first bytes. */
  #head: Uint8Array = NOTHING;
  #chunked = false;

  constructor(
    private readonly connection: Wire,
    private readonly http11: boolean,
    private readonly keep: boolean,
  ) {}

  /** Another request may follow. */
  get reusable(): boolean {
    return this.keep && this.complete && !this.gone.stopped;
  }

  leave(): void {
    if (!this.complete) this.gone.now(new DOMException("the client went away", "AbortError"));
  }

  async whole(status: number, headers: HeaderList, body: Uint8Array | string): Promise<void> {
    const bytes = typeof body === "string" ? encoder.encode(body) : body;
    const bodiless = status === 204 || status === 304;
    this.begun = true;
    const framing = bodiless ? "" : `content-length: ${bytes.length}\r\n`;
    await this.#send(encoder.encode(this.#headText(status, headers, framing)), bytes);
    this.complete = true;
  }

  begin(status: number, headers: HeaderList): void {
    this.#chunked = this.http11;
    const framing = this.#chunked ? "transfer-encoding: chunked\r\n" : "";
    this.#head = encoder.encode(this.#headText(status, headers, framing));
  }

  write(bytes: Uint8Array): Promise<void> {
    const head = this.#head;
    if (bytes.length === 0 && head.length === 0) return DONE;
    this.begun = true;
    this.#head = NOTHING;
    return this.#chunked && bytes.length > 0 ? this.#sendChunk(head, bytes) : this.#send(head, bytes);
  }

  async end(): Promise<void> {
    if (this.#chunked) await this.#send(this.#head, LAST_CHUNK);
    this.complete = true;
  }

  drop(): void {
    this.connection.close();
  }

  async refuse(error: ApiError): Promise<void> {
    await this.whole(error.status, JSON_HEADERS, JSON.stringify(errorBody(error)));
  }

  #send(head: Uint8Array, bytes: Uint8Array): Promise<void> {
    const room = this.connection.room(head.length + bytes.length);
    room.set(head);
    room.set(bytes, head.length);
    return this.connection.send(room);
  }

  #sendChunk(head: Uint8Array, bytes: Uint8Array): Promise<void> {
    const size = `${bytes.length.toString(16)}\r\n`;
    const room = this.connection.room(head.length + size.length + bytes.length + 2);
    room.set(head);
    let at = head.length;
    for (let i = 0; i < size.length; i++) room[at++] = size.charCodeAt(i);
    room.set(bytes, at);
    at += bytes.length;
    room[at++] = CR;
    room[at] = LF;
    return this.connection.send(room);
  }

  #headText(status: number, headers: HeaderList, framing: string): string {
    let head = `HTTP/1.1 ${status} ${REASONS[status] ?? "Answer"}\r\n`;
    for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
    const closing = this.keep && (this.http11 || framing.startsWith("content-length"));
    return `${head}${framing}${closing ? "" : "connection: close\r\n"}\r\n`;
  }
}

const DONE = Promise.resolve();

const CR = 13;
const LF = 10;

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
