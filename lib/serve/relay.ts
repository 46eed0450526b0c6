/** One attempt at an answer: sends the request on, and passes back what comes, byte by byte. */
import type { Clock } from "../clock.ts";
import { concat } from "../endpoint/bytes.ts";
import { errorMessage, redacted, rootReason, withoutKey } from "../endpoint/failure.ts";
import type { ResponseHead } from "../endpoint/http1.ts";
import type { PostJson } from "../endpoint/post.ts";
import type { TimedBody } from "../endpoint/timed_body.ts";
import { ApiError, errorBody } from "../openai/api_error.ts";
import { AnswerScan, type AnswerSeen } from "./answer_scan.ts";
import type { Deadlines } from "./deadlines.ts";
import type { HeaderList, Reply } from "../openai/http_server.ts";

/** Where a model answers, and what it is called there. */
export interface Place {
  readonly baseUrl: string;
  readonly apiKey?: string;
  readonly modelId: string;
}

/** How long a backend may take, in milliseconds. */
export interface Patience {
  /** Until the first byte of a stream. A whole answer has the request's own deadline alone. */
  readonly firstByteMs: number;
  /** Between two pieces of a stream. */
  readonly gapMs: number;
}

export interface RelayTools {
  readonly post: PostJson;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly patience: Patience;
}

/** What is sent on. */
export interface Forwarded {
  /** Below the base URL: `/chat/completions`. */
  readonly path: string;
  readonly body: string | Uint8Array;
  /** The client asked for a stream. */
  readonly stream: boolean;
  /** The request's own deadline. */
  readonly untilMs: number;
  /** Headers of ours that the answer gets; asked for once it is there. */
  readonly headers: () => HeaderList;
}

/** Why an attempt failed before anything of it had been sent to the client. */
export interface Failure {
  readonly kind: "failed";
  /** What the client is told where nobody else can answer. */
  readonly error: ApiError;
  /** The backend's own error in OpenAI's shape, which is passed on as it is. */
  readonly own: { readonly status: number; readonly headers: HeaderList; readonly body: string } | null;
  /** Says something about the backend's health; a full queue does not. */
  readonly counts: boolean;
}

export type Attempt =
  | Failure
  | { readonly kind: "gone" }
  /** The request was at fault, and was told so in the backend's own words. */
  | { readonly kind: "refused"; readonly status: number }
  /** Something was sent; `fault` says what went wrong after that. */
  | {
    readonly kind: "sent";
    readonly status: number;
    readonly seen: AnswerSeen;
    readonly fault: string | null;
  };

const WHOLE_LIMIT_BYTES = 64 * 1024 * 1024;
const ERROR_LIMIT_BYTES = 256 * 1024;

class TooSlow extends Error {}
class BadAnswer extends Error {}

/**
 * Sends a request to `place` and its answer to the client. A stream is passed on as it comes, from its first byte;
 * a whole answer once it is whole. Until a byte was sent every failure is returned, so that somebody else can be
 * asked; after that it ends the stream with an error event.
 *
 * ```ts ignore
 * const attempt = await relay(place, forwarded, reply, tools);
 * if (attempt.kind === "failed") console.log(attempt.error.message);
 * ```
 */
