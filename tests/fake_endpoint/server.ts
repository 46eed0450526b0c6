/**
 * A fake OpenAI-compatible endpoint with known timings and faults: the ground truth of every timing test.
 * It speaks HTTP/1.1 on a bare socket, so that it can break every rule, and it logs the delays it really
 * made: its own timers are late too. `GET /log` returns what was logged so far and forgets it.
 *
 * tests start it in their own process with `startFake`; measuring goes against the program `main.ts`.
 */
import { concat } from "../../lib/endpoint/bytes.ts";
import { answerOf, type Asked, type Behaviour, behaviour, fakeOptions } from "./behaviour.ts";
import type { FakeLogEntry } from "./behaviour.ts";
import { setImmediate } from "node:timers";
import { z } from "zod";

export interface Fake {
  /** Including the version path, e.g. `http://127.0.0.1:40123/v1`. */
  readonly baseUrl: string;
  /** What was asked and what delays were made, oldest first. */
  readonly log: FakeLogEntry[];
  /** Connections taken so far: a reused one counts once. */
  connections(): number;
  stop(): Promise<void>;
}

export interface FakeInput {
  readonly models?: Record<string, z.input<typeof behaviour>>;
  readonly strict?: boolean;
  readonly prefix?: string;
  readonly port?: number;
}

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly readMs: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const requestBody = z.object({
  model: z.string().default(""),
  stream: z.boolean().default(false),
  stream_options: z.object({ include_usage: z.boolean().default(false) }).optional(),
  max_tokens: z.number().optional(),
  max_completion_tokens: z.number().optional(),
  messages: z.array(z.object({
    role: z.string(),
    content: z.union([
      z.string(),
      z.array(z.object({ text: z.string() })).transform((parts) => parts[0]?.text ?? ""),
    ]),
  })).optional(),
  prompt: z.string().optional(),
});

/** Starts a fake endpoint in this process: one behaviour for every model, or one for each of `models`. */
export function startFake(input: FakeInput | z.input<typeof behaviour> = {}): Fake {
  const options = fakeOptions.parse(
    "models" in input || "strict" in input || "prefix" in input || "port" in input
      ? { ...input, models: ("models" in input ? input.models : undefined) ?? { fake: {} } }
      : { models: { fake: input } },
  );
  return new FakeServer(options);
}

class FakeServer implements Fake {
  readonly log: FakeLogEntry[] = [];
  readonly baseUrl: string;
  #listener: Deno.TcpListener;
  #open = new Set<Deno.TcpConn>();
  #working = new Set<Promise<void>>();
  #stopping = new Stopping();
  #count = 0;

