/**
 * Adds a model of your own to a Foundry Local cache, so that the service lists, loads and runs it: the
 * model's folder with an `inference_model.json`, and an entry in `foundry.modelinfo.json`. After a failure
 * the cache is as it was.
 */
import { basename, join, resolve, sep } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import {
  entriesOf,
  folderBytes,
  freeBytes,
  makeFolder,
  readIfThere,
  removeIfThere,
  statIfThere,
  unwritable,
} from "../catalog/files.ts";
import { MODEL_INFO } from "./foundry_cache.ts";

/** A model of your own. */
export interface OwnModel {
  /** The alias by which the service loads it, e.g. `smollm2-135m`. */
  readonly alias: string;
  readonly displayName: string;
  /** The folder with `genai_config.json` and the ONNX files. */
  readonly dir: string;
  readonly sizeMb: number;
  readonly contextTokens: number;
  readonly quantization: string;
  readonly license: string | null;
  readonly createdAt: Date;
}

/** The id of your own model in the service: compiled for the CPU, first version. */
export const ownModelId = (alias: string): string => `${alias}-generic-cpu:1`;

const PUBLISHER = "byom";

const modelInfo = z.looseObject({
  models: z.array(z.looseObject({ id: z.string(), alias: z.string().nullish() })),
});
type ModelInfo = z.infer<typeof modelInfo>;

/**
 * Adds a model to a cache; the folder is created where there is none.
 *
 * @param replace replaces a model with the same id
 * @returns the folder that now holds the model
 * @throws {UserError} where the folder is not a Foundry Local cache, the id or alias
 * is taken, or the disk is full
 *
 * ```ts ignore
 * await addToFoundryCache("/home/me/.foundry/cache/models", model, { replace: false });
 * ```
 */
export async function addToFoundryCache(
  cacheDir: string,
  model: OwnModel,
  { replace }: { readonly replace: boolean },
): Promise<string> {
  const infoPath = join(cacheDir, MODEL_INFO);
  const info = await readInfo(cacheDir, infoPath);
  const id = ownModelId(model.alias);
  assertFree(info, model.alias, id, replace);
  if (await statIfThere(join(model.dir, "genai_config.json")) === null) {
    throw new UserError(`${model.dir} is not a compiled model: it has no genai_config.json`);
  }
  const others = info.models.filter((entry) => entry.id !== id);
  const next = { version: 1, savedAtUnix: 0, ...info, models: [...others, catalogueEntry(model)] };
  const target = join(cacheDir, PUBLISHER, model.alias);
  const [part, old, nextInfo] = [`${target}.part`, `${target}.old`, `${infoPath}.part`];
  let placed = false;
  try {
    await makeFolder(join(cacheDir, PUBLISHER));
    await removeIfThere(part, true);
    await copyFolder(model.dir, part);
    await writeJson(join(part, "inference_model.json"), { Name: id, PromptTemplate: null });
    await writeJson(nextInfo, next);
    await removeIfThere(old, true);
    if (await statIfThere(target) !== null) await Deno.rename(target, old);
    await Deno.rename(part, target);
    placed = true;
    await Deno.rename(nextInfo, infoPath);
    await removeIfThere(old, true);
    return target;
  } catch (error) {
    await removeIfThere(part, true);
    await removeIfThere(nextInfo);
    if (placed) await removeIfThere(target, true);
    if (await statIfThere(old) !== null && await statIfThere(target) === null) await Deno.rename(old, target);
    throw unwritable(target, error);
  }
}

const writeJson = (path: string, value: unknown) => Deno.writeTextFile(path, JSON.stringify(value, null, 2));

/**
 * Fails where `addToFoundryCache` would fail, before the model is compiled.
 *
 * @throws {UserError} where the folder is not a Foundry Local cache, or the id or alias is taken
 *
 * ```ts ignore
 * await assertCanAdd(cacheDir, "smollm2-135m", { replace: false });
 * ```
 */
export async function assertCanAdd(
  cacheDir: string,
  alias: string,
  { replace }: { readonly replace: boolean },
): Promise<void> {
  const info = await readInfo(cacheDir, join(cacheDir, MODEL_INFO));
  assertFree(info, alias, ownModelId(alias), replace);
}

