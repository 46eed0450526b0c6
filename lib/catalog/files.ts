/** Files and folders of the model folder: hashed, locked, removed, and errors that a person can act on. */
import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";

/**
 * SHA-256 of a file as lower-case hex.
 *
 * ```ts
 * if (!/^[0-9a-f]{64}$/.test(await sha256Of("models.json"))) throw new Error("64 hexadecimal digits");
 * ```
 */
export async function sha256Of(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (;;) {
    signal?.throwIfAborted();
    const read = await file.read(buffer);
    if (read === null) return hash.digest("hex");
    hash.update(buffer.subarray(0, read));
  }
}

/** Makes a folder, or explains why it can't be used. */
export async function makeFolder(dir: string): Promise<void> {
  try {
    await Deno.mkdir(dir, { recursive: true });
  } catch (error) {
    throw unwritable(dir, error);
  }
}

/** A `UserError` for a full disk or a folder that can't be written; any other error is returned unchanged. */
export function unwritable(path: string, error: unknown): unknown {
  if (/no space left|os error 28\b|os error 112\b|disk full|quota/i.test(reasonOf(error))) {
    return new UserError(
      `the disk ran full while writing ${path}; the part that arrived is kept and resumed: ` +
        "free some space or name another folder with --store",
      1,
      { cause: error },
    );
  }
  const { PermissionDenied, NotCapable, NotADirectory, AlreadyExists } = Deno.errors;
  const isBlocked =
    [PermissionDenied, NotCapable, NotADirectory, AlreadyExists].some((kind) => error instanceof kind) ||
    /read-only file system/i.test(reasonOf(error));
  if (!isBlocked) return error;
  return new UserError(
    `can't write to ${path}: ${reasonOf(error)}; name another folder with --store or PODIUM_STORE`,
    1,
    { cause: error },
  );
}

/**
 * Writes a small file under a name that may hold a link: the link is removed, never written through, so that
 * another user with access to the folder can't have another file overwritten.
 *
 * @throws {UserError} when the folder can't be written or the disk is full
 */
export async function writeFresh(path: string, text: string): Promise<void> {
  try {
    await removeIfThere(path);
    await Deno.writeTextFile(path, text, { createNew: true });
  } catch (error) {
    throw unwritable(path, error);
  }
}

/**
 * Refuses a folder or file of the model folder that is a link.
 *
 * @throws {UserError} when `path` is a link
 */
export async function refuseLink(path: string): Promise<void> {
  const info = await Deno.lstat(path).catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw unwritable(path, error);
  });
  if (info?.isSymlink) {
    throw new UserError(
      `${path} is a link, and nothing is written through a link: remove it, or name its target with --store`,
      1,
    );
  }
}

/** Removes `path` where it is a link or a file with a second name. */
export async function removeLink(path: string): Promise<void> {
  try {
    const { isSymlink, isFile, nlink } = await Deno.lstat(path);
    if (isSymlink || (isFile && (nlink ?? 1) > 1)) await removeIfThere(path);
  } catch (error) {
    if (!isAbsent(error)) throw unwritable(path, error);
  }
}

/** The text of a file; null where there is none. */
export const readIfThere = (path: string): Promise<string | null> => unlessAbsent(Deno.readTextFile(path));

/** What the system says about a file or folder; null where there is none. */
export const statIfThere = (path: string): Promise<Deno.FileInfo | null> => unlessAbsent(Deno.stat(path));

const unlessAbsent = <T>(found: Promise<T>): Promise<T | null> =>
  found.catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw error;
  });

/** Removes an unfinished download: first its state file, then its bytes. */
export async function dropPart(part: string): Promise<void> {
  await removeIfThere(`${part}.json`);
  await removeIfThere(part);
}

export async function removeIfThere(path: string, recursive = false): Promise<void> {
  try {
    await Deno.remove(path, { recursive });
  } catch (error) {
    if (!isAbsent(error)) throw unwritable(path, error);
  }
}

/** The entries of a folder; none when there is no such folder. */
export async function entriesOf(dir: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(dir));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new UserError(
      `can't read the folder ${dir}: ${reasonOf(error)}; name another one with --store or PODIUM_STORE`,
      1,
    );
  }
}

/** Bytes of all files in a folder and the folders in it; a file that vanishes meanwhile counts 0. */
export async function folderBytes(dir: string): Promise<number> {
  let sum = 0;
  for (const { name, isDirectory } of await entriesOf(dir)) {
    const path = join(dir, name);
    sum += isDirectory ? await folderBytes(path) : (await statIfThere(path))?.size ?? 0;
  }
  return sum;
}

/** Removes a folder if it is empty. */
export async function removeEmpty(dir: string): Promise<void> {
  try {
    await Deno.remove(dir);
  } catch {
    // Not empty, or removed already: both are fine.
  }
}

const isAbsent = (error: unknown) =>
  error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;

/** Bytes that a download leaves free on the disk. */
const MARGIN_BYTES = 64 * 2 ** 20;

/**
 * Free bytes on the disk of `path`, or of its nearest parent folder that exists.
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

/** Bytes that a download of unknown size may take. */
export async function spareBytes(folder: string): Promise<number> {
  return Math.max(0, await freeBytes(folder) - MARGIN_BYTES);
}

/**
 * Refuses a download before it starts when the disk can't hold it.
 *
 * @throws {UserError} with the bytes needed and the bytes free
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
 * Runs `work` while holding an exclusive lock of the operating system on `path`. The system itself releases
 * it when a process dies, so a kill leaves nothing locked. The empty lock file stays: removing it would let
 * two processes lock two files of one name.
 *
 * @param onWait called once if another process holds the lock; where it throws, nothing waits
 *
 * ```ts ignore
 * await withLock("models/.locks/x.lock", { sleep }, () => download());
 * ```
 */
export async function withLock<T>(
  path: string,
  { sleep, signal, onWait }: { sleep: Sleep; signal?: AbortSignal; onWait?: () => void },
  work: () => Promise<T>,
): Promise<T> {
  await makeFolder(dirname(path));
  await refuseLink(dirname(path));
  await refuseLink(path);
  using file = await Deno.open(path, { create: true, write: true }).catch((error: unknown) => {
    throw unwritable(path, error);
  });
  for (let waited = false; !await file.tryLock(true); waited = true) {
    if (!waited) onWait?.();
    await sleep(200, signal);
  }
  try {
    return await work();
  } finally {
    await file.unlock();
  }
}
