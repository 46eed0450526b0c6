/** What answers behind the gateway, and which of them bears which name. */
import { ApiError } from "../openai/api_error.ts";
import type { Place } from "./relay.ts";
import type { Stopping } from "../openai/stop.ts";

/** Whether a backend can take requests. `asleep`: it is loaded when somebody asks. */
export type Standing =
  | { readonly kind: "up" }
  | { readonly kind: "asleep" }
  | { readonly kind: "loading" }
  | { readonly kind: "down"; readonly reason: string };

/** A place that is held for one request: a model is not unloaded under it. */
export interface Held {
  readonly place: Place;
  /** The request is over; `broken` says that the process behind it may be. */
  release(): void;
}

/** A model that can be asked: an engine of ours, an adapter, or one of a service. */
export interface Backend {
  /** The name it is listed under. */
  readonly id: string;
  /** Further names that requests may use; several backends may share one: they stand in for each other. */
  readonly names: readonly string[];
  /** What runs and decisions call it: `alias[:variant][@endpoint]`. */
  readonly candidate: string;
  readonly capabilities: readonly string[];
  readonly ownedBy: string;
  /** Shown with the model in the list: device, context and the like. */
  about(): Readonly<Record<string, string | number | null>>;
  /** Requests that it works on at the same time. */
  readonly slots: number;
  standing(): Standing;
  /** MB of memory that it takes now; null where nobody knows. */
  memoryMb(): number | null;
  /**
   * Makes the model ready, where it has to be loaded first.
   *
   * @throws {ApiError} 503, where that can't be done
   */
  hold(stopping: Stopping): Held | Promise<Held>;
}

/** An upstream model: always ready as far as we know. */
export interface UpstreamModel {
  readonly id: string;
  readonly names: readonly string[];
  readonly candidate: string;
  readonly capabilities: readonly string[];
  readonly endpoint: { readonly name: string; readonly baseUrl: string; readonly apiKey?: string };
  readonly modelId: string;
  readonly slots: number;
}

/**
 * The backend of a model that a service runs.
 *
 * ```ts
 * const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:1/v1" };
 * const model = { id: "m", names: [], candidate: "m@lab", capabilities: [], endpoint, modelId: "m", slots: 64 };
 * if (upstream(model).standing().kind !== "up") throw new Error("a service is asked when it is needed");
 * ```
 */
export function upstream({ endpoint, modelId, ...told }: UpstreamModel): Backend {
  const { name, baseUrl, apiKey } = endpoint;
  const place = { baseUrl, modelId, ...(apiKey === undefined ? {} : { apiKey }) };
  const held = { place, release: () => {} };
  return {
    ...told,
    ownedBy: name,
    about: () => ({}),
    standing: () => ({ kind: "up" }),
    memoryMb: () => null,
    hold: () => held,
  };
}

/**
 * Finds backends by name, without regard to case: all that bear it, in the order in which they were given.
 *
 * ```ts
 * const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:1/v1" };
 * const model = { id: "M", names: ["m@lab"], candidate: "m@lab", capabilities: [], endpoint, modelId: "m", slots: 1 };
 * if (findByName([upstream(model)], "m")[0]?.id !== "M") throw new Error("found");
 * ```
 */
export function findByName<T extends Pick<Backend, "id" | "names" | "candidate">>(
  backends: readonly T[],
  name: string,
): T[] {
  const wanted = name.toLowerCase();
  return backends.filter(({ id, names, candidate }) =>
    [id, candidate, ...names].some((own) => own.toLowerCase() === wanted)
  );
}

/**
 * The refusal for a name that nobody bears.
 *
 * ```ts
 * if (unknownModel("gpt", ["small", "auto"]).status !== 404) throw new Error("it is not here");
 * ```
 */
export function unknownModel(model: string, known: readonly string[]): ApiError {
  const list = known.slice(0, 20).join(", ") + (known.length > 20 ? ` and ${known.length - 20} more` : "");
  return new ApiError(
    404,
    `model '${model.slice(0, 100)}' is not served here; these are: ${list || "none"}`,
    {
      param: "model",
      code: "model_not_found",
    },
  );
}
