/**
 * One HTTP server for engines, adapters and the gateway. Handlers take the used part of a `Request` and
 * return a `Response`, or a stream's pieces; only this file deals with the platform's server. It is
 * `node:http` and not `Deno.serve`, which (Deno 2.9) does not notice that a client has gone while its answer
 * is pending once the body came in more than one read, can't drop a client that never reads (both are shown
 * by deno_serve_test.ts), and limits neither connections nor slow heads. Both carry the same load.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { MAX_DEPTH, nestsDeeper } from "../bounded_json.ts";
import type { Clock } from "../clock.ts";
import { concat } from "../endpoint/bytes.ts";
import { ApiError, errorBody, errorResponse } from "./api_error.ts";

/**
 * The part of a `Request` that handlers use. A whole one would take as long to make as the rest of a
 * gateway's work on a request.
 */
export interface IncomingRequest extends Pick<Request, "method" | "signal"> {
  /** Without the query. */
  readonly path: string;
  readonly headers: Pick<Headers, "get" | "has">;
  /** Calls `take` with every piece of the body; reading begins with this call. Rejects with what `take` throws. */
  readBody(take: (piece: Uint8Array) => void): Promise<void>;
}

/** The body of an answer that is sent as its pieces come. */
interface Pieces {
  /** The next piece, asked for when the client has taken the one before; null at the end. */
  next(): Promise<Uint8Array | null>;
  /** The client went away. */
  cancel(reason: unknown): Promise<void>;
}

/** An answer in pieces, without the web streams of a `Response`, which delay the first one. */
export interface StreamedAnswer extends Pieces {
  readonly status: number;
  readonly headers: Map<string, string>;
}

/** Answers one request. An `ApiError` that it throws is sent to the client; any other error is HTTP 500. */
export type HttpHandler = (
  request: IncomingRequest,
) => Response | StreamedAnswer | Promise<Response | StreamedAnswer>;

/** Limits of what a client may send, and of the time for it. */
export interface ServerLimits {
  /** Request line and headers together. */
  readonly headBytes: number;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Longest time for a request's head, and for its body. */
  readonly headMs: number;
  readonly bodyMs: number;
  /** Longest time that an open connection may be without a request. */
  readonly idleMs: number;
  /** Longest time that a client may leave an answer unread. */
  readonly unreadMs: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  headBytes: 32 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  connections: 2048,
  headMs: 15_000,
  bodyMs: 60_000,
  idleMs: 120_000,
  unreadMs: 60_000,
};

export interface ServerOptions {
  readonly hostname: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly limits?: Partial<ServerLimits>;
  /** Receives every error that is not an `ApiError`: a defect of the server. */
  readonly onFault: (error: unknown) => void;
}

/** A listening server. */
export interface HttpServer {
  readonly port: number;
  /** Refuses new connections and ends the open ones, after waiting up to `graceMs` (0) for answers under way. */
  close(graceMs?: number): Promise<void>;
}

/** How often the time limits of connections are checked. */
const CHECK_MS = 250;
/** Requests that a client may send ahead of its answers: browsers and SDKs send none, a flood sends thousands. */
const PIPELINED = 4;

/**
 * Listens, and hands every request to `handler`.
 *
 * @throws the system's error where the address can't be had
 *
 * ```ts ignore
 * const server = await serveHttp(() => new Response("hello"), {
 *   hostname: "127.0.0.1", port: 0, clock: () => performance.now(), onFault: console.error,
 * });
 * console.log(`http://127.0.0.1:${server.port}`);
 * await server.close();
 * ```
 */
export async function serveHttp(handler: HttpHandler, options: ServerOptions): Promise<HttpServer> {
  const { hostname, port, clock, onFault } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const connections = new Map<Socket, Connection>();
  const server = createServer(
    { maxHeaderSize: limits.headBytes, keepAliveTimeout: limits.idleMs },
    (from, to) => {
      const connection = connections.get(from.socket);
      if (connection === undefined || from.socket.destroyed) return;
      if (++connection.working > PIPELINED) return void from.socket.destroy();
      to.once("close", () => connection.rest(--connection.working, clock()));
      void answer(from, to, handler, onFault);
    },
  );
  server.on("connection", (socket: Socket) => {
    if (connections.size >= limits.connections) return void socket.destroy();
    socket.setNoDelay(true);
    connections.set(socket, new Connection(socket, clock()));
    socket.once("close", () => connections.delete(socket));
  });
  server.on("clientError", refuseBadHead);
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(port, hostname, listening.resolve);
  await listening.promise;
  const bound = portOf(server, port);
  const checking = setInterval(() => {
    const nowMs = clock();
    for (const connection of connections.values()) connection.check(nowMs, limits);
  }, CHECK_MS);
  return {
    port: bound,
    async close(graceMs = 0) {
      clearInterval(checking);
      const closed = new Promise((resolve) => server.close(resolve));
      const untilMs = clock() + graceMs;
      while (clock() < untilMs && [...connections.values()].some(({ working }) => working > 0)) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const socket of connections.keys()) socket.destroy();
      await closed;
    },
  };
}