async function readInfo(cacheDir: string, path: string): Promise<ModelInfo> {
  const text = await readIfThere(path);
  if (text !== null) {
    try {
      return modelInfo.parse(JSON.parse(text));
    } catch (cause) {
      throw new UserError(`${path} can't be read (${reasonOf(cause)}): fix or remove it first`, 2, {
        cause,
      });
    }
  }
  const there = await statIfThere(cacheDir);
  const names = there === null ? [] : (await entriesOf(cacheDir)).map(({ name }) => name);
  if (there?.isFile || names.some((name) => name !== PUBLISHER && !name.startsWith("."))) {
    const found = names.slice(0, 3).join(", ") || "is a file";
    throw new UserError(
      `${cacheDir} is not a Foundry Local cache (it has no ${MODEL_INFO}, but ${found}): ` +
        "give the folder that `foundry cache location` prints, or an empty one",
    );
  }
  return { models: [] };
}

function assertFree(info: ModelInfo, alias: string, id: string, replace: boolean): void {
  const same = info.models.find((entry) => entry.id === id);
  if (same !== undefined && !replace) {
    throw new UserError(`${id} is in the cache already: give another --name, or --replace to replace it`);
  }
  const namesake = info.models.find((entry) => entry.alias === alias && entry.id !== id);
  if (namesake !== undefined) {
    throw new UserError(`the alias ${alias} belongs to ${namesake.id} in this cache: give another --name`);
  }
}

/**
 * Copies a whole cache to a new or empty folder; the old cache stays until the user removes it. An
 * interrupted copy leaves nothing under the new name.
 *
 * @returns bytes copied
 * @throws {UserError} where the new folder is not empty, is inside the old one, or its disk is too small
 *
 * ```ts ignore
 * const bytes = await copyCache("/home/me/.foundry/cache/models", "/big/disk/models");
 * ```
 */
export async function copyCache(from: string, to: string): Promise<number> {
  const [source, target] = [resolve(from), resolve(to)];
  if (target === source || target.startsWith(`${source}${sep}`) || source.startsWith(`${target}${sep}`)) {
    throw new UserError(`one of ${to} and ${from} is inside the other: give a folder outside the cache`);
  }
  if ((await entriesOf(target)).length > 0) throw new UserError(`${to} is not empty: give a new folder`);
  const bytes = await folderBytes(source);
  const free = await freeBytes(target);
  if (free < bytes) {
    const gb = (value: number) => `${(value / 1e9).toFixed(1)} GB`;
    throw new UserError(
      `the cache takes ${gb(bytes)}, ${to} has ${gb(free)} free: give a folder on another disk`,
      1,
    );
  }
  const part = `${target}.part`;
  try {
    await removeIfThere(part, true);
    await copyFolder(source, part);
    if (await folderBytes(part) !== bytes) {
      throw new UserError(`${from} changed while it was copied: try again`, 1);
    }
    await removeIfThere(target, true);
    await Deno.rename(part, target);
    return bytes;
  } catch (error) {
    await removeIfThere(part, true);
    throw unwritable(target, error);
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await makeFolder(to);
  for (const { name, isDirectory } of await entriesOf(from)) {
    if (isDirectory) await copyFolder(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

/** The entry for the catalogue; the runtime skips entries without id, name or alias. */
function catalogueEntry(model: OwnModel) {
  const { alias, displayName, sizeMb, contextTokens, license, createdAt } = model;
  const id = ownModelId(alias);
  const name = id.replace(/:1$/, "");
  const created = Math.floor(createdAt.getTime() / 1000);
  const uri = (name: string) => `azureml://registries/local/models/${name}/versions/1`;
  const parent = uri(basename(alias));
  const most = Math.min(2048, contextTokens);
  return {
    id,
    alias,
    name,
    version: 1,
    displayName,
    publisher: PUBLISHER,
    providerType: "FoundryLocal",
    modelType: "ONNX",
    task: "chat-completion",
    createdAt: created,
    fileSizeMb: sizeMb,
    maxOutputTokens: most,
    uri: uri(name),
    parentModelUri: parent,
    runtime: { deviceType: "CPU", executionProvider: "CPUExecutionProvider" },
    ...(license === null ? {} : { license }),
    intProperties: {
      context_length: contextTokens,
      max_output_tokens: most,
      filesize_mb: sizeMb,
      created_at_unix: created,
    },
    stringProperties: {
      display_name: displayName,
      model_provider: "FoundryLocal",
      parent_uri: parent,
      publisher: PUBLISHER,
      quantization: model.quantization,
      input_modalities: "text",
      output_modalities: "text",
      task: "chat-completion",
      type: "ONNX",
    },
  };
}
