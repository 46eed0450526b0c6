/** Where candidates come from: services that are named or found, and the registry's default models. */
import { hubReachable } from "../catalog/hub.ts";
import { plainName } from "../catalog/model.ts";
import { locate } from "../catalog/store.ts";
import { isLoopback } from "../endpoint/loopback.ts";
import { UserError } from "../errors.ts";
import { describeService, findServices, type FoundService, parseEndpoint } from "../services/discovery.ts";
import { EMBEDDED } from "./candidate_name.ts";
import type { CandidateRequest, SessionResources } from "./candidate_request.ts";
import { endpointNames, type ServiceListing } from "./named_candidate.ts";
import type { CandidateInfo } from "./records.ts";

/** Most models that are taken from a service that was found, where none is named. */
const FOUND_MODELS = 6;
/** Longest wait for the list of models of a named service, in ms. */
const LIST_TIMEOUT_MS = 5000;
/** Longest wait for Hugging Face when the default models are chosen, in ms. */
const HUB_TIMEOUT_MS = 2000;

/** A service, and whether the user named it. */
export type NamedOrFound = ServiceListing & { readonly named: boolean };

/** The services that the request or the environment name; without any, those that are found on this machine. */
export async function servicesFor(
  { endpoints, names, again, services }: CandidateRequest,
  { fetch, env, signal, run }: SessionResources,
): Promise<NamedOrFound[]> {
  if (services !== undefined) return usable(services.filter(({ problem }) => problem === null));
  if (endpoints !== undefined) {
    const search = { fetch, timeoutMs: LIST_TIMEOUT_MS, signal };
    const asked = await Promise.all(
      endpoints.map((text) => describeService(parseEndpoint(text, env.get("API_KEY")), "--endpoint", search)),
    );
    return usable(asked);
  }
  const wanted = again?.map(({ endpoint }) => `@${endpoint}`) ?? names ?? [];
  if (wanted.length > 0 && wanted.every((name) => name.endsWith(`@${EMBEDDED}`))) return [];
  const found = usable(await findServices({ fetch, env, signal, run }));
  return again === undefined ? found : [...found, ...await servicesAgain(again, found, { fetch, signal })];
}

/**
 * The services on this machine at which a resumed run was measured, unless they were found already. No key is
 * sent: run.json may come from someone else.
 */
async function servicesAgain(
  candidates: readonly CandidateInfo[],
  found: readonly NamedOrFound[],
  { fetch, signal }: Pick<SessionResources, "fetch" | "signal">,
): Promise<NamedOrFound[]> {
  const known = new Set(endpointNames(found));
  const urls = new Map(
    candidates.flatMap(({ endpoint, base_url }) =>
      known.has(endpoint) || base_url === undefined || !isLoopback(new URL(base_url))
        ? []
        : [[endpoint, base_url]]
    ),
  );
  const services = await Promise.all(
    [...urls].map(([name, baseUrl]) =>
      describeService({ name, baseUrl }, "known port", { fetch, timeoutMs: LIST_TIMEOUT_MS, signal })
    ),
  );
  const gone = services.find(({ problem }) => problem !== null);
  if (gone !== undefined) {
    const { endpoint: { name, baseUrl }, problem } = gone;
    throw new UserError(
      `${name} was measured at ${baseUrl}: ${problem}; or give its new address with --endpoint ${name}=URL`,
      1,
    );
  }
  return usable(services);
}

/** @throws {UserError} where a service that was named can't be used */
function usable(services: readonly FoundService[]): NamedOrFound[] {
  const broken = services.find(({ problem }) => problem !== null);
  if (broken !== undefined) throw new UserError(`${broken.source}: ${broken.problem}`, 1);
  return services.map(({ endpoint, models, listed, source, foundry }) => {
    const named = source !== "known port" && source !== "Foundry CLI";
    // Some services answer for models that they don't list. Foundry Local's own list is what it has.
    const isWhole = listed && (models.length > 0 || !named || foundry !== null);
    return { endpoint, models, listed: isWhole, named };
  });
}

/** The candidates where no names are given, and a short reason. */
export async function foundNames(
  services: readonly NamedOrFound[],
  { most, plan }: CandidateRequest,
  resources: SessionResources,
): Promise<{ names: readonly string[]; why: string }> {
  const serving = services
    .map((service) => ({ ...service, models: service.models.filter(({ ready }) => ready !== false) }))
    .filter(({ models }) => models.length > 0);
  const named = serving.filter((service) => service.named);
  const used = named.length > 0 ? named : serving.slice(0, 1);
  if (used.length > 0) return namesFrom(used, most ?? (named.length > 0 ? Infinity : FOUND_MODELS));
  const empty = services.find((service) => service.named);
  if (empty !== undefined) {
    throw new UserError(
      `${empty.endpoint.name} at ${empty.endpoint.baseUrl} ` +
        (empty.listed === false
          ? "lists no models: name one with --models"
          : "has no model ready: download or load one there first"),
      1,
    );
  }
  const rules = adapterBaseline(plan?.prompts?.baseline, resources);
  const defaults = [...await embeddedDefault(resources), ...rules];
  const and = rules.length === 0 ? "" : `, with the job's baseline ${rules.join(", ")}`;
  return { names: defaults.slice(0, most), why: `the embedded default${and}, since no service was found` };
}

/** The job's baseline where it is an adapter: a candidate that needs no download, which every model has to beat. */
function adapterBaseline(baseline: string | null | undefined, { registry }: SessionResources): string[] {
  const model = registry.models.find(({ alias }) => alias === baseline);
  return model?.variants[0]?.adapter ? [model.alias] : [];
}

/**
 * Where not all of them are taken, this takes one build of each model, preferably the CPU's, since every
 * machine has a CPU.
 */
function namesFrom(services: readonly NamedOrFound[], most: number): { names: string[]; why: string } {
  const names = services.flatMap(({ endpoint, models }) => {
    const ids = models.map(({ id }) => id);
    return (most === Infinity ? ids : onePerModel(ids)).map((id) => `${id}@${endpoint.name}`);
  });
  const left = services.reduce((sum, { models }) => sum + models.length, 0) - Math.min(most, names.length);
  const why = `what ${services.map(({ endpoint }) => endpoint.name).join(" and ")} already has` +
    (left > 0 ? `; ${left} more can be named with --models` : "");
  return { names: names.slice(0, most), why };
}

function onePerModel(ids: readonly string[]): string[] {
  const chosen = new Map<string, string>();
  for (const id of ids) {
    const model = plainName(id);
    const known = chosen.get(model);
    if (known === undefined || (/cpu/i.test(id) && !/cpu/i.test(known))) chosen.set(model, id);
  }
  return [...chosen.values()];
}

/** Models marked `always`, and those marked `where-reachable` that are here already or can be downloaded. */
async function embeddedDefault({ registry, store, fetch, sleep, env }: SessionResources): Promise<string[]> {
  const always = registry.models.filter((model) => model.default === "always");
  const maybe = registry.models.filter((model) => model.default === "where-reachable");
  const here = await Promise.all(maybe.map(async (model) => {
    const [variant] = model.variants;
    return variant !== undefined && await locate(store, model, variant) !== null;
  }));
  const reachable = here.every(Boolean) ||
    await hubReachable({ fetch, sleep, env, timeoutMs: HUB_TIMEOUT_MS });
  const models = [...always, ...maybe.filter((_, at) => reachable || here[at])];
  if (models.length === 0) {
    throw new UserError(`no model of the registry is marked "default": name some with --models`);
  }
  return models.map(({ alias }) => `${alias}@${EMBEDDED}`);
}
