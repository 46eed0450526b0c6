/** The services behind the gateway, and their models. */
import { findModel } from "../../lib/catalog/model.ts";
import type { Registry } from "../../lib/catalog/registry.ts";
import { resolveCandidates } from "../../lib/bench/named_candidate.ts";
import { type ListedModel, listServiceModels, parseEndpoint } from "../../lib/services/discovery.ts";
import type { Endpoint } from "../../lib/endpoint/trace.ts";
import type { Fetch } from "../../lib/clock.ts";
import { UserError } from "../../lib/errors.ts";
import { type GatewayModel, serviceModel } from "../../lib/serve/served_models.ts";

const LIST_TIMEOUT_MS = 3000;

export interface ServedServices {
  /** The models listed last; those of a service that is down are kept until it is up again. */
  models(): GatewayModel[];
  /** Reads all lists again, and returns what is new about services that don't answer, or answer again. */
  refresh(signal: AbortSignal): Promise<readonly string[]>;
}

/** @throws {UserError} for an invalid URL, or a name given twice */
export function endpointsOf(
  texts: readonly string[],
  env: { get(name: string): string | undefined },
): Endpoint[] {
  const endpoints = texts.map((text) => {
    const { name } = parseEndpoint(text);
    return parseEndpoint(
      text,
      env.get(`API_KEY_${name.toUpperCase().replaceAll(/\W/g, "_")}`) ?? env.get("API_KEY"),
    );
  });
  const twice = endpoints.find(({ name }, at) => endpoints.findIndex((one) => one.name === name) < at);
  if (twice === undefined) return endpoints;
  throw new UserError(
    `--endpoint: two services are called "${twice.name}": give them names, as in lab=${twice.baseUrl}`,
  );
}

/** The models of the endpoints, as their lists name them now. */
export function serveServices(
  endpoints: readonly Endpoint[],
  { registry, fetch, slots }: {
    readonly registry: Registry;
    readonly fetch: Fetch;
    readonly slots: number;
  },
): ServedServices {
  const listed = new Map<Endpoint, readonly ListedModel[]>();
  const troubles = new Map<Endpoint, string>();
  const refresh = async (endpoint: Endpoint, signal: AbortSignal): Promise<readonly string[]> => {
    const options = { fetch, timeoutMs: LIST_TIMEOUT_MS, signal };
    const { models, problem } = await listServiceModels(endpoint, options);
    if (problem === null) {
      listed.set(endpoint, models.filter(({ ready }) => ready !== false));
      return troubles.delete(endpoint) ? [`${endpoint.name} answers again`] : [];
    }
    const known = troubles.get(endpoint) === problem;
    troubles.set(endpoint, problem);
    return known ? [] : [`${endpoint.name}: ${problem}`];
  };
  const served = () => {
    const services = endpoints.map((endpoint) => ({ endpoint, models: listed.get(endpoint) ?? [] }));
    const models = services.flatMap(({ endpoint, models }) => models.map(({ id }) => ({ id, endpoint })));
    const names = models.map(({ id, endpoint }) => `${id}@${endpoint.name}`);
    const named = resolveCandidates(names, { registry, services, engine: {} });
    const taken = new Set<string>();
    return named.flatMap(({ info }, at): GatewayModel[] => {
      const model = models[at];
      if (model === undefined) throw new Error(`${info.id} was not listed`);
      const { id, endpoint } = model;
      const full = `${id}@${endpoint.name}`;
      const alone = !taken.has(id);
      taken.add(id);
      return [serviceModel({
        id: alone ? id : full,
        names: [id, full, info.alias],
        candidate: info.id,
        capabilities: findModel(registry, id)?.capabilities ?? [],
        endpoint,
        modelId: id,
        slots,
      })];
    });
  };
  return {
    models: served,
    refresh: async (signal) => (await Promise.all(endpoints.map((one) => refresh(one, signal)))).flat(),
  };
}
