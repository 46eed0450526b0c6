/**
 * An HTTP/1.1 server on bare sockets. A gateway's own delay is what it adds to every token; this passes bytes on
 * the moment they come, in one write each, and knows at once when a client has gone (it always has one read under
 * way). Ready in milliseconds, and small.
 */
import type { Clock } from "../clock.ts";
import { SocketWriter } from "../endpoint/socket_writer.ts";
import { ApiError } from "./api_error.ts";
import { HeadReader } from "./http_head.ts";
import { type HttpRequest, type Progress, type RequestLimits, RequestReader } from "./http_request.ts";
import { ClientReply, type Reply } from "./http_reply.ts";

export { type HeaderList, JSON_HEADERS, type Reply } from "./http_reply.ts";
export type { HttpRequest } from "./http_request.ts";

/** Answers one request, and must give some answer. */
export type HttpHandler = (request: HttpRequest, reply: Reply) => Promise<void>;

export interface HttpServerOptions {
  readonly hostname: string;
  /** 0 takes any that is free. */
  readonly port: number;
  readonly clock: Clock;
  readonly limits?: Partial<ServerLimits>;
  /** What the handler threw that is no `ApiError`: a fault of ours. */
  readonly onFault: (error: unknown) => void;
}

export interface ServerLimits extends RequestLimits {
  readonly connections: number;
  /** From a request's first byte to the end of its head, and of its body. */
  readonly headMs: number;
  readonly bodyMs: number;
  /** A kept connection without a request. */
  readonly idleMs: number;
}

const DEFAULTS: ServerLimits = {
  headBytes: 32 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  connections: 2048,
  headMs: 15_000,
  bodyMs: 60_000,
  idleMs: 120_000,
};

/** A listening server. */
export interface HttpServer {
  readonly port: number;
  /** Open connections. */
  connections(): number;
  /** Refuses new connections and ends those that are open. */
  close(): Promise<void>;
}

/** How often time limits are looked at: they are coarse, and cost nothing a request. */
const LOOK_MS = 250;

/**
 * Listens and hands every request to `handler`.
 *
 * @throws the system's error where the address can't be had (`Deno.errors.AddrInUse` …)
 *
 * ```ts ignore
 * const server = serveHttp((_, reply) => reply.whole(200, [], "hello"), {
 *   hostname: "127.0.0.1", port: 0, clock: () => performance.now(), onFault: console.error,
 * });
 * console.log(`http://127.0.0.1:${server.port}`);
 * await server.close();
 * ```
 */
