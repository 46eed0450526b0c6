/** One file over HTTP(S), continued where it stopped, never joined from two different files. */
import pRetry from "p-retry";
import { z } from "zod";
import { UserError } from "../errors.ts";
import {
  type Announced,
  AttemptError,
  follow,
  type Guard,
  networkReason,
  numberIn,
  SourceError,
  type Transfer,
  watch,
} from "./transfer.ts";
import {
  dropPart,
  ensureSpace,
  readIfThere,
  removeIfThere,
  removeLink,
  spareBytes,
  statIfThere,
  unwritable,
  writeFresh,
} from "./files.ts";
import { dirname } from "node:path";

export interface HttpFile {
  readonly url: string;
  /** Sent to the URL's own host only, over TLS or to this machine. */
  readonly token?: string | undefined;
  /** The part file that collects the bytes; a state file next to it says which file they belong to. */
  readonly part: string;
  /** The registry's size and hash; an offer that differs is refused before a byte is fetched. */
  readonly sha256: string | null;
  readonly bytes: number | null;
  /** The transfer stops above this many bytes; null where the registry states no size. */
  readonly maxBytes: number | null;
}

export interface HttpResult {
  /** SHA-256 that the server announced (Hugging Face: `x-linked-etag`); null where it announced none. */
  readonly announcedSha256: string | null;
  /** Commit or entity tag. */
  readonly version: string | null;
}

/**
 * An attempt that adds this many bytes does not count as a failure, so that a long
 * file survives a bad connection.
 */
const PROGRESS_BYTES = 256 * 1024;

/** The file that the bytes in the part file belong to. */
const partState = z.object({
  url: z.string(),
  validator: z.string().nullable(),
  total: z.number().nullable(),
});
type PartState = z.infer<typeof partState>;

/**
 * Downloads a file into `file.part`. A part of the same file is continued (`Range` with `If-Range`), a part
 * of another one is thrown away. Attempts that make progress are not counted; the others are repeated
 * with back-off, and a server's `Retry-After` is obeyed.
 *
 * @throws {SourceError} when the server doesn't deliver the file
 * @throws {UserError} when the disk can't hold it
 *
 * ```ts ignore
 * await downloadHttp({ url, part: "model.gguf.part", sha256: null, bytes: null }, transfer);
 * ```
 */
export async function downloadHttp(file: HttpFile, transfer: Transfer): Promise<HttpResult> {
  const { retry, signal } = transfer;
  let known = -1;
  let answered = false;
  const attempt = () =>
    fetchOnce(file, transfer, () => answered = true).catch((error) => {
      signal.throwIfAborted();
      throw error;
    });
  try {
    return await pRetry(attempt, {
      retries: retry.retries,
      minTimeout: retry.backoffMs,
      maxTimeout: 30_000,
      randomize: true,
      signal,
      // A host that never answered is not tried again: the next source may answer.
      shouldRetry: ({ error }) => error instanceof AttemptError && (answered || !error.unreachable),
      shouldConsumeRetry: async () => {
        const size = (await statIfThere(file.part))?.size ?? 0;
        const grew = known >= 0 && size >= known + PROGRESS_BYTES;
        known = size;
        return !grew;
      },
      onFailedAttempt: async ({ error, retriesLeft, retryDelay }) => {
        if (!(error instanceof AttemptError) || retriesLeft === 0 || (error.unreachable && !answered)) return;
        const extra = waitBeyond(error, retryDelay, retry.maxRetryAfterMs);
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

function checkOffer(file: HttpFile, announced: Announced, response: Response) {
  if (file.sha256 !== null && announced.sha256 !== null && announced.sha256 !== file.sha256) {
    throw new SourceError(
      `it offers another file than the registry names (SHA-256 ${announced.sha256}, expected ${file.sha256})`,
    );
  }
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  const length = response.status === 200 ? numberIn(response.headers.get("content-length")) : null;
  const total = numberIn(range?.[2] ?? null) ?? length ?? announced.bytes;
  if (file.maxBytes !== null && total !== null && total > file.maxBytes) {
    throw new SourceError(
      `it offers ${total} bytes, models.json states ${file.bytes ?? `about ${file.maxBytes}`}`,
    );
  }
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
  const limit = await limitOf(file, start, total);
  try {
    // A link under this name is not written through.
    await removeLink(file.part);
    using out = await Deno.open(file.part, { write: true, create: true });
    await out.truncate(start);
    await out.seek(start, Deno.SeekMode.Start);
    for await (const bytes of response.body ?? []) {
      guard.alive();
      if (received + bytes.length > limit) {
        const by = limitedBy(file, total);
        throw new SourceError(`it sent more than the ${limit} bytes that ${by}: stopped`);
      }
      for (let written = 0; written < bytes.length;) written += await out.write(bytes.subarray(written));
      received += bytes.length;
      transfer.progress(received, total);
    }
  } catch (error) {
    if (error instanceof SourceError) await dropPart(file.part);
    throw transferFault(error, file.part, received, guard);
  }
  if (total !== null && received < total) {
    throw new AttemptError(`the answer ended at ${received} of ${total} bytes`);
  }
}

/** What stopped a transfer: too many bytes, the disk, the user or a limit of time, or else the connection. */
function transferFault(error: unknown, part: string, received: number, { signal }: Guard): unknown {
  if (error instanceof SourceError) return error;
  const diskFault = unwritable(part, error);
  if (diskFault instanceof UserError) return diskFault;
  if (signal.aborted) return signal.reason;
  const what = `the connection broke at ${received} bytes: ${networkReason(error)}`;
  return new AttemptError(what, null, false, { cause: error });
}

/** If no size is stated, the disk's free space limits an endless answer. */
async function limitOf({ part, maxBytes }: HttpFile, start: number, total: number | null): Promise<number> {
  if (total !== null) return total;
  return maxBytes ?? start + await spareBytes(dirname(part));
}

function limitedBy({ maxBytes }: HttpFile, total: number | null): string {
  return total !== null ? "it announced" : maxBytes !== null ? "models.json states" : "the disk can hold";
}

async function readState(file: HttpFile): Promise<PartState | null> {
  const text = await readIfThere(`${file.part}.json`);
  if (text === null) return null;
  try {
    const state = partState.parse(JSON.parse(text));
    return state.url === file.url ? state : null;
  } catch {
    // The process was killed while it wrote: the part can't be trusted, so the download starts again.
    return null;
  }
}

async function writeState(file: HttpFile, state: PartState): Promise<void> {
  try {
    await removeIfThere(file.part);
    await writeFresh(`${file.part}.json`, JSON.stringify(state));
  } catch (error) {
    throw unwritable(file.part, error);
  }
}
