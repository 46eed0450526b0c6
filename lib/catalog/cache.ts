/** The model folder as a cache: its files are listed, verified, removed and moved. */
import { join, relative, resolve, sep } from "node:path";
import { UserError } from "../errors.ts";
import { findModel, findVariant, type Model, nearest, type Registry, type Variant } from "./model.ts";
import {
  isBookkeeping,
  knownHashes,
  lastUsed,
  lockPath,
  movedMarker,
  PART,
  partsOf,
  pathInStore,
  PIP,
  readReceipt,
  RECEIPT,
  type Receipt,
  removeFile,
  type Store,
  USED,
  writeReceipt,
} from "./store.ts";
import {
  ensureSpace,
  entriesOf,
  folderBytes,
  makeFolder,
  removeIfThere,
  removeLink,
  sha256Of,
  statIfThere,
  unwritable,
  withLock,
  writeFresh,
} from "./files.ts";

/** One model file in the folder, complete or not. */
export interface StoredFile {
  /** The complete file's path, even where only a part of it is there. */
  readonly path: string;
  /** `ready`: whole; `unfinished`: a download that can be continued. */
  readonly state: "ready" | "unfinished";
  readonly sizeBytes: number;
  readonly lastUsed: Date | null;
  /** The model and variant of this file; null where the registry names none. */
  readonly named: { readonly model: Model; readonly variant: Variant } | null;
  readonly receipt: Receipt | null;
}

/**
 * Every model file in the folder, the largest first; bookkeeping is left out.
 *
 * ```ts
 * const files = await listStored({ dir: "no/such/folder", unreachable: new Set() }, { models: [] });
 * if (files.length !== 0) throw new Error("nothing is there");
 * ```
 */
export async function listStored(store: Store, registry: Registry): Promise<StoredFile[]> {
  const owners = new Map(
    registry.models.flatMap((model) =>
      model.variants.flatMap((variant) =>
        partsOf(variant).map((part) => [pathInStore(store, model, part), { model, variant: part }] as const)
      )
    ),
  );
  const files: StoredFile[] = [];
  for (const { path, state, sizeBytes } of await scan(store.dir)) {
    files.push({
      path,
      state,
      sizeBytes,
      lastUsed: await lastUsed(state === "ready" ? path : path + PART),
      named: owners.get(path) ?? null,
      receipt: state === "ready" ? await readReceipt(path) : null,
    });
  }
  return files.sort((a, b) => b.sizeBytes - a.sizeBytes);
}

type Found = Pick<StoredFile, "path" | "state" | "sizeBytes">;

async function scan(dir: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const folder of await entriesOf(dir)) {
    if (folder.name.startsWith(".")) continue;
    const inside = folder.isDirectory ? await entriesOf(join(dir, folder.name)) : [folder];
    const base = folder.isDirectory ? join(dir, folder.name) : dir;
    const names = new Set(inside.map(({ name }) => name));
    for (const { name, isDirectory } of inside) {
      const path = join(base, name);
      if (isDirectory && !name.endsWith(PIP)) continue;
      if (isBookkeeping(path)) continue;
      const suffix = [PART, PIP].find((end) => name.endsWith(end));
      const whole = suffix === undefined ? path : path.slice(0, -suffix.length);
      // A wheel folder beside a part is the same unfinished download; next to the whole
      // file both are leftovers.
      if (suffix === PIP && names.has(name.replace(PIP, PART))) continue;
      found.push({
        path: whole,
        state: suffix === undefined ? "ready" : "unfinished",
        sizeBytes: suffix === PIP ? await folderBytes(path) : (await statIfThere(path))?.size ?? 0,
      });
    }
  }
  return found;
}

export interface Verified {
  readonly file: StoredFile;
  /**
   * `ok`: matches the registry; `recorded`: matches the download, since no source states a SHA-256;
   * `changed`: differs.
   */
  readonly status: "ok" | "recorded" | "changed";
  readonly sha256: string;
  readonly expected: string | null;
}

/**
 * Hashes a file again and compares it with the registry's SHA-256, else with the one recorded at its
 * download.
 *
 * ```ts ignore
 * for (const file of await listStored(store, registry)) console.log((await verifyStored(file)).status);
 * ```
 */
export async function verifyStored(file: StoredFile, signal?: AbortSignal): Promise<Verified> {
  const sha256 = await sha256Of(file.path, signal);
  const stated = file.named === null ? new Set<string>() : knownHashes(file.named.variant);
  if (stated.size > 0) {
    const ok = stated.has(sha256);
    if (ok) await renewReceipt(file, sha256);
    return { file, status: ok ? "ok" : "changed", sha256, expected: [...stated].join(" or ") };
  }
  const recorded = file.receipt?.sha256 ?? null;
  if (recorded === null || recorded === sha256) {
    return { file, status: "recorded", sha256, expected: recorded };
  }
  return { file, status: "changed", sha256, expected: recorded };
}

/** A file with a new time but the same content need not be hashed again at its next use. */
async function renewReceipt(file: StoredFile, sha256: string): Promise<void> {
  const { receipt, path } = file;
  const info = await statIfThere(path);
  const mtime_ms = info?.mtime?.getTime() ?? 0;
  if (receipt === null || info === null || receipt.mtime_ms === mtime_ms) return;
  await writeReceipt(path, { ...receipt, sha256, size_bytes: info.size, mtime_ms });
}

/**
 * The files that a name means: `ALIAS`, `ALIAS:VARIANT`, any other name of the model, or a path in the
 * folder as `cache` shows it.
 *
 * @throws {UserError} when the folder holds no such file
 */
