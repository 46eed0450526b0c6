/**
 * The HTTP client of every timed request. Plain http goes over a socket of its own, so that the clock is read
 * when bytes arrive and before anything is done with them; TLS, proxies and redirects go through `fetch`.
 */
import type { Clock, Fetch } from "../clock.ts";
import { type Message, Pool, type Target, targetOf } from "./connection.ts";
import { Exchange, type ExchangeTools } from "./exchange.ts";
import type { ParserLimits, ResponseHead } from "./http1.ts";
import { isLoopback } from "./loopback.ts";
import { type TimedBody, timedBody, type TimedBytes } from "./timed_body.ts";

/** A response that is awaited; the pieces of its body carry the time of their arrival. */
export interface TimedResponse extends TimedBody {
  /**
   * Status and headers. Called once, before the body is read.
   *
   * @throws {TypeError} as `fetch` does, where no answer came; the reason that `cancel` was given
   */
  head(): Promise<ResponseHead>;
  /** Abandons the rest: pending reads are rejected with `reason`. */
  cancel(reason?: unknown): Promise<void>;
}

/**
 * Sends JSON by POST. Over a socket that is open already, the request has been written when this returns;
 * otherwise the socket is opened first.
 */
export type PostJson = (url: string, apiKey: string | undefined, json: string | Uint8Array) => TimedResponse;

/** Sends timed requests, and keeps their connections open for the next ones. */
export interface TimedClient {
  readonly post: PostJson;
  /** Closes the connections that are kept open. */
  close(): void;
}

/** The resources of a timed client. */
interface TimedClientOptions {
  /** Monotonic clock, in ms. */
  readonly clock: Clock;
  /** Carries https, redirects, and every target that `accepts` refuses. */
  readonly fetch: Fetch;
  /** Which plain-http targets a socket may reach (see `socketTargets`). @default isLoopback */
  readonly accepts?: (url: URL) => boolean;
  readonly limits?: ParserLimits;
}

/**
 * The client for timed requests. It asks for `accept-encoding: identity`, since decompression would hide when
 * bytes arrived; a body that is compressed all the same is decompressed, with less exact times.
 *
 * ```ts ignore
 * const client = timedClient({ clock: () => performance.now(), fetch });
 * const response = client.post("http://127.0.0.1:5273/v1/chat/completions", undefined, '{"model":"m"}');
 * console.log((await response.head()).status, response.sentMs);
 * client.close();
 * ```
 */
export function timedClient(options: TimedClientOptions): TimedClient {
  const pool = new Pool();
  const accepts = options.accepts ?? isLoopback;
  const requests = new PreparedRequests((url) => url.protocol === "http:" && accepts(url));
  const tools = { ...options, pool };
  const overFetch = postOverFetch(options);
  return {
    post(url, apiKey, json) {
      const ready = requests.get(url, apiKey);
      const body = bytesOf(json);
      const viaFetch = () => overFetch(url, apiKey, body);
      if (ready === null || ready.target === null) return viaFetch();
      return new SocketResponse(ready.target, messageOf(ready.start, body), tools, viaFetch);
    },
    close: () => pool.close(),
  };
}

/**
 * `post` over `fetch` alone: arrival is the moment at which `fetch` hands a piece over.
 *
 * ```ts
 * const post = postOverFetch({ clock: () => 7, fetch: () => Promise.resolve(new Response("{}")) });
 * const response = post("http://127.0.0.1:5273/v1/chat/completions", undefined, "{}");
 * if ((await response.head()).status !== 200 || (await response.next())?.atMs !== 7) throw new Error("stamped");
 * ```
 */
export function postOverFetch({ clock, fetch }: Pick<TimedClientOptions, "clock" | "fetch">): PostJson {
  return (url, apiKey, json) => new FetchResponse(url, apiKey, bytesOf(json), { clock, fetch });
}

const encoder = new TextEncoder();
const bytesOf = (json: string | Uint8Array) => typeof json === "string" ? encoder.encode(json) : json;

interface PreparedRequest {
  readonly apiKey: string | undefined;
  /** Null: `fetch` carries it. */
  readonly target: Target | null;
  /** The request's head up to the digits of its length. */
  readonly start: Uint8Array;
}

/** What requests to one address share is made once, so that nothing delays a request that is due. */
class PreparedRequests {
  readonly #byUrl = new Map<string, PreparedRequest>();
  /** Most addresses of a client, which uses a handful; more would be a leak. */
  static readonly #MAX = 1000;

  constructor(private readonly usesSocket: (url: URL) => boolean) {}

