/** `models pull`, `remove`, `clean` and `move` write to the disk; all but `pull` show the change first. */
import {
  filesNamed,
  listStored,
  modelNamed,
  moveStore,
  removeStored,
  type StoredFile,
} from "../../lib/catalog/cache.ts";
import { parseCandidateName } from "../../lib/bench/candidate_name.ts";
import { modelFiles } from "../../lib/bench/model_file.ts";
import { hubReachable } from "../../lib/catalog/hub.ts";
import {
  findVariant,
  type Model,
  type Registry,
  suggestNames,
  type Variant,
} from "../../lib/catalog/registry.ts";
import type { Store } from "../../lib/catalog/store.ts";
import { UserError } from "../../lib/errors.ts";
import { interruptSignal, printJson, realSleep } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";
import { fileJson, inStore, openRegistryWithFiles, type Options, size } from "./catalog.ts";

interface Chosen {
  readonly model: Model;
  readonly variant: Variant;
}

export async function pull(names: string[], options: Options): Promise<number> {
  const { registry, store } = await openRegistryWithFiles(options);
  const wanted: Chosen[] = [];
  for (const name of names) wanted.push(await modelToPull(registry, name));
  if (names.length === 0) wanted.push(...await defaultsToPull(registry));
  if (!options.json) console.error(`into ${store.dir}: ${wanted.map(({ model }) => model.alias).join(", ")}`);
  const paths: string[] = [];
  const failed: { alias: string; variant: string; reason: string }[] = [];
  for (const { model, variant } of wanted) {
    try {
      const path = await pullShown(store, model, variant, { yes: options.yes, signal: interruptSignal() });
      paths.push(path);
      if (!options.json) console.log(path);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failed.push({ alias: model.alias, variant: variant.name, reason: error.message });
      console.error(`error: ${error.message}`);
    }
  }
  if (options.json) {
    const files = (await listStored(store, registry)).filter(({ path }) => paths.includes(path));
    const inOrder = paths.flatMap((path) => files.filter((file) => file.path === path));
    printJson({ store: store.dir, pulled: inOrder.map((file) => fileJson(store, file)), failed });
  }
  return failed.length === 0 ? 0 : 1;
}

async function modelToPull(registry: Registry, name: string): Promise<Chosen> {
  if (/^hf:/i.test(name)) return await hubModelToPull(name);
  const { model, variant } = modelNamed(registry, name);
  if (model === undefined) {
    const near = suggestNames(registry, name);
    const hint = near.length > 0
      ? `did you mean ${near.join(", ")}?`
      : "`deno task models list` lists the known ones";
    throw new UserError(`unknown model "${name}"; ${hint}`);
  }
  const first = variant ?? model.variants[0];
  if (first === undefined) {
    throw new UserError(`${model.alias} has no variant in the registry: nothing to download`);
  }
  return { model, variant: first };
}

/** `hf:OWNER/REPO:QUANT`; its size and licence are printed before the download. */
async function hubModelToPull(text: string): Promise<Chosen> {
  const { name, parts } = parseCandidateName(text, []);
  const note = (line: string) => console.error(line);
  const model = (await modelFiles([text], [], { fetch, env: Deno.env, note })).get(name);
  const variant = model === undefined ? undefined : findVariant(model, parts[0]);
  if (model !== undefined && variant !== undefined) return { model, variant };
  const names = model?.variants.map((one) => one.name).join(", ");
  throw new UserError(`${text}: the repository has no variant "${parts[0]}": give one of ${names}`);
}

/** What `bench` measures when no model is named: the `always` models, and the others if the hub can be reached. */
async function defaultsToPull(registry: Registry): Promise<Chosen[]> {
  const reachable = await hubReachable({ fetch, sleep: realSleep, env: Deno.env });
  return registry.models.flatMap((model) => {
    const [variant] = model.variants;
    const due = model.default === "always" || (model.default === "where-reachable" && reachable);
    return due && variant !== undefined ? [{ model, variant }] : [];
  });
}

export async function remove(names: string[], options: Options): Promise<number> {
  const { registry, store, files } = await openRegistryWithFiles(options);
  const doomed = new Set(names.flatMap((name) => filesNamed(files, registry, store, name)));
  return await removeAll([...doomed], options, store);
}

export async function clean(options: Options): Promise<number> {
  const { store, files } = await openRegistryWithFiles(options);
  return await removeAll(files.filter(({ named }) => named === null), options, store);
}

/** Shows what would be removed; removes it with --yes. */
async function removeAll(files: readonly StoredFile[], options: Options, store: Store): Promise<number> {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const done = options.yes === true && files.length > 0;
  if (done) await removeStored(store, files);
  if (options.json) {
    printJson({ store: store.dir, removed: done, bytes, files: files.map((file) => fileJson(store, file)) });
    return 0;
  }
  for (const file of files) console.log(`${size(file.sizeBytes)}  ${inStore(store, file)}`);
  const count = files.length === 1 ? "1 file" : `${files.length} files`;
  if (files.length === 0) console.log(`nothing to remove in ${store.dir}`);
  else if (done) console.log(`removed ${count}, ${size(bytes)}`);
  else console.log(`${count}, ${size(bytes)}: add --yes to remove`);
  return 0;
}

export async function move(to: string, options: Options): Promise<number> {
  const { store, files } = await openRegistryWithFiles(options);
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (!options.yes) {
    if (options.json) printJson({ from: store.dir, to, moved: false, bytes });
    else {
      for (const file of files) console.log(`${size(file.sizeBytes)}  ${inStore(store, file)}`);
      console.log(`${size(bytes)} from ${store.dir} to ${to}: add --yes to move`);
    }
    return 0;
  }
  const moved = await moveStore(store, to, {
    signal: interruptSignal(),
    onFile: (file, fileBytes) => console.error(`moving ${file} (${size(fileBytes)})`),
  });
  if (options.json) printJson({ from: store.dir, to: moved.dir, moved: true, bytes });
  else {console.log(
      `the models are now in ${moved.dir}; ${store.dir} points there, so no setting needs to change`,
    );}
  return 0;
}
