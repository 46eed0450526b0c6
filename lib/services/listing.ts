/** Which models an endpoint lists, in OpenAI's words or in Foundry Local's own. */
import { z } from "zod";
import { UserError } from "../errors.ts";
import { getText, type UntimedOptions } from "../endpoint/untimed_request.ts";
import { httpFailure, redacted, rootReason } from "../endpoint/failure.ts";
import type { FoundryDevice } from "./foundry_cache.ts";
import { foundryModels, type FoundryService } from "./foundry_service.ts";
import type { Endpoint } from "../endpoint/trace.ts";

/** A model as `GET /models` lists it. */
export interface ListedModel {
  /** What a request's `model` field holds. */
  readonly id: string;
  readonly ownedBy: string | null;
  /** What the service itself calls the model, whatever its variant; left out where it does not tell. */
  readonly alias?: string;
  /** What the variant is made for; left out where the service does not tell. */
  readonly device?: FoundryDevice;
  readonly sizeMb?: number;
  /** False where it would have to be downloaded first; left out where everything listed is there. */
  readonly ready?: boolean;
}

export type LookOptions = UntimedOptions;

const modelList = z.object({
  data: z.array(z.object({ id: z.string(), owned_by: z.string().nullish().catch(null) })),
});

/**
 * The models an endpoint lists, in its own order.
 *
 * @throws {UserError} where nobody answers, the key is refused, or the answer is not OpenAI's
 *
 * ```ts
 * import { parseEndpoint } from "./address.ts";
 * const fetch = () => Promise.resolve(Response.json({ data: [{ id: "phi-4-mini" }] }));
 * const models = await listModels(parseEndpoint("http://localhost:5273"), { fetch, timeoutMs: 1000 });
 * if (models[0]?.id !== "phi-4-mini") throw new Error("one model");
 * ```
 */
export async function listModels(endpoint: Endpoint, options: LookOptions): Promise<ListedModel[]> {
  const { baseUrl, apiKey } = endpoint;
  const { status, text } = await get(endpoint, "/models", options);
  if (status === 401 || status === 403) {
    throw new UserError(
      `${baseUrl} refused ${
        apiKey === undefined ? "a request without a key" : "the key"
      } (HTTP ${status}): put the right one in API_KEY`,
    );
  }
  if (status !== 200) {
    const reason = redacted(httpFailure(status, parsed(text)).message, apiKey);
    throw new UserError(
      `${baseUrl} does not list its models: ${reason}: an OpenAI-compatible base URL usually ends in /v1`,
    );
  }
  const list = modelList.safeParse(parsed(text));
  if (!list.success) {
    throw new UserError(
      `${baseUrl} is not an OpenAI-compatible endpoint: ${baseUrl}/models answered ${
        redacted(JSON.stringify(text.slice(0, 60)), apiKey)
      }: give its base URL, as in http://127.0.0.1:5273/v1`,
    );
  }
  return list.data.data.map(({ id, owned_by }) => ({ id, ownedBy: owned_by ?? null }));
}

async function get(endpoint: Endpoint, path: string, options: LookOptions) {
  const { baseUrl, apiKey } = endpoint;
  try {
    return await getText(`${baseUrl}${path}`, apiKey, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new UserError(
      `cannot reach ${baseUrl}: ${
        redacted(rootReason(error), apiKey)
      }: start the service, or name another with --endpoint URL or FOUNDRY_LOCAL_ENDPOINT`,
      2,
      { cause: error },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a service lists, or why that can't be told. */
export interface Listing {
  readonly models: readonly ListedModel[];
  readonly problem: string | null;
}

/** The models of an OpenAI-compatible service; a problem of the user's is told, not thrown. */
export async function modelsOrProblem(
  endpoint: Endpoint,
  look: LookOptions,
): Promise<Listing> {
  try {
    return { models: await listModels(endpoint, look), problem: null };
  } catch (error) {
    if (error instanceof UserError) return { models: [], problem: error.message };
    throw error;
  }
}

/** The models of Foundry Local, with what only its own calls tell: alias, device, size, what is downloaded. */
export async function modelsOfFoundry(
  service: FoundryService,
  look: LookOptions,
): Promise<Listing> {
  try {
    const models = (await foundryModels(service, look)).map((
      { chatId, alias, device, sizeMb, cached, loaded },
    ) => ({
      id: chatId,
      ownedBy: null,
      ...(alias === null ? {} : { alias }),
      ...(device === null ? {} : { device }),
      ...(sizeMb === null ? {} : { sizeMb }),
      ready: cached ?? loaded,
    }));
    return { models, problem: null };
  } catch (error) {
    if (error instanceof UserError) return { models: [], problem: error.message };
    throw error;
  }
}