  /** Null for an address or a key that can't be sent: `fetch` then refuses it, where `head` is awaited. */
  get(url: string, apiKey: string | undefined): PreparedRequest | null {
    const known = this.#byUrl.get(url);
    if (known !== undefined && known.apiKey === apiKey) return known;
    try {
      return this.#prepare(url, apiKey);
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }

  /** @throws {TypeError} for an address or a key that can't be sent */
  #prepare(text: string, apiKey: string | undefined): PreparedRequest {
    const url = new URL(text);
    // `Headers` refuses a key with a line break in it.
    const headers = [...new Headers(headersFor(apiKey))].map(([name, value]) => `${name}: ${value}\r\n`);
    const start = encoder.encode(
      `POST ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n${headers.join("")}` +
        "accept-encoding: identity\r\ncontent-length: ",
    );
    const prepared = { apiKey, target: this.usesSocket(url) ? targetOf(url) : null, start };
    if (this.#byUrl.size >= PreparedRequests.#MAX) this.#byUrl.clear();
    this.#byUrl.set(text, prepared);
    return prepared;
  }
}

/** Nothing here depends on the environment, and nothing describes the user or the machine. */
const headersFor = (apiKey: string | undefined): Record<string, string> => ({
  accept: "application/json",
  "content-type": "application/json",
  "user-agent": "podium",
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
});

/** The head as it was prepared, the digits of the length, and the body. */
function messageOf(start: Uint8Array, body: Uint8Array): Message {
  const length = `${body.length}\r\n\r\n`;
  return {
    length: start.length + length.length + body.length,
    fill(buffer) {
      buffer.set(start);
      for (let i = 0; i < length.length; i++) buffer[start.length + i] = length.charCodeAt(i);
      buffer.set(body, start.length + length.length);
    },
  };
}

/** A response over a raw socket. */
class SocketResponse implements TimedResponse {
  readonly #exchange: Exchange;
  #body: TimedBody;
  #redirected: TimedResponse | null = null;

  constructor(
    target: Target,
    message: Message,
    private readonly tools: ExchangeTools,
    private readonly viaFetch: () => TimedResponse,
  ) {
    this.#body = this.#exchange = new Exchange(target, message, tools);
  }

  get sentMs(): number | null {
    return this.#exchange.sentMs;
  }

  get headersMs(): number {
    return this.#body.headersMs;
  }

  get ended(): boolean {
    return this.#body.ended;
  }

  async head(): Promise<ResponseHead> {
    const head = await this.#exchange.head();
    if (isRedirect(head)) {
      await this.#exchange.cancel();
      this.#body = this.#redirected = this.viaFetch(); // `fetch` follows redirects
      return await this.#redirected.head();
    }
    const stream = decompressed(head, this.#exchange);
    if (stream !== null) this.#body = timedBody(new Response(stream), this.tools.clock);
    return head;
  }

  next(): Promise<TimedBytes | null> {
    return this.#body.next();
  }

  async cancel(reason?: unknown): Promise<void> {
    await this.#exchange.cancel(reason);
    await this.#redirected?.cancel(reason);
  }
}

const isRedirect = ({ status, headers }: ResponseHead) =>
  status >= 300 && status < 400 && headers.has("location");

/**
 * The body without its compression; null where it has none.
 *
 * @throws {SyntaxError} for a compression other than gzip and deflate
 */
function decompressed({ headers }: ResponseHead, body: TimedBody): ReadableStream<Uint8Array> | null {
  const coding = headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (coding === "identity") return null;
  if (coding !== "gzip" && coding !== "deflate") {
    throw new SyntaxError(`unknown content encoding: ${coding.slice(0, 40)}`);
  }
  const compressed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (controller) => {
      const piece = await body.next();
      if (piece === null) controller.close();
      else controller.enqueue(new Uint8Array(piece.bytes));
    },
    cancel: () => body.cancel(),
  }, { highWaterMark: 0 });
  return compressed.pipeThrough(new DecompressionStream(coding));
}

/** A response over `fetch`: https, proxies, HTTP/2. */
class FetchResponse implements TimedResponse {
  readonly sentMs: number;
  readonly #response: Promise<Response>;
  readonly #stop = new AbortController();
  #body: TimedBody | null = null;

  constructor(
    url: string,
    apiKey: string | undefined,
    body: Uint8Array,
    private readonly tools: Pick<TimedClientOptions, "clock" | "fetch">,
  ) {
    this.sentMs = tools.clock();
    const init = { method: "POST", headers: headersFor(apiKey), body: new Uint8Array(body) };
    this.#response = tools.fetch(url, { ...init, signal: this.#stop.signal });
    this.#response.catch(() => {}); // `head` reports it
  }

  get headersMs(): number {
    return this.#body?.headersMs ?? 0;
  }

  get ended(): boolean {
    return this.#body?.ended ?? false;
  }

  async head(): Promise<ResponseHead> {
    const response = await this.#response;
    this.#body = timedBody(response, this.tools.clock);
    return { status: response.status, headers: new Map(response.headers) };
  }

  async next(): Promise<TimedBytes | null> {
    return await this.#body?.next() ?? null;
  }

  cancel(reason?: unknown): Promise<void> {
    this.#stop.abort(reason);
    return Promise.resolve();
  }
}
