/**
 * JSON to one address, many times: what all requests have in common is made ready once, and nothing stands
 * between a request and the socket. What a gateway adds to a first token is what it does here.
 */
import type { Clock, Fetch } from "../clock.ts";
import { type Message, type Target, targetOf } from "./connection.ts";
import { Exchange, type ExchangeTools } from "./exchange.ts";
import type { ResponseHead } from "./http1.ts";
import { unpacked } from "./packing.ts";
import { type TimedBody, timedBody, type TimedBytes } from "./timed_body.ts";

/** An answer that is awaited. */
export interface Posted extends TimedBody {
  /**
   * The answer's head; asked for once, and before the body.
   *
   * @throws {TypeError} as `fetch` does, where no answer came; what `cancel` was told
   */
  head(): Promise<ResponseHead>;
  /** Gives the rest up: whoever waits for it gets `reason`. */
  cancel(reason?: unknown): Promise<void>;
}

/** Sends JSON; over a socket of ours, it is out when this returns, unless the socket must be dialled first. */
export type PostJson = (url: string, apiKey: string | undefined, json: string | Uint8Array) => Posted;

export interface PostingTools extends ExchangeTools {
  /** Carries what the raw socket does not. */
  readonly fetch: Fetch;
}

interface Prepared {
  readonly apiKey: string | undefined;
  /** Null: the platform carries it. */
  readonly target: Target | null;
  /** The request's head up to the digits of its length. */
  readonly start: Uint8Array;
}

const encoder = new TextEncoder();

/** Addresses that are remembered: a gateway has a handful, a stranger can name none. */
const MOST = 1000;

/**
 * Keeps what was made ready for each address.
 *
 * ```ts ignore
 * const { post } = new Posting((url) => url.protocol === "http:", { pool, clock, fetch });
 * const answer = post("http://127.0.0.1:5273/v1/chat/completions", undefined, '{"model":"m"}');
 * console.log((await answer.head()).status);
 * ```
 */
export class Posting {
  readonly #prepared = new Map<string, Prepared>();

  constructor(private readonly isRaw: (url: URL) => boolean, private readonly tools: PostingTools) {}

  readonly post: PostJson = (url, apiKey, json) => {
    const body = typeof json === "string" ? encoder.encode(json) : json;
    const carry = () => new PlatformPosted(url, apiKey, body, this.tools);
    const ready = this.#ready(url, apiKey);
    return ready === null || ready.target === null ? carry() : new RawPosted(
      new Exchange(ready.target, requestOf(ready.start, body), this.tools),
      carry,
      this.tools.clock,
    );
  };

  /** Null for an address or a key that can't be sent: the platform refuses it, in its own words, where `head` is awaited. */
  #ready(url: string, apiKey: string | undefined): Prepared | null {
    const known = this.#prepared.get(url);
    if (known !== undefined && known.apiKey === apiKey) return known;
    try {
      return this.#prepare(url, apiKey);
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }

  /** @throws {TypeError} for an address or a key that can't be sent */
  #prepare(text: string, apiKey: string | undefined): Prepared {
    const url = new URL(text);
    // Checks the key: no line break gets through.
    const headers = [...new Headers(headersOf(apiKey))].map(([name, value]) => `${name}: ${value}\r\n`);
    const start = encoder.encode(
      `POST ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n${headers.join("")}` +
        "accept-encoding: identity\r\ncontent-length: ",
    );
    const prepared = { apiKey, target: this.isRaw(url) ? targetOf(url) : null, start };
    if (this.#prepared.size >= MOST) this.#prepared.clear();
    this.#prepared.set(text, prepared);
    return prepared;
  }
}

export const USER_AGENT = "podium";

const headersOf = (apiKey: string | undefined): Record<string, string> => ({
  accept: "application/json",
  "content-type": "application/json",
  "user-agent": USER_AGENT,
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
});

/** The head as it was made ready, the digits of the length, and the body. */
function requestOf(start: Uint8Array, body: Uint8Array): Message {
  const length = `${body.length}\r\n\r\n`;
  return {
    length: start.length + length.length + body.length,
    fill(room) {
      room.set(start);
      for (let i = 0; i < length.length; i++) room[start.length + i] = length.charCodeAt(i);
      room.set(body, start.length + length.length);
    },
  };
}

/** Whether the answer is to be had elsewhere. */
export const isRedirect = ({ status, headers }: ResponseHead) =>
  status >= 300 && status < 400 && headers.has("location");

class RawPosted implements Posted {
  #body: TimedBody;
  #moved: Posted | null = null;

  constructor(
    private readonly exchange: Exchange,
    private readonly carry: () => Posted,
    private readonly clock: Clock,
  ) {
    this.#body = exchange;
  }

  get sentMs(): number | null {
    return this.exchange.sentMs;
  }

  get headersMs(): number {
    return this.#body.headersMs;
  }

  get ended(): boolean {
    return this.#body.ended;
  }

  async head(): Promise<ResponseHead> {
    const head = await this.exchange.head();
    if (isRedirect(head)) {
      await this.exchange.cancel();
      this.#body = this.#moved = this.carry(); // answered by nobody yet: the platform follows it
      return await this.#moved.head();
    }
    const stream = unpacked(head, this.exchange);
    if (stream !== null) this.#body = timedBody(new Response(stream), this.clock);
    return head;
  }

  next(): Promise<TimedBytes | null> {
    return this.#body.next();
  }

  async cancel(reason?: unknown): Promise<void> {
    await this.exchange.cancel(reason);
    await this.#moved?.cancel(reason);
  }
}

/** Over the platform's `fetch`: https, proxies, HTTP/2. */
class PlatformPosted implements Posted {
  readonly sentMs: number;
  readonly #response: Promise<Response>;
  readonly #stop = new AbortController();
  #body: TimedBody | null = null;

  constructor(
    url: string,
    apiKey: string | undefined,
    body: Uint8Array,
    private readonly tools: PostingTools,
  ) {
    this.sentMs = tools.clock();
    const init = { method: "POST", headers: headersOf(apiKey), body: new Uint8Array(body) };
    this.#response = tools.fetch(url, { ...init, signal: this.#stop.signal });
    this.#response.catch(() => {}); // `head` tells of it
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
