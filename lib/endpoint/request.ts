/** One timed request to an OpenAI-compatible endpoint: the project's only way of asking a model for text. */
import type { Clock, Fetch } from "../clock.ts";
import { AnswerError, AnswerReader } from "./answer.ts";
import { askDirectly } from "./direct_client.ts";
import { askOpenAI } from "./openai_client.ts";
import { EndpointFailure, redacted, rootReason, withoutKey } from "./failure.ts";
import { limitedText, type TimedBody, timedBody, type TimedInit } from "./timed_body.ts";
import type { Endpoint, GenerationRequest, Trace } from "./trace.ts";

export interface RequestOptions {
  readonly clock: Clock;
  /** Carries the request; `rawTransport(…).fetch` also stamps arrivals at the socket. */
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  /** When it should have been sent, under a constant rate. @default when it is sent */
  readonly dueMs?: number;
  /** @default "chat" */
  readonly route?: "chat" | "completions";
  /** Ask for a stream. @default true */
  readonly stream?: boolean;
  /** Ask for a last chunk with `usage`; a few servers refuse the word. @default true */
  readonly streamUsage?: boolean;
  /** `direct` sends the same request without the SDK, for load that the SDK can't carry. @default "openai" */
  readonly client?: "openai" | "direct";
  /** Aborting it makes the call throw the signal's reason. */
  readonly signal?: AbortSignal;
  /** Gets the visible text piece by piece, for somebody who reads along; a measurement leaves it out. */
  readonly onText?: (text: string) => void;
}

/**
 * Sends one request and records when each piece of its answer arrived. One call is one request on the wire;
 * nothing is retried. What the endpoint does wrong, and the time-out, is a trace with its reason: `partial`
 * where text had come, otherwise `failed`.
 *
 * @throws the signal's reason, when `signal` is aborted
 *
 * ```ts
 * const answer = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
 * const trace = await timedRequest(
 *   { name: "stub", baseUrl: "http://127.0.0.1:5273/v1" },
 *   { model: "m", messages: [{ role: "user", content: "Hello" }], maxTokens: 8, temperature: 0 },
 *   { clock: () => 0, fetch: () => Promise.resolve(new Response(answer)), timeoutMs: 1000 },
 * );
 * if (trace.status !== "ok" || trace.content !== "Hi") throw new Error(trace.reason ?? trace.content);
 * ```
 */
export async function timedRequest(
  endpoint: Endpoint,
  request: GenerationRequest,
  options: RequestOptions,
): Promise<Trace> {
  options.signal?.throwIfAborted();
  const exchange = new Exchange(endpoint, request, options);
  const reason = await exchange.run();
  options.signal?.throwIfAborted();
  return exchange.trace(reason);
}

class Exchange {
  #controller = new AbortController();
  #reader: AnswerReader | null = null;
  #body: TimedBody | null = null;
  #sentMs: number | null = null;
  #httpStatus: number | null = null;
  #headersMs: number | null = null;
  #endMs: number | null = null;
  /** Characters that `onText` got. */
  #told = 0;

  constructor(
    readonly endpoint: Endpoint,
    readonly request: GenerationRequest,
    readonly options: RequestOptions,
  ) {}

