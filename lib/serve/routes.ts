/** Which backend answers for which model name. */
import type { Endpoint } from "../endpoint/trace.ts";
import { ApiError } from "../engine/api_error.ts";

/** Whether a backend can take requests. */
export type BackendState = { readonly kind: "up" } | { readonly kind: "down"; readonly reason: string };

/** A model that can be asked: an engine of ours, or one of a service. */
export interface Backend {
  /** The name it is listed under. */
  readonly id: string;
  /** Further names that requests may use. */
  readonly names: readonly string[];
  readonly endpoint: Endpoint;
  /** What the endpoint itself calls the model. */
  readonly modelId: string;
  /** Shown with the model in the list: device, context and the like. */
  readonly about: Readonly<Record<string, string | number | null>>;
  readonly state: () => BackendState;
}

/** From a request's `model` to the backend that answers it. Routing policies are other makers of this. */
export interface Routes {
  readonly list: () => readonly Backend[];
  /** @throws {ApiError} 404 for a name that nobody bears, 503 where its backend is down */
  readonly choose: (model: string) => Backend;
}

/**
 * Routes by name alone, without regard to case.
 *
 * ```ts
 * const backend: Backend = {
 *   id: "smollm2", names: ["smollm2:q4_1"], modelId: "smollm2:q4_1", about: {},
 *   endpoint: { name: "embedded", baseUrl: "http://127.0.0.1:1/v1" }, state: () => ({ kind: "up" }),
 * };
 * if (routesByName([backend]).choose("SmolLM2:Q4_1") !== backend) throw new Error("found by either name");
 * ```
 */
export function routesByName(backends: readonly Backend[]): Routes {
  const byName = new Map<string, Backend>();
  for (const backend of backends) {
    for (const name of [backend.id, ...backend.names]) {
      // A name that two of them bear belongs to the first.
      if (!byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), backend);
    }
  }
  return {
    list: () => backends,
    choose: (model) => {
      const backend = byName.get(model.toLowerCase());
      if (backend === undefined) throw unknownModel(model, backends);
      const state = backend.state();
      if (state.kind === "down") throw unavailable(backend, state.reason);
      return backend;
    },
  };
}

function unknownModel(model: string, backends: readonly Backend[]): ApiError {
  const known = backends.map(({ id }) => id).join(", ");
  return new ApiError(404, `model '${model}' is not served here; these are: ${known}`, {
    param: "model",
    code: "model_not_found",
  });
}

/**
 * The refusal for a backend that can't answer.
 *
 * ```ts
 * const backend = { id: "smollm2" };
 * if (unavailable(backend, "its engine ended").status !== 503) throw new Error("the client may try later");
 * ```
 */
export function unavailable({ id }: Pick<Backend, "id">, reason: string): ApiError {
  return new ApiError(503, `model '${id}' can't answer now: ${reason}`, {
    param: "model",
    code: "model_unavailable",
  });
}
