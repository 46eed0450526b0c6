/**
 * Reads a Foundry Local cache folder as the runtime does: `foundry.modelinfo.json` at its root holds the
 * catalogue, and a model is downloaded where a folder holds `genai_config.json` and `inference_model.json`,
 * and no `download.tmp`. Nothing is written.
 */
import { join } from "node:path";
import { z } from "zod";
import { readIfThere } from "../catalog/files.ts";
import { reasonOf, UserError } from "../errors.ts";

/** The device that a variant of a model runs on. */
export type FoundryDevice = "cpu" | "gpu" | "npu";

/** What the catalogue knows about one variant of a model. */
export interface CatalogueFacts {
  /** With its version, as in `phi-4-mini-instruct-cuda-gpu:5`. */
  readonly id: string;
  readonly alias: string | null;
  readonly device: FoundryDevice | null;
  /** ONNX Runtime's name for it, as in `CUDAExecutionProvider`. */
  readonly executionProvider: string | null;
  readonly sizeMb: number | null;
  readonly license: string | null;
  readonly task: string | null;
}

const device = z.string().transform((text): FoundryDevice | null => {
  const name = text.toLowerCase();
  return name === "cpu" || name === "gpu" || name === "npu" ? name : null;
});

/** One entry of the catalogue, from a file in the cache (2.x) or from the service (0.x, without an id). */
const entry = z.looseObject({
  id: z.string().optional(),
  name: z.string(),
  version: z.union([z.string(), z.number()]).nullish(),
  alias: z.string().nullish().catch(null),
  runtime: z.looseObject({
    deviceType: device.nullish().catch(null),
    executionProvider: z.string().nullish().catch(null),
  }).nullish().catch(null),
  fileSizeMb: z.number().nullish().catch(null),
  license: z.string().nullish().catch(null),
  task: z.string().nullish().catch(null),
});

/**
 * Reads catalogue entries as the runtime writes and sends them; invalid entries are left out.
 *
 * ```ts
 * const [facts] = catalogueFacts([{ name: "a-generic-cpu", version: "2", alias: "a", runtime: { deviceType: "CPU" } }]);
 * if (facts?.id !== "a-generic-cpu:2" || facts.device !== "cpu") throw new Error("one entry");
 * ```
 */
export function catalogueFacts(models: readonly unknown[]): CatalogueFacts[] {
  return models.flatMap((model) => {
    const read = entry.safeParse(model);
    if (!read.success) return [];
    const { id, name, version, alias, runtime, fileSizeMb, license, task } = read.data;
    const versioned = name.includes(":") || version === undefined || version === null
      ? name
      : `${name}:${version}`;
    const full = id ?? versioned;
    return [{
      id: full,
      alias: alias ?? null,
      device: runtime?.deviceType ?? deviceOfId(full),
      executionProvider: runtime?.executionProvider ?? null,
      sizeMb: fileSizeMb ?? null,
      license: license ?? null,
      task: task ?? null,
    }];
  });
}

/**
 * The device in an id, as in `-generic-cpu`, `-cuda-gpu`, `-qnn-npu`; null where it names none.
 *
 * ```ts
 * if (deviceOfId("phi-4-mini-instruct-qnn-npu:2") !== "npu" || deviceOfId("my-model:1") !== null) {
 *   throw new Error("the device is part of the name");
 * }
 * ```
 */
export function deviceOfId(id: string): FoundryDevice | null {
  const found = /-(cpu|gpu|npu)(?:-int\d+)?(?::\d+)?$/i.exec(id)?.[1]?.toLowerCase();
  return found === "cpu" || found === "gpu" || found === "npu" ? found : null;
}

/** A model's folder in a cache. */
export interface CachedModel {
  /** The runtime's name for it: a name without a version gets `:0`. */
  readonly id: string;
  readonly dir: string;
  /** False while the model is downloaded, or where a download was interrupted. */
  readonly complete: boolean;
}

/** A cache folder: its catalogue, and the models in it. */
interface FoundryCache {
  readonly dir: string;
  readonly catalogue: readonly CatalogueFacts[];
  readonly models: readonly CachedModel[];
}

export const MODEL_INFO = "foundry.modelinfo.json";
const modelInfo = z.looseObject({ models: z.array(z.unknown()) });
const inferenceModel = z.looseObject({ Name: z.string().min(1) });

/** Publisher, model, version: the runtime's folders go no deeper. */
const DEPTH = 4;

/**
 * Reads a cache folder.
 *
 * @throws {UserError} where the folder does not exist or is not a Foundry Local cache, naming what is missing
 *
 * ```ts ignore
 * const cache = await readFoundryCache("/home/me/.foundry/cache/models");
 * console.log(cache.models.filter(({ complete }) => complete).map(({ id }) => id));
 * ```
 */
export async function readFoundryCache(dir: string): Promise<FoundryCache> {
  const models: CachedModel[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(dir)) {
      if (isDirectory) models.push(...await modelsBelow(join(dir, name), DEPTH));
    }
  } catch (error) {
    throw new UserError(
      `${dir} is not a Foundry Local cache: ${reasonOf(error)}: ` +
        "give the folder that `foundry cache location` names",
      2,
      { cause: error },
    );
  }
  const catalogue = await readCatalogue(join(dir, MODEL_INFO));
  if (catalogue === null && models.length === 0) {
    throw new UserError(
      `${dir} is not a Foundry Local cache: it has no ${MODEL_INFO} and no model folder: ` +
        "give the folder that `foundry cache location` names",
    );
  }
  return { dir, catalogue: catalogue ?? [], models };
}

async function readCatalogue(path: string): Promise<CatalogueFacts[] | null> {
  const text = await readIfThere(path);
  if (text === null) return null;
  try {
    return catalogueFacts(modelInfo.parse(JSON.parse(text)).models);
  } catch (cause) {
    throw new UserError(
      `${path} can't be read: ${reasonOf(cause)}: remove it: the service writes a new one when it is online`,
      2,
      { cause },
    );
  }
}

async function modelsBelow(dir: string, depth: number): Promise<CachedModel[]> {
  const names = new Set<string>();
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) folders.push(name);
    else names.add(name);
  }
  if (names.has("inference_model.json")) {
    const id = await idOf(join(dir, "inference_model.json"));
    const complete = names.has("genai_config.json") && !names.has("download.tmp");
    if (id !== null) return [{ id, dir, complete }];
  }
  if (depth === 0) return [];
  const below = await Promise.all(folders.map((name) => modelsBelow(join(dir, name), depth - 1)));
  return below.flat();
}

/** The runtime skips a file that it can't read; so does this function. */
async function idOf(path: string): Promise<string | null> {
  try {
    const { Name } = inferenceModel.parse(JSON.parse(await Deno.readTextFile(path)));
    return Name.includes(":") ? Name : `${Name}:0`;
  } catch {
    return null;
  }
}
