/** A pack's manifest: every file that must not change, with its size and SHA-256. */
import { createHash } from "node:crypto";
import { join, relative, sep } from "node:path";
import { z } from "zod";
import { UserError } from "../../lib/errors.ts";
import { parseDocument } from "../../lib/text_file.ts";

export const MANIFEST = "pack.json";

const manifestShape = z.object({
  schema_version: z.literal(1),
  podium: z.string(),
  deno: z.string(),
  os: z.string(),
  arch: z.string(),
  /** The Python that the wheels are for, as in "3.11"; null without JupyterLab. */
  python: z.string().nullable(),
  models: z.array(z.string()),
  files: z.record(z.string(), z.object({ bytes: z.number().int().nonnegative(), sha256: z.string() })),
});
export type Manifest = z.infer<typeof manifestShape>;

/** Every file below a folder, as paths with forward slashes from `root`, in order. Links are not followed. */
export async function filesBelow(root: string, folder = root): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) found.push(...await filesBelow(root, path));
    else if (isFile) found.push(relative(root, path).split(sep).join("/"));
  }
  return found.sort();
}

async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  using file = await Deno.open(path, { read: true });
  for await (const part of file.readable) {
    bytes += part.byteLength;
    hash.update(part);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Writes the manifest of the named files, and returns it with its own hash. */
export async function writeManifest(
  dir: string,
  about: Omit<Manifest, "schema_version" | "files">,
  paths: readonly string[],
): Promise<{ manifest: Manifest; sha256: string }> {
  const files: Manifest["files"] = {};
  for (const path of paths) files[path] = await hashFile(join(dir, path));
  const manifest: Manifest = { schema_version: 1, ...about, files };
  const place = join(dir, MANIFEST);
  await Deno.writeTextFile(`${place}.part`, `${JSON.stringify(manifest, null, 1)}\n`);
  await Deno.rename(`${place}.part`, place);
  return { manifest, sha256: (await hashFile(place)).sha256 };
}

/**
 * Compares a pack with its manifest. Files that are not in it (runs, JupyterLab's own folder) are ignored.
 *
 * @throws {UserError} exit code 2 when the folder has no readable manifest
 */
export async function verifyPack(dir: string): Promise<{ files: number; faults: string[] }> {
  const { files } = await readManifest(dir);
  const faults: string[] = [];
  for (const [path, packed] of Object.entries(files)) {
    try {
      const { bytes, sha256 } = await hashFile(join(dir, path));
      if (bytes !== packed.bytes) faults.push(`${path}: ${bytes} bytes, packed were ${packed.bytes}`);
      else if (sha256 !== packed.sha256) {
        faults.push(`${path}: its SHA-256 is ${sha256}, packed was ${packed.sha256}`);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      faults.push(`${path}: missing`);
    }
  }
  return { files: Object.keys(files).length, faults };
}

/** @throws {UserError} when the folder has no readable manifest */
export async function readManifest(dir: string): Promise<Manifest> {
  const place = join(dir, MANIFEST);
  let text: string;
  try {
    text = await Deno.readTextFile(place);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UserError(`${place} doesn't exist: give the folder that deno task pack made`);
  }
  return parseDocument(text, {
    schema: manifestShape,
    newest: 1,
    name: `the manifest ${place}`,
    remedy: "copy the pack again, or make it again",
  });
}
