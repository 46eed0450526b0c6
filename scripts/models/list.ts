/** WHY: `models list`, `fit`, `cache` and `verify` only read. */
import { filesNamed, type Verified, verifyStored } from "../../lib/catalog/cache.ts";
import { describeMachine, type Fit, fits, type Machine } from "../../lib/catalog/machine.ts";
import type { Model } from "../../lib/catalog/registry.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import { interruptSignal, printJson } from "../cli.ts";
import {
  day,
  fileJson,
  inStore,
  modelJson,
  openRegistryWithFiles,
  type Options,
  type RegistryWithFiles,
  size,
  table,
} from "./catalog.ts";

export async function list(options: Options): Promise<number> {
  const { fileOf, wanted } = await openRegistryWithFiles(options);
  const models = wanted();
  if (options.json) {
    const json = (model: Model) => modelJson(model, (variant) => fileOf(model, variant) !== undefined);
    printJson({ registry: options.registry, models: models.map(json) });
    return 0;
  }
  const rows = models.map((model) => [
    model.alias,
    model.task.join(", "),
    size(model.sizeMb === null ? null : model.sizeMb * 1e6),
    model.minRamGb === 0 ? "?" : `${model.minRamGb} GB`,
    model.license.open ? model.license.id : `${model.license.id} (terms)`,
    stateOf(model, fileOf),
    model.default === "always" ? "yes" : model.default === false ? "" : "if reachable",
  ]);
  console.log(table(["model", "task", "size", "RAM", "licence", "state", "default"], rows));
  return 0;
}

function stateOf(model: Model, fileOf: RegistryWithFiles["fileOf"]): string {
  if (model.variants.some(({ adapter }) => adapter !== null)) return "adapter";
  if (model.variants.some((variant) => fileOf(model, variant) !== undefined)) return "here";
  if (model.variants.every(({ sources }) => sources.length === 0)) return "service only";
  return model.variants.every(({ untried }) => untried) ? "untried" : "";
}

interface Fitting {
  readonly model: Model;
  /** The first variant that fits, else the first one; null where the registry names none. */
  readonly variant: string | null;
  readonly fit: Fit;
}

export async function fit(options: Options): Promise<number> {
  const catalogue = await openRegistryWithFiles(options);
  const machine = await describeMachine();
  const freeDiskBytes = await freeBytes(catalogue.store.dir);
  const results = catalogue.wanted().map((model) => fitOf(model, machine, freeDiskBytes, catalogue));
  const first = results.find(({ fit }) => fit.ok)?.model.alias ?? null;
  if (options.json) {
    printJson({ machine, free_disk_gb: tenth(freeDiskBytes / 1e9), first, models: results.map(fitJson) });
    return 0;
  }
  const { cpu, cores, ram_gb, freeRamGb } = machine;
  console.log(
    `${cpu}, ${cores} cores, ${ram_gb} GB RAM (${freeRamGb} GB free), ${size(freeDiskBytes)} of disk free`,
  );
  const rows = results.map(({ model, variant, fit }) => [
    variant === null ? model.alias : `${model.alias}:${variant}`,
    fit.ok ? "yes" : "no",
    fit.neededGb === null ? "?" : `${fit.neededGb.toFixed(1)} GB`,
    fit.ok ? "" : fit.reasons.join("; "),
  ]);
  console.log(table(["model", "fits", "needs", "why not"], rows));
  if (first !== null) console.log(`First that fits${options.task ? ` for ${options.task}` : ""}: ${first}`);
  return 0;
}

function fitOf(
  model: Model,
  machine: Machine,
  freeDiskBytes: number,
  { fileOf }: RegistryWithFiles,
): Fitting {
  const each = model.variants.map((variant): Fitting => {
    const here = fileOf(model, variant) !== undefined;
    const fit = fits(model, machine, { variant, ...(!here && { freeDiskBytes }) });
    return { model, variant: variant.name, fit };
  });
  return each.find(({ fit }) => fit.ok) ?? each[0] ?? { model, variant: null, fit: fits(model, machine) };
}

const tenth = (value: number) => Math.round(value * 10) / 10;

const fitJson = ({ model, variant, fit }: Fitting) => ({
  alias: model.alias,
  variant,
  ok: fit.ok,
  needed_ram_gb: fit.neededGb === null ? null : tenth(fit.neededGb),
  reasons: fit.ok ? [] : fit.reasons,
});

export async function cache(options: Options): Promise<number> {
  const { store, files } = await openRegistryWithFiles(options);
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const free = await freeBytes(store.dir);
  const memory = Deno.systemMemoryInfo();
  if (options.json) {
    printJson({
      store: store.dir,
      total_bytes: total,
      free_disk_bytes: free,
      ram_bytes: memory.total,
      free_ram_bytes: memory.available,
      files: files.map((file) => fileJson(store, file)),
    });
    return 0;
  }
  console.log(`${store.dir}: ${size(total)} in ${files.length === 1 ? "1 file" : `${files.length} files`}`);
  console.log(`free: ${size(free)} of disk, ${size(memory.available)} of ${size(memory.total)} RAM`);
  if (files.length === 0) return 0;
  const rows = files.map((file) => [
    file.named === null ? "(not in the registry)" : `${file.named.model.alias}:${file.named.variant.name}`,
    size(file.sizeBytes),
    file.state === "unfinished" ? "unfinished" : file.receipt?.checked_against ? "checked" : "not checked",
    day(file.lastUsed),
    [file.receipt?.source, file.receipt?.version?.slice(0, 12)].filter(Boolean).join(" "),
    inStore(store, file),
  ]);
  console.log(table(["model", "size", "state", "last used", "from", "file"], rows));
  return 0;
}

export async function verify(names: string[], options: Options): Promise<number> {
  const { registry, store, files } = await openRegistryWithFiles(options);
  const whole = files.filter(({ state }) => state === "ready");
  const wanted = names.length === 0
    ? whole
    : [...new Set(names.flatMap((name) => filesNamed(whole, registry, store, name)))];
  const results: Verified[] = [];
  for (const file of wanted) {
    const result = await verifyStored(file, interruptSignal());
    results.push(result);
    if (!options.json) console.log(verdict(result, inStore(store, file)));
  }
  if (options.json) {
    const json = ({ file, status, sha256, expected }: Verified) => ({
      file: inStore(store, file),
      status,
      sha256,
      expected,
    });
    printJson({ store: store.dir, files: results.map(json) });
  } else if (wanted.length === 0) console.log(`${store.dir} holds no model`);
  return results.some(({ status }) => status === "changed") ? 1 : 0;
}

function verdict({ file, status, sha256, expected }: Verified, name: string): string {
  if (status === "ok") return `ok        ${name}`;
  if (status === "recorded") return `unchanged ${name} (no source states its SHA-256; it is ${sha256})`;
  const remedy = `deno task models remove ${file.named?.model.alias ?? name} --yes`;
  return `CHANGED   ${name}: its SHA-256 is ${sha256}, expected ${expected}; \`${remedy}\`, then pull it again`;
}
