/** What a fresher list of models has that this registry lacks or states otherwise. */
import type { Model, Registry, Variant } from "./model.ts";
import { findModel, findVariant } from "./model.ts";

/** One difference, in words that name both sides. */
export interface RegistryDifference {
  readonly kind: "new model" | "new variant" | "changed" | "only here";
  /** `ALIAS` or `ALIAS:VARIANT`. */
  readonly name: string;
  /** The field, for `changed`. */
  readonly field: string | null;
  readonly here: string | null;
  readonly there: string | null;
}

/**
 * Compares a registry with another one, model by model under any of their names. A field that the other list
 * leaves blank is no difference.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const own = parseRegistry('{"a": {"variants": [{"name": "q4", "size_bytes": 10}]}}', "x");
 * const fresh = parseRegistry('{"a": {"variants": [{"name": "q4", "size_bytes": 12}]}, "b": {}}', "y");
 * const found = diffRegistries(own, fresh).map(({ kind, name }) => `${kind} ${name}`);
 * if (found.join() !== "changed a:q4,new model b") throw new Error(found.join());
 * ```
 */
export function diffRegistries(here: Registry, there: Registry): RegistryDifference[] {
  const found: RegistryDifference[] = [];
  for (const fresh of there.models) {
    const own = matching(here, fresh);
    if (own === undefined) {
      const variants = fresh.variants.map(({ name }) => name).join(", ");
      found.push({ kind: "new model", name: fresh.alias, field: null, here: null, there: variants || null });
      continue;
    }
    found.push(...changes(own.alias, modelFields(own), modelFields(fresh)));
    for (const variant of fresh.variants) {
      const same = findVariant(own, variant.name);
      const name = `${own.alias}:${same?.name ?? variant.name}`;
      if (same === undefined) {
        const size = variant.sizeMb === null ? null : `${variant.sizeMb} MB`;
        found.push({ kind: "new variant", name, field: null, here: null, there: size });
      } else found.push(...changes(name, variantFields(same), variantFields(variant)));
    }
  }
  for (const own of here.models) {
    if (matching(there, own) === undefined) {
      found.push({ kind: "only here", name: own.alias, field: null, here: null, there: null });
    }
  }
  return found;
}

function matching(registry: Registry, { alias, otherNames }: Model): Model | undefined {
  return findModel(registry, alias) ??
    otherNames.map((name) => findModel(registry, name)).find((model) => model !== undefined);
}

type Fields = readonly (readonly [string, string | number | null])[];

function modelFields(model: Model): Fields {
  const { tools, thinking, vision } = model.chat;
  const flag = (value: boolean | undefined) => value === undefined ? null : String(value);
  return [
    ["license", model.license.id === "unknown" ? null : model.license.id],
    ["context_tokens", model.contextTokens],
    ["parameters_b", model.parametersB],
    ["active_parameters_b", model.activeParametersB],
    ["kv_bytes_per_token", model.kvBytesPerToken],
    ["foundry_alias", model.foundryAlias],
    ["chat.tools", flag(tools)],
    ["chat.thinking", flag(thinking)],
    ["chat.vision", flag(vision)],
  ];
}

function variantFields({ sizeBytes, sha256, file, quantization }: Variant): Fields {
  return [["size_bytes", sizeBytes], ["sha256", sha256], ["file", file], ["quantization", quantization]];
}

function changes(name: string, here: Fields, there: Fields): RegistryDifference[] {
  const own = new Map(here);
  return there.flatMap(([field, value]) => {
    const mine = own.get(field) ?? null;
    return value === null || String(mine) === String(value) ? [] : [{
      kind: "changed" as const,
      name,
      field,
      here: mine === null ? null : String(mine),
      there: String(value),
    }];
  });
}