export function filesNamed(
  files: readonly StoredFile[],
  registry: Registry,
  store: Store,
  name: string,
): StoredFile[] {
  const shown = (file: StoredFile) => relative(store.dir, file.path).replaceAll(sep, "/");
  const wanted = name.replaceAll("\\", "/").replace(/\/$/, "");
  const direct = files.filter((file) => shown(file) === wanted || shown(file).startsWith(`${wanted}/`));
  if (direct.length > 0) return direct;
  const { model, variant } = modelNamed(registry, name);
  const own = files.filter(({ named }) =>
    named !== null && named.model === model &&
    (variant === undefined || partsOf(variant).some(({ file }) => file === named.variant.file))
  );
  if (model !== undefined && own.length > 0) return own;
  const near = nearest(name, files.map((file) => file.named?.model.alias ?? shown(file)));
  const hint = near.length > 0
    ? `; did you mean ${near.join(", ")}?`
    : "; `deno task models cache` lists the files";
  throw new UserError(`${store.dir} holds no file of "${name}"${hint}`);
}

/**
 * `ALIAS` or `ALIAS:VARIANT`; a name may hold a colon itself.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('{"a:b": {"variants": [{"name": "q4"}]}}', "x");
 * if (modelNamed(registry, "a:b:Q4").variant?.name !== "q4") throw new Error("the variant is q4");
 * if (modelNamed(registry, "a:b").model?.alias !== "a:b") throw new Error("the whole is the alias");
 * ```
 */
export function modelNamed(
  registry: Registry,
  name: string,
): { model: Model | undefined; variant: Variant | undefined } {
  const at = name.lastIndexOf(":");
  const owner = at > 0 ? findModel(registry, name.slice(0, at)) : undefined;
  const variant = owner === undefined ? undefined : findVariant(owner, name.slice(at + 1));
  return variant === undefined
    ? { model: findModel(registry, name), variant: undefined }
    : { model: owner, variant };
}

/**
 * Removes files, unless another process is downloading one of them.
 *
 * @throws {UserError} where another process is working on one of them
 */
export async function removeStored(store: Store, files: readonly StoredFile[]): Promise<void> {
  for (const file of files) await alone(store, file.path, () => removeFile(file.path));
}

/** Runs `work` under the file's lock; throws at once when another process holds it. */
function alone<T>(store: Store, path: string, work: () => Promise<T>): Promise<T> {
  const onWait = () => {
    throw new UserError(
      `${path} is being downloaded by another process: wait for that download, or stop it first`,
      1,
    );
  };
  return withLock(lockPath(store, path), { sleep: () => Promise.resolve(), onWait }, work);
}

/**
 * Moves the whole folder: on one disk by renaming; otherwise files are copied, compared and then removed,
 * file by file, so that it can be interrupted and run again. The old folder keeps a note of the new one.
 *
 * @param onFile called before each file
 * @throws {UserError} when the new folder can't be used
 */
export async function moveStore(
  store: Store,
  to: string,
  { signal, onFile }: { signal?: AbortSignal; onFile?: (file: string, bytes: number) => void } = {},
): Promise<Store> {
  const target = resolve(to);
  const from = resolve(store.dir);
  if (target === from) throw new UserError(`the models are already in ${target}`);
  if (target.startsWith(from + sep) || from.startsWith(target + sep)) {
    throw new UserError(`one of ${target} and ${from} contains the other: choose a separate folder`);
  }
  await makeFolder(target);
  for (const folder of await entriesOf(from)) {
    if (!folder.isDirectory || folder.name.startsWith(".")) continue;
    for (const { name } of (await entriesOf(join(from, folder.name))).sort(receiptsLast)) {
      signal?.throwIfAborted();
      const path = join(folder.name, name);
      await makeFolder(join(target, folder.name));
      await alone(
        store,
        join(from, path),
        () => moveOne(join(from, path), join(target, path), onFile, signal),
      );
    }
    await removeIfThere(join(from, folder.name), true);
  }
  await removeIfThere(movedMarker(target));
  await Deno.mkdir(from, { recursive: true });
  await writeFresh(movedMarker(from), `${target}\n`);
  return { dir: target, unreachable: store.unreachable };
}

/** Receipts are moved last: one without its file would be wrong. */
const receiptsLast = (a: Deno.DirEntry, b: Deno.DirEntry) =>
  Number(a.name.endsWith(RECEIPT)) - Number(b.name.endsWith(RECEIPT)) || Number(a.name.endsWith(USED)) -
    Number(b.name.endsWith(USED));

async function moveOne(
  from: string,
  to: string,
  onFile: ((file: string, bytes: number) => void) | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const info = await Deno.stat(from);
  if (!isBookkeeping(from)) onFile?.(from, info.size);
  try {
    return await Deno.rename(from, to);
  } catch {
    // Probably another disk, so it is copied; any other cause fails there again.
  }
  if (info.isDirectory) return await removeIfThere(from, true);
  await ensureSpace(resolve(to, ".."), info.size, "the move");
  const fresh = `${to}.moving`;
  await removeLink(fresh);
  await Deno.copyFile(from, fresh).catch((error: unknown) => {
    throw unwritable(fresh, error);
  });
  if (await sha256Of(from, signal) !== await sha256Of(fresh, signal)) {
    await removeIfThere(fresh);
    throw new UserError(`the copy of ${from} differs from it: is the disk of ${to} sound?`, 1);
  }
  if (info.mtime !== null) await Deno.utime(fresh, info.mtime, info.mtime);
  await Deno.rename(fresh, to);
  await removeIfThere(from);
}
