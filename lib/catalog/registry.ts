/** The registry: models.json read once, checked once, in one shape whatever shape the file has. */
import { dirname } from "node:path";
import { z } from "zod";
import { isObject } from "../bounded_json.ts";
import { reasonOf, UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import type { Model, Registry } from "./model.ts";
import {
  duplicateKeys,
  type Fault,
  faultMessage,
  faultsOf,
  misspelledKeys,
  type PathStep,
  shown,
} from "./registry_faults.ts";
import { toModel } from "./registry_model.ts";
import { modelKeys, modelShape, variantKeys } from "./registry_schema.ts";

export { findModel, findVariant, suggestNames, tasksOf } from "./model.ts";
export type * from "./model.ts";

/**
 * Reads and checks a registry file. UTF-8 and UTF-16 are recognised by the byte order mark that Windows'
 * editors and PowerShell write.
 *
 * @throws {UserError} when the file can't be read, or with one message that lists every fault in it
 *
 * ```ts
 * const registry = await loadRegistry("models.json");
 * if (findModel(registry, "phi-4-mini") === undefined) throw new Error("the course's model is missing");
 * ```
 */
export async function loadRegistry(path: string): Promise<Registry> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read the registry ${path}: ${why}; name another one with --registry FILE`);
  }
  return parseRegistry(decodeText(bytes, `the registry ${path}`), path);
}

/**
 * Checks a registry's text. Three shapes are read: the course's array (`name`, `task`, `min_ram_gb`,
 * `notes`), the course's map of alias to `{capabilities, size_mb}`, and `{"models": …}` around either, with
 * any of Podium's own fields. Other fields are kept in `extra`.
 *
 * @param text JSON
 * @param where what to call it in messages, usually the file's path
 * @throws {UserError} one message that lists every fault: where, what it holds, what it takes
 *
 * ```ts
 * const course = '[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8, "notes": "fast"}]';
 * const [model] = parseRegistry(course, "models.json").models;
 * if (model?.alias !== "phi-4-mini" || model.minRamGb !== 8) throw new Error("the course's array is read");
 * const tags = parseRegistry('{"phi-4-mini": {"capabilities": ["chat"], "size_mb": 2500}}', "models.json");
 * if (tags.models[0]?.sizeMb !== 2500) throw new Error("the course's map is read");
 * ```
 */
export function parseRegistry(text: string, where: string): Registry {
  const body = text.replace(/^\uFEFF/, "");
  const json = parseJson(body, where);
  const newer = z.looseObject({ schema_version: z.number().gt(1), models: z.unknown() }).safeParse(json);
  if (newer.success) {
    throw new UserError(
      `${where} was written for a newer version of Podium (schema ${newer.data.schema_version}; ` +
        "this version reads up to 1): update Podium",
    );
  }
  const faults = duplicateKeys(body);
  const models = modelsIn(json).flatMap(({ raw, path, name }) =>
    readModel({ raw, path, name }, json, dirname(where), faults)
  );
  faults.push(...clashes(models));
  if (faults.length > 0) throw new UserError(faultMessage(faults, body, where));
  return { models: models.map(({ model }) => model) };
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec(reasonOf(error))?.[1];
    const before = text.slice(0, at === undefined ? text.length : Number(at));
    const line = before.split("\n").length;
    const column = before.length - before.lastIndexOf("\n");
    const what = reasonOf(error).replace(/ (in JSON )?at position.*$/, "").replace(/, "[\s\S]*$/, "");
    throw new UserError(
      `${where}: line ${line}, column ${column}: not JSON (${what}); ` +
        "look for a missing comma, quote or bracket just before",
    );
  }
}

interface RawModel {
  readonly raw: unknown;
  readonly path: readonly PathStep[];
  /** The key in a map; the model's own alias otherwise. */
  readonly name: string | undefined;
}

/** The three shapes, as one list. An object is a map unless its `models` holds the list. */
function modelsIn(json: unknown): RawModel[] {
  const inner = isObject(json) && (Array.isArray(json.models) || isObject(json.models)) ? json.models : json;
  const base: PathStep[] = inner === json ? [] : ["models"];
  if (Array.isArray(inner)) {
    return inner.map((raw, index) => ({ raw, path: [...base, index], name: undefined }));
  }
  if (isObject(inner)) {
    return Object.entries(inner).map(([name, raw]) => ({ raw, path: [...base, name], name }));
  }
  return [{ raw: json, path: [], name: undefined }];
}

function readModel(
  { raw, path, name }: RawModel,
  json: unknown,
  folder: string,
  faults: Fault[],
): { model: Model; path: readonly PathStep[] }[] {
  if (!isObject(raw)) {
    const takes = path.length === 0
      ? 'a list of models, a map of alias to model, or {"models": …}'
      : "an object that describes a model";
    faults.push({ path, holds: shown(raw), takes });
    return [];
  }
  faults.push(...misspelledKeys(raw, [...modelKeys, "name"], path));
  for (const [index, variant] of (Array.isArray(raw.variants) ? raw.variants : []).entries()) {
    if (isObject(variant)) faults.push(...misspelledKeys(variant, variantKeys, [...path, "variants", index]));
  }
  const { name: courseName, ...rest } = raw;
  const parsed = modelShape.safeParse({ ...rest, alias: raw.alias ?? courseName ?? name });
  if (!parsed.success) {
    faults.push(...faultsOf(parsed.error, path, json, raw));
    return [];
  }
  return [{ model: toModel(parsed.data, path, faults, folder), path }];
}

/** No two models may have a name in common. */
function clashes(models: readonly { model: Model; path: readonly PathStep[] }[]): Fault[] {
  const owners = new Map<string, string>();
  const faults: Fault[] = [];
  for (const { model, path } of models) {
    const own = new Set([model.alias, ...model.otherNames].map((name) => name.toLowerCase()));
    for (const name of own) {
      const owner = owners.get(name);
      if (owner === undefined) owners.set(name, model.alias);
      else {faults.push({
          path,
          holds: `the name "${name}", which is also a name of "${owner}"`,
          takes: "a name of its own",
        });}
    }
  }
  return faults;
}