  constructor(readonly options: z.infer<typeof fakeOptions>) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: options.port });
    this.baseUrl = `http://127.0.0.1:${this.#listener.addr.port}${options.prefix}`;
    this.#track(this.#accept());
  }

  connections(): number {
    return this.#count;
  }

  async stop(): Promise<void> {
    this.#stopping.stop();
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    await Promise.all(this.#working);
  }

  #track(work: Promise<void>): void {
    const settled = work.catch((error) => {
      if (!isDisconnect(error)) throw error;
    }).finally(() => this.#working.delete(settled));
    this.#working.add(settled);
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#count++;
      this.#open.add(connection);
      connection.setNoDelay(true);
      this.#track(
        this.#serve(connection).finally(() => {
          close(connection);
          this.#open.delete(connection);
        }),
      );
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    const input = new RequestReader(connection);
    while (true) {
      const request = await input.next();
      if (request === null) return;
      if (!await this.#answer(connection, request)) return;
    }
  }

  /** Answers one request; false when the connection must not be used again. */
  async #answer(connection: Deno.TcpConn, request: HttpRequest): Promise<boolean> {
    const { prefix, models } = this.options;
    const path = request.path.split("?")[0] ?? "";
    if (path === "/log") {
      await writeAll(connection, jsonResponse(200, this.log.splice(0)));
      return true;
    }
    if (path === "/health") {
      await writeAll(connection, jsonResponse(200, {}));
      return true;
    }
    const first = Object.values(models)[0] ?? behaviour.parse({});
    const key = request.headers["authorization"] ?? "";
    if (first.apiKey !== null && key !== `Bearer ${first.apiKey}`) {
      await writeAll(connection, errorResponse(401, `Incorrect API key provided: ${key.slice(7)}`));
      return true;
    }
    if (path === `${prefix}/models`) {
      const data = Object.keys(models).map((id) => ({ id, object: "model", created: 0, owned_by: "fake" }));
      await writeAll(connection, jsonResponse(200, { object: "list", data }));
      return true;
    }
    const chat = path === `${prefix}/chat/completions`;
    if (request.method !== "POST" || (!chat && path !== `${prefix}/completions`)) {
      await writeAll(connection, errorResponse(404, `no such path: ${path}`));
      return true;
    }
    return await this.#generate(connection, request, chat);
  }

  async #generate(connection: Deno.TcpConn, request: HttpRequest, chat: boolean): Promise<boolean> {
    const { models, strict } = this.options;
    const body: unknown = JSON.parse(request.body);
    const parsed = requestBody.parse(body);
    const b = models[parsed.model] ?? (strict ? undefined : Object.values(models)[0]);
    const refusal = b === undefined
      ? errorResponse(404, `model not found: ${parsed.model}`)
      : refusalOf(b, parsed, chat);
    const text = parsed.messages?.at(-1)?.content ?? parsed.prompt ?? "";
    const entry: FakeLogEntry = {
      model: parsed.model,
      tag: text,
      path: request.path,
      authorization: "authorization" in request.headers,
      headers: b?.log === "times" ? {} : request.headers,
      body: b?.log === "times" ? null : body,
      chunkMs: [],
      outcome: "open",
    };
    if (b?.log !== "nothing") this.log.push(entry);
    if (refusal !== null || b === undefined) {
      if (refusal !== null) await writeAll(connection, refusal);
      entry.outcome = "completed";
      return refusal !== null;
    }
    const asked: Asked = {
      model: parsed.model,
      chat,
      includeUsage: parsed.stream_options?.include_usage ?? false,
      maxTokens: parsed.max_tokens ?? parsed.max_completion_tokens ?? Infinity,
      promptTokens: text.split(/\s+/).filter((word) => word !== "").length,
    };
    const answer = new Answer(connection, b, request.readMs, entry, this.#stopping);
    try {
      return parsed.stream && b.streaming === "yes" ? await answer.stream(asked) : await answer.whole(asked);
    } catch (error) {
      if (!isDisconnect(error)) throw error;
      entry.outcome = "client went";
      return false;
    }
  }
}

function refusalOf(b: Behaviour, asked: z.infer<typeof requestBody>, chat: boolean): Uint8Array | null {
  if (!b.routes.includes(chat ? "chat" : "completions")) return errorResponse(404, "no such route");
  if (asked.stream && b.streaming === "refuse") return errorResponse(400, "streaming is not supported");
  if (asked.stream_options !== undefined && b.refuseStreamOptions) {
    return errorResponse(400, "Unrecognized request argument supplied: stream_options");
  }
  return b.fault?.kind === "http" ? response(b.fault.status, "application/json", b.fault.body) : null;
}

/** One answer on its way out, with its delays. */
class Answer {
  constructor(
    readonly connection: Deno.TcpConn,
    readonly b: Behaviour,
    readonly readMs: number,
    readonly entry: FakeLogEntry,
    readonly stopping: Stopping,
  ) {}

