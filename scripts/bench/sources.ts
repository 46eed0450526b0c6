/** Where candidates come from: services that are named or found, or the embedded engine's default set. */
import { type Choice, chooseCandidates, EMBEDDED, type Service } from "../../lib/bench/choose.ts";
import type { Resumed } from "../../lib/bench/folder.ts";
import { hubReachable } from "../../lib/catalog/hub.ts";
import type { Registry } from "../../lib/catalog/registry.ts";
import { locate, type Store } from "../../lib/catalog/store.ts";
import { describeService, findServices, parseEndpoint } from "../../lib/services/discovery.ts";
import { UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { interruptSignal, realSleep } from "../cli.ts";
import type { BenchSettings } from "./options.ts";

/** Longest wait for a service's list of models. */
const LIST_TIMEOUT_MS = 5000;
/** Longest wait for Hugging Face when the default set is chosen. */
const HUB_TIMEOUT_MS = 2000;
/** Of a service that was found, not named, so many models are measured without being asked for. */
const FOUND_MODELS = 6;

/** The services that flags or the environment name; without any, those that are found on this machine. */
export async function servicesOf(
  { endpoint, models }: BenchSettings,
  resumed: Resumed | null,
): Promise<(Service & { readonly named: boolean })[]> {
  const signal = interruptSignal();
  if (endpoint !== undefined) {
    return await Promise.all(endpoint.map(async (text) => {
      const named = parseEndpoint(text, Deno.env.get("API_KEY"));
      const { models, listed, problem } = await describeService(named, "--endpoint", {
        fetch,
        timeoutMs: LIST_TIMEOUT_MS,
        signal,
      });
      if (problem !== null) throw new UserError(problem, 1);
      return { endpoint: named, named: true, models, listed };
    }));
  }
  const wanted = resumed?.info.candidates.map((info) => `@${info.endpoint}`) ?? models ?? [];
  if (wanted.length > 0 && wanted.every((name) => name.endsWith(`@${EMBEDDED}`))) return [];
  const found = await findServices({ fetch, env: Deno.env, signal, run: runProgram });
  const broken = found.find(({ problem }) => problem !== null);
  if (broken !== undefined) throw new UserError(`${broken.source}: ${broken.problem}`, 1);
  return found.map(({ endpoint, models, listed, source }) => ({
    endpoint,
    models,
    listed,
    named: source !== "known port" && source !== "Foundry CLI",
  }));
}

interface From {
  readonly registry: Registry;
  readonly services: readonly (Service & { readonly named: boolean })[];
  readonly engine: { readonly gpu: BenchSettings["gpu"] };
}

/** What is measured, and in a few words why. */
export async function chosen(
  { models }: BenchSettings,
  from: From,
  store: Store,
): Promise<{ choices: Choice[]; why: string }> {
  if (models !== undefined) return { choices: chooseCandidates(models, from), why: "as asked" };
  const serving = from.services
    .map((service) => ({ ...service, models: service.models.filter(({ ready }) => ready !== false) }))
    .filter((service) => service.models.length > 0);
  const named = serving.filter((service) => service.named);
  const [service] = named.length > 0 ? named : serving;
  if (service !== undefined) {
    const used = named.length > 0 ? named : [service];
    const names = used.flatMap(({ endpoint, models }) => models.map(({ id }) => `${id}@${endpoint.name}`));
    const kept = service.named ? names : names.slice(0, FOUND_MODELS);
    const rest = names.length - kept.length;
    const why = `what ${used.map(({ endpoint }) => endpoint.name).join(" and ")} already has` +
      (rest > 0 ? `; ${rest} more can be named with --models` : "");
    return { choices: chooseCandidates(kept, from), why };
  }
  const empty = from.services.find((service) => service.named);
  if (empty !== undefined) {
    throw new UserError(
      `${empty.endpoint.name} at ${empty.endpoint.baseUrl} has no model ready: download or load one there first`,
    );
  }
  return {
    choices: chooseCandidates(await embeddedDefault(from.registry, store), from),
    why: "the embedded default, since no service was found",
  };
}

/** Models marked `always`, and those `where-reachable` that are here already or can be fetched. */
async function embeddedDefault(registry: Registry, store: Store): Promise<string[]> {
  const always = registry.models.filter((entry) => entry.default === "always");
  const maybe = registry.models.filter((entry) => entry.default === "where-reachable");
  const here = await Promise.all(maybe.map(async (entry) => {
    const [variant] = entry.variants;
    return variant !== undefined && await locate(store, entry, variant) !== null;
  }));
  const reachable = here.every(Boolean) ||
    await hubReachable({ fetch, sleep: realSleep, env: Deno.env, timeoutMs: HUB_TIMEOUT_MS });
  const entries = [...always, ...maybe.filter((_, at) => reachable || here[at])];
  if (entries.length === 0) {
    throw new UserError(`no model of the registry is marked "default": name some with --models`);
  }
  return entries.map(({ alias }) => `${alias}@${EMBEDDED}`);
}
