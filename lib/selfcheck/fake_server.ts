/**
 * A fake OpenAI-compatible endpoint with known timings and faults: the ground truth of every timing test. It
 * speaks HTTP/1.1 on a plain socket, so that it can break every rule, and logs the delays that it really
 * made, since its own timers are late too. `GET /log` returns the log and empties it.
 *
 * Tests start it in their own process; measurements start the program `fake_endpoint.ts`.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { concat } from "../endpoint/bytes.ts";
import { errorResponse, type FakeRequest, jsonResponse, response } from "./fake_answer.ts";
import { type Behaviour, behaviour, type FakeLogEntry, fakeOptions } from "./fake_behaviour.ts";
import { Pacer, sendAnswer, writeAll } from "./fake_sender.ts";

/** A fake endpoint that runs in this process. */
export interface Fake {
  /** Including the version path, e.g. `http://127.0.0.1:40123/v1`. */
  readonly baseUrl: string;
  /** Requests and the delays that were made, oldest first. */
  readonly log: FakeLogEntry[];
  /** Connections accepted so far: a reused one counts once. */
  connections(): number;
  stop(): Promise<void>;
}

/** Several models, or options of the whole endpoint. */
export interface FakeInput {
  readonly models?: Record<string, z.input<typeof behaviour>>;
  readonly strict?: boolean;
  readonly prefix?: string;
  readonly port?: number;
  readonly modelList?: z.input<typeof fakeOptions>["modelList"];
}

const requestBody = z.looseObject({
  temperature: z.number().optional(),
  model: z.string().default(""),
  stream: z.boolean().default(false),
  stream_options: z.object({ include_usage: z.boolean().default(false) }).optional(),
  max_tokens: z.number().optional(),
  max_completion_tokens: z.number().optional(),
  messages: z.array(z.object({
    role: z.string(),
    content: z.union([
      z.string(),
      z.null().transform(() => ""),
      z.array(z.object({ text: z.string() })).transform((parts) => parts[0]?.text ?? ""),
    ]),
  })).optional(),
  prompt: z.string().optional(),
  tools: z.array(z.unknown()).optional(),
  tool_choice: z.unknown().optional(),
  chat_template_kwargs: z.looseObject({ enable_thinking: z.boolean().optional() }).optional(),
  reasoning_effort: z.string().optional(),
  enable_thinking: z.boolean().optional(),
});

/**
 * Starts a fake endpoint in this process, with one behaviour for every model, or one for each of `models`.
 *
 * @param clock monotonic, in ms; the delays of the log are measured with it
 */
export function startFakeServer(input: FakeInput | z.input<typeof behaviour>, clock: Clock): Fake {
  const options = fakeOptions.parse(
    "models" in input || "strict" in input || "prefix" in input || "port" in input || "modelList" in input
      ? { ...input, models: ("models" in input ? input.models : undefined) ?? { fake: {} } }
      : { models: { fake: input } },
  );
  return new FakeServer(options, clock);
}

class FakeServer implements Fake {
  readonly log: FakeLogEntry[] = [];
  readonly baseUrl: string;
  #listener: Deno.TcpListener;
  #open = new Set<Deno.TcpConn>();
  #working = new Set<Promise<void>>();
  #pacer: Pacer;
  #count = 0;
  readonly #queues = new Map<Behaviour, { free: number; readonly waiting: (() => void)[] }>();
  #firstMs: number | null = null;

