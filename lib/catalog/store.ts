/** The model folder: where files are, which of them are verified, and when they were used. */
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { readIfThere, removeEmpty, removeIfThere, sha256Of, statIfThere, writeFresh } from "./files.ts";
import { ggufFacts, ggufPart, ggufParts } from "./gguf.ts";
import type { Model, ModelSource, Variant } from "./model.ts";

export interface Store {
  readonly dir: string;
  /** Hosts that could not be reached in this process: not tried again for the next model. */
  readonly unreachable: Set<string>;
}

/** The receipt next to each file: what the file is and what it was checked against. */
const receiptShape = z.object({
  schema_version: z.literal(1),
  alias: z.string(),
  variant: z.string(),
  size_bytes: z.number().int().nonnegative(),
  /** The file's modification time when it was verified: a later change shows. */
  mtime_ms: z.number(),
  sha256: z.string(),
  /** `registry`: models.json states the value; `hub`: the server announced it; null: neither. */
  checked_against: z.enum(["registry", "hub"]).nullable(),
  source: z.string(),
  /** Commit, package version or entity tag, if the source states one. */
  version: z.string().nullable(),
  gguf: ggufFacts.nullable(),
});
export type Receipt = z.infer<typeof receiptShape>;

export const RECEIPT = ".receipt.json";
export const PART = ".part";
export const USED = ".used";
/** A folder of wheels in the making. */
export const PIP = ".pip";
const MOVED = "moved-to.txt";
/** What was measured of the machines that use the folder (calibration.ts). */
export const CALIBRATION_FILE = "calibration.json";

/**
 * The default model folder: `podium/models` in the user's cache folder.
 *
 * ```ts
 * const env = new Map([["HOME", "/home/ada"], ["XDG_CACHE_HOME", "/cache"]]);
 * if (defaultStore(env, "linux").replaceAll("\\", "/") !== "/cache/podium/models") throw new Error("XDG first");
 * ```
 */
export function defaultStore(env: { get(name: string): string | undefined }, os: string): string {
  const home = env.get("HOME") ?? env.get("USERPROFILE") ?? ".";
  const cache = os === "windows"
    ? env.get("LOCALAPPDATA") ?? join(home, "AppData", "Local")
    : os === "darwin"
    ? join(home, "Library", "Caches")
    : env.get("XDG_CACHE_HOME") || join(home, ".cache");
  return join(cache, "podium", "models");
}

/**
 * Opens a model folder; it need not exist yet. A folder whose models were moved names the new one, and the
 * new one is opened.
 *
 * ```ts
 * const store = await openStore("no/such/folder/yet");
 * if (store.dir !== "no/such/folder/yet") throw new Error("nothing was moved");
 * ```
 */
export async function openStore(dir: string): Promise<Store> {
  let place = dir;
  for (let moves = 0; moves < 8; moves++) {
    const next = (await readIfThere(movedMarker(place)))?.trim();
    if (!next) break;
    place = next;
  }
  return { dir: place, unreachable: new Set() };
}

/**
 * The path of a variant's file in the store, whether it exists or not; null for a variant without a file.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const [model] = parseRegistry('{"a:b": {"variants": [{"name": "q4", "file": "f.gguf"}]}}', "x").models;
 * const [variant] = model?.variants ?? [];
 * if (model === undefined || variant === undefined) throw new Error("not read");
 * const path = pathInStore({ dir: "models", unreachable: new Set() }, model, variant);
 * if (path?.replaceAll("\\", "/") !== "models/a_b/f.gguf") throw new Error(String(path));
 * ```
 */
export function pathInStore(store: Store, model: Model, variant: Variant): string | null {
  return variant.file === null
    ? null
    : join(store.dir, model.alias.replaceAll(/[^\w.-]/g, "_"), variant.file);
}

/**
 * A variant as its files: a split model (`…-00001-of-00003.gguf`) is one variant, whose size is that of all
 * parts. The stated SHA-256 is the first part's; the others are checked against what the server announces.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const source = { kind: "url", url: "https://models.test/a-00001-of-00002.gguf" };
 * const json = JSON.stringify({ a: { variants: [{ name: "q4", file: "a-00001-of-00002.gguf", sources: [source] }] } });
 * const [variant] = parseRegistry(json, "x").models[0]?.variants ?? [];
 * if (variant === undefined || partsOf(variant)[1]?.file !== "a-00002-of-00002.gguf") throw new Error("two files");
 * ```
 */
export function partsOf(variant: Variant): Variant[] {
  const files = ggufParts(variant.file ?? "");
  if (files.length === 1) return [variant];
  const sizeMb = variant.sizeMb ?? (variant.sizeBytes === null ? null : variant.sizeBytes / 1e6);
  return files.map((file, at) => ({
    ...variant,
    file,
    sizeBytes: null,
    sizeMb,
    sha256: at === 0 ? variant.sha256 : null,
    sources: variant.sources.flatMap((source) => partSource(source, at)),
  }));
}

function partSource(source: ModelSource, at: number): ModelSource[] {
  const sha256 = at === 0 ? source.sha256 : null;
  switch (source.kind) {
    case "url":
      return [{ ...source, sha256, url: ggufPart(source.url, at + 1) }];
    case "huggingface":
    case "file":
      return [{ ...source, sha256, path: ggufPart(source.path, at + 1) }];
    case "pip":
      return [];
  }
}

