/** Finds the variant that a name means, loads it and unloads it. */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { UserError } from "../errors.ts";
import { plainName } from "../catalog/model.ts";
import { getFromService, type ServiceAnswer, type UntimedOptions } from "../endpoint/untimed_request.ts";
import type { FoundryDevice } from "./foundry_cache.ts";
import {
  type FoundryModel,
  foundryModels,
  type FoundryService,
  loadedModels,
  sameModel,
} from "./foundry_service.ts";

/** The service's own preference among the variants of a model. */
const DEVICES: readonly (FoundryDevice | null)[] = ["npu", "gpu", "cpu", null];

/**
 * The variant that a name means: an id, an id without its version (the newest), or an alias. Among the
 * variants of an alias, downloaded ones come first, then loaded ones, then those for an NPU, a GPU and a CPU.
 *
 * @throws {UserError} where the service lists no model of that name
 *
 * ```ts
 * const facts = { alias: "phi-4-mini", executionProvider: null, sizeMb: null, license: null, task: null };
 * const on = (device: "cpu" | "gpu", cached: boolean) => {
 *   const id = `phi-4-mini-instruct-generic-${device}:5`;
 *   return { ...facts, id, chatId: id, device, cached, loaded: false };
 * };
 * const found = resolveFoundryModel([on("gpu", false), on("cpu", true)], "phi-4-mini");
 * if (found.device !== "cpu") throw new Error("the one that is downloaded");
 * ```
 */
export function resolveFoundryModel(models: readonly FoundryModel[], name: string): FoundryModel {
  const wanted = name.trim().toLowerCase();
  const exact = models.find(({ id, chatId }) => [id, chatId].some((own) => own.toLowerCase() === wanted));
  if (exact !== undefined) return exact;
  const byId = models.filter(({ id }) => sameModel(id, wanted));
  const variants = byId.length > 0
    ? byId
    : models.filter(({ alias, id }) =>
      alias?.toLowerCase() === wanted || alias === null && plainName(id) === wanted
    );
  const score = (model: FoundryModel) =>
    (model.cached === true ? 0 : 100) + (model.loaded ? 0 : 10) + DEVICES.indexOf(model.device);
  const [best] = variants.toSorted((a, b) => score(a) - score(b) || versionOf(b.id) - versionOf(a.id));
  if (best !== undefined) return best;
  throw new UserError(`the service lists no model "${name}": it lists ${listOf(models)}`);
}

const versionOf = (id: string) => Number(/:(\d+)$/.exec(id)?.[1] ?? 0);

function listOf(models: readonly FoundryModel[]): string {
  const names = [...new Set(models.map(({ alias, id }) => alias ?? id))];
  if (names.length === 0) return "none";
  return names.slice(0, 12).join(", ") + (names.length > 12 ? ` and ${names.length - 12} more` : "");
}

/** A model that the service has loaded. */
export interface LoadedFoundryModel {
  /** The variant that runs; the service may have chosen another one than was requested. */
  readonly model: FoundryModel;
  /** How long loading took, in ms; null where the model was in memory already. */
  readonly loadMs: number | null;
  /** Says that another variant runs; null where the requested one does. */
  readonly note: string | null;
}

/**
 * Loads a model, then checks which one the service has loaded. 2.x takes the alias and chooses the variant
 * itself (the first one that is downloaded); 1.x and 0.x take the id.
 *
 * @throws {UserError} where the model is not downloaded, or the service can't load
 * it, with the service's reason
 *
 * ```ts ignore
 * const { loadMs, note } = await loadFoundryModel(service, model, { fetch, clock, timeoutMs: 120_000 });
 * ```
 */
export async function loadFoundryModel(
  service: FoundryService,
  model: FoundryModel,
  options: UntimedOptions & { readonly clock: Clock },
): Promise<LoadedFoundryModel> {
  const before = await loadedModels(service, options);
  if (before.some((id) => sameModel(id, model.id))) {
    return { model: { ...model, loaded: true }, loadMs: null, note: null };
  }
  const name = service.generation === "2.x" ? model.alias ?? plainName(model.id) : model.id;
  const startedMs = options.clock();
  const answer = await getFromService(service.endpoint, pathOf(service, "load", name), options);
  const loadMs = options.clock() - startedMs;
  if (answer.status !== 200) throw loadFailure(service, model, name, answer);
  const models = await foundryModels(service, options);
  const running = models.find((one) => one.loaded && sameModel(one.id, model.id)) ??
    models.find((one) => one.loaded && one.alias === model.alias && !before.includes(one.id));
  if (running === undefined) {
    throw new UserError(
      `the service reports that it loaded ${name}, but its loaded models are: ` +
        listOf(models.filter((one) => one.loaded)),
      1,
    );
  }
  return { model: running, loadMs, note: fallbackNote(model, running) };
}

function fallbackNote(wanted: FoundryModel, running: FoundryModel): string | null {
  if (sameModel(wanted.id, running.id)) return null;
  const fell = running.device === "cpu" && wanted.device !== "cpu" ? "a silent fallback to the CPU: " : "";
  return `${fell}${wanted.id} (${wanted.device ?? "device unknown"}) was requested, ` +
    `but ${running.id} (${running.device ?? "device unknown"}) runs`;
}

function pathOf({ generation }: FoundryService, what: "load" | "unload", name: string): string {
  // The service does not decode paths: a colon must stay a colon.
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
  const parsed = failure.safeParse(json);
  const reason = parsed.success ? parsed.data.error.message : text.trim().slice(0, 200);
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
 * Unloads a model; does nothing where it is not loaded.
 *
 * @throws {UserError} where the service refuses
 *
 * ```ts ignore
 * await unloadFoundryModel(service, model, { fetch, timeoutMs: 10_000 });
 * ```
 */
export async function unloadFoundryModel(
  service: FoundryService,
  model: FoundryModel,
  options: UntimedOptions,
): Promise<void> {
  const name = service.generation === "2.x" ? model.alias ?? plainName(model.id) : model.id;
  const { status, text } = await getFromService(service.endpoint, pathOf(service, "unload", name), options);
  if (status === 200) return;
  throw new UserError(
    `${service.endpoint.name} did not unload ${name}: HTTP ${status} ${text.slice(0, 120)}`,
    1,
  );
}
