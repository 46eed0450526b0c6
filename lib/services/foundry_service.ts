/**
 * Foundry Local's own calls: which generation of the service answers, and which models it lists, has
 * downloaded and has loaded. The shapes of 1.2.4 and 2.2.1 were recorded from running services; those of the
 * command line's service up to 0.8 (`0.x`) come from the SDK of that time.
 */
import { z } from "zod";
import { UserError } from "../errors.ts";
import {
  type CachedModel,
  type CatalogueFacts,
  catalogueFacts,
  deviceOfId,
  readFoundryCache,
} from "./foundry_cache.ts";
import { getFromService, type UntimedOptions } from "../endpoint/untimed_request.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { isLoopback } from "../endpoint/loopback.ts";

/** `0.x`: the command line's service (`/openai/…`); `1.x` and `2.x`: the SDK's web service. */
type FoundryGeneration = "0.x" | "1.x" | "2.x";

/** A Foundry Local service that answered. */
export interface FoundryService {
  readonly endpoint: Endpoint;
  readonly generation: FoundryGeneration;
  /** The folder with its models, on the machine that it runs on. */
  readonly cacheDir: string | null;
  /** Its process id; only 2.x reports it. */
  readonly pid: number | null;
}

/** A variant of a model, as the service lists it. */
export interface FoundryModel extends CatalogueFacts {
  /** The id that chat takes: with a version in 2.x, without one in 1.x. */
  readonly chatId: string;
  /** Whether it is downloaded; null where that is unknown: a service on another machine lists its whole catalogue. */
  readonly cached: boolean | null;
  readonly loaded: boolean;
}

const status2 = z.looseObject({ modelCachePath: z.string(), pid: z.number().int().nullish() });
const status1 = z.looseObject({ modelDirPath: z.string() });

/**
 * Recognises Foundry Local at an endpoint; null for any other service. Sends two requests at once.
 *
 * ```ts
 * const fetch = () => Promise.resolve(Response.json({ endpoints: [], modelCachePath: "/models", pid: 7 }));
 * const service = await recognizeFoundry({ name: "x", baseUrl: "http://127.0.0.1:5273/v1" }, { fetch, timeoutMs: 500 });
 * if (service?.generation !== "2.x" || service.pid !== 7) throw new Error("2.x reports its process");
 * ```
 */