export async function relay(
  place: Place,
  sent: Forwarded,
  reply: Reply,
  tools: RelayTools,
): Promise<Attempt> {
  // First of all it is sent: what follows is done while the model works.
  const answer = tools.post(place.baseUrl + sent.path, place.apiKey, sent.body);
  const { clock, deadlines, patience } = tools;
  const client = new Taking(reply);
  let given: unknown;
  const giveUp = (reason: unknown) => {
    given ??= reason;
    void answer.cancel(reason);
  };
  reply.gone.onStop = giveUp;
  const deadline = deadlines.add({
    atMs: sent.stream ? Math.min(sent.untilMs, clock() + patience.firstByteMs) : sent.untilMs,
    // Whoever keeps the other waiting is given up: a client that doesn't read, or a backend that says nothing.
    passed: () => client.busy ? reply.drop() : giveUp(new TooSlow("it did not answer in time")),
  });
  const scan = new AnswerScan();
  try {
    const head = await answer.head();
    if (head.status >= 400) return await refusal(head, answer, place, sent, reply);
    if (head.headers.get("content-type")?.startsWith("text/event-stream")) {
      const moved = () => deadline.atMs = Math.min(sent.untilMs, clock() + patience.gapMs);
      await passStream(head, answer, sent, client, scan, moved);
    } else await passWhole(head, answer, sent, client, scan);
    return { kind: "sent", status: head.status, seen: scan.result(), fault: null };
  } catch (error) {
    if (reply.gone.stopped) return { kind: "gone" };
    const failure = failureOf(given ?? error, place.apiKey);
    if (!reply.begun) return failure;
    giveUp(error);
    return await breakOff(failure.error, reply, scan);
  } finally {
    deadlines.drop(deadline);
    reply.gone.onStop = null;
  }
}

/** The client's side of an answer: whether something is being written that it has not taken yet. */
class Taking {
  busy = false;

  constructor(readonly reply: Reply) {}

  async take(writing: Promise<void>): Promise<void> {
    this.busy = true;
    await writing;
    this.busy = false;
  }
}

async function passStream(
  head: ResponseHead,
  body: TimedBody,
  sent: Forwarded,
  client: Taking,
  scan: AnswerScan,
  moved: () => void,
): Promise<void> {
  const { reply } = client;
  reply.begin(head.status, headersOf(head, sent.headers())); // made ready before the first token is there
  const first = await body.next();
  if (first === null) throw new BadAnswer("it sent an empty answer");
  checkBeginning(first.bytes);
  for (let piece: typeof first | null = first; piece !== null; piece = await body.next()) {
    await client.take(reply.write(piece.bytes));
    scan.add(piece.bytes, piece.atMs);
    moved();
  }
  if (!scan.result().ended) throw new BadAnswer("it ended its answer before it was complete");
  await client.take(reply.end());
}

async function passWhole(
  head: ResponseHead,
  body: TimedBody,
  sent: Forwarded,
  client: Taking,
  scan: AnswerScan,
): Promise<void> {
  const bytes = await collected(body, WHOLE_LIMIT_BYTES, scan);
  if (!isJsonObject(new TextDecoder().decode(bytes))) throw new BadAnswer("what it sent is not JSON");
  await client.take(client.reply.whole(head.status, headersOf(head, sent.headers()), bytes));
}

/** An HTTP error: the client's own mistakes are passed on, the backend's are reasons to ask another. */
async function refusal(
  head: ResponseHead,
  body: TimedBody,
  place: Place,
  sent: Forwarded,
  reply: Reply,
): Promise<Attempt> {
  const text = new TextDecoder().decode(await collected(body, ERROR_LIMIT_BYTES));
  const clean = withoutKey(text, place.apiKey);
  const headers = headersOf(head, sent.headers());
  const { status } = head;
  if (!isBackendsFault(status)) {
    const shaped = isError(clean)
      ? clean
      : JSON.stringify(errorBody(new ApiError(status, messageOf(clean, status))));
    await reply.whole(status, withJson(headers), shaped);
    return { kind: "refused", status };
  }
  const error = new ApiError(
    502,
    `the model's endpoint failed with HTTP ${status}: ${messageOf(clean, status)}`,
    {
      code: "upstream_error",
    },
  );
  const own = isError(clean) ? { status, headers: withJson(headers), body: clean } : null;
  return { kind: "failed", error, own, counts: saysIll(status) };
}