export function serveHttp(handler: HttpHandler, options: HttpServerOptions): HttpServer {
  const { hostname, port, clock, onFault } = options;
  const limits = { ...DEFAULTS, ...options.limits };
  const listener = Deno.listen({ hostname, port });
  const open = new Set<ClientConnection>();
  const working = new Set<Promise<void>>();
  let closed = false;
  const accept = async () => {
    while (!closed) {
      try {
        const socket = await listener.accept();
        if (open.size >= limits.connections) {
          socket.close();
          continue;
        }
        const client = new ClientConnection(socket, handler, limits, clock, onFault);
        open.add(client);
        const work = client.run().finally(() => {
          open.delete(client);
          working.delete(work);
        });
        working.add(work);
      } catch {
        // Too many open files, or a connection that ended before it was taken: the next one may do better.
        if (!closed) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  void accept();
  const looking = setInterval(() => {
    const nowMs = clock();
    for (const client of open) client.look(nowMs);
  }, LOOK_MS);
  return {
    port: listener.addr.transport === "tcp" ? listener.addr.port : port,
    connections: () => open.size,
    async close() {
      closed = true;
      clearInterval(looking);
      listener.close();
      for (const client of open) client.close();
      await Promise.all(working);
    },
  };
}

const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

const BUFFER_BYTES = 8 * 1024;

class ClientConnection {
  #buffer = new Uint8Array(BUFFER_BYTES);
  /** The next request may begin to arrive while the last one, a view into its bytes, is still being answered. */
  #spare = new Uint8Array(BUFFER_BYTES);
  #reading: Promise<number | null> | null = null;
  /** Bytes of the next request that came early. */
  #early: Uint8Array | null = null;
  #limitMs: number | null = null;
  #reply: ClientReply | null = null;
  #closed = false;
  readonly #heads = new HeadReader();
  readonly #writer: SocketWriter;

  constructor(
    private readonly socket: Deno.TcpConn,
    private readonly handler: HttpHandler,
    private readonly limits: ServerLimits,
    private readonly clock: Clock,
    private readonly onFault: (error: unknown) => void,
  ) {
    socket.setNoDelay(true);
    this.#writer = new SocketWriter(socket);
  }

  /** Requests one after the other until the connection ends; never rejects. */
  async run(): Promise<void> {
    try {
      while (await this.#one());
    } catch (error) {
      if (!isDisconnect(error)) this.onFault(error);
    } finally {
      this.close();
    }
  }

  /** Ends the connection where its client took too long to ask. */
  look(nowMs: number): void {
    if (this.#limitMs !== null && nowMs >= this.#limitMs) this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reply?.leave();
    this.socket.close();
  }

  room(bytes: number): Uint8Array {
    return this.#writer.buffer(bytes);
  }

  send(bytes: Uint8Array): Promise<void> {
    return this.#writer.send(bytes);
  }

  /** One request and its answer; false when the connection is of no more use. */
  async #one(): Promise<boolean> {
    let whole: Extract<Progress, { at: "whole" }> | null;
    try {
      whole = await this.#request();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      await new ClientReply(this, true, false).refuse(error);
      await this.#drain();
      return false;
    }
    if (whole === null) return false;
    const { request, rest, keep } = whole;
    if (rest.length > 0) this.#early = rest;
    // HEAD asks for no body, and gets none that a next answer could be mistaken for.
    const reply = this.#reply = new ClientReply(this, request.http11, keep && request.method !== "HEAD");
    const answering = this.#answer(request, reply);
    this.#watch(reply); // after the handler has begun: first the request goes on its way
    await answering;
    this.#reply = null;
    return reply.reusable && !this.#closed;
  }

  async #answer(request: HttpRequest, reply: ClientReply): Promise<void> {
    try {
      await this.handler(request, reply);
      if (!reply.complete) throw new Error(`${request.method} ${request.path} got no whole answer`);
    } catch (error) {
      if (reply.gone.stopped || isDisconnect(error)) return;
      const refusal = error instanceof ApiError ? error : new ApiError(500, "the server failed");
      if (refusal !== error) this.onFault(error);
      if (!reply.begun) await reply.refuse(refusal);
    }
  }

  async #request(): Promise<Extract<Progress, { at: "whole" }> | null> {
    const reader = new RequestReader(this.limits, this.#heads);
    let progress: Progress = { at: "head", begun: false };
    this.#limitMs = this.clock() + this.limits.idleMs;
    let stage = "idle";
    while (true) {
      const bytes = await this.#read();
      if (bytes === null) return null;
      progress = reader.feed(bytes);
      if (progress.at === "whole") {
        this.#limitMs = null;
        return progress;
      }
      if (stage !== progress.at) {
        stage = progress.at;
        this.#limitMs = this.clock() + (stage === "head" ? this.limits.headMs : this.limits.bodyMs);
        if (progress.at === "body" && progress.expectsContinue) await this.send(CONTINUE);
      }
    }
  }

  /** Valid until the next read, but for the one that `#watch` begins. */
  async #read(): Promise<Uint8Array | null> {
    if (this.#early !== null) {
      const early = this.#early;
      this.#early = null;
      return early;
    }
    const n = await (this.#reading ?? this.socket.read(this.#buffer));
    this.#reading = null;
    return n === null ? null : this.#buffer.subarray(0, n);
  }

  /** While a request is answered, one read waits for its client's goodbye. */
  #watch(reply: ClientReply): void {
    if (this.#reading === null) {
      [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
      this.#reading = this.socket.read(this.#buffer);
    }
    const reading = this.#reading;
    const end = (n: number | null) => {
      if (n === null && this.#reply === reply) reply.leave();
    };
    reading.then(end, () => end(null));
  }

  /** A client that still sends would lose our refusal to a reset: let it finish, for a while. */
  async #drain(): Promise<void> {
    this.#limitMs = this.clock() + 2000;
    for (let left = 4 * 1024 * 1024; left > 0;) {
      const bytes = await this.#read();
      if (bytes === null) return;
      left -= bytes.length;
    }
  }
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.NotConnected;
}
