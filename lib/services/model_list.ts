/** Which models a service has: by OpenAI's `GET /models`, or by Foundry Local's own calls, which are more detailed. */
import { jsonOrText } from "../bounded_json.ts";
import { z } from "zod";
import { httpFailure, redacted, rootReason } from "../endpoint/failure.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { getText, type UntimedOptions } from "../endpoint/untimed_request.ts";
import { UserError } from "../errors.ts";
import type { FoundryDevice } from "./foundry_cache.ts";
import { foundryModels, type FoundryService, recognizeFoundry } from "./foundry_service.ts";

/** A model as a service lists it. */
export interface ListedModel {
  /** The value of a request's `model` field. */
  readonly id: string;
  readonly ownedBy: string | null;
  /** The service's own name for the model, whatever its variant; left out where the service gives none. */
  readonly alias?: string;
  /** The device that the variant is made for; left out where the service does not name it. */
  readonly device?: FoundryDevice;
  readonly sizeMb?: number;
  /** False where the service would have to download the model first; left out where all listed models are there. */
  readonly ready?: boolean;
}

/** What a service lists. */
export interface ServiceModels {
  readonly models: readonly ListedModel[];
  /** False where the service answers but has no list: a model that is named may still be there. */
  readonly listed: boolean;
  /** Why the service can't be used; null where it can. */
  readonly problem: string | null;
  /** The service's own calls, where it is Foundry Local. */
  readonly foundry: FoundryService | null;
}

/** Without network Foundry Local needs some seconds to read its catalogue for the first time. */
const FOUNDRY_LIST_TIMEOUT_MS = 8000;

/**
 * The models of a service, in its own order. A failure is returned as `problem`.
 *
 * ```ts
 * const fetch = (url: string | URL | Request) =>
 *   Promise.resolve(
 *     String(url).endsWith("/models") ? Response.json({ data: [{ id: "phi-4-mini" }] }) : new Response("", { status: 404 }),
 *   );
 * const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:9000/v1" };
 * const { models, problem } = await listServiceModels(endpoint, { fetch, timeoutMs: 1000 });
 * if (problem !== null || models[0]?.id !== "phi-4-mini") throw new Error("one model");
 * ```
 */
export async function listServiceModels(
  endpoint: Endpoint,
  options: UntimedOptions,
): Promise<ServiceModels> {
  const [foundry, plain] = await Promise.all([
    recognizeFoundry(endpoint, options),
    orProblem(() => openaiModels(endpoint, options)),
  ]);
  if (foundry === null) return { ...plain, foundry };
  const timeoutMs = Math.max(options.timeoutMs, FOUNDRY_LIST_TIMEOUT_MS);
  const own = await orProblem(() => modelsOfFoundry(foundry, { ...options, timeoutMs }));
  return { ...own, foundry };
}

async function orProblem(
  list: () => Promise<ListedModel[] | null>,
): Promise<Omit<ServiceModels, "foundry">> {
  try {
    const models = await list();
    return { models: models ?? [], listed: models !== null, problem: null };
  } catch (error) {
    if (error instanceof UserError) return { models: [], listed: false, problem: error.message };
    throw error;
  }
}

/** One entry of a list; an entry of any other shape, or with an empty id, is left out. */
const listEntry = z.object({
  id: z.string().trim().min(1),
  owned_by: z.string().nullish().catch(null),
});

const entries = z.array(z.unknown());

/** OpenAI's list, a bare array, or an object whose list is missing or null because it is empty. */
const modelList = z.union([
  entries,
  z.object({ data: entries }).transform(({ data }) => data),
  z.object({ models: entries }).transform(({ models }) => models),
  z.object({ data: z.null() }).transform(() => []),
  z.object({ object: z.literal("list") }).transform(() => []),
]);

/** Null where the service has no such call, or still loads its model. @throws {UserError} where it can't be used */
async function openaiModels(endpoint: Endpoint, options: UntimedOptions): Promise<ListedModel[] | null> {
  const { baseUrl, apiKey } = endpoint;
  const { status, text } = await getWhenLoaded(endpoint, options);
  if (status === 401 || status === 403) {
    const refused = apiKey === undefined ? "a request without a key" : "the key";
    throw new UserError(`${baseUrl} refused ${refused} (HTTP ${status}): set the right key in API_KEY`);
  }
  if ([404, 405, 501, 503].includes(status)) return null;
  if (status !== 200) {
    const reason = redacted(httpFailure(status, jsonOrText(text)).message, apiKey);
    throw new UserError(`${baseUrl} does not list its models: ${reason}`, 1);
  }
  const list = modelList.safeParse(jsonOrText(text));
  if (!list.success) {
    const shown = redacted(JSON.stringify(text.slice(0, 60)), apiKey);
    throw new UserError(
      `${baseUrl} is not an OpenAI-compatible endpoint: ${baseUrl}/models answered ${shown}: give its base URL, ` +
        "as in http://127.0.0.1:5273/v1",
    );
  }
  return list.data.flatMap((entry) => {
    const { success, data } = listEntry.safeParse(entry);
    return success ? [{ id: data.id, ownedBy: data.owned_by ?? null }] : [];
  });
}

/** Between two requests to a service that loads its model, in ms. */
const LOADING_PAUSE_MS = 250;

/** llama.cpp's server answers 503 until its model is loaded: the request is repeated until the time is up. */
async function getWhenLoaded(endpoint: Endpoint, options: UntimedOptions) {
  let late = false;
  const timer = setTimeout(() => late = true, options.timeoutMs - LOADING_PAUSE_MS);
  try {
    for (;;) {
      const answer = await getModels(endpoint, options);
      if (answer.status !== 503 || late) return answer;
      await new Promise((resolve) => setTimeout(resolve, LOADING_PAUSE_MS));
      options.signal?.throwIfAborted();
    }
  } finally {
    clearTimeout(timer);
  }
}

async function getModels({ baseUrl, apiKey }: Endpoint, options: UntimedOptions) {
  try {
    return await getText(`${baseUrl}/models`, apiKey, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const reason = redacted(rootReason(error), apiKey);
    throw new UserError(
      `cannot reach ${baseUrl}: ${reason}: start the service, or name another with --endpoint URL or ` +
        "FOUNDRY_LOCAL_ENDPOINT",
      1,
      { cause: error },
    );
  }
}

async function modelsOfFoundry(service: FoundryService, options: UntimedOptions): Promise<ListedModel[]> {
  const models = await foundryModels(service, options);
  return models.map(({ chatId, alias, device, sizeMb, cached, loaded }) => ({
    id: chatId,
    ownedBy: null,
    ...(alias === null ? {} : { alias }),
    ...(device === null ? {} : { device }),
    ...(sizeMb === null ? {} : { sizeMb }),
    ready: cached ?? loaded,
  }));
}