/** The lock that a process holds while it writes a file of the store; named by folder and file. */
export const lockPath = (store: Store, path: string) =>
  join(store.dir, ".locks", `${basename(dirname(path))}--${basename(path)}.lock`);

/**
 * The path of a variant's verified file (of the first part of a split one), or null where it is not in
 * the store. A file that is there without a receipt (copied by hand) is hashed and gets one, unless the
 * hash is not the stated one. An adapter has no file in the store: its module's path is returned, and
 * checked when it is started.
 *
 * @throws {UserError} when the file there is not the one that models.json names
 *
 * ```ts ignore
 * const path = await locate(await openStore(defaultStore(Deno.env, Deno.build.os)), model, variant);
 * if (path === null) console.log("not downloaded yet");
 * ```
 */
export async function locate(store: Store, model: Model, variant: Variant): Promise<string | null> {
  if (variant.adapter !== null) return variant.adapter.module;
  const paths: (string | null)[] = [];
  for (const part of partsOf(variant)) paths.push(await locateFile(store, model, part));
  return paths.includes(null) ? null : paths[0] ?? null;
}

/** As {@link locate}, of one file: a part of a split model alone. */
export async function locateFile(store: Store, model: Model, variant: Variant): Promise<string | null> {
  const path = pathInStore(store, model, variant);
  const info = path === null ? null : await statIfThere(path);
  if (path === null || info === null) return null;
  const receipt = await readReceipt(path);
  if (receipt !== null && unchanged(receipt, info)) {
    if (variant.sha256 === null || knownHashes(variant).has(receipt.sha256)) {
      await noteUse(path);
      return path;
    }
  }
  return await takeIn(path, model, variant, info);
}

const unchanged = (receipt: Receipt, info: Deno.FileInfo) =>
  receipt.size_bytes === info.size && receipt.mtime_ms === (info.mtime?.getTime() ?? 0);

/**
 * Every SHA-256 that the registry states for a variant: its own and those of its sources.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const hash = "a".repeat(64);
 * const [model] = parseRegistry(`{"a": {"variants": [{"name": "q4", "sha256": "${hash}"}]}}`, "x").models;
 * const [variant] = model?.variants ?? [];
 * if (variant === undefined || !knownHashes(variant).has(hash)) throw new Error("its own is known");
 * ```
 */
export function knownHashes(variant: Variant): Set<string> {
  const all = [variant.sha256, ...variant.sources.map(({ sha256 }) => sha256)];
  return new Set(all.filter((hash) => hash !== null));
}

async function takeIn(
  path: string,
  model: Model,
  variant: Variant,
  info: Deno.FileInfo,
): Promise<string> {
  const sha256 = await sha256Of(path);
  const known = knownHashes(variant);
  if (known.size > 0 && !known.has(sha256)) {
    throw new UserError(
      `${path} is not the file that the registry names: ` +
        `its SHA-256 is ${sha256}, expected ${[...known].join(" or ")}; ` +
        `remove it with \`deno task models remove ${model.alias} --yes\` and pull it again`,
      1,
    );
  }
  await writeReceipt(path, {
    schema_version: 1,
    alias: model.alias,
    variant: variant.name,
    size_bytes: info.size,
    mtime_ms: info.mtime?.getTime() ?? 0,
    sha256,
    checked_against: known.size > 0 ? "registry" : null,
    source: "found in the folder",
    version: null,
    gguf: null,
  });
  return path;
}

/** The receipt of a file; null when there is none, or none that can be read. */
export async function readReceipt(path: string): Promise<Receipt | null> {
  const text = await readIfThere(path + RECEIPT);
  if (text === null) return null;
  try {
    return receiptShape.parse(JSON.parse(text));
  } catch {
    // Damaged or of another version: the file is hashed again, which is all that a receipt saves.
    return null;
  }
}

/** Writes the receipt under a name of its own first, so that a kill leaves the old one or the new one. */
export async function writeReceipt(path: string, receipt: Receipt): Promise<void> {
  const fresh = `${path}${RECEIPT}.new`;
  await writeFresh(fresh, `${JSON.stringify(receipt, null, 2)}\n`);
  await Deno.rename(fresh, path + RECEIPT);
}

/** The file system dates the marker, so no clock is read here. A read-only folder or a full disk still serves. */
async function noteUse(path: string): Promise<void> {
  try {
    await writeFresh(path + USED, "");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
}

/** When a file was last located, else when it was written; null when the system does not say. */
export async function lastUsed(path: string): Promise<Date | null> {
  return (await statIfThere(path + USED))?.mtime ?? (await statIfThere(path))?.mtime ?? null;
}

/** Removes a file with its receipt, marker and parts. */
export async function removeFile(path: string): Promise<void> {
  for (const suffix of ["", RECEIPT, USED, PART, `${PART}.json`]) await removeIfThere(path + suffix);
  await removeIfThere(path + PIP, true);
  await removeEmpty(dirname(path));
}

/** The name that a moved folder leaves behind, for the code that moves. */
export const movedMarker = (dir: string) => join(dir, MOVED);

/** Whether a file in the store is bookkeeping rather than a model. */
export const isBookkeeping = (path: string) =>
  [MOVED, CALIBRATION_FILE].includes(basename(path)) ||
  [RECEIPT, `${RECEIPT}.new`, USED, `${PART}.json`].some((ending) => path.endsWith(ending));