function portOf(server: Server, port: number): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** The state of an open connection that the time limits need. */
class Connection {
  /** Requests in progress. */
  working = 0;
  #sinceMs: number;
  #bytesRead = 0;
  #bytesWritten = 0;
  #writtenMs = 0;

  constructor(private readonly socket: Socket, nowMs: number) {
    this.#sinceMs = this.#writtenMs = nowMs;
  }

  rest(working: number, nowMs: number): void {
    if (working > 0) return;
    this.#sinceMs = nowMs;
    this.#bytesRead = this.socket.bytesRead;
  }

  check(nowMs: number, { headMs, idleMs, unreadMs }: ServerLimits): void {
    const { socket } = this;
    if (socket.writableLength === 0 || socket.bytesWritten !== this.#bytesWritten) this.#writtenMs = nowMs;
    this.#bytesWritten = socket.bytesWritten;
    const limitMs = socket.bytesRead > this.#bytesRead ? headMs : idleMs;
    const isIdle = this.working === 0 && nowMs - this.#sinceMs >= limitMs;
    if (isIdle || nowMs - this.#writtenMs >= unreadMs) socket.destroy();
  }
}

async function answer(
  from: IncomingMessage,
  to: ServerResponse,
  handler: HttpHandler,
  onFault: (error: unknown) => void,
): Promise<void> {
  const gone = new AbortController();
  const { socket } = from;
  to.once("close", () => {
    if (!to.writableEnded) gone.abort(CLIENT_GONE);
  });
  let response: Response | StreamedAnswer;
  try {
    response = await handler(requestOf(from, gone.signal));
  } catch (error) {
    const known = error instanceof ApiError;
    if (!known && !gone.signal.aborted) onFault(error);
    response = errorResponse(known ? error : new ApiError(500, "the server failed"));
  }
  try {
    await send(response, from, to);
  } catch {
    // The body failed, or the client went away: the connection is cut, so that the client
    // notices the missing end.
    socket.destroy();
  }
}

/** Two readers could use different values of these. */
const SINGLE = ["host", "authorization", "origin"];
/** Made once: creating an error with its stack is the most expensive part of an aborted request. */
const CLIENT_GONE = new DOMException("the client went away", "AbortError");
const BODILESS = new Set(["GET", "HEAD"]);

/** @throws {ApiError} 400 for a header that must not be there twice */
function requestOf(from: IncomingMessage, signal: AbortSignal): IncomingRequest {
  const { method = "GET", url = "/", rawHeaders, headers } = from;
  for (let i = 0, seen = 0; i < rawHeaders.length; i += 2) {
    const bit = SINGLE.indexOf(rawHeaders[i]?.toLowerCase() ?? "") + 1;
    if (bit > 0 && (seen & 1 << bit) > 0) throw new ApiError(400, `header ${rawHeaders[i]} occurs twice`);
    if (bit > 0) seen |= 1 << bit;
  }
  const target = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?#]*/i, "");
  return {
    method,
    path: target.replace(/[?#].*$/s, "") || "/",
    headers: {
      get: (name) => {
        const value = headers[name];
        return value === undefined ? null : String(value);
      },
      has: (name) => headers[name] !== undefined,
    },
    readBody: (take) => readBody(from, take),
    signal,
  };
}

async function readBody(from: IncomingMessage, take: (piece: Uint8Array) => void): Promise<void> {
  // What one read of the socket brought is parsed before this continues: mostly the whole body. The events of
  // a stream would take longer.
  await null;
  if (!from.complete) return await readPieces(from, take);
  for (let piece = from.read(); piece !== null; piece = from.read()) take(piece);
}

function readPieces(from: IncomingMessage, take: (piece: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    from.on("data", (piece: Uint8Array) => {
      try {
        take(piece);
      } catch (error) {
        from.removeAllListeners("data").pause();
        reject(error);
      }
    });
    from.once("end", resolve);
    from.once("error", reject);
    from.once("close", () => reject(new Error("the request ended early")));
  });
}

/** Streams are sent as they come; anything else is sent whole, with its length. */
async function send(
  answer: Response | StreamedAnswer,
  from: IncomingMessage,
  to: ServerResponse,
): Promise<void> {
  const pieces = answer instanceof Response ? piecesOf(answer) : answer;
  if (to.destroyed || from.socket.destroyed) return void await pieces?.cancel(CLIENT_GONE);
  // A client that is still sending would wait for its body to be read, and one that broke
  // the protocol is not trusted.
  const isSending = !from.complete && !BODILESS.has(from.method ?? "");
  if (isSending || answer.status === 400) to.setHeader("connection", "close");
  for (const [name, value] of answer.headers) to.setHeader(name, value);
  to.statusCode = answer.status;
  if (pieces !== null) return await sendPieces(pieces, to);
  if (!(answer instanceof Response) || answer.body === null) return void to.end();
  const bytes = await answer.bytes();
  to.setHeader("content-length", bytes.length);
  to.end(bytes);
}

/** Null for an answer that is no stream. */
function piecesOf({ headers, body }: Response): Pieces | null {
  if (body === null || !headers.get("content-type")?.startsWith("text/event-stream")) return null;
  const reader = body.getReader();
  return {
    next: async () => (await reader.read()).value ?? null,
    cancel: (reason) => reader.cancel(reason),
  };
}

async function sendPieces(pieces: Pieces, to: ServerResponse): Promise<void> {
  to.once("close", () => {
    if (!to.writableEnded) void pieces.cancel(CLIENT_GONE).catch(() => {});
  });
  const first = pieces.next();
  // The head goes out with the first piece, or alone where that takes long: the client should see that the
  // request has arrived.
  if (!await isReady(first)) to.flushHeaders();
  for (let piece = await first; piece !== null; piece = await pieces.next()) {
    const isTaken = to.write(piece);
    // Node would keep what is written until everything else that is ready now has run.
    to.socket?.uncork();
    if (!isTaken) await drained(to);
  }
  to.end();
}

/** Whether a promise is resolved already, or by microtasks that are queued now. */
async function isReady(promise: Promise<unknown>): Promise<boolean> {
  let ready = false;
  const settled = () => void (ready = true);
  promise.then(settled, settled);
  for (let turn = 0; turn < 8 && !ready; turn++) await null;
  return ready;
}

function drained(to: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      to.off("drain", go);
      to.off("close", go);
      resolve();
    };
    to.once("drain", go);
    to.once("close", go);
    if (to.destroyed) go();
  });
}

