/** Which variant a name stands for, and bringing it into a service's memory and out of it. */
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
