/** One timed request to an OpenAI-compatible endpoint. */
import type { Clock } from "../clock.ts";
import { AnswerError, AnswerReader } from "./answer_reader.ts";
import { EndpointFailure, redacted, rootReason, withoutKey } from "./failure.ts";
import {
  type ProtocolOptions,
  sendGeneration,
  type SentGeneration,
  type StartedAnswer,
} from "./generation_request.ts";
import type { TimedBody, TimedBytes } from "./timed_body.ts";
import type { PostJson } from "./timed_client.ts";
import type { Endpoint, GenerationRequest, Trace } from "./trace.ts";

/**
 * Options of a timed request: how it is sent, and what ends it early. By default it goes to the chat route
 * and asks for a stream with usage.
 */
export interface RequestOptions extends Partial<ProtocolOptions> {
  /** Monotonic clock, in ms; the same that `post` was made with. */
  readonly clock: Clock;
  /** Sends the request: `timedClient(…).post`. */
  readonly post: PostJson;
  readonly timeoutMs: number;
  /** When the request should have been sent, in ms, under a constant rate. @default when it is sent */
  readonly dueMs?: number;
  /** Aborting it makes the call throw the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called with each piece of visible text as it arrives; measurements leave it out. */
  readonly onText?: (text: string) => void;
}

/**
 * Sends one request and records when each piece of its answer arrived. One call is one request on the wire;
 * nothing is retried. An endpoint's error and a time-out become a trace with a reason: its status is
 * `partial` where text had arrived, otherwise `failed`.
 *
 * @throws the signal's reason, when `signal` is aborted
 *
 * ```ts
 * import { postOverFetch } from "./timed_client.ts";
 * const clock = () => 0;
 * const answer = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
 * const trace = await timedRequest(
 *   { name: "stub", baseUrl: "http://127.0.0.1:5273/v1" },
 *   { model: "m", messages: [{ role: "user", content: "Hello" }], maxTokens: 8, temperature: 0 },
 *   { clock, post: postOverFetch({ clock, fetch: () => Promise.resolve(new Response(answer)) }), timeoutMs: 1000 },
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
  #sent: SentGeneration | null = null;
  #reader: AnswerReader | null = null;
  #httpStatus: number | null = null;
  #headersMs: number | null = null;
  #endMs: number | null = null;
  /** After a time-out or an abort nothing that arrives counts. */
  #givenUp = false;
  constructor(
    readonly endpoint: Endpoint,
    readonly request: GenerationRequest,
    readonly options: RequestOptions,
  ) {}

  /** Runs until the answer ends, the time-out or the abort; returns what went wrong, or null. */
  async run(): Promise<string | null> {
    const { signal, timeoutMs, clock } = this.options;
    const { promise: stopped, resolve: stop } = Promise.withResolvers<string>();
    const giveUp = (reason: string) => {
      this.#givenUp = true;
      this.#endMs = clock();
      stop(reason);
      this.#sent?.cancel(new EndpointFailure(reason));
    };
    const answered = this.#exchange(); // sends the request before anything else is done
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
    const sentMs = this.#sent?.sentMs ?? endMs;
    const reader = this.#reader;
    const { chunks, content, reasoning, toolCalls } = reader?.text() ?? NOTHING;
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
      content: withoutKey(content, this.endpoint.apiKey),
      reasoning: withoutKey(reasoning, this.endpoint.apiKey),
      toolCalls: toolCalls.map((call) => ({
        ...call,
        arguments: withoutKey(call.arguments, this.endpoint.apiKey),
      })),
      finishReason: reader?.finishReason ?? null,
      // A count of 0 for a text that arrived is wrong.
      usage: chunks.length > 0 && reader?.usage?.outputTokens === 0 ? null : reader?.usage ?? null,
      server: reader?.server ?? null,
    };
  }

  async #exchange(): Promise<string | null> {
    const { options } = this;
    try {
      await this.#read(await this.#send().started);
      return null;
    } catch (error) {
      this.#endMs ??= options.clock();
      if (error instanceof EndpointFailure) {
        this.#httpStatus ??= error.httpStatus;
        return error.message;
      }
      if (error instanceof AnswerError) {
        this.#sent?.cancel(error); // the rest of a broken answer is not read
        return error.message;
      }
      if (this.#givenUp) return "aborted"; // not used: `stopped` won the race
      throw error;
    }
  }

  #send(): SentGeneration {
    const { route = "chat", stream = true, streamUsage = true, post, ...rest } = this.options;
    const protocol = { ...rest, route, stream, streamUsage };
    return this.#sent = sendGeneration(this.endpoint, this.request, protocol, post);
  }

  async #read({ status, contentType, body }: StartedAnswer): Promise<void> {
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
      if (this.#givenUp) return; // it arrived after the end
      if (piece === null) break;
      reader.feed(piece.bytes, piece.atMs);
      this.#show(reader, reader.done);
      if (reader.done) {
        this.#endMs = piece.atMs;
        return await drain(body);
      }
    }
    this.#endMs = clock();
    reader.end(this.#endMs);
    this.#show(reader, true);
  }

  #show(reader: AnswerReader, isComplete: boolean): void {
    const { onText } = this.options;
    const text = onText === undefined ? "" : reader.takeVisible(isComplete);
    if (text !== "") onText?.(text);
  }

  #timeoutReason(): string {
    const seconds = `${this.options.timeoutMs / 1000} s`;
    if ((this.#reader?.chunkCount ?? 0) > 0) return `timed out after ${seconds}, in the middle of the answer`;
    return this.#headersMs === null ? `no answer within ${seconds}` : `no text within ${seconds}`;
  }
}

const NOTHING = { chunks: [], content: "", reasoning: "", toolCalls: [] };

/** A body that is cut off is the endpoint's failure. */
const asFailure = (error: unknown) =>
  error instanceof EndpointFailure ? error : new EndpointFailure(rootReason(error), null, { cause: error });

/** After `[DONE]` a server has this long to end the body; then the connection is closed. */
const DRAIN_MS = 100;

/** Reads what follows `[DONE]`, so that the connection can be reused; none of it counts. */
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
    // The answer was complete; how its connection ends does not matter.
  } finally {
    clearTimeout(timer);
  }
}