/** Anything that is not an HTTP request never reaches a handler. */
function refuseBadHead(error: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const tooLong = error.code === "HPE_HEADER_OVERFLOW";
  const refusal = tooLong
    ? new ApiError(431, "the headers have more bytes than are accepted")
    : new ApiError(400, "that is not an HTTP/1.1 request");
  const body = JSON.stringify(errorBody(refusal));
  socket.end(
    `HTTP/1.1 ${refusal.status} ${tooLong ? "Request Header Fields Too Large" : "Bad Request"}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/**
 * The request's body as text.
 *
 * @throws {ApiError} 413 for a body that is too long, 408 for one that does not arrive
 * in time, 400 for one that is
 *   cut off
 *
 * ```ts
 * const readBody = (take: (piece: Uint8Array) => void) => Promise.resolve(take(new TextEncoder().encode("{}")));
 * const request = { headers: new Headers(), readBody };
 * if (await bodyText(request, DEFAULT_LIMITS) !== "{}") throw new Error("as it was sent");
 * ```
 */
export async function bodyText(
  request: Pick<IncomingRequest, "headers" | "readBody">,
  { bodyBytes, bodyMs }: Pick<ServerLimits, "bodyBytes" | "bodyMs">,
): Promise<string> {
  const length = request.headers.get("content-length");
  if (Number(length ?? 0) > bodyBytes) throw tooLong(bodyBytes);
  const text = collected(request, bodyBytes);
  try {
    return await (await isReady(text) ? text : inTime(text, bodyMs));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, "the request body ended early");
  }
}

async function inTime(text: Promise<string>, bodyMs: number): Promise<string> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new ApiError(408, `the request body did not arrive within ${bodyMs / 1000} s`)),
    bodyMs,
  );
  try {
    return await Promise.race([text, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function collected(request: Pick<IncomingRequest, "readBody">, limit: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  await request.readBody((piece) => {
    bytes += piece.length;
    if (bytes > limit) throw tooLong(limit);
    parts.push(piece);
  });
  const [only] = parts;
  return new TextDecoder().decode(parts.length === 1 ? only : concat(parts));
}

const tooLong = (limit: number) =>
  new ApiError(413, `the request body has more than the ${limit} bytes that are accepted`);

/**
 * A request's body as a value.
 *
 * @throws {ApiError} 400 where it is not JSON, or nested more deeply than 200 levels
 *
 * ```ts
 * if (parsedJson("[1]") === null) throw new Error("an array");
 * ```
 */
export function parsedJson(text: string): unknown {
  if (nestsDeeper(text)) {
    throw new ApiError(400, `the request body is nested more deeply than ${MAX_DEPTH} levels`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, "the request body is not JSON");
  }
}
