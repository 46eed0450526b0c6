/** `models list`, `cache` and `verify`, which only read. */
import { filesNamed, type Verified, verifyStored } from "../../lib/catalog/cache.ts";
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
} from "./catalog.ts";
import { table } from "../terminal.ts";

/** Memory as every other command states it: in units of 2^30 bytes. */
const ramGb = (bytes: number) => (bytes / 2 ** 30).toFixed(1);

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
  console.log(`free: ${size(free)} of disk, ${ramGb(memory.available)} of ${ramGb(memory.total)} GB RAM`);
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
    if (!options.json) console.log(verifiedText(result, inStore(store, file)));
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

function verifiedText({ file, status, sha256, expected }: Verified, name: string): string {
  if (status === "ok") return `ok        ${name}`;
  if (status === "recorded") return `unchanged ${name} (no source states its SHA-256; it is ${sha256})`;
  const remedy = `deno task models remove ${file.named?.model.alias ?? name} --yes`;
  return `CHANGED   ${name}: its SHA-256 is ${sha256}, expected ${expected}; \`${remedy}\`, then pull it again`;
}
