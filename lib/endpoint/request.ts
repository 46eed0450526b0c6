/** One timed request to an OpenAI-compatible endpoint: the project's only way of asking a model for text. */
import type { Clock, Fetch } from "../clock.ts";
import { AnswerError, AnswerReader } from "./answer.ts";
import type { Asked, Begun } from "./asking.ts";
import { askDirectly } from "./direct_client.ts";
import { askOpenAI } from "./openai_client.ts";
import { EndpointFailure, redacted, rootReason, withoutKey } from "./failure.ts";
import type { PostJson } from "./post.ts";
import type { TimedBody, TimedBytes } from "./timed_body.ts";
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
  /** Sends the same request without the SDK, for load that the SDK can't carry; `rawTransport(…).post`. */
  readonly post?: PostJson;
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
  const timed = new TimedRequest(endpoint, request, options);
  const reason = await timed.run();
  options.signal?.throwIfAborted();
  return timed.trace(reason);
}

class TimedRequest {
  #asked: Asked | null = null;
  #reader: AnswerReader | null = null;
  #httpStatus: number | null = null;
  #headersMs: number | null = null;
  #endMs: number | null = null;
  /** Time-out or abort: nothing counts that comes after it. */
  #givenUp = false;
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
      this.#givenUp = true;
      this.#endMs = clock();
      stop(reason);
      this.#asked?.cancel(new EndpointFailure(reason));
    };
    const answered = this.#exchange(); // first of all it is sent
    const onAbort = () => giveUp("aborted");
    const timer = setTimeout(() => giveUp(this.#timeoutReason()), timeoutMs);
    signal?.addEventListener("abort", onAbort);
    try {
      return await Promise.race([answered, stopped]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  trace(reason: string | null): Trace {
    const { options } = this;
    const endMs = this.#endMs ?? options.clock();
    const sentMs = this.#asked?.sentMs ?? endMs;
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
    const { options } = this;
    try {
      await this.#read(await this.#ask().begun);
      return null;
    } catch (error) {
      this.#endMs ??= options.clock();
      if (error instanceof EndpointFailure) {
        this.#httpStatus ??= error.httpStatus;
        return error.message;
      }
      if (error instanceof AnswerError) {
        this.#asked?.cancel(error); // its connection is of no more use
        return error.message;
      }
      if (this.#givenUp) return "aborted"; // nobody listens: `stopped` won the race
      throw error;
    }
  }

  #ask(): Asked {
    const { route = "chat", stream = true, streamUsage = true, post, ...rest } = this.options;
    const asking = { ...rest, route, stream, streamUsage };
    return this.#asked = post === undefined
      ? askOpenAI(this.endpoint, this.request, asking)
      : askDirectly(this.endpoint, this.request, asking, post);
  }

  async #read({ status, contentType, body }: Begun): Promise<void> {
    const { clock } = this.options;
    this.#httpStatus = status;
    this.#headersMs = body.headersMs;
    const reader = this.#reader = new AnswerReader(contentType);
    while (!this.#givenUp) {
      let piece: TimedBytes | null;
      try {
        piece = await body.next();
      } catch (error) {
        throw asFailure(error);
      }
      if (this.#givenUp) return; // too late to count
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
    if ((this.#reader?.chunkCount ?? 0) > 0) return `timed out after ${seconds}, with the answer half told`;
    return this.#headersMs === null ? `no answer within ${seconds}` : `no text within ${seconds}`;
  }
}

/** A body that breaks is the endpoint's fault. */
const asFailure = (error: unknown) =>
  error instanceof EndpointFailure ? error : new EndpointFailure(rootReason(error), null, { cause: error });

/** How long a server may take to close an answer that is complete, before we close the connection. */
const DRAIN_MS = 100;

/** Reads what follows `[DONE]`, so that the connection can be used again; none of it counts. */
async function drain(body: TimedBody): Promise<void> {
  if (body.ended) return;
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
