/** Models that are named by the path of their file. */
import { fillIn, ggufParts, readGguf } from "../catalog/gguf.ts";
import type { Model } from "../catalog/model.ts";
import { parseRegistry } from "../catalog/registry.ts";
import { UserError } from "../errors.ts";
import { parseCandidateName } from "./candidate_name.ts";
import { endpointNames, type ServiceListing } from "./named_candidate.ts";

/** A model for each candidate that is named by its file; size, context and licence come from the file. */
export async function modelFiles(
  names: readonly string[],
  services: readonly ServiceListing[],
): Promise<Map<string, Model>> {
  const endpoints = endpointNames(services);
  const parsed = names.map((name) => parseCandidateName(name, endpoints)).filter(({ isFile }) => isFile);
  const files = new Map<string, Model>();
  for (const { name, text } of parsed) files.set(name, await modelOfFile(name, text));
  return files;
}

async function modelOfFile(path: string, text: string): Promise<Model> {
  const info = await Deno.stat(path).catch(() => null);
  if (info === null || !info.isFile) {
    throw new UserError(`${text}: there is no such file: give the path of a GGUF file`);
  }
  const facts = await readGguf(path);
  const sizes = await Promise.all(ggufParts(path).map(async (part) => (await Deno.stat(part)).size));
  const file = path.replace(/^.*[\\/]/, "");
  const alias = file.replace(/\.gguf$/i, "").replaceAll(/[^\w.-]+/g, "-").replaceAll(/^\.+|\.+$/g, "");
  const variant = {
    name: (facts.quantization ?? "file").toLowerCase(),
    format: "gguf",
    file,
    size_mb: sizes.reduce((sum, size) => sum + size, 0) / 1e6,
    sources: [{ kind: "file", path }],
  };
  const [model] = parseRegistry(
    JSON.stringify({ schema_version: 1, models: [{ alias, variants: [variant] }] }),
    path,
  ).models;
  const [only] = model?.variants ?? [];
  if (model === undefined || only === undefined) throw new TypeError(`Cannot make a model of ${path}`);
  return fillIn(model, only, facts);
}