/** After the first byte nobody else can answer: the stream says what happened, in OpenAI's shape, and ends. */
async function breakOff(error: ApiError, reply: Reply, scan: AnswerScan): Promise<Attempt> {
  try {
    await reply.write(new TextEncoder().encode(`\n\ndata: ${JSON.stringify(errorBody(error))}\n\n`));
    await reply.end();
  } catch {
    return { kind: "gone" };
  }
  return { kind: "sent", status: 200, seen: scan.result(), fault: error.message };
}

/** Another model may be asked after any of these; but a request alone can bring about 403, 404 and 429. */
const saysIll = (status: number) => ![403, 404, 429].includes(status);

/** 401 and 403: the key that it wants is ours to know, not the client's. 404: the model is not there any more. */
const isBackendsFault = (status: number) => status >= 500 || [401, 403, 404, 408, 429].includes(status);

function failureOf(error: unknown, apiKey: string | undefined): Failure {
  const slow = error instanceof TooSlow;
  const reason = redacted(error instanceof BadAnswer || slow ? error.message : rootReason(error), apiKey);
  return {
    kind: "failed",
    error: new ApiError(slow ? 504 : 502, `the model's endpoint failed: ${reason}`, {
      code: slow ? "upstream_timeout" : "upstream_error",
    }),
    own: null,
    counts: true,
  };
}

async function collected(body: TimedBody, limit: number, scan?: AnswerScan): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (let piece = await body.next(); piece !== null; piece = await body.next()) {
    parts.push(piece.bytes.slice());
    bytes += piece.bytes.length;
    scan?.add(piece.bytes, piece.atMs);
    if (bytes > limit) {
      await body.cancel();
      throw new BadAnswer(`its answer has more than ${limit} bytes`);
    }
  }
  return concat(parts);
}

/**
 * A stream begins with a field name, a comment or a byte order mark, perhaps after empty lines, and not with an
 * error.
 */
function checkBeginning(bytes: Uint8Array): void {
  if (isOrdinary(bytes)) return;
  const text = new TextDecoder().decode(bytes.subarray(0, 64)).trimStart();
  if (!["data", "event", "id", "retry", ":"].some((word) => text.startsWith(word) || word.startsWith(text))) {
    throw new BadAnswer("what it sent is no event stream");
  }
  if (/^(?:event: *error|data: *\{\s*"error"\s*:\s*[{"])/.test(text)) throw new BadAnswer(eventError(bytes));
}

const ORDINARY = new TextEncoder().encode('data: {"');

/** Nearly every stream begins like this, and its first key is not `error`: no reason to decode anything. */
const isOrdinary = (bytes: Uint8Array) =>
  ORDINARY.every((byte, i) => bytes[i] === byte) && bytes[ORDINARY.length] !== 0x65;

function eventError(bytes: Uint8Array): string {
  const data = /data: *(\{.*)/.exec(new TextDecoder().decode(bytes))?.[1] ?? "";
  return messageOf(data, 500);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const messageOf = (text: string, status: number) =>
  errorMessage(parsed(text)) || `it answered HTTP ${status}`;

const isJsonObject = (text: string) => {
  const value = parsed(text);
  return typeof value === "object" && value !== null;
};

/** OpenAI's shape, or near enough for its clients. */
function isError(text: string): boolean {
  const value = parsed(text);
  return typeof value === "object" && value !== null && "error" in value && typeof value.error === "object";
}

/** Headers about the connection to the backend, or about who may read its answers: those are ours to say. */
const NOT_PASSED = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "content-encoding",
  "set-cookie",
  "alt-svc",
  "vary",
]);

function headersOf({ headers: theirs }: ResponseHead, ours: HeaderList): HeaderList {
  const passed = [...theirs].filter(([name]) => !NOT_PASSED.has(name) && !name.startsWith("access-control-"));
  return [...passed, ...ours];
}

const withJson = (headers: HeaderList): HeaderList => [
  ...headers.filter(([name]) => name !== "content-type"),
  ["content-type", "application/json"],
];
