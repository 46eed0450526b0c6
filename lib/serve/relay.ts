/** One attempt at an answer: forwards the request to one model, and passes the answer back byte by byte. */
import { jsonOrText } from "../bounded_json.ts";
import type { Clock } from "../clock.ts";
import { concat } from "../endpoint/bytes.ts";
import { errorMessage, redacted, rootReason, withoutKey } from "../endpoint/failure.ts";
import type { ResponseHead } from "../endpoint/http1.ts";
import type { PostJson, TimedResponse } from "../endpoint/timed_client.ts";
import { ApiError, errorBody } from "../openai/api_error.ts";
import type { StreamedAnswer } from "../openai/server.ts";
import { AnswerScan, type AnswerSeen, areOrdinaryChunks } from "./answer_scan.ts";
import type { ModelEndpoint } from "./served_models.ts";

/** How long a model may take, in milliseconds. */
export interface StreamLimits {
  /** Until the first byte of a stream. A whole answer has the request's own deadline alone. */
  readonly firstByteMs: number;
  /** Between two pieces of a stream. */
  readonly gapMs: number;
}

export interface RelayTools {
  /** Must not follow redirects: a service would send the prompt to another host. */
  readonly post: PostJson;
  readonly clock: Clock;
  readonly streamLimits: StreamLimits;
}

/** What is forwarded. */
export interface Forwarded {
  /** Below the base URL: `/chat/completions`. */
  readonly path: string;
  readonly body: string;
  readonly stream: boolean;
  /** The gateway's own headers of the answer; called once the answer is there. */
  readonly headers: () => Readonly<Record<string, string>>;
}

/** Why an attempt failed before the client got anything. */
export interface Failure {
  readonly kind: "failed";
  /** The client's error where no other model can answer. */
  readonly error: ApiError;
  /** The model's own error in OpenAI's shape, which is passed on as it is. */
  readonly own: Response | null;
  /** Whether it says something about the model's health; a full queue does not. */
  readonly counts: boolean;
}

/** How a begun answer ended. */
export type Ended =
  | { readonly kind: "gone" }
  /** The request was at fault, and the client got the model's own error. */
  | { readonly kind: "refused"; readonly status: number }
  /** The answer was sent; `fault` says what went wrong on the way. */
  | {
    readonly kind: "sent";
    readonly status: number;
    readonly seen: AnswerSeen;
    readonly fault: string | null;
  };

export type Attempt =
  | Failure
  | { readonly kind: "gone" }
  | {
    readonly kind: "answered";
    readonly response: Response | StreamedAnswer;
    readonly ended: Promise<Ended>;
  };

const WHOLE_LIMIT_BYTES = 64 * 1024 * 1024;
const ERROR_LIMIT_BYTES = 256 * 1024;

class TooSlow extends Error {}
class BadAnswer extends Error {}

/**
 * Waits for a model and for its client: calls `giveUp` when the time is over, or `stop` is aborted. There is
 * one timer per answer, since timers are the slowest part of a gateway that was idle.
 */