export async function recognizeFoundry(
  endpoint: Endpoint,
  options: UntimedOptions,
): Promise<FoundryService | null> {
  const answer = async (path: string): Promise<unknown> => {
    try {
      const { status, json } = await getFromService(endpoint, path, options);
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
  for (const [answered, generation] of [[status, "1.x"], [openaiStatus, "0.x"]] as const) {
    const older = status1.safeParse(answered);
    if (older.success) return { endpoint, generation, cacheDir: older.data.modelDirPath, pid: null };
  }
  return null;
}

const names = z.array(z.string());
const modelEntry = z.object({ id: z.string().trim().min(1), parent: z.string().nullish().catch(null) });
/** A broken entry, or one with an empty id, is left out: the others can be used. */
const modelList = z.looseObject({
  data: z.array(z.unknown()).nullable().transform((entries) =>
    (entries ?? []).flatMap((entry) => modelEntry.safeParse(entry).data ?? [])
  ),
});
/** 0.x answers with a list, early ones with `{ models }`. */
const catalogueList = z.union([
  z.array(z.unknown()),
  z.looseObject({ models: z.array(z.unknown()) }).transform(({ models }) => models),
]);

/**
 * The ids of the loaded models, as the service spells them.
 *
 * @throws {UserError} where the service does not answer, or not as expected
 *
 * ```ts ignore
 * console.log(await loadedModels(service, { fetch, timeoutMs: 2000 }));
 * ```
 */
export async function loadedModels(service: FoundryService, options: UntimedOptions): Promise<string[]> {
  const path = service.generation === "0.x" ? "/openai/loadedmodels" : "/models/loaded";
  return await getChecked(service, path, names, options);
}

async function getChecked<T>(
  service: FoundryService,
  path: string,
  schema: z.ZodType<T>,
  options: UntimedOptions,
): Promise<T> {
  const { status, text, json } = await getFromService(service.endpoint, path, options);
  const read = schema.safeParse(json);
  if (status === 200 && read.success) return read.data;
  throw new UserError(
    `${service.endpoint.baseUrl} (Foundry Local ${service.generation}) answered ${path} with HTTP ${status} ` +
      JSON.stringify(text.slice(0, 80)),
    1,
  );
}

/**
 * Every variant that the service lists, with what the catalogue knows about it and whether it is downloaded
 * and loaded. 2.x lists its whole catalogue, 1.x what is downloaded; where the service runs on this machine,
 * its cache folder shows what is downloaded.
 *
 * @throws {UserError} where the service does not answer
 *
 * ```ts ignore
 * const models = await foundryModels(service, { fetch, timeoutMs: 2000 });
 * console.log(models.filter(({ cached }) => cached).map(({ alias, device }) => `${alias} on ${device}`));
 * ```
 */
export async function foundryModels(
  service: FoundryService,
  options: UntimedOptions,
): Promise<FoundryModel[]> {
  const [loaded, listed] = await Promise.all([
    loadedModels(service, options),
    service.generation === "0.x" ? modelsOf0x(service, options) : modelsOfSdk(service, options),
  ]);
  const isLoaded = (id: string) => loaded.some((other) => sameModel(other, id));
  return listed.map((model) => ({ ...model, loaded: isLoaded(model.id) }));
}

type Listed = Omit<FoundryModel, "loaded">;

async function modelsOf0x(service: FoundryService, options: UntimedOptions): Promise<Listed[]> {
  const [catalogue, cached] = await Promise.all([
    getChecked(service, "/foundry/list", catalogueList, options),
    getChecked(service, "/openai/models", names, options),
  ]);
  const known = catalogueFacts(catalogue);
  const here = (id: string) => cached.some((other) => sameModel(other, id));
  const unlisted = cached.filter((id) => !known.some((facts) => sameModel(facts.id, id)));
  return [
    ...known.map((facts) => ({ ...facts, chatId: facts.id, cached: here(facts.id) })),
    ...unlisted.map((id) => ({ ...unknownFacts(id, null), chatId: id, cached: true })),
  ];
}

async function modelsOfSdk(service: FoundryService, options: UntimedOptions): Promise<Listed[]> {
  const { data } = await getChecked(service, "/v1/models", modelList, options);
  const cache = await cacheOf(service);
  return data.map(({ id, parent }) => {
    const facts = cache?.catalogue.find((one) => sameModel(one.id, id)) ?? unknownFacts(id, parent ?? null);
    const complete = cache?.models.some((model) => model.complete && sameModel(model.id, facts.id));
    return { ...facts, chatId: id, cached: complete ?? (service.generation === "1.x" ? true : null) };
  });
}

/** The cache of a service on this machine; null for a service on another one, or a folder that can't be read. */
async function cacheOf(
  { endpoint, cacheDir }: FoundryService,
): Promise<{ catalogue: readonly CatalogueFacts[]; models: readonly CachedModel[] } | null> {
  if (cacheDir === null || !isLoopback(new URL(endpoint.baseUrl))) return null;
  try {
    return await readFoundryCache(cacheDir);
  } catch (error) {
    if (error instanceof UserError) return null; // a path inside a container, or one without read permission
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

/**
 * Whether two ids name the same variant; either may lack its version.
 *
 * ```ts
 * if (!sameModel("a-generic-cpu:1", "A-generic-cpu") || sameModel("a:1", "a:2")) throw new Error("versions");
 * ```
 */
export function sameModel(a: string, b: string): boolean {
  const [one, other] = [a.toLowerCase(), b.toLowerCase()];
  if (one === other) return true;
  const bare = (id: string) => id.replace(/:\d+$/, "");
  return bare(one) === bare(other) && (bare(one) === one || bare(other) === other);
}
