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

/** The models of some endpoints, as their lists named them last; those of a service that is down are kept. */
export class ServedServices {
  readonly #listed = new Map<Endpoint, readonly ListedModel[]>();
  readonly #troubles = new Map<Endpoint, string>();

  constructor(
    private readonly endpoints: readonly Endpoint[],
    private readonly options: { readonly registry: Registry; readonly fetch: Fetch; readonly slots: number },
  ) {}

  /** Reads all lists again, and returns what is new about services that don't answer, or answer again. */
  async refresh(signal: AbortSignal): Promise<readonly string[]> {
    return (await Promise.all(this.endpoints.map((endpoint) => this.#refresh(endpoint, signal)))).flat();
  }

  async #refresh(endpoint: Endpoint, signal: AbortSignal): Promise<readonly string[]> {
    const { fetch } = this.options;
    const { models, problem } = await listServiceModels(endpoint, {
      fetch,
      timeoutMs: LIST_TIMEOUT_MS,
      signal,
    });
    if (problem === null) {
      this.#listed.set(endpoint, models.filter(({ ready }) => ready !== false));
      return this.#troubles.delete(endpoint) ? [`${endpoint.name} answers again`] : [];
    }
    const known = this.#troubles.get(endpoint) === problem;
    this.#troubles.set(endpoint, problem);
    return known ? [] : [`${endpoint.name}: ${problem}`];
  }

  /** The models listed last; the first of several with one id has it as its name, the others name their service. */
  models(): GatewayModel[] {
    const { registry, slots } = this.options;
    const services = this.endpoints.map((endpoint) => ({
      endpoint,
      models: this.#listed.get(endpoint) ?? [],
    }));
    const models = services.flatMap(({ endpoint, models }) => models.map(({ id }) => ({ id, endpoint })));
    const names = models.map(({ id, endpoint }) => `${id}@${endpoint.name}`);
    const candidates = resolveCandidates(names, { registry, services, engine: {} });
    return models.map(({ id, endpoint }, at) => {
      const info = candidates[at]?.info;
      const full = `${id}@${endpoint.name}`;
      if (info === undefined) throw new Error(`${full} is no candidate`);
      return serviceModel({
        id: models.findIndex((one) => one.id === id) === at ? id : full,
        names: [id, full, info.alias],
        candidate: info.id,
        capabilities: findModel(registry, id)?.capabilities ?? [],
        endpoint,
        modelId: id,
        slots,
      });
    });
  }
}
