/** One file over HTTP(S), continued where it stopped, never glued together from two different files. */
import pRetry from "p-retry";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { readIfThere, removeIfThere, statIfThere, unwritable } from "./store.ts";
import { ensureSpace, SourceError, type Transfer } from "./transfer.ts";
import { dirname } from "node:path";

export interface HttpFile {
  readonly url: string;
  /** Sent to the URL's own host alone, over TLS or to this machine itself. */
  readonly token?: string | undefined;
  /** Where the bytes gather; a state file stands beside it. */
  readonly part: string;
  /** What the registry states; an offer that differs is refused before a byte is fetched. */
  readonly sha256: string | null;
  readonly bytes: number | null;
}

export interface HttpResult {
  /** SHA-256 that the server announced (Hugging Face: `x-linked-etag`); null where it said nothing. */
  readonly announcedSha256: string | null;
  /** Commit or entity tag. */
  readonly version: string | null;
}

/** An attempt that brings this much does not count as a failure, so that a long file survives a bad line. */
const PROGRESS_BYTES = 256 * 1024;

/** What the bytes in the part file belong to. */
const partState = z.object({
  url: z.string(),
  validator: z.string().nullable(),
  total: z.number().nullable(),
});
type PartState = z.infer<typeof partState>;

/** One attempt that failed in a way that another one may mend. */
class AttemptError extends Error {
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

/**
 * Downloads a file into `file.part`. A part of the same file is continued (`Range` with `If-Range`), a part
 * of another one is thrown away. Attempts that bring something new are not counted; the others are repeated
 * with back-off, and a server's `Retry-After` is obeyed.
 *
 * @throws {SourceError} where the server doesn't give the file
 * @throws {UserError} where the disk can't hold it
 */
export async function downloadHttp(file: HttpFile, transfer: Transfer): Promise<HttpResult> {
  const { patience, signal } = transfer;
  let known = -1;
  let answered = false;
  const attempt = async () => {
    try {
      return await fetchOnce(file, transfer, () => answered = true);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  };
  try {
    return await pRetry(attempt, {
      retries: patience.retries,
      minTimeout: patience.backoffMs,
      maxTimeout: 30_000,
      randomize: true,
      signal,
      // A host that never answered is given up at once: the next source may be near.
      shouldRetry: ({ error }) => error instanceof AttemptError && (answered || !error.unreachable),
      shouldConsumeRetry: async () => {
        const size = (await statIfThere(file.part))?.size ?? 0;
        const grew = known >= 0 && size >= known + PROGRESS_BYTES;
        known = size;
        return !grew;
      },
      onFailedAttempt: async ({ error, retriesLeft, retryDelay }) => {
        if (!(error instanceof AttemptError) || retriesLeft === 0 || (error.unreachable && !answered)) return;
        const extra = waitBeyond(error, retryDelay, patience.maxRetryAfterMs);
        transfer.retrying(error.message, retryDelay + extra);
        if (extra > 0) await transfer.sleep(extra, signal);
      },
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AttemptError) {
      throw new SourceError(error.message, error.unreachable, { cause: error });
    }
    throw error;
  }
}

function waitBeyond(error: AttemptError, delayMs: number, longestMs: number): number {
  if (error.retryAfterMs === null) return 0;
  if (error.retryAfterMs > longestMs) {
    throw new SourceError(
      `${error.message}; it asks to wait ${Math.round(error.retryAfterMs / 1000)} s: try later`,
    );
  }
  return Math.max(0, error.retryAfterMs - delayMs);
}

async function fetchOnce(file: HttpFile, transfer: Transfer, onAnswer: () => void): Promise<HttpResult> {
  const state = await readState(file);
  const size = state === null ? 0 : (await statIfThere(file.part))?.size ?? 0;
  const headers = new Headers({ "accept-encoding": "identity" });
  const resumable = size > 0 && (state?.validator !== null || file.sha256 !== null);
  if (resumable) {
    headers.set("range", `bytes=${size}-`);
    if (state?.validator) headers.set("if-range", state.validator);
  }
  using guard = watch(transfer, onAnswer);
  const { response, announced, version } = await follow(file, headers, transfer, guard);
  const offer = checkOffer(file, announced, response);
  const start = await startOf(response, resumable ? size : 0, offer.total, file);
  const result = { announcedSha256: announced.sha256, version: version ?? offer.validator };
  if (start === "complete") return result;
  if (start === 0) await writeState(file, { url: file.url, validator: offer.validator, total: offer.total });
  if (offer.total !== null) await ensureSpace(dirname(file.part), offer.total - start, "the download");
  await receive(response, file, start, offer.total, transfer, guard);
  return result;
}

/** Aborts an attempt whose server does not answer, or that stalls; the sign of life is `alive()`. */
function watch(transfer: Transfer, onAnswer: () => void) {
  const controller = new AbortController();
  const stop = new AbortController();
  const onAbort = () => controller.abort(transfer.signal.reason);
  transfer.signal.addEventListener("abort", onAbort, { once: true });
  const answered = new AbortController();
  let beats = 0;
  const sleepUnless = (ms: number, signal: AbortSignal) =>
    transfer.sleep(ms, AbortSignal.any([signal, stop.signal])).then(() => true, () => false);
  const guard = async () => {
    const { connectMs, stallMs } = transfer.patience;
    if (await sleepUnless(connectMs, answered.signal)) return giveUp(connectMs);
    while (!stop.signal.aborted) {
      const before = beats;
      if (await sleepUnless(stallMs, stop.signal) && beats === before) return giveUp(stallMs);
    }
  };
  const giveUp = (ms: number) =>
    controller.abort(new AttemptError(`nothing came for ${ms / 1000} s`, null, beats === 0));
  guard();
  return {
    signal: controller.signal,
    /** Bytes came: from here on the longer limit of a running transfer counts. */
    alive() {
      if (beats++ > 0) return;
      answered.abort();
      onAnswer();
    },
    [Symbol.dispose]() {
      stop.abort();
      transfer.signal.removeEventListener("abort", onAbort);
    },
  };
}
type Guard = ReturnType<typeof watch>;

interface Announced {
  readonly sha256: string | null;
  readonly bytes: number | null;
}

/** Follows redirects by hand: the token must not travel to another host, and the hub's headers stand on the way. */
async function follow(file: HttpFile, headers: Headers, transfer: Transfer, guard: Guard) {
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
    const next = new URL(location, url);
    if (url.protocol === "https:" && next.protocol !== "https:") {
      throw new SourceError(`${url.host} redirects to an address without TLS (${next.host}): refused`);
    }
    url = next;
  }
  throw new SourceError(`${first.host} redirects in a circle`);
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
    return ": it wants an account that has accepted the model's terms; set HF_TOKEN to its token";
  }
  return status === 404 ? ": no such file there" : "";
}

/** The last part of a chain such as "error sending request …: client error (Connect): dns error: …". */
function networkReason(error: unknown): string {
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
const numberIn = (text: string | null) => text !== null && /^\d+$/.test(text) ? Number(text) : null;

function checkOffer(file: HttpFile, announced: Announced, response: Response) {
  if (file.sha256 !== null && announced.sha256 !== null && announced.sha256 !== file.sha256) {
    throw new SourceError(
      `it offers another file than the registry names (SHA-256 ${announced.sha256}, expected ${file.sha256})`,
    );
  }
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  const length = response.status === 200 ? numberIn(response.headers.get("content-length")) : null;
  const total = numberIn(range?.[2] ?? null) ?? length ?? announced.bytes;
  if (file.bytes !== null && total !== null && total !== file.bytes && file.sha256 !== null) {
    throw new SourceError(`it offers a file of ${total} bytes, the registry names one of ${file.bytes}`);
  }
  const etag = response.headers.get("etag");
  const strong = etag !== null && !etag.startsWith("W/") ? etag : null;
  return { total, validator: strong ?? response.headers.get("last-modified") };
}

/** At which byte the body begins; the part is thrown away where it is of another file. */
async function startOf(
  response: Response,
  size: number,
  total: number | null,
  file: HttpFile,
): Promise<number | "complete"> {
  if (response.status === 416) {
    await response.body?.cancel();
    if (size > 0 && total === size) return "complete";
    await dropPart(file.part);
    throw new AttemptError("the part that was here does not belong to this file: starting again");
  }
  if (response.status !== 206) return 0;
  const from = numberIn(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? null);
  const etag = response.headers.get("etag");
  const state = await readState(file);
  const same = !etag || !state?.validator || etag === state.validator || !state.validator.startsWith('"');
  if (from === size && size > 0 && same) return from;
  await response.body?.cancel();
  await dropPart(file.part);
  throw new AttemptError("the server continues another file: starting again");
}

async function receive(
  response: Response,
  file: HttpFile,
  start: number,
  total: number | null,
  transfer: Transfer,
  guard: Guard,
): Promise<void> {
  let received = start;
  transfer.progress(received, total);
  try {
    using out = await Deno.open(file.part, { write: true, create: true });
    await out.truncate(start);
    await out.seek(start, Deno.SeekMode.Start);
    for await (const bytes of response.body ?? []) {
      guard.alive();
      for (let written = 0; written < bytes.length;) written += await out.write(bytes.subarray(written));
      received += bytes.length;
      transfer.progress(received, total);
    }
  } catch (error) {
    const diskFault = unwritable(file.part, error);
    if (diskFault instanceof UserError) throw diskFault;
    if (guard.signal.aborted) throw guard.signal.reason;
    throw new AttemptError(
      `the connection broke at ${received} bytes: ${networkReason(error)}`,
      null,
      false,
      { cause: error },
    );
  }
  if (total !== null && received < total) {
    throw new AttemptError(`the answer ended at ${received} of ${total} bytes`);
  }
  if (total !== null && received > total) {
    await dropPart(file.part);
    throw new AttemptError(`the answer had ${received} bytes instead of ${total}`);
  }
}

async function readState(file: HttpFile): Promise<PartState | null> {
  const text = await readIfThere(`${file.part}.json`);
  if (text === null) return null;
  try {
    const state = partState.parse(JSON.parse(text));
    return state.url === file.url ? state : null;
  } catch {
    // Torn by a kill: the part can't be trusted, the download starts again.
    return null;
  }
}

async function writeState(file: HttpFile, state: PartState): Promise<void> {
  try {
    await removeIfThere(file.part);
    await Deno.writeTextFile(`${file.part}.json`, JSON.stringify(state));
  } catch (error) {
    throw unwritable(file.part, error);
  }
}

/** Forgets an unfinished download. */
export async function dropPart(part: string): Promise<void> {
  await removeIfThere(`${part}.json`);
  await removeIfThere(part);
}