class WaitLimit {
  giveUp: (reason: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #untilMs = Infinity;

  constructor(private readonly clock: Clock, readonly stop: AbortSignal, giveUp: (reason: unknown) => void) {
    this.giveUp = giveUp;
    stop.addEventListener("abort", this.#onStop, { once: true });
    if (stop.aborted) this.#onStop();
  }

  /** Waits `ms` from now on, whatever was said before. */
  forMs(ms: number): void {
    this.#untilMs = this.clock() + ms;
    this.#timer ??= setTimeout(this.#check, ms);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.stop.removeEventListener("abort", this.#onStop);
  }

  readonly #onStop = () => this.giveUp(this.stop.reason);

  readonly #check = () => {
    const leftMs = this.#untilMs - this.clock();
    if (leftMs <= 0) this.giveUp(new TooSlow("it did not answer in time"));
    else this.#timer = setTimeout(this.#check, leftMs);
  };
}

/**
 * Forwards a request to `endpoint`. A stream is passed on as it comes, from its first byte; a whole answer
 * once it is whole. Until then every failure is returned, so that another model can be asked. Later failures
 * end the stream with an error event.
 *
 * @param stop aborted with an `ApiError` at the request's deadline, with any other
 * reason when the client goes away
 *
 * ```ts ignore
 * const attempt = await relay(endpoint, forwarded, request.signal, tools);
 * if (attempt.kind === "failed") console.log(attempt.error.message);
 * ```
 */
export async function relay(
  endpoint: ModelEndpoint,
  sent: Forwarded,
  stop: AbortSignal,
  { post, clock, streamLimits }: RelayTools,
): Promise<Attempt> {
  const { baseUrl, apiKey } = endpoint;
  const answer = post(baseUrl + sent.path, apiKey, sent.body);
  let given: unknown;
  const giveUp = (reason: unknown) => {
    given ??= reason;
    void answer.cancel(reason);
  };
  const waitLimit = new WaitLimit(clock, stop, giveUp);
  if (sent.stream) waitLimit.forMs(streamLimits.firstByteMs);
  try {
    const head = await answer.head();
    const { status } = head;
    if (status >= 300 || !head.headers.get("content-type")?.startsWith("text/event-stream")) {
      const attempt = status >= 300
        ? await refusal(head, answer, endpoint, sent)
        : await whole(head, answer, sent);
      waitLimit.end();
      return attempt;
    }
    // Whatever does not depend on the first piece is made before it comes, to save the client time.
    const options = { apiKey, waitLimit, gapMs: streamLimits.gapMs };
    const response = new PassedStream(answer, status, headersOf(head, sent.headers()), options);
    const first = await nextPiece(answer);
    if (first === null) throw new BadAnswer("it sent an empty answer");
    response.begin(first);
    return { kind: "answered", response, ended: response.ended };
  } catch (error) {
    waitLimit.end();
    const reason = given ?? error;
    giveUp(error);
    if (stop.aborted && !(stop.reason instanceof ApiError)) return { kind: "gone" };
    return failureOf(reason, apiKey);
  }
}

/** The next piece, in memory of its own: the client reads the next one over it. */
async function nextPiece(answer: TimedResponse): Promise<Piece | null> {
  const piece = await answer.next();
  return piece === null ? null : { bytes: piece.bytes.slice(), atMs: piece.atMs };
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

interface PassedStreamOptions {
  readonly apiKey: string | undefined;
  readonly waitLimit: WaitLimit;
  readonly gapMs: number;
}

/**
 * A stream on its way from a model to a client. It reads from the model only what the client takes, and it
 * gives up whichever of the two keeps the other waiting too long.
 */
class PassedStream implements StreamedAnswer {
  readonly ended: Promise<Ended>;
  readonly #settle: (how: Ended) => void;
  readonly #scan: AnswerScan;
  #first: Piece | null = null;
  #isFirstExamined = false;
  /** The piece that the client got last, which is not examined yet. */
  #handed: Piece | null = null;
  /** The client has not taken the last piece yet. */
  #clientBusy = false;
  #state: "open" | "closed" | "gone" = "open";
  #givenUp: { readonly reason: unknown } | null = null;

  constructor(
    private readonly answer: TimedResponse,
    readonly status: number,
    readonly headers: Map<string, string>,
    private readonly options: PassedStreamOptions,
  ) {
    this.#scan = new AnswerScan(headers.get("content-type") ?? null);
    const { promise, resolve } = Promise.withResolvers<Ended>();
    this.ended = promise;
    this.#settle = resolve;
  }

  /**
   * From here on the client gets the stream.
   *
   * @throws {BadAnswer} where the first piece shows that this is not an answer
   */
  begin(first: Piece): void {
    const isOrdinary = areOrdinaryChunks(first.bytes);
    if (!isOrdinary) this.#examineFirst(first);
    this.#first = first;
    this.#isFirstExamined = !isOrdinary;
    const { waitLimit, gapMs } = this.options;
    waitLimit.giveUp = (reason) => this.#giveUp(reason);
    waitLimit.forMs(gapMs);
  }

  async next(): Promise<Uint8Array | null> {
    if (this.#state === "closed") return null;
    const { waitLimit, gapMs } = this.options;
    this.#clientBusy = false;
    // The model's time begins when the client has taken the last piece.
    waitLimit.forMs(gapMs);
    try {
      // The last piece is examined only now, after the client has received it.
      if (this.#handed !== null) this.#scan.add(this.#handed.bytes, this.#handed.atMs);
      const first = this.#first;
      const piece = first ?? await nextPiece(this.answer);
      [this.#first, this.#handed] = [null, first !== null && this.#isFirstExamined ? null : piece];
      if (piece === null) return this.#close();
      this.#clientBusy = true;
      waitLimit.forMs(gapMs);
      return piece.bytes;
    } catch (error) {
      return this.#breakOff(this.#givenUp === null ? error : this.#givenUp.reason);
    }
  }

  cancel(reason: unknown): Promise<void> {
    this.#end("gone", { kind: "gone" });
    return this.answer.cancel(reason);
  }

  #examineFirst({ bytes, atMs }: Piece): void {
    this.#scan.add(bytes, atMs);
    if (!beginsAsEvents(bytes)) throw new BadAnswer("what it sent is not an event stream");
    if (this.#scan.error !== null) throw new BadAnswer(this.#scan.error);
  }

  #end(state: "closed" | "gone", how: Ended): void {
    this.options.waitLimit.end();
    this.#state = state;
    this.#settle(how);
  }

  #close(): null {
    const seen = this.#scan.result();
    if (!seen.ended && seen.error === null) throw new BadAnswer("it ended its answer before it was complete");
    this.#end("closed", { kind: "sent", status: this.status, seen, fault: null });
    return null;
  }

  /** Gives up the one that is too slow: the client that does not read, or the model that is silent. */
  #giveUp(reason: unknown): void {
    const isClient = this.#clientBusy || !(reason instanceof ApiError || reason instanceof TooSlow);
    if (isClient) this.#end("gone", { kind: "gone" });
    this.#givenUp = { reason };
    void this.answer.cancel(reason);
  }

  /** No other model can answer after the first byte: an event in OpenAI's shape reports the error. */
  #breakOff(reason: unknown): Uint8Array {
    if (this.#state === "gone") throw reason;
    const { error } = failureOf(reason, this.options.apiKey);
    const seen = this.#scan.result();
    this.#end("closed", { kind: "sent", status: this.status, seen, fault: error.message });
    void this.answer.cancel(reason);
    return new TextEncoder().encode(`\n\ndata: ${JSON.stringify(errorBody(error))}\n\n`);
  }
}

async function whole(head: ResponseHead, answer: TimedResponse, sent: Forwarded): Promise<Attempt> {
  const scan = new AnswerScan(head.headers.get("content-type") ?? null);
  const bytes = await collected(answer, WHOLE_LIMIT_BYTES, scan);
  const seen = scan.result();
  if (seen.error !== null) throw new BadAnswer(seen.error);
  const { status } = head;
  return {
    kind: "answered",
    response: new Response(bytes, { status, headers: [...headersOf(head, sent.headers())] }),
    ended: Promise.resolve({ kind: "sent", status, seen, fault: null }),
  };
}

/** The client's own mistakes are passed on; the model's failures are reasons to ask another model. */
async function refusal(
  head: ResponseHead,
  answer: TimedResponse,
  { apiKey }: ModelEndpoint,
  sent: Forwarded,
): Promise<Attempt> {
  const { status } = head;
  if (status < 400) {
    throw new BadAnswer(`it redirects to another address (HTTP ${status}), which is not followed`);
  }
  const text = withoutKey(new TextDecoder().decode(await collected(answer, ERROR_LIMIT_BYTES)), apiKey);
  const headers = [...headersOf(head, { ...sent.headers(), "content-type": "application/json" })];
  if (!isModelsFault(status)) {
    const shaped = isError(text)
      ? text
      : JSON.stringify(errorBody(new ApiError(status, messageOf(text, status))));
    return {
      kind: "answered",
      response: new Response(shaped, { status, headers }),
      ended: Promise.resolve({ kind: "refused", status }),
    };
  }
  const message = redacted(messageOf(text, status), apiKey);
  const error = new ApiError(502, `the model's endpoint failed with HTTP ${status}: ${message}`, {
    code: "upstream_error",
  });
  const own = isError(text) ? new Response(text, { status, headers }) : null;
  return { kind: "failed", error, own, counts: showsIllness(status) };
}

/** A request can cause 403, 404 and 429. */
const showsIllness = (status: number) => ![403, 404, 429].includes(status);

/** 401 and 403: the gateway holds that key, not the client. 404: the model is not there any more. */
const isModelsFault = (status: number) => status >= 500 || [401, 403, 404, 408, 429].includes(status);

function failureOf(reason: unknown, apiKey: string | undefined): Failure {
  if (reason instanceof ApiError) return { kind: "failed", error: reason, own: null, counts: true };
  const slow = reason instanceof TooSlow;
  const text = redacted(reason instanceof BadAnswer || slow ? reason.message : rootReason(reason), apiKey);
  return {
    kind: "failed",
    error: new ApiError(slow ? 504 : 502, `the model's endpoint failed: ${text}`, {
      code: slow ? "upstream_timeout" : "upstream_error",
    }),
    own: null,
    counts: true,
  };
}

async function collected(answer: TimedResponse, limit: number, scan?: AnswerScan) {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let piece = await nextPiece(answer); piece !== null; piece = await nextPiece(answer)) {
    parts.push(piece.bytes);
    bytes += piece.bytes.length;
    scan?.add(piece.bytes, piece.atMs);
    if (bytes > limit) throw new BadAnswer(`its answer has more than ${limit} bytes`);
  }
  return new Uint8Array(concat(parts));
}

/** A stream begins with a field name, a comment or a byte order mark, perhaps after empty lines. */
function beginsAsEvents(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, 64)).trimStart();
  return ["data", "event", "id", "retry", ":"].some((word) => text.startsWith(word) || word.startsWith(text));
}

const messageOf = (text: string, status: number) =>
  errorMessage(jsonOrText(text)) || `it answered HTTP ${status}`;

/** OpenAI's shape, or close enough for its clients. */
function isError(text: string): boolean {
  const value = jsonOrText(text);
  return typeof value === "object" && value !== null && "error" in value && typeof value.error === "object";
}

/**
 * Response headers that clients of the protocol read. Every other header is dropped: browsers obey new ones
 * each year, and a service must not control a client's browser or speak for the gateway.
 */
const PASSED =
  /^(content-type|cache-control|date|retry-after(-ms)?|request-id|x-request-id|server-timing|openai-.+|x-ratelimit-.+)$/;

function headersOf(
  { headers: theirs }: ResponseHead,
  ours: Readonly<Record<string, string>>,
): Map<string, string> {
  return new Map([...[...theirs].filter(([name]) => PASSED.test(name)), ...Object.entries(ours)]);
}
