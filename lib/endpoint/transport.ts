/**
 * `fetch` over a bare socket for plain-http targets, so that the clock is read the moment bytes arrive and
 * before anything is done with them. TLS, proxies and HTTP/2 stay with the platform's own `fetch`.
 */
import { concat } from "./bytes.ts";
import type { Clock, Fetch } from "../clock.ts";
import { Connection, Pool } from "./connection.ts";
import { type ParserLimits, ResponseParser } from "./http1.ts";
import { attachBody, type TimedBody, timedBody, type TimedBytes, type TimedInit } from "./timed_body.ts";

/** `fetch` on sockets of our own, with the connections it keeps. */
export interface RawTransport {
  readonly fetch: Fetch;
  /** Closes the connections that are kept for reuse. */
  close(): void;
}

export interface RawTransportOptions {
  readonly clock: Clock;
  /** Carries what the raw socket does not: https, redirects. Permission and proxies are its own matter. */
  readonly fetch: Fetch;
  /** Which plain-http targets go over a raw socket; `rawTargets` decides by the proxy settings. @default isLoopback */
  readonly accepts?: (url: URL) => boolean;
  readonly limits?: ParserLimits;
}

/** Whether a URL leads to this machine: no proxy is ever meant to stand before it. */
export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d+){3}$/.test(url.hostname);
}

const PROXIES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/**
 * Which plain-http targets a raw socket may reach: this machine always, others unless the environment names a
 * proxy that they may have to go through.
 *
 * ```ts
 * const remote = new URL("http://192.0.2.7:5273/v1");
 * const direct = rawTargets({ get: () => undefined });
 * const proxied = rawTargets({ get: (name) => name === "HTTP_PROXY" ? "http://proxy.example" : undefined });
 * if (!direct(remote) || proxied(remote)) throw new Error("a proxy is not passed by");
 * ```
 */
export function rawTargets(env: { get(name: string): string | undefined }): (url: URL) => boolean {
  const proxied = PROXIES.some((name) => (env.get(name) ?? "") !== "");
  return (url) => !proxied || isLoopback(url);
}

/**
 * A `fetch` that speaks HTTP/1.1 on sockets of its own: keeps connections alive and dials again when the
 * server has closed one. Requests carry text bodies only; `accept-encoding: identity` is asked for, since
 * unpacking would hide when bytes came.
 *
 * @throws {TypeError} from `fetch`, as the platform's own does, when no connection can be made
 *
 * ```ts ignore
 * const transport = rawTransport({ clock: () => performance.now(), fetch });
 * const response = await transport.fetch("http://127.0.0.1:5273/v1/models");
 * transport.close();
 * ```
 */
export function rawTransport(options: RawTransportOptions): RawTransport {
  const pool = new Pool();
  const accepts = options.accepts ?? isLoopback;
  const fetchRaw = async (input: RequestInfo | URL, init?: TimedInit): Promise<Response> => {
    const url = input instanceof Request ? null : new URL(input);
    const body = init?.body ?? null;
    if (
      url === null || url.protocol !== "http:" || !accepts(url) || (body !== null && typeof body !== "string")
    ) {
      return await options.fetch(input, init);
    }
    const response = await exchange(pool, url, init ?? {}, body, options);
    const isRedirect = response.status >= 300 && response.status < 400 && response.headers.has("location");
    if (!isRedirect) return response;
    await timedBody(response, options.clock).cancel();
    return await options.fetch(input, init); // answered by nobody yet: the platform follows it
  };
  return { fetch: fetchRaw, close: () => pool.close() };
}

const encoder = new TextEncoder();

/** Headers that are ours to write. */
const OURS = new Set(["host", "content-length", "connection", "accept-encoding"]);

async function exchange(
  pool: Pool,
  url: URL,
  init: TimedInit,
  body: string | null,
  { clock, limits }: RawTransportOptions,
): Promise<Response> {
  const signal = init.signal ?? undefined;
  signal?.throwIfAborted();
  const bytes = requestBytes(url, init, body);
  /** Dialling is part of the wait for an answer; what we do on a connection that is there is not. */
  const send = async (connection: Connection, diallingMs: number | null): Promise<Response> => {
    const incoming = new Incoming(pool, url.host, connection, clock, signal, limits);
    const sentMs = incoming.sentMs = diallingMs ?? clock();
    try {
      await connection.write(bytes);
      return await incoming.response(init.timedOnly === true);
    } catch (error) {
      incoming.discard();
      const stale = !incoming.started && isDisconnect(error) && clock() - sentMs < STALE_MS;
      throw stale ? new StaleConnection() : error;
    }
  };
  try {
    const kept = pool.take(url.host);
    const startMs = clock();
    if (kept === undefined) return await send(await Connection.open(url, signal), startMs);
    try {
      return await send(kept, null);
    } catch (error) {
      if (signal?.aborted || !(error instanceof StaleConnection)) throw error;
      return await send(await Connection.open(url, signal), startMs);
    }
  } catch (error) {
    throw failure(url, error, signal);
  }
}

