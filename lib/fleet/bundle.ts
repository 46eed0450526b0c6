/**
 * A run in one file, to send by mail or carry on a stick: `RUN.podium`. Gzip around one line of JSON
 * (manifest, key, signature) and the bytes of the files that the manifest lists, in its order. The manifest
 * is signed and holds the hash of each file, so that nothing can be changed on the way.
 *
 * A bundle comes from a stranger. Only four file names exist, no path is ever taken from it,
 * reading stops at the sizes that the manifest states and at our own limits, and what is read is
 * data: no file of a bundle is code.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { sha256Of } from "../catalog/files.ts";
import { replaceFile } from "../bench/folder.ts";
import { readRunInfo } from "../bench/read_run.ts";
import { reasonOf, UserError } from "../errors.ts";
import { parseDocument } from "../text_file.ts";
import { carriedJobProblem } from "./carried_job.ts";
import {
  type DeviceDescription,
  deviceDescription,
  documentText,
  fileHash,
  FLEET_SCHEMA,
  runId,
} from "./device.ts";
import { idOfKey, isSigned, type SigningKey, signText } from "./keys.ts";
import { implausible } from "./plausible.ts";

/** The names of a bundle's files, in the folder of the run too. */
export const BUNDLED = ["run.json", "samples.jsonl", "answers.jsonl", "prompts.json"] as const;
/** The file next to an imported run's records that says who sent it. */
const BUNDLE_FILE = "bundle.json";
/** Largest file of a bundle, about 200,000 streamed answers of 200 chunks. */
const MAX_FILE_BYTES = 512 * 2 ** 20;
const MAX_HEADER_BYTES = 64 * 2 ** 10;

const manifestShape = z.object({
  schema_version: z.literal(FLEET_SCHEMA),
  kind: z.literal("run"),
  run_id: runId,
  created_at: z.string().max(40),
  sender: deviceDescription,
  files: z.array(fileHash).min(2).max(BUNDLED.length),
});
export type BundleManifest = z.infer<typeof manifestShape>;

const headerShape = z.object({
  podium_bundle: z.literal(1),
  key: z.string().max(100),
  signature: z.string().max(200),
  /** The manifest's own text: what was signed. */
  manifest: z.string(),
});

type BundleHeader = z.infer<typeof headerShape>;

/** bundle.json of an imported run: the header as it came, and when. */
const importedBundle = headerShape.extend({ imported_at: z.string() });

/**
 * The files of a run folder that a bundle or a fleet carries, with their hashes.
 *
 * ```ts
 * const files = await filesOf("reports/2026-11-21T07-30-18-gzss", BUNDLED);
 * if (files.map(({ name }) => name).join() !== "run.json,samples.jsonl,answers.jsonl") throw new Error(files.join());
 * ```
 */
export async function filesOf<Name extends string = typeof BUNDLED[number]>(
  folder: string,
  names: readonly Name[],
): Promise<{ name: Name; bytes: number; sha256: string }[]> {
  const found: { name: Name; bytes: number; sha256: string }[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const size = await Deno.stat(path).then((info) => info.isFile ? info.size : null, () => null);
    if (size !== null) found.push({ name, bytes: size, sha256: await sha256Of(path) });
  }
  return found;
}

/** What a bundle says of the device that made the run. */
export type BundleSender = Omit<DeviceDescription, "id" | "machine" | "versions">;

/**
 * Writes the bundle of a run.
 *
 * @param path the file to write; an existing one is replaced
 * @returns its manifest, its size in bytes, and why the bundle leaves out the run's
 * job; null where it holds it
 * @throws {UserError} for a folder without a run, a run that has not ended, or one that is implausible
 *
 * ```ts ignore
 * await packRun("reports/RUN", "RUN.podium", { key, sender: { name: null, tags: [] }, now: new Date() });
 * ```
 */
export async function packRun(
  folder: string,
  path: string,
  { key, sender, now }: { readonly key: SigningKey; readonly sender: BundleSender; readonly now: Date },
): Promise<{ manifest: BundleManifest; bytes: number; jobProblem: string | null }> {
  const { run_id, machine, versions, status } = await readRunInfo(folder);
  if (status === "running") {
    throw new UserError(
      `${folder} is not finished: wait for its end, or finish it with deno task bench --resume`,
    );
  }
  const reasons = await implausible(folder, { now });
  if (reasons.length > 0) throw new UserError(`${folder} would be refused: ${reasons.join("; ")}`);
  const jobProblem = await problemOfJob(folder);
  const files = (await filesOf(folder, BUNDLED)).filter(({ name }) =>
    jobProblem === null || name !== "prompts.json"
  );
  if (!files.some(({ name }) => name === "samples.jsonl")) throw new UserError(`${folder} has no samples`);
  const manifest = manifestShape.parse({
    schema_version: FLEET_SCHEMA,
    kind: "run",
    run_id,
    created_at: now.toISOString(),
    sender: { id: await idOfKey(key.publicKey), ...sender, machine, versions },
    files,
  });
  const signed = JSON.stringify(manifest);
  const header: BundleHeader = {
    podium_bundle: 1,
    key: key.publicKey,
    signature: await signText(key, signed),
    manifest: signed,
  };
  await writeBundle(path, header, files.map(({ name }) => join(folder, name)));
  return { manifest, bytes: (await Deno.stat(path)).size, jobProblem };
}

