/** What the ways of getting a file share: their surroundings, their progress, and how they fail. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { UserError } from "../errors.ts";
import { makeFolder } from "./store.ts";

/** How patient a download is; the defaults suit people, tests take less. */
export interface Patience {
  /** Until the first answer of a server. */
  readonly connectMs: number;
  /** Without a byte while a file comes. */
  readonly stallMs: number;
  /** Attempts in a row that bring nothing new. */
  readonly retries: number;
  /** Wait before the first retry; doubled each time, at most 30 s. */
  readonly backoffMs: number;
  /** Longest wait that a server may ask for with Retry-After. */
  readonly maxRetryAfterMs: number;
}

export const PATIENCE: Patience = {
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
  readonly patience: Patience;
  progress(receivedBytes: number, totalBytes: number | null): void;
  retrying(reason: string, waitMs: number): void;
}

/** A source that did not give the file; its message is the reason, and the next source is tried. */
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

/** Left free on the disk beside a download. */
const MARGIN_BYTES = 64 * 2 ** 20;

/**
 * Bytes that may still be written to the disk on which `path` lies; the nearest folder that exists is asked.
 *
 * ```ts ignore
 * if (await freeBytes("models") < 15e9) console.log("the workshop asks for 15 GB");
 * ```
 */
export async function freeBytes(path: string): Promise<number> {
  for (let dir = path;; dir = dirname(dir)) {
    try {
      const { bavail, bsize } = await statfs(dir);
      return Number(bavail) * Number(bsize);
    } catch (error) {
      if (dirname(dir) === dir) throw error;
    }
  }
}

/**
 * Refuses a download before it starts where the disk can't hold it.
 *
 * @throws {UserError} with what is needed and what is there
 *
 * ```ts ignore
 * await ensureSpace("models", 4_700_000_000, "qwen2.5-7b:q4_k_m");
 * ```
 */
export async function ensureSpace(folder: string, bytes: number, what: string): Promise<void> {
  await makeFolder(folder);
  const free = await freeBytes(folder);
  if (free >= bytes + MARGIN_BYTES) return;
  const mb = (value: number) => `${Math.ceil(value / 1e6).toLocaleString("en")} MB`;
  throw new UserError(
    `${what} needs ${mb(bytes + MARGIN_BYTES)} on the disk of ${folder}, ${mb(free)} are free: ` +
      "make room (`deno task models clean`, `deno task models remove NAME`) or name another folder with --store",
    1,
  );
}

/**
 * Bytes a second over the last seconds of a transfer; null until there is something to tell.
 *
 * ```ts
 * let nowMs = 0;
 * const speed = speedometer(() => nowMs);
 * if (speed(0) !== null) throw new Error("nothing to tell yet");
 * nowMs = 500;
 * if (speed(1_000_000) !== 2_000_000) throw new Error("a megabyte in half a second");
 * ```
 */
export function speedometer(clock: Clock, windowMs = 5_000): (bytes: number) => number | null {
  const seen: { atMs: number; bytes: number }[] = [];
  return (bytes) => {
    const atMs = clock();
    const last = seen.at(-1);
    if (last !== undefined && bytes < last.bytes) seen.length = 0;
    seen.push({ atMs, bytes });
    while ((seen[1]?.atMs ?? Infinity) < atMs - windowMs) seen.shift();
    const first = seen[0];
    if (first === undefined || atMs - first.atMs < 250) return null;
    return (bytes - first.bytes) / (atMs - first.atMs) * 1000;
  };
}