  /** Runs to the end, the time-out or the abort, whichever is first; returns what went wrong, or null. */
  async run(): Promise<string | null> {
    const { signal, timeoutMs, clock } = this.options;
    const { promise: stopped, resolve: stop } = Promise.withResolvers<string>();
    const giveUp = (reason: string) => {
      this.#endMs = clock();
      stop(reason);
      this.#controller.abort(new EndpointFailure(reason));
      this.#body?.cancel().catch(() => {}); // the SDK holds on to a signal only as long as to its response
    };
    const onAbort = () => giveUp("aborted");
    const timer = setTimeout(() => giveUp(this.#timeoutReason()), timeoutMs);
    signal?.addEventListener("abort", onAbort);
    try {
      return await Promise.race([this.#exchange(), stopped]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  trace(reason: string | null): Trace {
    const { options } = this;
    const endMs = this.#endMs ?? options.clock();
    const sentMs = this.#sentMs ?? endMs;
    const reader = this.#reader;
    const chunks = reader?.chunks ?? [];
    const why = reason ?? (chunks.length === 0 ? "empty answer" : null);
    return {
      status: why === null ? "ok" : chunks.length > 0 ? "partial" : "failed",
      reason: why === null ? null : redacted(why, this.endpoint.apiKey),
      httpStatus: this.#httpStatus,
      dueMs: options.dueMs ?? sentMs,
      sentMs,
      headersMs: this.#headersMs,
      endMs,
      streamed: reader?.streamed ?? false,
      route: options.route ?? "chat",
      chunks,
      content: withoutKey(reader?.content ?? "", this.endpoint.apiKey),
      reasoning: withoutKey(reader?.reasoning ?? "", this.endpoint.apiKey),
      finishReason: reader?.finishReason ?? null,
      // Nothing generated for a text that is there: such a count is no count.
      usage: chunks.length > 0 && reader?.usage?.outputTokens === 0 ? null : reader?.usage ?? null,
      server: reader?.server ?? null,
    };
  }

  async #exchange(): Promise<string | null> {
    const { clock } = this.options;
    try {
      await this.#read(await this.#ask());
      return null;
    } catch (error) {
      this.#endMs ??= clock();
      if (error instanceof EndpointFailure) {
        this.#httpStatus ??= error.httpStatus;
        return error.message;
      }
      if (error instanceof AnswerError) {
        this.#body?.cancel().catch(() => {}); // its connection is of no more use
        return error.message;
      }
      if (this.#controller.signal.aborted) return "aborted"; // nobody listens: `stopped` won the race
      throw error;
    }
  }

  async #ask(): Promise<Response> {
    const { options } = this;
    const ask = options.client === "direct" ? askDirectly : askOpenAI;
    return await ask(this.endpoint, this.request, {
      route: options.route ?? "chat",
      stream: options.stream ?? true,
      streamUsage: options.streamUsage ?? true,
      timeoutMs: options.timeoutMs,
      signal: this.#controller.signal,
      fetch: async (input, init) => {
        this.#sentMs = options.clock();
        const timed: TimedInit = { ...init, timedOnly: true };
        const response = await options.fetch(input, timed);
        return response.ok ? response : await shortened(response);
      },
    });
  }

  async #read(response: Response): Promise<void> {
    const { clock } = this.options;
    const body = this.#body = timedBody(response, clock);
    this.#httpStatus = response.status;
    this.#headersMs = body.headersMs;
    this.#sentMs = body.sentMs ?? this.#sentMs;
    const reader = this.#reader = new AnswerReader(response.headers.get("content-type"));
    while (!this.#controller.signal.aborted) {
      const piece = await nextPiece(body);
      if (this.#controller.signal.aborted) return; // too late to count
      if (piece === null) break;
      reader.feed(piece.bytes, piece.atMs);
      this.#tell(reader);
      if (reader.done) {
        this.#endMs = piece.atMs;
        return await drain(body);
      }
    }
    this.#endMs = clock();
    reader.end(this.#endMs);
    this.#tell(reader);
  }

  #tell(reader: AnswerReader): void {
    const { onText } = this.options;
    if (onText === undefined) return;
    const { content } = reader;
    if (content.length === this.#told) return;
    onText(content.slice(this.#told));
    this.#told = content.length;
  }

  #timeoutReason(): string {
    const seconds = `${this.options.timeoutMs / 1000} s`;
    const chunks = this.#reader?.chunks.length ?? 0;
    if (chunks > 0) return `timed out after ${seconds}, with the answer half told`;
    return this.#headersMs === null ? `no answer within ${seconds}` : `no text within ${seconds}`;
  }
}

const LONGEST_ERROR_BYTES = 64 * 1024;

/** An error response as short as its reader can bear. */
async function shortened(response: Response): Promise<Response> {
  const { status, headers } = response;
  const text = await limitedText(response, LONGEST_ERROR_BYTES);
  return new Response(text === "" ? null : text, { status, headers });
}

async function nextPiece(body: TimedBody) {
  try {
    return await body.next();
  } catch (error) {
    if (error instanceof EndpointFailure) throw error;
    throw new EndpointFailure(rootReason(error), null, { cause: error });
  }
}

/** How long a server may take to close an answer that is complete, before we close the connection. */
const DRAIN_MS = 100;

/** Reads what follows `[DONE]`, so that the connection can be used again; none of it counts. */
async function drain(body: TimedBody): Promise<void> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    body.cancel().catch(() => {});
  }, DRAIN_MS);
  try {
    while (!late && await body.next() !== null);
  } catch {
    // The answer was complete: how its connection ends is no part of it.
  } finally {
    clearTimeout(timer);
  }
}
