/**
 * WHY: which models there are, which of them fit this machine, and what of them lies on its disk.
 *
 *   deno task models list                      the registry
 *   deno task models fit --task chat           which of them can run here, and why the others can't
 *   deno task models pull qwen2.5-0.5b         download one, checked
 *   deno task models cache                     what lies where, how big, last used, which version
 *   deno task models verify                    hash everything again
 *   deno task models remove NAME --yes         remove one;  clean --yes: whatever the registry doesn't name
 *   deno task models move FOLDER --yes         keep the models elsewhere
 */
import type { Command } from "commander";
import { UserError } from "../lib/errors.ts";
import type { StoredFile, Verified } from "../lib/catalog/cache.ts";
import type { Fit } from "../lib/catalog/machine.ts";
import type { ModelEntry, Registry, Variant } from "../lib/catalog/registry.ts";
import type { Store } from "../lib/catalog/store.ts";
import {
  bareCommand,
  interruptSignal,
  jsonOption,
  printJson,
  registryOption,
  runCli,
  storeOption,
} from "./cli.ts";

interface Shared {
  registry: string;
  store?: string;
  json?: boolean;
  yes?: boolean;
}

/** The registry, the model folder, and what both need; loaded once the flags are known to be right. */
async function open(options: Shared) {
  const [{ loadRegistry }, { defaultStore, openStore }, cache, view] = await Promise.all([
    import("../lib/catalog/registry.ts"),
    import("../lib/catalog/store.ts"),
    import("../lib/catalog/cache.ts"),
    import("./models_view.ts"),
  ]);
  const registry = await loadRegistry(options.registry);
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  return { registry, store, cache, view };
}

const shown = (store: Store, json: boolean | undefined, text: string) => {
  if (!json) console.error(`${text} (${store.dir})`);
};

async function ready(store: Store, registry: Registry): Promise<Set<string>> {
  const { listStored } = await import("../lib/catalog/cache.ts");
  const files = await listStored(store, registry);
  return new Set(files.filter(({ state }) => state === "ready").map(({ path }) => path));
}

async function list(options: Filter): Promise<number> {
  const { registry, store, view } = await open(options);
  const { pathInStore } = await import("../lib/catalog/store.ts");
  const here = await ready(store, registry);
  const models = registry.models.filter((entry) => wanted(entry, options));
  const downloaded = (entry: ModelEntry) => (variant: Variant) =>
    here.has(pathInStore(store, entry, variant) ?? "");
  if (options.json) {
    printJson({
      registry: options.registry,
      models: models.map((entry) => view.entryJson(entry, downloaded(entry))),
    });
    return 0;
  }
  const rows = models.map((entry) => [
    entry.alias,
    entry.task.join(", "),
    view.size(entry.sizeMb === null ? null : entry.sizeMb * 1e6),
    entry.minRamGb === 0 ? "?" : `${entry.minRamGb} GB`,
    entry.license.open ? entry.license.id : `${entry.license.id} (terms)`,
    entry.variants.some(downloaded(entry))
      ? "here"
      : entry.variants.every(({ untried }) => untried)
      ? "untried"
      : "",
    entry.default === "always" ? "yes" : entry.default === false ? "" : "if reachable",
  ]);
  console.log(view.table(["model", "task", "size", "RAM", "licence", "state", "default"], rows));
  return 0;
}

const wanted = (entry: ModelEntry, { task, capability }: { task?: string; capability?: string }) =>
  (task === undefined || entry.task.includes(task)) &&
  (capability === undefined || entry.capabilities.includes(capability));

