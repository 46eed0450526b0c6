/** Models that are named by the path of their file, or by their repository on Hugging Face. */
import { fillIn, ggufParts, readGguf } from "../catalog/gguf.ts";
import { hubModel } from "../catalog/hub_repository.ts";
import { findVariant, type Model } from "../catalog/model.ts";
import { parseRegistry } from "../catalog/registry.ts";
import { UserError } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";
import { type CandidateName, parseCandidateName } from "./candidate_name.ts";
import type { SessionResources } from "./candidate_request.ts";
import { endpointNames, type ServiceListing } from "./named_candidate.ts";

/**
 * A model for each candidate that is named by its file or repository; size, context
 * and licence come from there.
 *
 * @throws {UserError} for a file that is not there, and where the hub can't be reached
 */
export async function modelFiles(
  names: readonly string[],
  services: readonly ServiceListing[],
  resources: Pick<SessionResources, "fetch" | "env" | "note">,
): Promise<Map<string, Model>> {
  const endpoints = endpointNames(services);
  const files = new Map<string, Model>();
  for (const named of names.map((name) => parseCandidateName(name, endpoints))) {
    const { name, text, isFile, isHub } = named;
    if (isFile) files.set(name, await modelOfFile(name, text));
    if (!isHub) continue;
    const model = files.get(name) ?? await hubModel(name.slice("hf:".length), resources);
    files.set(name, model);
    resources.note?.(announced(named, model));
  }
  return files;
}

/** Size and licence, shown before anything is downloaded. */
function announced({ text, parts }: CandidateName, model: Model): string {
  const variant = findVariant(model, parts.find((part) => !part.includes("=")));
  const sizeMb = variant?.sizeMb ?? null;
  const size = sizeMb === null ? "a file of unknown size" : `${Math.round(sizeMb)} MB`;
  const { id, open, url } = model.license;
  return `${text}: ${size}, licence ${id}${open ? "" : ` (read its terms: ${url})`}`;
}

/** The model that a GGUF file on this machine holds. */
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
    size_mb: sumOf(sizes) / 1e6,
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
