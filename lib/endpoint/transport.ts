/**
 * `fetch` over a bare socket for plain-http targets, so that the clock is read the moment bytes arrive and
 * before anything is done with them. TLS, proxies and HTTP/2 stay with the platform's own `fetch`.
 */
import type { Clock, Fetch } from "../clock.ts";
import { concat } from "./bytes.ts";
import { Pool, targetOf } from "./connection.ts";
import { Exchange } from "./exchange.ts";
import type { ParserLimits, ResponseHead } from "./http1.ts";
import { unpacked } from "./packing.ts";
import { isRedirect, Posting, type PostJson } from "./post.ts";
import { attachBody, streamOf, type TimedInit } from "./timed_body.ts";

/** `fetch` on sockets of our own, with the connections it keeps. */
export interface RawTransport {
  readonly fetch: Fetch;
  /** The short way for JSON, where a `Request` and a `Response` would cost more than all the rest. */
  readonly post: PostJson;
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
  const tools = { ...options, pool };
  const accepts = options.accepts ?? isLoopback;
  const isRaw = (url: URL) => url.protocol === "http:" && accepts(url);
  const fetchRaw = async (input: RequestInfo | URL, init: TimedInit = {}): Promise<Response> => {
    const url = input instanceof Request ? null : new URL(input);
    const body = init.body ?? null;
    if (url === null || !isRaw(url) || (body !== null && typeof body !== "string")) {
      return await options.fetch(input, init);
    }
    const signal = init.signal ?? undefined;
    signal?.throwIfAborted();
    const bytes = requestBytes(url, init, body);
    const request = { length: bytes.length, fill: (room: Uint8Array) => room.set(bytes) };
    const exchange = new Exchange(targetOf(url), request, tools);
    const onAbort = () => exchange.cancel(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    exchange.onEnd = () => signal?.removeEventListener("abort", onAbort);
    const head = await exchange.head();
    if (!isRedirect(head)) return responseOf(head, exchange, init);
    await exchange.cancel();
    return await options.fetch(input, init); // answered by nobody yet: the platform follows it
  };
  return { fetch: fetchRaw, post: new Posting(isRaw, tools).post, close: () => pool.close() };
}

const encoder = new TextEncoder();

/** Headers that are ours to write. */
const OURS = new Set(["host", "content-length", "connection", "accept-encoding"]);

function requestBytes(url: URL, init: RequestInit, body: string | null): Uint8Array {
  const payload = body === null ? new Uint8Array() : encoder.encode(body);
  let head = `${init.method ?? "GET"} ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n`;
  const headers = new Headers(init.headers); // checks them: no line break gets through
  headers.forEach((value, name) => {
    if (!OURS.has(name)) head += `${name}: ${value}\r\n`;
  });
  if (body !== null) head += `content-length: ${payload.length}\r\n`;
  return concat([encoder.encode(`${head}accept-encoding: identity\r\n\r\n`), payload]);
}

function responseOf(
  { status, headers }: ResponseHead,
  exchange: Exchange,
  init: TimedInit,
): Response {
  const told = { status, headers: new Headers([...headers]) };
  if (status === 204 || status === 304) return new Response(null, told);
  const stream = unpacked({ status, headers }, exchange);
  if (stream !== null) return new Response(stream, told);
  const response = new Response(init.timedOnly === true ? null : streamOf(exchange), told);
  attachBody(response, exchange);
  return response;
}