async function fit(options: Filter): Promise<number> {
  const { registry, store, view } = await open(options);
  const [{ describeMachine, fits }, { freeBytes }, { pathInStore, readReceipt }] = await Promise.all([
    import("../lib/catalog/machine.ts"),
    import("../lib/catalog/transfer.ts"),
    import("../lib/catalog/store.ts"),
  ]);
  const machine = await describeMachine();
  const freeDiskBytes = await freeBytes(store.dir);
  const here = await ready(store, registry);
  const results: { entry: ModelEntry; fit: Fit }[] = [];
  for (const entry of registry.models.filter((entry) => wanted(entry, options))) {
    const path = entry.variants[0] === undefined ? null : pathInStore(store, entry, entry.variants[0]);
    const downloaded = path !== null && here.has(path);
    const receipt = downloaded ? await readReceipt(path) : null;
    const kvBytesPerToken = receipt?.gguf?.kv_bytes_per_token ?? null;
    results.push({
      entry,
      fit: fits(entry, machine, { kvBytesPerToken, ...(!downloaded && { freeDiskBytes }) }),
    });
  }
  const first = results.find(({ fit }) => fit.ok)?.entry.alias ?? null;
  if (options.json) {
    printJson({
      machine,
      free_disk_gb: Math.round(freeDiskBytes / 1e8) / 10,
      first,
      models: results.map(({ entry, fit }) => ({
        alias: entry.alias,
        ok: fit.ok,
        needed_ram_gb: fit.neededGb === null ? null : Math.round(fit.neededGb * 10) / 10,
        reasons: fit.ok ? [] : fit.reasons,
      })),
    });
    return 0;
  }
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.ram_gb} GB RAM (${machine.freeRamGb} GB free), ${
      view.size(freeDiskBytes)
    } of disk free`,
  );
  const rows = results.map(({ entry, fit }) => [
    entry.alias,
    fit.ok ? "yes" : "no",
    fit.neededGb === null ? "?" : `${fit.neededGb.toFixed(1)} GB`,
    fit.ok ? "" : fit.reasons.join("; "),
  ]);
  console.log(view.table(["model", "fits", "needs", "why not"], rows));
  if (first !== null) console.log(`First that fits${options.task ? ` for ${options.task}` : ""}: ${first}`);
  return 0;
}

async function pullModels(names: string[], options: Shared): Promise<number> {
  const { registry, store, cache, view } = await open(options);
  const { pullShown } = await import("./pull_progress.ts");
  const signal = interruptSignal();
  const wanted = names.length > 0
    ? await Promise.all(names.map((name) => chosen(registry, cache.entryNamed, name)))
    : await defaults(registry);
  shown(
    store,
    options.json,
    `Pulling ${wanted.map(({ entry }) => entry.alias).join(", ")} into the model folder`,
  );
  const pulled: unknown[] = [];
  const failed: { alias: string; variant: string; reason: string }[] = [];
  for (const { entry, variant } of wanted) {
    try {
      const path = await pullShown(store, entry, variant, { yes: options.yes, signal });
      const file = (await cache.listStored(store, registry)).find((file) => file.path === path);
      pulled.push(file === undefined ? { path } : view.fileJson(store, file));
      if (!options.json) console.log(path);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failed.push({ alias: entry.alias, variant: variant.name, reason: error.message });
      console.error(`error: ${error.message}`);
    }
  }
  if (options.json) printJson({ store: store.dir, pulled, failed });
  return failed.length === 0 ? 0 : 1;
}

interface Chosen {
  readonly entry: ModelEntry;
  readonly variant: Variant;
}

type EntryNamed = typeof import("../lib/catalog/cache.ts").entryNamed;

async function chosen(registry: Registry, entryNamed: EntryNamed, name: string): Promise<Chosen> {
  const { entry, variant } = entryNamed(registry, name);
  if (entry === undefined) throw await unknownModel(registry, name);
  const first = variant ?? entry.variants[0];
  if (first === undefined) {
    throw new UserError(`${entry.alias} has no variant in the registry: nothing to download`);
  }
  return { entry, variant: first };
}

async function unknownModel(registry: Registry, name: string): Promise<UserError> {
  const { suggestNames } = await import("../lib/catalog/registry.ts");
  const near = suggestNames(registry, name);
  const hint = near.length > 0 ? `did you mean ${near.join(", ")}?` : "`deno task models list` shows all";
  return new UserError(`no model "${name}" in the registry; ${hint}`);
}

/** What `bench` measures with nothing named: always the two that need no hub, the third where it is reached. */
async function defaults(registry: Registry): Promise<Chosen[]> {
  const [{ hubReachable }, { realSleep }] = await Promise.all([
    import("../lib/catalog/pull.ts"),
    import("./cli.ts"),
  ]);
  const reachable = await hubReachable({ fetch, sleep: realSleep, env: Deno.env });
  return registry.models.flatMap((entry) => {
    const [variant] = entry.variants;
    const due = entry.default === "always" || (entry.default === "where-reachable" && reachable);
    return due && variant !== undefined ? [{ entry, variant }] : [];
  });
}

async function cacheList(options: Shared): Promise<number> {
  const { registry, store, cache, view } = await open(options);
  const { freeBytes } = await import("../lib/catalog/transfer.ts");
  const files = await cache.listStored(store, registry);
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const free = await freeBytes(store.dir);
  if (options.json) {
    const memory = Deno.systemMemoryInfo();
    printJson({
      store: store.dir,
      total_bytes: total,
      free_disk_bytes: free,
      ram_bytes: memory.total,
      free_ram_bytes: memory.available,
      files: files.map((file) => view.fileJson(store, file)),
    });
    return 0;
  }
  console.log(`${store.dir}: ${view.size(total)} in ${files.length} files, ${view.size(free)} of disk free`);
  if (files.length === 0) return 0;
  const rows = files.map((file) => [
    file.named === null ? "(not in the registry)" : `${file.named.entry.alias}:${file.named.variant.name}`,
    view.size(file.sizeBytes),
    file.state === "unfinished" ? "unfinished" : file.receipt?.checked_against ? "checked" : "not checked",
    view.day(file.lastUsed),
    [file.receipt?.source, file.receipt?.version?.slice(0, 12)].filter(Boolean).join(" "),
    view.inStore(store, file),
  ]);
  console.log(view.table(["model", "size", "state", "last used", "from", "file"], rows));
  return 0;
}

async function verify(names: string[], options: Shared): Promise<number> {
  const { registry, store, cache, view } = await open(options);
  const files = (await cache.listStored(store, registry)).filter(({ state }) => state === "ready");
  const wanted = names.length === 0
    ? files
    : names.flatMap((name) => cache.filesNamed(files, registry, store, name));
  const results: Verified[] = [];
  for (const file of wanted) {
    const result = await cache.verifyStored(file, interruptSignal());
    results.push(result);
    if (!options.json) console.log(verdict(result, view.inStore(store, file)));
  }
  const changed = results.filter(({ status }) => status === "changed");
  if (options.json) {
    printJson({
      store: store.dir,
      files: results.map(({ file, status, sha256, expected }) => ({
        file: view.inStore(store, file),
        status,
        sha256,
        expected,
      })),
    });
  } else if (wanted.length === 0) console.log(`no model lies in ${store.dir}`);
  return changed.length === 0 ? 0 : 1;
}

function verdict({ file, status, sha256, expected }: Verified, name: string): string {
  if (status === "ok") return `ok        ${name}`;
  if (status === "recorded") return `unchanged ${name} (nobody states its SHA-256; it is ${sha256})`;
  const remedy = `deno task models remove ${file.named?.entry.alias ?? name} --yes`;
  return `CHANGED   ${name}: its SHA-256 is ${sha256}, expected ${expected}; \`${remedy}\`, then pull it again`;
}

