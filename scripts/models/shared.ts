/** WHY: every `models` command starts with the same two things: the registry, and the folder with its files. */
import { listStored, type StoredFile } from "../../lib/catalog/cache.ts";
import { fillIn } from "../../lib/catalog/gguf.ts";
import { loadRegistry, type Model, type Registry, type Variant } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, pathInStore, type Store } from "../../lib/catalog/store.ts";

/** The options that all commands share; commander fills them. */
export interface Options {
  registry: string;
  store?: string;
  json?: boolean;
  yes?: boolean;
  task?: string;
  capability?: string;
}

export interface Catalogue {
  readonly registry: Registry;
  readonly store: Store;
  readonly files: readonly StoredFile[];
  /** The whole file of a variant, if it is here. */
  fileOf(entry: Model, variant: Variant): StoredFile | undefined;
  /** The models that --task and --capability leave, with their gaps filled from the files that are here. */
  wanted(): Model[];
}

export async function openCatalogue(options: Options): Promise<Catalogue> {
  const registry = await loadRegistry(options.registry);
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  const files = await listStored(store, registry);
  const ready = new Map(files.filter(({ state }) => state === "ready").map((file) => [file.path, file]));
  const fileOf = (entry: Model, variant: Variant) => ready.get(pathInStore(store, entry, variant) ?? "");
  const filled = (entry: Model) =>
    entry.variants.reduce((full, variant) => {
      const facts = fileOf(entry, variant)?.receipt?.gguf;
      return facts ? fillIn(full, variant, facts) : full;
    }, entry);
  const wanted = () =>
    registry.models.filter(({ task, capabilities }) =>
      (options.task === undefined || task.includes(options.task)) &&
      (options.capability === undefined || capabilities.includes(options.capability))
    ).map(filled);
  return { registry, store, files, fileOf, wanted };
}