async function writeBundle(path: string, header: BundleHeader, files: readonly string[]): Promise<void> {
  const content = async function* () {
    yield new TextEncoder().encode(`${JSON.stringify(header)}\n`);
    for (const file of files) yield* (await Deno.open(file)).readable;
  };
  const fresh = `${path}.new`;
  const out = await Deno.open(fresh, { write: true, create: true, truncate: true });
  try {
    await ReadableStream.from(content()).pipeThrough(new CompressionStream("gzip")).pipeTo(out.writable);
  } catch (error) {
    await Deno.remove(fresh);
    throw error;
  }
  await Deno.rename(fresh, path);
}

/** Why a bundle may not hold the run's job; null where it may, and without a job. */
async function problemOfJob(folder: string): Promise<string | null> {
  const text = await Deno.readTextFile(join(folder, "prompts.json")).catch(() => null);
  return text === null ? null : carriedJobProblem(text);
}

/** The result of importing a bundle. */
export type ImportedRun =
  | {
    readonly status: "imported";
    readonly folder: string;
    readonly manifest: BundleManifest;
    /** Whether a run by the same key was imported before. */
    readonly isKnownSender: boolean;
  }
  | { readonly status: "refused"; readonly reasons: readonly string[] };

/**
 * Checks a bundle and files its run under `imports/` of the folder of runs, apart from this machine's own
 * ones, so that it never counts as the latest. A bundle that is refused leaves nothing behind.
 *
 * @param out the folder of runs
 * @throws {UserError} where the file can't be read or the folder can't be written
 *
 * ```ts ignore
 * const done = await importBundle("RUN.podium", { out: "reports", now: new Date() });
 * ```
 */
export async function importBundle(
  path: string,
  { out, now }: { readonly out: string; readonly now: Date },
): Promise<ImportedRun> {
  const imports = join(out, "imports");
  await Deno.mkdir(imports, { recursive: true });
  const staging = await Deno.makeTempDir({ dir: imports, prefix: ".incoming-" });
  try {
    const { header, manifest } = await unpack(path, staging);
    await checkRun(staging, manifest);
    const others = await importedManifests(imports);
    await refuseDuplicate(manifest, others, out);
    const jobProblem = await problemOfJob(staging);
    if (jobProblem !== null) throw new Refusal(`prompts.json: ${jobProblem}`);
    const reasons = await implausible(staging, { now });
    if (reasons.length > 0) return { status: "refused", reasons };
    const imported = { ...header, imported_at: now.toISOString() };
    await replaceFile(join(staging, BUNDLE_FILE), documentText(imported));
    const folder = join(imports, `${manifest.run_id}-${manifest.sender.id}`);
    await Deno.rename(staging, folder);
    const isKnownSender = others.some(({ sender }) => sender.id === manifest.sender.id);
    return { status: "imported", folder, manifest, isKnownSender };
  } catch (error) {
    if (error instanceof Refusal) return { status: "refused", reasons: [error.message] };
    throw error;
  } finally {
    await Deno.remove(staging, { recursive: true }).catch(() => {});
  }
}

/** Why a bundle is not taken. */
class Refusal extends Error {}

/** Refuses a run that is not finished, or not the one of the manifest. */
async function checkRun(folder: string, { run_id, sender }: BundleManifest): Promise<void> {
  const info = await readRunInfo(folder).catch((error) => {
    throw error instanceof UserError ? new Refusal(reasonOf(error).replaceAll(folder, "the bundle")) : error;
  });
  if (info.run_id !== run_id) {
    throw new Refusal(`run.json is of the run ${info.run_id}, the manifest of ${run_id}`);
  }
  if (info.status === "running") throw new Refusal("the run is not finished");
  if (JSON.stringify(info.machine) !== JSON.stringify(sender.machine)) {
    throw new Refusal("run.json names another machine than the manifest");
  }
}

async function refuseDuplicate(
  { run_id, files }: BundleManifest,
  others: readonly BundleManifest[],
  out: string,
): Promise<void> {
  const samplesOf = (some: BundleManifest["files"]) =>
    some.find(({ name }) => name === "samples.jsonl")?.sha256;
  const samples = samplesOf(files);
  const twin = others.find((other) => other.run_id === run_id || samplesOf(other.files) === samples);
  if (twin !== undefined) {
    throw new Refusal(
      `duplicate: ${twin.run_id} by ${twin.sender.id} is here already${
        twin.run_id === run_id ? "" : ", with the same samples"
      }`,
    );
  }
  const own = join(out, run_id);
  if (await Deno.stat(join(own, "run.json")).then(() => true, () => false)) {
    throw new Refusal(`duplicate: ${own} is a run of your own with the same name`);
  }
}

