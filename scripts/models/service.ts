/**
 * What `foundry model list`, `foundry cache list`, `foundry service ps` and `foundry model load` do, for
 * either generation.
 */
import type { FoundService } from "../../lib/services/discovery.ts";
import { cliCommand, probeFoundryCli } from "../../lib/services/foundry_cli.ts";
import {
  loadFoundryModel,
  resolveFoundryModel,
  unloadFoundryModel,
} from "../../lib/services/foundry_load.ts";
import { type FoundryModel, foundryModels, type FoundryService } from "../../lib/services/foundry_service.ts";
import { deviceOf } from "../../lib/services/foundry_hold.ts";
import { copyCache } from "../../lib/services/foundry_layout.ts";
import { readFoundryCache } from "../../lib/services/foundry_cache.ts";
import { isLoopback } from "../../lib/endpoint/loopback.ts";
import { UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { interruptSignal, printJson, realClock } from "../cli.ts";
import { type Shared } from "../options.ts";
import { SEARCH_TIMEOUT_MS, servicesAt } from "../session_resources.ts";
import type { Options } from "./catalog.ts";
import { table } from "../terminal.ts";

export interface ServiceOptions extends Options, Shared<"endpoint"> {
  all?: boolean;
}

const LIST_TIMEOUT_MS = 8000;
const LOAD_TIMEOUT_MS = 600_000;

const ask = () => ({ fetch, timeoutMs: LIST_TIMEOUT_MS, signal: interruptSignal() });

async function servicesOf({ endpoint }: ServiceOptions): Promise<FoundService[]> {
  const found = await servicesAt(endpoint);
  const broken = found.find(({ problem }) => problem !== null);
  if (broken !== undefined) throw new UserError(`${broken.source}: ${broken.problem}`, 1);
  return found;
}

async function foundryOf(options: ServiceOptions): Promise<FoundryService> {
  const service = (await servicesOf(options)).find(({ foundry }) => foundry !== null)?.foundry;
  if (service) return service;
  throw new UserError(
    "no Foundry Local service answers: start it (deno task doctor says how), or name one with --endpoint URL",
    1,
  );
}

export async function show(options: ServiceOptions): Promise<number> {
  const services = await Promise.all((await servicesOf(options)).map(async (service) => ({
    name: service.endpoint.name,
    url: service.endpoint.baseUrl,
    kind: service.kind,
    models: (await modelsOf(service)).filter(({ downloaded, loaded }) =>
      options.all === true || downloaded !== false || loaded === true
    ),
  })));
  if (options.json) {
    printJson({ services });
    return 0;
  }
  if (services.length === 0) {
    console.log("no service answers on the usual ports; deno task doctor says what to do");
  }
  const word = (value: boolean | null) => value === null ? "?" : value ? "yes" : "no";
  for (const { url, kind, models } of services) {
    console.log(`${kind} at ${url}`);
    const rows = models.map(({ id, alias, device, size_mb, downloaded, loaded }) => {
      const size = size_mb === null ? "?" : `${size_mb} MB`;
      return [id, alias ?? "", device ?? "?", size, word(downloaded), word(loaded)];
    });
    console.log(table(["model", "alias", "device", "size", "downloaded", "in memory"], rows));
  }
  return 0;
}

/** Of services other than Foundry Local only the ids are known. */
async function modelsOf({ foundry, models }: FoundService) {
  if (foundry === null) {
    return models.map(({ id }) => ({
      id,
      alias: null,
      device: null,
      size_mb: null,
      downloaded: true,
      loaded: null,
    }));
  }
  return (await foundryModels(foundry, ask())).map(({ id, alias, device, sizeMb, cached, loaded }) => ({
    id,
    alias,
    device,
    size_mb: sizeMb,
    downloaded: cached,
    loaded,
  }));
}

async function named(name: string, service: FoundryService): Promise<FoundryModel> {
  return resolveFoundryModel(await foundryModels(service, ask()), name);
}

export async function load(name: string, options: ServiceOptions): Promise<number> {
  const service = await foundryOf(options);
  const model = await named(name, service);
  const loaded = await loadFoundryModel(service, model, {
    ...ask(),
    timeoutMs: LOAD_TIMEOUT_MS,
    clock: realClock,
  });
  const seconds = loaded.loadMs === null ? null : loaded.loadMs / 1000;
  if (options.json) {
    printJson({ id: loaded.model.id, device: loaded.model.device, load_s: seconds, note: loaded.note });
  } else {
    const took = seconds === null ? "was in memory already" : `loaded in ${seconds.toFixed(2)} s`;
    console.log(`${loaded.model.id} ${took}, on ${deviceOf(loaded)}`);
  }
  return 0;
}

export async function unload(name: string, options: ServiceOptions): Promise<number> {
  const service = await foundryOf(options);
  const model = await named(name, service);
  await unloadFoundryModel(service, model, ask());
  if (options.json) printJson({ id: model.id, loaded: false });
  else console.log(`${model.id} is no longer in memory`);
  return 0;
}

/**
 * `foundry cache cd` alone leaves the models behind: this copies them too, and the old folder stays until it is
 * removed.
 */
export async function moveCache(folder: string, options: ServiceOptions): Promise<number> {
  const service = await foundryOf(options);
  const { cacheDir, endpoint } = service;
  if (cacheDir === null || !isLoopback(new URL(endpoint.baseUrl))) {
    throw new UserError(`${endpoint.baseUrl} does not run on this machine: move its cache there`);
  }
  const { models } = await readFoundryCache(cacheDir);
  const half = models.filter(({ complete }) => !complete).map(({ id }) => id);
  if (half.length > 0) {
    throw new UserError(
      `${half.join(", ")}: the download is not finished: let it end, or remove it first`,
      1,
    );
  }
  console.error(`${models.length} models go from ${cacheDir} to ${folder}; the old folder is kept`);
  if (options.yes !== true) {
    console.error("nothing was changed: add --yes");
    return 0;
  }
  const bytes = await copyCache(cacheDir, folder);
  const cli = await probeFoundryCli({
    run: runProgram,
    timeoutMs: SEARCH_TIMEOUT_MS,
    signal: interruptSignal(),
  });
  const told = cli === null
    ? null
    : await runProgram(["foundry", "cache", "cd", folder], { timeoutMs: 30_000 });
  const switched = told?.code === 0;
  if (options.json) printJson({ from: cacheDir, to: folder, bytes, switched });
  else {
    console.log(`${models.length} models copied to ${folder}, every byte counted`);
    console.log(
      switched
        ? "the service uses the new folder (foundry cache cd)"
        : `switch the service to it: ${
          cliCommand(cli?.words ?? null, "cache folder", folder)
        }, or model_cache_dir in the SDK`,
    );
    console.log(`once deno task models service lists them from there, remove ${cacheDir}`);
  }
  return 0;
}

/** Only the command line downloads: the web service has no call for it. */
export async function download(name: string, options: ServiceOptions): Promise<number> {
  const cli = await probeFoundryCli({
    run: runProgram,
    timeoutMs: SEARCH_TIMEOUT_MS,
    signal: interruptSignal(),
  });
  if (cli === null) {
    throw new UserError(
      "Foundry Local downloads through its command line, and there is no foundry command here: install it (deno task " +
        "doctor says how), or download the model for the embedded engine with deno task models pull",
      1,
    );
  }
  const command = cliCommand(cli.words, "download", name);
  console.error(command);
  let shown = -1;
  const onLine = (line: string) => {
    const percent = Math.floor(Number(/(\d+(?:\.\d+)?)\s*%/.exec(line)?.[1] ?? NaN));
    const step = Number.isNaN(percent) ? null : Math.floor(percent / 10);
    if (step === null ? line.trim() === "" : step === shown) return;
    shown = step ?? shown;
    console.error(step === null ? `  ${line.trim()}` : `  ${percent} %`);
  };
  const end = await runProgram(command.split(" "), { signal: interruptSignal(), onLine });
  if (end?.code === 0) {
    if (options.json) printJson({ model: name, downloaded: true });
    return 0;
  }
  throw new UserError(`\`${command}\` failed${end === null ? "" : ` with exit code ${end.code}`}`, 1);
}
