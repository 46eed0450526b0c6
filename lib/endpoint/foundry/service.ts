/**
 * Foundry Local's own calls: which generation of the service answers, which models it knows, has and holds,
 * and loading them. Shapes of 1.2.4 and 2.2.1 were taken from the running services; those of the command line's
 * service up to 0.8 (`0.x`) from the SDK of that time.
 */
import { z } from "zod";
import type { Clock } from "../../clock.ts";
import { UserError } from "../../errors.ts";
import { plainName } from "../../model_name.ts";
import {
  type CachedModel,
  type CatalogueFacts,
  catalogueFacts,
  deviceOfId,
  type FoundryDevice,
  readFoundryCache,
} from "./cache.ts";
import { type AskOptions, askService, type ServiceAnswer } from "../ask.ts";
import type { Endpoint } from "../trace.ts";
import { isLoopback } from "../transport.ts";

/** `0.x`: the command line's service (`/openai/…`); `1.x` and `2.x`: the SDK's web service. */
export type FoundryGeneration = "0.x" | "1.x" | "2.x";

/** A Foundry Local service that answered. */
export interface FoundryService {
  readonly endpoint: Endpoint;
  readonly generation: FoundryGeneration;
  /** Where it keeps its models, on the machine it runs on. */
  readonly cacheDir: string | null;
  /** Its process, where it tells; only 2.x does. */
  readonly pid: number | null;
}

/** A variant of a model, as a service knows it. */
export interface FoundryModel extends CatalogueFacts {
  /** What chat takes: with its version in 2.x, without in 1.x. */
  readonly chatId: string;
  /** Null where nobody tells: a service on another machine lists what it could have. */
  readonly cached: boolean | null;
  readonly loaded: boolean;
}

export type { AskOptions } from "../ask.ts";

const status2 = z.looseObject({ modelCachePath: z.string(), pid: z.number().int().nullish() });
const status1 = z.looseObject({ modelDirPath: z.string() });

/**
 * Asks what answers at an endpoint; null where it is not Foundry Local. Two requests, both at once.
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ endpoints: [], modelCachePath: "/models", pid: 7 }));
 * const service = await recognizeFoundry({ name: "x", baseUrl: "http://127.0.0.1:5273/v1" }, { fetch, timeoutMs: 500 });
 * if (service?.generation !== "2.x" || service.pid !== 7) throw new Error("it tells its process");
 * ```
 */
