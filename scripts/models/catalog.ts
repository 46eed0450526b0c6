/** What every `models` command starts with (the registry and the model folder), and how it shows models and files. */
import { relative } from "node:path";
import { listStored, type StoredFile } from "../../lib/catalog/cache.ts";
import { fillIn } from "../../lib/catalog/gguf.ts";
import { loadRegistry, type Model, type Registry, type Variant } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, partsOf, pathInStore, type Store } from "../../lib/catalog/store.ts";
import { type Shared } from "../options.ts";

/** The options that all commands share; commander fills them. */
export interface Options extends Shared<"registry" | "store" | "json"> {
  yes?: boolean;
  task?: string;
  capability?: string;
}

export interface RegistryWithFiles {
  readonly registry: Registry;
  readonly store: Store;
  readonly files: readonly StoredFile[];
  /** The whole file of a variant, if it is here. */
  fileOf(model: Model, variant: Variant): StoredFile | undefined;
  /** The models that match --task and --capability, with their gaps filled from downloaded files. */
  wanted(): Model[];
}

export async function openRegistryWithFiles(options: Options): Promise<RegistryWithFiles> {
  const registry = await loadRegistry(options.registry);
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  const files = await listStored(store, registry);
  const ready = new Map(files.filter(({ state }) => state === "ready").map((file) => [file.path, file]));
  const filesOf = (model: Model, variant: Variant) =>
    partsOf(variant).map((part) => ready.get(pathInStore(store, model, part) ?? ""));
  const fileOf = (model: Model, variant: Variant) => {
    const parts = filesOf(model, variant);
    return parts.includes(undefined) ? undefined : parts[0];
  };
  const sized = (model: Model, variant: Variant): Variant => {
    if (variant.sizeBytes !== null || fileOf(model, variant) === undefined) return variant;
    const bytes = filesOf(model, variant).reduce((sum, file) => sum + (file?.sizeBytes ?? 0), 0);
    return { ...variant, sizeBytes: bytes, sizeMb: variant.sizeMb ?? Math.round(bytes / 1e5) / 10 };
  };
  const filled = (model: Model) => {
    const full = model.variants.reduce((so, variant) => {
      const facts = fileOf(model, variant)?.receipt?.gguf;
      return facts ? fillIn(so, variant, facts) : so;
    }, model);
    return { ...full, variants: full.variants.map((variant) => sized(model, variant)) };
  };
  const wanted = () =>
    registry.models.filter(({ task, capabilities }) =>
      (options.task === undefined || task.includes(options.task)) &&
      (options.capability === undefined || capabilities.includes(options.capability))
    ).map(filled);
  return { registry, store, files, fileOf, wanted };
}

export function size(bytes: number | null): string {
  if (bytes === null) return "?";
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export const day = (date: Date | null) => date === null ? "?" : date.toISOString().slice(0, 10);

export const inStore = (store: Store, file: StoredFile) =>
  relative(store.dir, file.path).replaceAll("\\", "/");

function variantJson(variant: Variant, downloaded: boolean) {
  return {
    name: variant.name,
    format: variant.format,
    quantization: variant.quantization,
    size_mb: variant.sizeMb,
    downloaded,
    untried: variant.untried,
  };
}

export function modelJson(model: Model, downloaded: (variant: Variant) => boolean) {
  return {
    alias: model.alias,
    other_names: model.otherNames,
    display_name: model.displayName,
    task: model.task,
    capabilities: model.capabilities,
    min_ram_gb: model.minRamGb,
    size_mb: model.sizeMb,
    license: model.license,
    context_tokens: model.contextTokens,
    parameters_b: model.parametersB,
    active_parameters_b: model.activeParametersB,
    kv_bytes_per_token: model.kvBytesPerToken,
    chat: model.chat,
    priority: model.priority,
    foundry_alias: model.foundryAlias,
    default: model.default,
    notes: model.notes,
    field_sources: model.fieldSources,
    variants: model.variants.map((variant) => variantJson(variant, downloaded(variant))),
  };
}

export function fileJson(store: Store, file: StoredFile) {
  return {
    file: inStore(store, file),
    path: file.path,
    state: file.state,
    alias: file.named?.model.alias ?? null,
    variant: file.named?.variant.name ?? null,
    size_bytes: file.sizeBytes,
    last_used: file.lastUsed?.toISOString() ?? null,
    source: file.receipt?.source ?? null,
    version: file.receipt?.version ?? null,
    sha256: file.receipt?.sha256 ?? null,
    checked_against: file.receipt?.checked_against ?? null,
    license: file.named?.model.license.id ?? file.receipt?.gguf?.license ?? null,
    context_tokens: file.receipt?.gguf?.context_tokens ?? file.named?.model.contextTokens ?? null,
    quantization: file.receipt?.gguf?.quantization ?? file.named?.variant.quantization ?? null,
    chat_template: file.receipt?.gguf?.chat_template ?? null,
  };
}