async function remove(names: string[], options: Shared): Promise<number> {
  const { registry, store, cache } = await open(options);
  const files = await cache.listStored(store, registry);
  const doomed = new Set(names.flatMap((name) => cache.filesNamed(files, registry, store, name)));
  return await removeAll([...doomed], options, store);
}

async function clean(options: Shared): Promise<number> {
  const { registry, store, cache } = await open(options);
  const files = await cache.listStored(store, registry);
  return await removeAll(files.filter(({ named }) => named === null), options, store);
}

/** Shows what would go; does it with --yes. */
async function removeAll(files: readonly StoredFile[], options: Shared, store: Store): Promise<number> {
  const { removeStored } = await import("../lib/catalog/cache.ts");
  const view = await import("./models_view.ts");
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const done = options.yes === true && files.length > 0;
  if (done) await removeStored(store, files);
  if (options.json) {
    printJson({
      store: store.dir,
      removed: done,
      bytes,
      files: files.map((file) => view.fileJson(store, file)),
    });
    return 0;
  }
  for (const file of files) console.log(`${view.size(file.sizeBytes)}  ${view.inStore(store, file)}`);
  if (files.length === 0) console.log(`nothing to remove in ${store.dir}`);
  else if (done) console.log(`removed ${files.length} files, ${view.size(bytes)}`);
  else console.log(`${files.length} files, ${view.size(bytes)}: add --yes to remove them`);
  return 0;
}