  constructor(readonly options: z.infer<typeof fakeOptions>, readonly clock: Clock) {
    this.#pacer = new Pacer(clock);
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: options.port });
    this.baseUrl = `http://127.0.0.1:${this.#listener.addr.port}${options.prefix}`;
    this.#track(this.#accept());
  }

  connections(): number {
    return this.#count;
  }

  async stop(): Promise<void> {
    this.#pacer.stop();
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
    const input = new IncomingRequests(connection, this.clock);
    while (true) {
      const request = await input.next();
      if (request === null) return;
      if (!await this.#answer(connection, request)) return;
    }
  }

  /** Answers one request; false where the connection must not be reused. */
  async #answer(connection: Deno.TcpConn, request: IncomingRequest): Promise<boolean> {
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
      const { status, body } = this.options.modelList ?? { status: 200, body: { object: "list", data } };
      await writeAll(connection, jsonResponse(status, body));
      return true;
    }
    const chat = path === `${prefix}/chat/completions`;
    if (request.method !== "POST" || (!chat && path !== `${prefix}/completions`)) {
      await writeAll(connection, errorResponse(404, `no such path: ${path}`));
      return true;
    }
    return await this.#generate(connection, request, chat);
  }

  /** The answer while a model loads, which begins with the first request; null once it is loaded. */
  #loading(b: Behaviour): Uint8Array | null {
    if (b.loadingMs === 0) return null;
    this.#firstMs ??= this.clock();
    return this.clock() - this.#firstMs < b.loadingMs
      ? jsonResponse(503, { error: { message: "Loading model", type: "unavailable_error", code: 503 } })
      : null;
  }

  async #generate(connection: Deno.TcpConn, request: IncomingRequest, chat: boolean): Promise<boolean> {
    const { models, strict } = this.options;
    const body: unknown = JSON.parse(request.body);
    const parsed = requestBody.parse(body);
    const known = models[parsed.model] ?? (strict ? undefined : Object.values(models)[0]);
    const b = known !== undefined && thinkingIsOff(known, parsed) ? { ...known, reasoning: null } : known;
    const refusal = b === undefined
      ? errorResponse(404, `model not found: ${parsed.model}`)
      : this.#loading(b) ?? refusalOf(b, parsed, chat);
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
    const turn = await this.#turn(b);
    const readMs = turn === null ? request.readMs : this.clock();
    const to = { connection, b, readMs, entry, pacer: this.#pacer, clock: this.clock };
    try {
      return await sendAnswer(to, wantedOf(parsed, b, chat), parsed.stream && b.streaming === "yes");
    } catch (error) {
      if (!isDisconnect(error)) throw error;
      entry.outcome = "client went";
      return false;
    } finally {
      turn?.();
    }
  }

  /** Waits until a slot of the model is free, first come first served; returns what frees it again. */
  async #turn(b: Behaviour): Promise<(() => void) | null> {
    if (b.slots === null) return null;
    const queue = this.#queues.get(b) ?? { free: b.slots, waiting: [] };
    this.#queues.set(b, queue);
    if (queue.free > 0) queue.free--;
    else await new Promise<void>((resolve) => queue.waiting.push(resolve));
    return () => {
      const next = queue.waiting.shift();
      if (next === undefined) queue.free++;
      else next();
    };
  }
}

function thinkingIsOff({ thinkingField }: Behaviour, body: z.infer<typeof requestBody>): boolean {
  if (thinkingField === "chat_template_kwargs") return body.chat_template_kwargs?.enable_thinking === false;
  if (thinkingField === "reasoning_effort") return body.reasoning_effort === "none";
  return thinkingField === "enable_thinking" && body.enable_thinking === false;
}

function wantedOf(parsed: z.infer<typeof requestBody>, b: Behaviour, chat: boolean): FakeRequest {
  return {
    model: parsed.model,
    chat,
    includeUsage: parsed.stream_options?.include_usage ?? false,
    maxTokens: parsed.max_tokens ?? parsed.max_completion_tokens ?? Infinity,
    promptTokens: promptWords(parsed, b),
    tools: (parsed.tools?.length ?? 0) > 0 && parsed.tool_choice !== "none",
  };
}

/** Every word of the messages that the model sees counts as a token. */
function promptWords({ messages, prompt }: z.infer<typeof requestBody>, b: Behaviour): number {
  const seen = messages?.filter(({ role }) => b.systemMessage !== "drop" || role !== "system");
  const text = seen === undefined ? prompt ?? "" : seen.map(({ content }) => content).join(" ");
  return text.split(/\s+/).filter((word) => word !== "").length;
}

function refusalOf(b: Behaviour, body: z.infer<typeof requestBody>, chat: boolean): Uint8Array | null {
  if (!b.routes.includes(chat ? "chat" : "completions")) return errorResponse(404, "no such route");
  if (body.stream && b.streaming === "refuse") return errorResponse(400, "streaming is not supported");
  if (body.stream_options !== undefined && b.refuseStreamOptions) {
    return errorResponse(400, "Unrecognized request argument supplied: stream_options");
  }
  const refused = b.refuseFields.find((field) => field in body);
  if (refused !== undefined) return errorResponse(400, `Unrecognized request argument supplied: ${refused}`);
  if (b.refuseZeroTemperature && body.temperature === 0) {
    return errorResponse(422, "`temperature` must be strictly positive");
  }
  if (b.systemMessage.startsWith("refuse") && body.messages?.some(({ role }) => role === "system")) {
    return errorResponse(b.systemMessage === "refuse" ? 400 : 500, "System role not supported");
  }
  return b.fault?.kind === "http" ? response(b.fault.status, "application/json", b.fault.body) : null;
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

const decoder = new TextDecoder();

interface IncomingRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** When its last byte was read. */
  readonly readMs: number;
}

/** Reads requests with a content length, one after the other. */
class IncomingRequests {
  #bytes: Uint8Array = new Uint8Array();
  #buffer = new Uint8Array(16 * 1024);
  #readMs = 0;

  constructor(readonly connection: Deno.TcpConn, readonly clock: Clock) {}

  async next(): Promise<IncomingRequest | null> {
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
    this.#readMs = this.clock();
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