export async function recognizeFoundry(
  endpoint: Endpoint,
  options: AskOptions,
): Promise<FoundryService | null> {
  const answer = async (path: string): Promise<unknown> => {
    try {
      const { status, json } = await askService(endpoint, path, options);
      return status === 200 ? json : null;
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  };
  const [status, openaiStatus] = await Promise.all([answer("/status"), answer("/openai/status")]);
  const newer = status2.safeParse(status);
  if (newer.success) {
    const { modelCachePath, pid } = newer.data;
    return { endpoint, generation: "2.x", cacheDir: modelCachePath, pid: pid ?? null };
  }
  for (const [told, generation] of [[status, "1.x"], [openaiStatus, "0.x"]] as const) {
    const older = status1.safeParse(told);
    if (older.success) return { endpoint, generation, cacheDir: older.data.modelDirPath, pid: null };
  }
  return null;
}

const names = z.array(z.string());
const modelList = z.looseObject({
  data: z.array(z.looseObject({ id: z.string(), parent: z.string().nullish().catch(null) })),
});
/** 0.x answers with a list, early ones with `{ models }`. */
const catalogueList = z.union([
  z.array(z.unknown()),
  z.looseObject({ models: z.array(z.unknown()) }).transform(({ models }) => models),
]);

/**
 * The ids that are in memory now, as the service gives them.
 *
 * @throws {UserError} where the service does not answer or answers something else
 *
 * ```ts ignore
 * console.log(await loadedModels(service, { fetch, timeoutMs: 2000 }));
 * ```
 */
export async function loadedModels(service: FoundryService, options: AskOptions): Promise<string[]> {
  const path = service.generation === "0.x" ? "/openai/loadedmodels" : "/models/loaded";
  return await asked(service, path, names, options);
}

async function asked<T>(
  service: FoundryService,
  path: string,
  schema: z.ZodType<T>,
  options: AskOptions,
): Promise<T> {
  const { status, text, json } = await askService(service.endpoint, path, options);
  const read = schema.safeParse(json);
  if (status === 200 && read.success) return read.data;
  throw new UserError(
    `${service.endpoint.baseUrl} (Foundry Local ${service.generation}) answered ${path} with HTTP ${status} ` +
      JSON.stringify(text.slice(0, 80)),
    1,
  );
}

/**
 * Every variant that the service lists: what the catalogue says of it, and whether it is downloaded and in
 * memory. 2.x lists its whole catalogue, 1.x what it has; what is downloaded is read from the cache folder
 * where the service runs on this machine.
 *
 * @throws {UserError} where the service does not answer
 *
 * ```ts ignore
 * const models = await foundryModels(service, { fetch, timeoutMs: 2000 });
 * console.log(models.filter(({ cached }) => cached).map(({ alias, device }) => `${alias} on ${device}`));
 * ```
 */
export async function foundryModels(service: FoundryService, options: AskOptions): Promise<FoundryModel[]> {
  const [loaded, listed] = await Promise.all([
    loadedModels(service, options),
    service.generation === "0.x" ? oldest(service, options) : listOfSdk(service, options),
  ]);
  const holds = (id: string) => loaded.some((other) => sameModel(other, id));
  return listed.map((model) => ({ ...model, loaded: holds(model.id) }));
}

type Listed = Omit<FoundryModel, "loaded">;

async function oldest(service: FoundryService, options: AskOptions): Promise<Listed[]> {
  const [catalogue, cached] = await Promise.all([
    asked(service, "/foundry/list", catalogueList, options),
    asked(service, "/openai/models", names, options),
  ]);
  const known = catalogueFacts(catalogue);
  const here = (id: string) => cached.some((other) => sameModel(other, id));
  const unlisted = cached.filter((id) => !known.some((facts) => sameModel(facts.id, id)));
  return [
    ...known.map((facts) => ({ ...facts, chatId: facts.id, cached: here(facts.id) })),
    ...unlisted.map((id) => ({ ...unknownFacts(id, null), chatId: id, cached: true })),
  ];
}

async function listOfSdk(service: FoundryService, options: AskOptions): Promise<Listed[]> {
  const { data } = await asked(service, "/v1/models", modelList, options);
  const cache = await cacheOf(service);
  return data.map(({ id, parent }) => {
    const facts = cache?.catalogue.find((one) => sameModel(one.id, id)) ?? unknownFacts(id, parent ?? null);
    const complete = cache?.models.some((model) => model.complete && sameModel(model.id, facts.id));
    return { ...facts, chatId: id, cached: complete ?? (service.generation === "1.x" ? true : null) };
  });
}

/** The folder of a service on this machine; what is on another one can't be read. */
async function cacheOf(
  { endpoint, cacheDir }: FoundryService,
): Promise<{ catalogue: readonly CatalogueFacts[]; models: readonly CachedModel[] } | null> {
  if (cacheDir === null || !isLoopback(new URL(endpoint.baseUrl))) return null;
  try {
    return await readFoundryCache(cacheDir);
  } catch (error) {
    if (error instanceof UserError) return null; // a container's path, or one that may not be read
    throw error;
  }
}

function unknownFacts(id: string, alias: string | null): CatalogueFacts {
  return {
    id,
    alias,
    device: deviceOfId(id),
    executionProvider: null,
    sizeMb: null,
    license: null,
    task: null,
  };
}

/** Ids come with a version or without one. */
function sameModel(a: string, b: string): boolean {
  const [one, other] = [a.toLowerCase(), b.toLowerCase()];
  if (one === other) return true;
  const bare = (id: string) => id.replace(/:\d+$/, "");
  return bare(one) === bare(other) && (bare(one) === one || bare(other) === other);
}

/** Preference among variants of one model: what is here, then by device. */
export interface VariantWish {
  /** Only this device. */
  readonly device?: FoundryDevice;
  /** CPU variants first, where memory is short. @default the service's own order, NPU and GPU first */
  readonly cpuFirst?: boolean;
}

/**
 * The variant that a name stands for: an id, an id without its version (the newest), or an alias. Among the
 * variants of an alias those that are downloaded come first, then those in memory, then by device.
 *
 * @throws {UserError} where no model of the service bears the name, or none of its variants is for the device
 *
 * ```ts
 * const facts = { alias: "phi-4-mini", executionProvider: null, sizeMb: null, license: null, task: null };
 * const on = (device: "cpu" | "gpu", cached: boolean) => {
 *   const id = `phi-4-mini-instruct-generic-${device}:5`;
 *   return { ...facts, id, chatId: id, device, cached, loaded: false };
 * };
 * const found = resolveFoundryModel([on("gpu", false), on("cpu", true)], "phi-4-mini");
 * if (found.device !== "cpu") throw new Error("the one that is here");
 * ```
 */
export function resolveFoundryModel(
  models: readonly FoundryModel[],
  name: string,
  { device, cpuFirst = false }: VariantWish = {},
): FoundryModel {
  const wanted = name.trim().toLowerCase();
  const exact = models.find(({ id, chatId }) => [id, chatId].some((own) => own.toLowerCase() === wanted));
  if (exact !== undefined && (device === undefined || exact.device === device)) return exact;
  const byId = models.filter(({ id }) => sameModel(id, wanted));
  const byAlias = byId.length > 0
    ? byId
    : models.filter(({ alias, id }) =>
      alias?.toLowerCase() === wanted || alias === null && plainName(id) === wanted
    );
  const fitting = byAlias.filter((model) => device === undefined || model.device === device);
  const order: readonly (FoundryDevice | null)[] = cpuFirst
    ? ["cpu", "gpu", "npu", null]
    : ["npu", "gpu", "cpu", null];
  const score = (model: FoundryModel) =>
    (model.cached === true ? 0 : 100) + (model.loaded ? 0 : 10) + order.indexOf(model.device);
  const [best] = fitting.toSorted((a, b) => score(a) - score(b) || versionOf(b.id) - versionOf(a.id));
  if (best !== undefined) return best;
  const all = [...new Set(byAlias.map((model) => model.device ?? "unknown"))];
  throw new UserError(
    byAlias.length > 0
      ? `${name} has no variant for the ${device}: the service lists it for ${all.join(", ")}`
      : `the service lists no model "${name}": it lists ${listOf(models)}`,
  );
}

const versionOf = (id: string) => Number(/:(\d+)$/.exec(id)?.[1] ?? 0);

function listOf(models: readonly FoundryModel[]): string {
  const names = [...new Set(models.map(({ alias, id }) => alias ?? id))];
  if (names.length === 0) return "none";
  return names.slice(0, 12).join(", ") + (names.length > 12 ? ` and ${names.length - 12} more` : "");
}

/** A model in the service's memory. */
export interface LoadedFoundryModel {
  /** What runs: another variant than the one asked for, where the service decided so. */
  readonly model: FoundryModel;
  /** From asking until it was in memory, in ms; null where it was there already. */
  readonly loadMs: number | null;
  /** What is to be told: a device that was not asked for; null where all is as expected. */
  readonly note: string | null;
}

/**
 * Loads a model and looks what the service then holds. 2.x takes the alias and chooses the variant itself
 * (the first that is downloaded), 1.x and 0.x take the id.
 *
 * @throws {UserError} where the model is not downloaded, or the service can't load it: with its own reason
 *
 * ```ts ignore
 * const { loadMs, note } = await loadFoundryModel(service, model, { fetch, clock, timeoutMs: 120_000 });
 * ```
 */
export async function loadFoundryModel(
  service: FoundryService,
  model: FoundryModel,
  options: AskOptions & { readonly clock: Clock },
): Promise<LoadedFoundryModel> {
  const before = await loadedModels(service, options);
  if (before.some((id) => sameModel(id, model.id))) {
    return { model: { ...model, loaded: true }, loadMs: null, note: null };
  }
  const name = service.generation === "2.x" ? model.alias ?? plainName(model.id) : model.id;
  const startedMs = options.clock();
  const answer = await askService(service.endpoint, pathOf(service, "load", name), options);
  const loadMs = options.clock() - startedMs;
  if (answer.status !== 200) throw loadFailure(service, model, name, answer);
  const models = await foundryModels(service, options);
  const running = models.find((one) => one.loaded && sameModel(one.id, model.id)) ??
    models.find((one) => one.loaded && one.alias === model.alias && !before.includes(one.id));
  if (running === undefined) {
    throw new UserError(
      `the service says that it loaded ${name}, but holds ${listOf(models.filter((one) => one.loaded))}`,
      1,
    );
  }
  return { model: running, loadMs, note: fallbackNote(model, running) };
}

function fallbackNote(wanted: FoundryModel, running: FoundryModel): string | null {
  if (sameModel(wanted.id, running.id)) return null;
  const fell = running.device === "cpu" && wanted.device !== "cpu" ? "a silent fall back to the CPU: " : "";
  return `${fell}${wanted.id} (${wanted.device ?? "device unknown"}) was asked for, ` +
    `${running.id} (${running.device ?? "device unknown"}) runs`;
}

function pathOf({ generation }: FoundryService, what: "load" | "unload", name: string): string {
  // The service's router does not decode its paths: a colon stays a colon.
  const encoded = encodeURIComponent(name).replaceAll("%3A", ":");
  return generation === "0.x" ? `/openai/${what}/${encoded}` : `/models/${what}/${encoded}`;
}

const failure = z.looseObject({ error: z.looseObject({ message: z.string() }) });

function loadFailure(
  service: FoundryService,
  model: FoundryModel,
  name: string,
  { status, text, json }: ServiceAnswer,
): UserError {
  const told = failure.safeParse(json);
  const reason = told.success ? told.data.error.message : text.trim().slice(0, 200);
  const absent = model.cached === false ||
    /not cached|must be downloaded|not been downloaded|No OpenAIService provider/i.test(reason);
  if (absent) {
    return new UserError(
      `${model.alias ?? model.id} is in the catalogue of ${service.endpoint.name} but not downloaded: ` +
        `foundry model download ${model.alias ?? model.id}`,
      1,
    );
  }
  return new UserError(
    `${service.endpoint.name} (Foundry Local ${service.generation}) could not load ${name}: HTTP ${status}` +
      (reason === "" ? "" : ` ${reason}`),
    1,
  );
}

/**
 * Takes a model out of the service's memory; nothing happens where it is not in it.
 *
 * @throws {UserError} where the service does not do it
 *
 * ```ts ignore
 * await unloadFoundryModel(service, model, { fetch, timeoutMs: 10_000 });
 * ```
 */
export async function unloadFoundryModel(
  service: FoundryService,
  model: FoundryModel,
  options: AskOptions,
): Promise<void> {
  const name = service.generation === "2.x" ? model.alias ?? plainName(model.id) : model.id;
  const { status, text } = await askService(service.endpoint, pathOf(service, "unload", name), options);
  if (status === 200) return;
  throw new UserError(
    `${service.endpoint.name} did not unload ${name}: HTTP ${status} ${text.slice(0, 120)}`,
    1,
  );
}