  async whole(asked: Asked): Promise<boolean> {
    const { b } = this;
    if (b.fault?.kind === "refuse" || b.fault?.kind === "raw") return await this.#sendRaw(b.fault);
    const { whole, lastDueMs } = answerOf(b, asked);
    await this.#until(lastDueMs);
    this.entry.chunkMs.push(performance.now() - this.readMs);
    await writeAll(this.connection, jsonResponse(200, whole));
    this.entry.outcome = "completed";
    return !b.closeAfter;
  }

  async stream(asked: Asked): Promise<boolean> {
    const { b, entry } = this;
    if (b.fault?.kind === "refuse" || b.fault?.kind === "raw") return await this.#sendRaw(b.fault);
    const head = streamHead(b);
    const frames = framesOf(b, asked);
    let pending: Uint8Array[] = [head];
    let sent = 0;
    for (const frame of frames) {
      if (performance.now() - this.readMs < frame.dueMs) {
        await this.#flush(pending);
        pending = [];
        await this.#until(frame.dueMs);
      }
      if (b.fault !== null && "afterChunks" in b.fault && sent === b.fault.afterChunks) {
        await this.#flush(pending);
        return await this.#break(b.fault);
      }
      if (frame.carriesTokens) {
        sent++;
        entry.chunkMs.push(performance.now() - this.readMs);
      }
      pending.push(frame.bytes);
    }
    await this.#flush(pending);
    entry.outcome = "completed";
    return b.framing === "chunked" && !b.closeAfter;
  }

  async #sendRaw(fault: { kind: "refuse" } | { kind: "raw"; base64: string }): Promise<false> {
    if (fault.kind === "raw") {
      await writeAll(this.connection, Uint8Array.from(atob(fault.base64), (c) => c.charCodeAt(0)));
    }
    this.entry.outcome = "fault";
    return false;
  }

  async #break(
    fault: { kind: "cut" } | { kind: "hang" } | { kind: "error"; message: string },
  ): Promise<boolean> {
    this.entry.outcome = "fault";
    if (fault.kind === "cut") return false;
    if (fault.kind === "hang") {
      // Ends when the client goes, or when `stop` closes the connection.
      await this.connection.read(new Uint8Array(1)).catch(() => {});
      return false;
    }
    const error = { error: { message: fault.message, type: "server_error", code: 500 } };
    await writeAll(
      this.connection,
      frame(this.b, `data: ${JSON.stringify(error)}${this.b.newline.repeat(2)}`),
    );
    await writeAll(this.connection, ending(this.b));
    return false;
  }

  /** Writes what has gathered: together, or in pieces of `splitBytes` with the event loop turned between. */
  async #flush(parts: readonly Uint8Array[]): Promise<void> {
    if (parts.length === 0) return;
    const bytes = concat(parts);
    const step = this.b.splitBytes;
    if (step === null) return await writeAll(this.connection, bytes);
    for (let at = 0; at < bytes.length; at += step) {
      await writeAll(this.connection, bytes.subarray(at, at + step));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #until(dueMs: number): Promise<void> {
    for (;;) {
      const left = dueMs - (performance.now() - this.readMs);
      if (left <= 0) return;
      await this.stopping.sleep(left);
    }
  }
}

/** Sleeps that a stop ends at once. Cheap: this stands between every two tokens of every stream. */
class Stopping {
  #stopped = false;
  #sleeping = new Map<ReturnType<typeof setTimeout>, (reason: Error) => void>();

  sleep(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(interrupted());
      const timer = setTimeout(() => {
        this.#sleeping.delete(timer);
        resolve();
      }, ms);
      this.#sleeping.set(timer, reject);
    });
  }

  stop(): void {
    this.#stopped = true;
    for (const [timer, reject] of this.#sleeping) {
      clearTimeout(timer);
      reject(interrupted());
    }
    this.#sleeping.clear();
  }
}

const interrupted = () => new Deno.errors.Interrupted("the fake endpoint is stopping");

interface Frame {
  readonly dueMs: number;
  readonly bytes: Uint8Array;
  readonly carriesTokens: boolean;
}