/** A kept connection that ends sooner than this, without a byte, was closed before the request came. */
const STALE_MS = 100;

class StaleConnection extends Error {
  constructor() {
    super("the connection closed before an answer came");
  }
}

/** What `fetch` throws: the signal's reason, or a TypeError that says what went wrong. */
function failure(url: URL, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const reason = error instanceof Error ? error.message : String(error);
  return new TypeError(`no answer from ${url.origin}: ${reason}`, { cause: error });
}

function requestBytes(url: URL, init: RequestInit, body: string | null): Uint8Array {
  const payload = body === null ? new Uint8Array() : encoder.encode(body);
  let head = `${init.method ?? "GET"} ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n`;
  const headers = new Headers(init.headers); // checks them: no line break gets through
  headers.forEach((value, name) => {
    if (!OURS.has(name)) head += `${name}: ${value}\r\n`;
  });
  if (body !== null) head += `content-length: ${payload.length}\r\n`;
  const start = encoder.encode(`${head}accept-encoding: identity\r\n\r\n`);
  const bytes = new Uint8Array(start.length + payload.length);
  bytes.set(start);
  bytes.set(payload, start.length);
  return bytes;
}

/** A response on its way in. */
class Incoming implements TimedBody {
  sentMs = 0;
  headersMs = 0;
  /** A byte of the response has come. */
  started = false;
  #parser: ResponseParser;
  #early: TimedBytes | null = null;
  #finished = false;

  constructor(
    private readonly pool: Pool,
    private readonly host: string,
    private readonly connection: Connection,
    private readonly clock: Clock,
    private readonly signal: AbortSignal | undefined,
    limits: ParserLimits | undefined,
  ) {
    this.#parser = new ResponseParser(limits);
    signal?.addEventListener("abort", this.discard);
  }

  /** Reads up to the end of the head. */
  async response(timedOnly: boolean): Promise<Response> {
    let piece: TimedBytes | null = null;
    while (this.#parser.head === null) piece = await this.#read();
    const { status, headers } = this.#parser.head;
    this.headersMs = piece?.atMs ?? this.clock();
    this.#early = piece !== null && piece.bytes.length > 0 ? piece : null;
    if (this.#parser.done) this.#finish();
    const empty = status === 204 || status === 304;
    const packing = packingOf(headers);
    if (packing !== null && !empty) {
      return new Response(this.#stream().pipeThrough(new DecompressionStream(packing)), { status, headers });
    }
    const response = new Response(empty || timedOnly ? null : this.#stream(), { status, headers });
    attachBody(response, this);
    return response;
  }

  async next(): Promise<TimedBytes | null> {
    if (this.#early !== null) {
      const piece = this.#early;
      this.#early = null;
      return piece;
    }
    while (!this.#finished) {
      try {
        const piece = await this.#read();
        if (piece === null) break;
        if (piece.bytes.length > 0) return piece;
      } catch (error) {
        this.discard();
        throw this.signal?.aborted ? this.signal.reason : error;
      }
    }
    return null;
  }

  cancel(): Promise<void> {
    this.discard();
    return Promise.resolve();
  }

  /** Closes the connection, unless the response had ended and its connection went back already. */
  discard = (): void => {
    if (this.#finished) return;
    this.#finished = true;
    this.signal?.removeEventListener("abort", this.discard);
    this.connection.close();
  };

  /** One read from the socket: the stamp first, then everything else. Null when the response has ended. */
  async #read(): Promise<TimedBytes | null> {
    const bytes = await this.connection.read();
    const atMs = this.clock();
    if (bytes === null) {
      this.#parser.end();
      this.discard();
      return null;
    }
    this.started = true;
    const body = concat(this.#parser.feed(bytes)); // copied before the connection idles and reads again
    if (this.#parser.done) this.#finish();
    return { bytes: body, atMs };
  }

  #finish(): void {
    if (!this.#parser.reusable) return this.discard();
    if (this.#finished) return;
    this.#finished = true;
    this.signal?.removeEventListener("abort", this.discard);
    this.pool.give(this.host, this.connection);
  }

  /** For readers that know nothing of arrival times: made only when one asks. */
  #stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const piece = await this.next();
        if (piece === null) controller.close();
        else controller.enqueue(new Uint8Array(piece.bytes));
      },
      cancel: () => this.cancel(),
    }, { highWaterMark: 0 });
  }
}

/** What a server packed its answer with although it was asked not to: its arrival is then known less well. */
function packingOf(headers: Headers): "gzip" | "deflate" | null {
  const coding = headers.get("content-encoding")?.toLowerCase().trim() ?? "identity";
  if (coding === "identity") return null;
  if (coding === "gzip" || coding === "deflate") return coding;
  throw new SyntaxError(`unknown content encoding: ${coding.slice(0, 40)}`);
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Error &&
      error.message === "the connection closed before an answer came";
}
