/** One transfer: what it needs from outside, its time limits, its redirects, and how it fails. */
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { reasonOf } from "../errors.ts";

/** Time limits and retries of a download. */
export interface RetryPolicy {
  /** Until the first answer of a server. */
  readonly connectMs: number;
  /** Without a byte while a file comes. */
  readonly stallMs: number;
  /** Attempts in a row without progress. */
  readonly retries: number;
  /** Wait before the first retry; doubled each time, at most 30 s. */
  readonly backoffMs: number;
  /** Longest wait that a server may ask for with Retry-After. */
  readonly maxRetryAfterMs: number;
}

export const DEFAULT_RETRIES: RetryPolicy = {
  connectMs: 6_000,
  stallMs: 30_000,
  retries: 5,
  backoffMs: 1_000,
  maxRetryAfterMs: 120_000,
};

/** The surroundings of one transfer. */
export interface Transfer {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly retry: RetryPolicy;
  progress(receivedBytes: number, totalBytes: number | null): void;
  retrying(reason: string, waitMs: number): void;
}

/** A source that did not deliver the file. Its message is the reason; the next source is tried. */
export class SourceError extends Error {
  override readonly name = "SourceError";

  constructor(
    message: string,
    /** The host could not be reached at all, so that its other files need not be tried. */
    readonly unreachable = false,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const SPEED_WINDOW_MS = 5_000;

/**
 * Bytes per second over the last seconds of a transfer; null until it can be computed.
 *
 * ```ts
 * let nowMs = 0;
 * const speed = speedometer(() => nowMs);
 * if (speed(0) !== null) throw new Error("no time has passed yet");
 * nowMs = 500;
 * if (speed(1_000_000) !== 2_000_000) throw new Error("a megabyte in half a second");
 * ```
 */
export function speedometer(clock: Clock): (bytes: number) => number | null {
  const seen: { atMs: number; bytes: number }[] = [];
  return (bytes) => {
    const atMs = clock();
    const last = seen.at(-1);
    if (last !== undefined && bytes < last.bytes) seen.length = 0;
    seen.push({ atMs, bytes });
    while ((seen[1]?.atMs ?? Infinity) < atMs - SPEED_WINDOW_MS) seen.shift();
    const first = seen[0];
    if (first === undefined || atMs - first.atMs < 250) return null;
    return (bytes - first.bytes) / (atMs - first.atMs) * 1000;
  };
}

/** An attempt that failed and may succeed if it is repeated. */
export class AttemptError extends Error {
  override readonly name = "AttemptError";
  constructor(
    message: string,
    readonly retryAfterMs: number | null = null,
    readonly unreachable = false,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Aborts an attempt whose server does not answer, or that stalls; the sign of life is `alive()`. */
export function watch(transfer: Transfer, onAnswer: () => void) {
  const controller = new AbortController();
  const stop = new AbortController();
  const onAbort = () => controller.abort(transfer.signal.reason);
  transfer.signal.addEventListener("abort", onAbort, { once: true });
  const answered = new AbortController();
  let beats = 0;
  const sleepUnless = (ms: number, signal: AbortSignal) =>
    transfer.sleep(ms, AbortSignal.any([signal, stop.signal])).then(() => true, () => false);
  const guard = async () => {
    const { connectMs, stallMs } = transfer.retry;
    if (await sleepUnless(connectMs, answered.signal)) return giveUp(connectMs);
    while (!stop.signal.aborted) {
      const before = beats;
      if (await sleepUnless(stallMs, stop.signal) && beats === before) return giveUp(stallMs);
    }
  };
  const giveUp = (ms: number) =>
    controller.abort(new AttemptError(`no data for ${ms / 1000} s`, null, beats === 0));
  guard();
  return {
    signal: controller.signal,
    /** Data arrived: from now on the limit of a running transfer applies. */
    alive() {
      if (beats++ > 0) return;
      answered.abort();
      onAnswer();
    },
    [Symbol.dispose]() {
      stop.abort();
      // Closes the connection of an answer that was not read to its end.
      controller.abort();
      transfer.signal.removeEventListener("abort", onAbort);
    },
  };
}
export type Guard = ReturnType<typeof watch>;

/** What the hub announces about a file before sending it. */
export interface Announced {
  readonly sha256: string | null;
  readonly bytes: number | null;
}

/** Follows redirects by hand: the token must not reach another host, and the hub's headers come with a redirect. */
export async function follow(
  file: { readonly url: string; readonly token?: string | undefined },
  headers: Headers,
  transfer: Transfer,
  guard: Guard,
) {
  const first = new URL(file.url);
  let url = first;
  let announced: Announced = { sha256: null, bytes: null };
  let version: string | null = null;
  for (let hops = 0; hops <= 8; hops++) {
    const sent = new Headers(headers);
    if (file.token !== undefined && url.origin === first.origin && isPrivate(url)) {
      sent.set("authorization", `Bearer ${file.token}`);
    }
    const response = await ask(url, sent, transfer, guard);
    if (url.origin === first.origin) {
      announced = {
        sha256: hashIn(response.headers.get("x-linked-etag")) ?? announced.sha256,
        bytes: numberIn(response.headers.get("x-linked-size")) ?? announced.bytes,
      };
      version ??= response.headers.get("x-repo-commit");
    }
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null) {
      return { response, announced, version };
    }
    await response.body?.cancel();
    url = redirected(url, location);
  }
  throw new SourceError(`${first.host} redirects in a circle`);
}

/** Where a redirect leads; never from TLS to an address without. */
function redirected(from: URL, location: string): URL {
  const to = new URL(location, from);
  if (!["http:", "https:"].includes(to.protocol)) {
    throw new SourceError(
      `${from.host} redirects to an address that is not http(s) (${to.protocol}): refused`,
    );
  }
  if (from.protocol === "https:" && to.protocol !== "https:") {
    throw new SourceError(`${from.host} redirects to an address without TLS (${to.host}): refused`);
  }
  return to;
}

const isPrivate = (url: URL) =>
  url.protocol === "https:" || ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);

async function ask(url: URL, headers: Headers, transfer: Transfer, guard: Guard): Promise<Response> {
  let response: Response;
  try {
    response = await transfer.fetch(url, { headers, redirect: "manual", signal: guard.signal });
    guard.alive();
  } catch (error) {
    if (guard.signal.aborted && guard.signal.reason instanceof AttemptError) {
      throw new AttemptError(
        `${url.host}: ${guard.signal.reason.message}`,
        null,
        guard.signal.reason.unreachable,
      );
    }
    throw new AttemptError(`can't reach ${url.host}: ${networkReason(error)}`, null, true, { cause: error });
  }
  if (response.ok || (response.status >= 300 && response.status < 400) || response.status === 416) {
    return response;
  }
  await response.body?.cancel();
  const what = `${url.host} answers ${response.status} ${response.statusText}`.trim();
  if ([408, 425, 429].includes(response.status) || response.status >= 500) {
    throw new AttemptError(what, retryAfterMs(response));
  }
  throw new SourceError(`${what}${hint(response.status)}`);
}

function hint(status: number): string {
  if (status === 401 || status === 403) {
    return ": it needs an account that has accepted the model's terms: set HF_TOKEN to that account's token";
  }
  return status === 404 ? ": no such file there" : "";
}

/** The last part of a chain such as "error sending request …: client error (Connect): dns error: …". */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const text = reasonOf(cause ?? error).replace(/^error sending request for url \([^)]*\):? ?/, "");
  return text.replace(/^client error \([^)]*\): ?/, "") || reasonOf(error);
}

/**
 * Milliseconds that a response asks to wait: seconds, or a date read against the response's own `Date`.
 * Null where it asks for nothing.
 *
 * ```ts
 * const response = new Response(null, { status: 429, headers: { "retry-after": "2" } });
 * if (retryAfterMs(response) !== 2000) throw new Error("two seconds");
 * ```
 */
export function retryAfterMs(response: Response): number | null {
  const value = response.headers.get("retry-after");
  if (value === null) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const until = Date.parse(value) - Date.parse(response.headers.get("date") ?? "");
  return Number.isFinite(until) ? Math.max(0, until) : null;
}

const hashIn = (etag: string | null) =>
  /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(etag ?? "")?.[1]?.toLowerCase() ?? null;
export const numberIn = (text: string | null) => text !== null && /^\d+$/.test(text) ? Number(text) : null;