/** Frames are the same for every request of a kind: made once, so that making them costs a flood nothing. */
const frameCache = new WeakMap<Behaviour, Map<string, Frame[]>>();

function framesOf(b: Behaviour, asked: Asked): Frame[] {
  const key = JSON.stringify(asked);
  let cache = frameCache.get(b);
  if (cache === undefined) frameCache.set(b, cache = new Map());
  const known = cache.get(key);
  if (known !== undefined) return known;
  const frames = makeFrames(b, asked);
  if (cache.size < 64) cache.set(key, frames);
  return frames;
}

function makeFrames(b: Behaviour, asked: Asked): Frame[] {
  const { events, lastDueMs } = answerOf(b, asked);
  const nl = b.newline;
  const frames = events.map((event, i): Frame => {
    const comment = b.comments && i % 2 === 0 ? `: keep-alive${nl}${nl}` : "";
    const bytes = frame(b, `${comment}data: ${JSON.stringify(event.json)}${nl}${nl}`);
    return { dueMs: event.dueMs, bytes, carriesTokens: event.carriesTokens };
  });
  const last = concat([b.done ? frame(b, `data: [DONE]${nl}${nl}`) : new Uint8Array(), ending(b)]);
  return [...frames, { dueMs: lastDueMs, bytes: last, carriesTokens: false }];
}

const frame = (b: Behaviour, text: string): Uint8Array => {
  const bytes = encoder.encode(text);
  if (b.framing === "close") return bytes;
  return concat([encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n")]);
};

const ending = (b: Behaviour): Uint8Array =>
  b.framing === "close" ? new Uint8Array() : encoder.encode("0\r\n\r\n");

function streamHead(b: Behaviour): Uint8Array {
  const framing = b.framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : "";
  const closing = b.framing === "close" || b.closeAfter ? "Connection: close\r\n" : "";
  return encoder.encode(`HTTP/1.1 200 OK\r\nContent-Type: ${b.contentType}\r\n${framing}${closing}\r\n`);
}

function response(status: number, type: string, body: string): Uint8Array {
  const bytes = encoder.encode(body);
  const head = `HTTP/1.1 ${status} Fake\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return concat([encoder.encode(head), bytes]);
}

const jsonResponse = (status: number, value: unknown) =>
  response(status, "application/json", JSON.stringify(value));

const errorResponse = (status: number, message: string) =>
  jsonResponse(status, { error: { message, type: "invalid_request_error", param: null, code: null } });

/** Requests with a content length, one after the other on a connection. */
class RequestReader {
  #bytes: Uint8Array = new Uint8Array();
  #buffer = new Uint8Array(16 * 1024);
  #readMs = 0;

  constructor(readonly connection: Deno.TcpConn) {}

  async next(): Promise<HttpRequest | null> {
    let end = -1;
    while ((end = headEnd(this.#bytes)) < 0) {
      if (!await this.#more()) return null;
    }
    const [line = "", ...lines] = decoder.decode(this.#bytes.subarray(0, end)).split("\r\n");
    const headers = Object.fromEntries(lines.map((text) => {
      const colon = text.indexOf(":");
      return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
    }));
    const start = end + 4;
    const length = Number(headers["content-length"] ?? 0);
    while (this.#bytes.length < start + length) {
      if (!await this.#more()) return null;
    }
    const body = decoder.decode(this.#bytes.subarray(start, start + length));
    this.#bytes = this.#bytes.slice(start + length);
    const [method = "", path = ""] = line.split(" ");
    return { method, path, headers, body, readMs: this.#readMs };
  }

  async #more(): Promise<boolean> {
    const n = await this.connection.read(this.#buffer);
    this.#readMs = performance.now();
    if (n === null) return false;
    this.#bytes = concat([this.#bytes, this.#buffer.subarray(0, n)]);
    return true;
  }
}

function headEnd(bytes: Uint8Array): number {
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.ConnectionAborted;
}
