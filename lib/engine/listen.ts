/**
 * HTTP on this machine, with a signal for a client that went away. Deno.serve tells of one only when it writes
 * to it, or when the request was small enough to come in one piece; a long prompt whose client has gone would
 * be computed to its end. node:http watches the socket itself.
 */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { ApiError } from "./api_error.ts";

/** Answers one request; `gone` is aborted when its client goes away before the answer is complete. */
export type Handler = (request: Request, gone: AbortSignal) => Promise<Response>;

/** A listening server. */
export interface Listening {
  readonly port: number;
  /** Refuses new connections and ends those that are open. */
  close(): Promise<void>;
}

const bodyLimitBytes = 16 * 1024 * 1024;

/**
 * Listens and hands every request to `handler`.
 *
 * @throws {Error} where the address can't be had; its `code` is the system's (`EADDRINUSE` …)
 *
 * ```ts ignore
 * const server = await listen(() => Promise.resolve(new Response("hello")), "127.0.0.1", 0);
 * console.log(`http://127.0.0.1:${server.port}`);
 * await server.close();
 * ```
 */
export async function listen(handler: Handler, hostname: string, port: number): Promise<Listening> {
  const server = createServer((incoming, outgoing) => void exchange(handler, incoming, outgoing));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("the server has no port");
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function exchange(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  // A socket that breaks also closes; without a listener the error would end the process.
  outgoing.on("error", () => {});
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) gone.abort(new DOMException("the client went away", "AbortError"));
  });
  try {
    await send(await handler(await toRequest(incoming), gone.signal), outgoing, gone.signal);
  } catch (error) {
    if (gone.signal.aborted) return;
    const refusal = error instanceof ApiError ? error : new ApiError(500, "the server failed");
    if (outgoing.headersSent) outgoing.destroy();
    else await send(refusal.toResponse(), outgoing, gone.signal);
  }
}

async function toRequest(incoming: IncomingMessage): Promise<Request> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, one);
  }
  const method = incoming.method ?? "GET";
  // The host in the URL is a placeholder: who asked for what is in the headers and the path.
  const url = new URL(incoming.url ?? "/", "http://localhost");
  if (method === "GET" || method === "HEAD") return new Request(url, { method, headers });
  return new Request(url, { method, headers, body: await readBody(incoming) });
}

async function readBody(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of incoming) {
    if (!(part instanceof Uint8Array)) continue;
    bytes += part.length;
    if (bytes > bodyLimitBytes) {
      throw new ApiError(413, `the request body has more than the ${bodyLimitBytes} bytes that are accepted`);
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

async function send(response: Response, outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  // A stream's first byte may be long in coming; that the request was taken is told at once.
  outgoing.flushHeaders();
  const reader = response.body?.getReader();
  if (reader !== undefined) {
    const cancel = () => void reader.cancel(gone.reason).catch(() => {});
    gone.addEventListener("abort", cancel, { once: true });
    for (let part = await reader.read(); !part.done && !gone.aborted; part = await reader.read()) {
      if (!outgoing.write(part.value)) await drained(outgoing, gone);
    }
    gone.removeEventListener("abort", cancel);
  }
  outgoing.end();
}

/** A client that reads slowly must not fill our memory. */
function drained(outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once("drain", resolve);
    gone.addEventListener("abort", () => resolve(), { once: true });
  });
}