/**
 * The manifests of all imported runs below a folder.
 *
 * @param imports `reports/imports`
 */
export async function importedManifests(imports: string): Promise<BundleManifest[]> {
  const found: BundleManifest[] = [];
  for await (const { name, isDirectory } of Deno.readDir(imports)) {
    if (!isDirectory || name.startsWith(".")) continue;
    const path = join(imports, name, BUNDLE_FILE);
    const text = await Deno.readTextFile(path).catch(() => null);
    if (text === null) continue;
    const { manifest } = parseDocument(text, { schema: importedBundle, newest: FLEET_SCHEMA, name: path });
    found.push(parseDocument(manifest, { schema: manifestShape, newest: FLEET_SCHEMA, name: path }));
  }
  return found;
}

/** Checks a bundle's signature, then writes its files into an empty folder and checks their hashes. */
async function unpack(
  path: string,
  target: string,
): Promise<{ header: BundleHeader; manifest: BundleManifest }> {
  const file = await Deno.open(path).catch((error) => {
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read ${path}: ${reason}`, 2, { cause: error });
  });
  const reader = new BoundedReader(file.readable.pipeThrough(new DecompressionStream("gzip")));
  try {
    const header = refusing(headerShape, await reader.line(MAX_HEADER_BYTES));
    const manifest = await signedManifest(header);
    for (const file of manifest.files) await unpackFile(file, reader, join(target, file.name));
    if (!await reader.isAtEnd()) throw new Refusal("more follows after the last file");
    return { header, manifest };
  } catch (error) {
    // What the decompressor throws for a file that is not gzip, or is cut short.
    if (!(error instanceof TypeError)) throw error;
    throw new Refusal(`it is not a bundle, or it is damaged: ${reasonOf(error)}`);
  } finally {
    await reader.cancel();
  }
}

async function signedManifest(header: BundleHeader): Promise<BundleManifest> {
  if (!await isSigned(header.manifest, header.signature, header.key)) {
    throw new Refusal("the signature doesn't fit the manifest: the bundle was changed, or is damaged");
  }
  const manifest = refusing(manifestShape, header.manifest);
  if (manifest.sender.id !== await idOfKey(header.key)) {
    throw new Refusal(`${manifest.sender.id} is not the id of the key that signed it`);
  }
  const names = manifest.files.map(({ name }) => name);
  if (new Set(names).size < names.length) throw new Refusal("the manifest lists a file twice");
  for (const wanted of ["run.json", "samples.jsonl"] as const) {
    if (!names.includes(wanted)) throw new Refusal(`${wanted} is missing`);
  }
  return manifest;
}

async function unpackFile(
  { name, bytes, sha256 }: BundleManifest["files"][number],
  reader: BoundedReader,
  path: string,
): Promise<void> {
  if (bytes > MAX_FILE_BYTES) throw new Refusal(`${name} has ${bytes} bytes, at most ${MAX_FILE_BYTES}`);
  const hash = createHash("sha256");
  using out = await Deno.open(path, { write: true, createNew: true });
  for await (const piece of reader.bytes(bytes)) {
    hash.update(piece);
    for (let written = 0; written < piece.length;) written += await out.write(piece.subarray(written));
  }
  if (hash.digest("hex") !== sha256) throw new Refusal(`${name} is not the file whose SHA-256 was signed`);
}

function refusing<T>(schema: z.ZodType<T>, text: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Refusal("it is not a bundle, or it is damaged: its first line is not JSON");
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new Refusal(`its manifest is not accepted: ${reasonOf(z.prettifyError(parsed.error)).slice(0, 300)}`);
}

/** Reads a stream piece by piece, never more than requested. */
class BoundedReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = new Uint8Array();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  async line(most: number): Promise<string> {
    const pieces: Uint8Array[] = [];
    for (let bytes = 0; bytes <= most;) {
      const piece = await this.#next();
      if (piece === null) break;
      const end = piece.indexOf(10);
      pieces.push(end < 0 ? piece : piece.subarray(0, end));
      bytes += piece.length;
      if (end < 0) continue;
      this.#rest = piece.slice(end + 1);
      return new TextDecoder().decode(await new Blob(pieces.map((one) => one.slice())).arrayBuffer());
    }
    throw new Refusal("it is not a bundle: it has no first line");
  }

  async *bytes(count: number): AsyncGenerator<Uint8Array> {
    for (let missing = count; missing > 0;) {
      const piece = await this.#next();
      if (piece === null) throw new Refusal("it is cut short");
      const part = piece.subarray(0, missing);
      this.#rest = piece.slice(part.length);
      missing -= part.length;
      yield part;
    }
  }

  async isAtEnd(): Promise<boolean> {
    return await this.#next() === null;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async #next(): Promise<Uint8Array | null> {
    if (this.#rest.length > 0) {
      const piece = this.#rest;
      this.#rest = new Uint8Array();
      return piece;
    }
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      if (value.length > 0) return value;
    }
  }
}
