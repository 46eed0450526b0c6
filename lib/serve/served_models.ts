/** The models behind the gateway: their names, endpoints, queues and breakers. */
import type { Clock } from "../clock.ts";
import { ApiError } from "../openai/api_error.ts";
import { RequestQueue } from "../openai/queue.ts";
import { type Breaker, type BreakerSettings, makeBreaker } from "../select/route/breaker.ts";

/** Whether a model can take requests. `asleep`: it is loaded with the next request. */
export type Availability =
  | { readonly kind: "up" }
  | { readonly kind: "asleep" }
  | { readonly kind: "loading" }
  | { readonly kind: "down"; readonly reason: string };

/** A model's endpoint, and its name there. */
export interface ModelEndpoint {
  readonly baseUrl: string;
  readonly apiKey?: string;
  readonly modelId: string;
}

/** A model that is held for one request: it is not unloaded until it is released. */
export interface Lease {
  readonly endpoint: ModelEndpoint;
  release(): void;
}

/** A model that takes requests: in an engine, an adapter, or a service. */
export interface GatewayModel {
  /** The name that it is listed under. */
  readonly id: string;
  /** Further names that requests may use. Models that share a name stand in for each other. */
  readonly names: readonly string[];
  /** Its name in runs and decisions: `alias[:variant][@endpoint]`. */
  readonly candidate: string;
  readonly capabilities: readonly string[];
  readonly ownedBy: string;
  /** Further fields of its list entry: device, context and so on. */
  about(): Readonly<Record<string, string | number | null>>;
  /** Requests that it works on at the same time. */
  readonly slots: number;
  availability(): Availability;
  /** MB of memory that it uses now; null where that is unknown. */
  memoryMb(): number | null;
  /**
   * Makes the model ready, loading it first where it must be.
   *
   * @throws {ApiError} 503, where that can't be done
   */
  lease(signal: AbortSignal): Promise<Lease>;
}

/** A model of a service. */
export interface ServiceModel {
  readonly id: string;
  readonly names: readonly string[];
  readonly candidate: string;
  readonly capabilities: readonly string[];
  readonly endpoint: { readonly name: string; readonly baseUrl: string; readonly apiKey?: string };
  readonly modelId: string;
  readonly slots: number;
}

/**
 * Serves a model of a service, which counts as up until a request fails.
 *
 * ```ts
 * const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:1/v1" };
 * const model = { id: "m", names: [], candidate: "m@lab", capabilities: [], endpoint, modelId: "m", slots: 64 };
 * if (serviceModel(model).availability().kind !== "up") throw new Error("a service is asked when it is needed");
 * ```
 */
export function serviceModel({ endpoint, modelId, ...described }: ServiceModel): GatewayModel {
  const { name, baseUrl, apiKey } = endpoint;
  const lease = {
    endpoint: { baseUrl, modelId, ...(apiKey === undefined ? {} : { apiKey }) },
    release: () => {},
  };
  return {
    ...described,
    ownedBy: name,
    about: () => ({}),
    availability: () => ({ kind: "up" }),
    memoryMb: () => null,
    lease: () => Promise.resolve(lease),
  };
}

/** A model with its queue and its breaker. */
export interface QueuedModel {
  readonly model: GatewayModel;
  readonly breaker: Breaker;
  readonly queue: RequestQueue;
  /** When the last request, or the last warming prompt, was sent; null where there was none. */
  usedMs: number | null;
}

export interface QueueSettings {
  readonly breaker: BreakerSettings;
  /** Requests that may wait for one model. */
  readonly waiting: number;
  readonly clock: Clock;
}

/** Most names that are remembered: clients choose them, so their number must be bounded. */
const REMEMBERED_NAMES = 1000;

/**
 * The models that are served, by name. Names are compared without regard to case.
 *
 * ```ts
 * const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:1/v1" };
 * const model = { id: "M", names: ["m@lab"], candidate: "m@lab", capabilities: [], endpoint, modelId: "m", slots: 1 };
 * const models = new GatewayModels({ breaker: { failuresToOpen: 3, openMs: 10_000 }, waiting: 100, clock: () => 0 });
 * models.serve([serviceModel(model)]);
 * if (models.named("m")[0]?.model.id !== "M") throw new Error("found");
 * ```
 */
export class GatewayModels {
  #all: readonly QueuedModel[] = [];
  readonly #byName = new Map<string, readonly QueuedModel[]>();

  constructor(private readonly settings: QueueSettings) {}

  /** Replaces the list. A candidate that was served before keeps its breaker and its queue. */
  serve(models: readonly GatewayModel[]): void {
    const { breaker, waiting, clock } = this.settings;
    this.#all = models.map((model) => {
      const known = this.#all.find((other) => other.model.candidate === model.candidate);
      if (known !== undefined) return { ...known, model };
      return {
        model,
        breaker: makeBreaker(breaker, clock),
        queue: new RequestQueue(model.slots, waiting, clock),
        usedMs: null,
      };
    });
    this.#byName.clear();
  }

  all(): readonly QueuedModel[] {
    return this.#all;
  }

  /** All models with this name, in the order in which they were given. */
  named(name: string): readonly QueuedModel[] {
    const wanted = name.toLowerCase();
    const known = this.#byName.get(wanted);
    if (known !== undefined) return known;
    const found = this.#all.filter(({ model: { id, candidate, names } }) =>
      [id, candidate, ...names].some((own) => own.toLowerCase() === wanted)
    );
    if (found.length > 0 && this.#byName.size < REMEMBERED_NAMES) this.#byName.set(wanted, found);
    return found;
  }

  of(candidate: string): QueuedModel | undefined {
    return this.#all.find(({ model }) => model.candidate === candidate);
  }
}

/** The model name for which the router chooses. */
export const AUTO = "auto";

/**
 * The error for a name that no model has.
 *
 * ```ts
 * const models = new GatewayModels({ breaker: { failuresToOpen: 3, openMs: 10_000 }, waiting: 100, clock: () => 0 });
 * if (unknownModel("gpt", models).status !== 404) throw new Error("it is not here");
 * ```
 */
export function unknownModel(name: string, models: GatewayModels): ApiError {
  const known = [...models.all().map(({ model }) => model.id), AUTO];
  const list = known.slice(0, 20).join(", ") + (known.length > 20 ? ` and ${known.length - 20} more` : "");
  return new ApiError(404, `model '${name.slice(0, 100)}' is not served here; these are: ${list}`, {
    param: "model",
    code: "model_not_found",
  });
}