async function move(to: string, options: Shared): Promise<number> {
  const { registry, store, cache, view } = await open(options);
  const files = await cache.listStored(store, registry);
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (!options.yes) {
    if (options.json) printJson({ from: store.dir, to, moved: false, bytes });
    else {
      for (const file of files) console.log(`${view.size(file.sizeBytes)}  ${view.inStore(store, file)}`);
      console.log(`${view.size(bytes)} from ${store.dir} to ${to}: add --yes to move them`);
    }
    return 0;
  }
  const moved = await cache.moveStore(store, to, {
    signal: interruptSignal(),
    onFile: (file, size) => console.error(`moving ${file} (${view.size(size)})`),
  });
  if (options.json) printJson({ from: store.dir, to: moved.dir, moved: true, bytes });
  else {console.log(
      `the models are in ${moved.dir} now; ${store.dir} keeps a note of it, so nothing else changes`,
    );}
  return 0;
}

/** A subcommand with the options that all of them share. */
const command = (program: Command, usage: string, description: string): Command =>
  program.command(usage).description(description).addOption(registryOption()).addOption(storeOption())
    .addOption(jsonOption());

type Filter = Shared & { task?: string; capability?: string };

function commandLine(done: (code: number) => void): Command {
  const program = bareCommand(
    "models",
    "Which models there are, which fit this machine, and what lies on its disk.",
  )
    .usage("<command> [options]");
  const filtered = (usage: string, description: string) =>
    command(program, usage, description).option("--task <task>", "only models for this task")
      .option("--capability <tag>", "only models with this tag");
  const yes = "do it; without this it is only shown";
  filtered("list", "the models of the registry")
    .action(async (options: Filter) => done(await list(options)));
  filtered("fit", "which models this machine can run now, and why not the others")
    .action(async (options: Filter) => done(await fit(options)));
  command(
    program,
    "pull [names...]",
    "download models (ALIAS or ALIAS:VARIANT; the default ones if none is named)",
  )
    .option("--yes", "accept the terms of models that are not under an open licence")
    .action(async (names: string[], options: Shared) => done(await pullModels(names, options)));
  command(program, "cache", "what lies in the model folder: how big, last used, which version")
    .action(async (options: Shared) => done(await cacheList(options)));
  command(program, "verify [names...]", "hash the files again; exit code 1 if one has changed")
    .action(async (names: string[], options: Shared) => done(await verify(names, options)));
  command(program, "remove <names...>", "remove models (ALIAS, ALIAS:VARIANT or a file that cache shows)")
    .option("--yes", yes)
    .action(async (names: string[], options: Shared) => done(await remove(names, options)));
  command(program, "clean", "remove what no registry entry names").option("--yes", yes)
    .action(async (options: Shared) => done(await clean(options)));
  command(program, "move <folder>", "keep the models in another folder").option("--yes", yes)
    .action(async (folder: string, options: Shared) => done(await move(folder, options)));
  return program;
}

if (import.meta.main) {
  await runCli(async () => {
    let code = 0;
    await commandLine((value) => code = value).parseAsync(Deno.args, { from: "user" });
    return code;
  });
}
