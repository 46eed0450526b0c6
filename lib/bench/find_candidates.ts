/** The first stage of a session: from names to live candidates. */
import { fillIn, ggufParts, readGguf } from "../catalog/gguf.ts";
import { hubReachable } from "../catalog/hub.ts";
import { describeMachine, fits, type Machine } from "../catalog/machine.ts";
import { type EngineSettings, type Model, plainName, type Registry, type Variant } from "../catalog/model.ts";
import { parseRegistry } from "../catalog/registry.ts";
import { locate, type Store } from "../catalog/store.ts";
import type { ProbeSettings } from "../endpoint/probe.ts";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { isLoopback, socketTargets } from "../endpoint/loopback.ts";
import { type TimedClient, timedClient } from "../endpoint/timed_client.ts";
import { prepareEngine } from "../engine/supervisor.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { RunProgram } from "../program.ts";
import type { PromptMessage } from "../prompts/prompts.ts";
import { describeService, findServices, type FoundService, parseEndpoint } from "../services/discovery.ts";
import { EMBEDDED, parseCandidateName } from "./candidate_name.ts";
import { withContextFor } from "./context_size.ts";
import {
  brokenCandidate,
  embeddedCandidate,
  endpointCandidate,
  type LiveCandidate,
  type LiveCandidateOptions,
  orderThatFits,
} from "./live_candidate.ts";
import {
  endpointNames,
  type NamedCandidate,
  resolveAgain,
  resolveCandidates,
  runsInEngine,
  type ServiceListing,
} from "./named_candidate.ts";
import { PLAN_DEFAULTS } from "./plan.ts";
import type { CandidateInfo, PlanInfo } from "./records.ts";
import type { SessionPlan } from "./run_info.ts";

/** What a session needs from outside: clock, network, environment, and the models on this machine. */
export interface SessionResources {
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly fetch: Fetch;
  /** Runs other programs, such as Foundry Local's command line. */
  readonly run: RunProgram;
  /** Where services are named: FOUNDRY_LOCAL_ENDPOINT, BASE_URL, API_KEY; and HF_ENDPOINT, HF_HUB_OFFLINE. */
  readonly env: { get(name: string): string | undefined };
  readonly denoPath: string;
  readonly registry: Registry;
  readonly store: Store;
  /**
   * Downloads a model that is not in the store and returns its path. What it throws becomes the candidate's reason.
   */
  readonly download: (model: Model, variant: Variant) => Promise<string>;
  readonly signal: AbortSignal;
  /** What a person should read before anything is measured, one line each. */
  readonly note?: (line: string) => void;
}

/** What of a plan decides how candidates are opened: context size, time-outs, streams, and what a probe sends. */
export type CandidatePlan =
  & Pick<SessionPlan, "maxTokens" | "timeoutS" | "stream" | "temperature" | "samplingSeed" | "fixedOutput">
  & {
    /** The JSON schema that answers must fit, where there is one. */
    readonly responseFormat?: ProbeSettings["responseFormat"];
    readonly prompts?: { readonly prompts: readonly { readonly messages: readonly PromptMessage[] }[] };
  };

/** Which candidates, and in what a task differs from the others. */
export interface CandidateRequest {
  /** Candidate names; null: what is found (see `findCandidates`). */
  readonly names: readonly string[] | null;
  /** Base URLs as `--endpoint` takes them, `[NAME=]URL`; without any, services are looked for. */
  readonly endpoints?: readonly string[] | undefined;
  /** Services that were looked for already; those that can't be used are left out. */
  readonly services?: readonly FoundService[];
  /** Without names: most models. @default every model of a service that was named, 6 of one that was found */
  readonly most?: number;
  /** Engine options from flags and the environment. */
  readonly engine?: EngineSettings;
  /** What they will be asked: decides context size, time-outs and streams. */
  readonly plan?: CandidatePlan;
  /**
   * Which models may be downloaded: every one; those that models.json marks `always` (small ones); or none.
   * @default "all"
   */
  readonly downloads?: "all" | "small" | "none";
  /** Candidates of a run that is resumed; `names` is not read then. */
  readonly again?: readonly CandidateInfo[];
}

/** Candidates that have names and are not yet loaded, reached or downloaded. */
export interface ChosenCandidates {
  readonly named: readonly NamedCandidate[];
  /** In a few words, why these. */
  readonly why: string;
  readonly machine: Machine;
  /** `by model` where they don't fit in memory together. */
  readonly order: PlanInfo["order"];
  readonly request: CandidateRequest;
  readonly client: TimedClient;
}

/** Candidates that are ready to be measured. */
export interface SessionCandidates {
  readonly candidates: readonly LiveCandidate[];
  /** What each of them is, in the same order. */
  readonly named: readonly NamedCandidate[];
  readonly why: string;
  readonly machine: Machine;
  readonly order: PlanInfo["order"];
  /** Closes the connections that were kept. */
  close(): void;
}

/** Of a service that was found, so many models are taken without being named. */
const FOUND_MODELS = 6;
/** Longest wait for the list of models of a service that was named, in ms. */
const LIST_TIMEOUT_MS = 5000;
/** Longest wait for Hugging Face when the default models are chosen, in ms. */
const HUB_TIMEOUT_MS = 2000;

/**
 * The live candidates that a request stands for: services are looked for, names resolved, models checked against
 * this machine and downloaded, the engine prepared. A model that can't be had becomes a candidate that gives its
 * reason when it is opened, and so a row of the run.
 *
 * Without names the candidates are: every ready model of the services that `endpoints` or the environment name;
 * else six models of the first service found on this machine, one build of each, the CPU's first; else the models
 * that models.json marks `always`, and those marked `where-reachable` that are here or can be downloaded.
 *
 * @throws {UserError} for an unknown name; exit code 1 for a named service that can't be reached and where none of the
 * models can be had
 *
 * ```ts ignore
 * const found = await findCandidates({ names: ["smollm2-135m", "gemma-3-270m"] }, resources);
 * ```
 */
export async function findCandidates(
  request: CandidateRequest,
  resources: SessionResources,
): Promise<SessionCandidates> {
  return await openableCandidates(await chooseCandidates(request, resources), resources);
}

/**
 * The first half of `findCandidates`: from names to named candidates, for a task that drops some of them before
 * anything is downloaded. Follow it with `openableCandidates`, or close `client`.
 *
 * @throws {UserError} as `findCandidates`
 */
export async function chooseCandidates(
  request: CandidateRequest,
  resources: SessionResources,
): Promise<ChosenCandidates> {
  const { registry, env, clock, fetch } = resources;
  const client = timedClient({ clock, fetch, accepts: socketTargets(env) });
  try {
    const services = await servicesFor(request, resources);
    const files = await modelFiles(request.names ?? [], services);
    const from = { registry, services, files, engine: request.engine ?? {} };
    const { names, why } = request.again !== undefined
      ? { names: null, why: "as before" }
      : request.names === null
      ? await foundNames(services, request, resources)
      : { names: request.names, why: "as asked" };
    const chosen = names === null ? resolveAgain(request.again ?? [], from) : resolveCandidates(names, from);
    const { prompts, maxTokens = PLAN_DEFAULTS.maxTokens } = request.plan ?? {};
    const named = prompts === undefined ? chosen : withContextFor(chosen, prompts.prompts, maxTokens);
    const machine = await describeMachine();
    return { named, why, machine, order: orderThatFits(named, machine), request, client };
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * The second half: downloads what is missing, prepares the engine and makes candidates that a run can open.
 *
 * @param keep those of `chosen.named` that go on; left out: all
 * @throws {UserError} exit code 1 where none of them can be had
 */
export async function openableCandidates(
  chosen: ChosenCandidates,
  resources: SessionResources,
  keep: readonly NamedCandidate[] = chosen.named,
): Promise<SessionCandidates> {
  const { why, machine, order, request, client } = chosen;
  const options = liveOptions(request.plan ?? {}, resources, client);
  try {
    const made: { candidate: LiveCandidate; problem: string | null }[] = [];
    for (const named of keep) made.push(await makeLive(named, { options, request, machine, resources }));
    const problems = made.flatMap(({ problem }) => problem ?? []);
    const [first] = problems;
    if (first !== undefined && problems.length === made.length) throw new UserError(first, 1);
    if (keep.some((named, at) => runsInEngine(named) && made[at]?.problem === null)) {
      await prepareEngine({ denoPath: resources.denoPath });
    }
    return {
      candidates: made.map(({ candidate }) => candidate),
      named: keep,
      why,
      machine,
      order,
      close: () => client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

function liveOptions(
  plan: CandidatePlan,
  { clock, fetch, denoPath, env, run, note }: SessionResources,
  client: TimedClient,
): LiveCandidateOptions {
  const { timeoutS = PLAN_DEFAULTS.timeoutS, stream = true } = plan;
  return {
    clock,
    fetch,
    post: client.post,
    denoPath,
    env,
    note,
    timeoutMs: timeoutS * 1000,
    stream,
    settings: probeSettings(plan),
    run,
  };
}

/** A probe sends the plan's settings, so that what an endpoint refuses is known before the first request. */
function probeSettings(
  { temperature = PLAN_DEFAULTS.temperature, samplingSeed, fixedOutput, responseFormat }: CandidatePlan,
): ProbeSettings {
  return {
    temperature,
    ...(samplingSeed === undefined ? {} : { seed: samplingSeed }),
    ...(fixedOutput === true ? { fixedOutput } : {}),
    ...(responseFormat === undefined ? {} : { responseFormat }),
  };
}

async function makeLive(named: NamedCandidate, { options, request, machine, resources }: {
  readonly options: LiveCandidateOptions;
  readonly request: CandidateRequest;
  readonly machine: Machine;
  readonly resources: SessionResources;
}): Promise<{ candidate: LiveCandidate; problem: string | null }> {
  if (named.kind === "endpoint") return { candidate: endpointCandidate(named, options), problem: null };
  const { variant, model, engine: { contextTokens } } = named;
  const fit = fits(model, machine, { variant, ...(contextTokens === undefined ? {} : { contextTokens }) });
  try {
    if (!fit.ok) throw new UserError(`it doesn't fit this machine: ${fit.reasons.join("; ")}`, 1);
    const path = named.file ?? await locate(resources.store, model, variant) ??
      await download(named, request.downloads ?? "all", resources);
    return { candidate: embeddedCandidate(named, path, options), problem: null };
  } catch (error) {
    resources.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    const problem = reasonOf(error);
    return { candidate: brokenCandidate(named, problem), problem: `${named.info.id}: ${problem}` };
  }
}

async function download(
  { model, variant }: Extract<NamedCandidate, { kind: "embedded" }>,
  allowed: "all" | "small" | "none",
  { download }: SessionResources,
): Promise<string> {
  if (allowed === "all" || allowed === "small" && model.default === "always") {
    return await download(model, variant);
  }
  throw new UserError(
    `no service lists it and it is not downloaded: start Foundry Local and set FOUNDRY_LOCAL_ENDPOINT, or run ` +
      `deno task models pull ${model.alias}`,
    1,
  );
}

type NamedOrFound = ServiceListing & { readonly named: boolean };

/** The services that the request or the environment name; without any, those that are found on this machine. */
async function servicesFor(
  { endpoints, names, again, services }: CandidateRequest,
  { fetch, env, signal, run }: SessionResources,
): Promise<NamedOrFound[]> {
  if (services !== undefined) return usable(services.filter(({ problem }) => problem === null));
  if (endpoints !== undefined) {
    const look = { fetch, timeoutMs: LIST_TIMEOUT_MS, signal };
    const asked = await Promise.all(
      endpoints.map((text) => describeService(parseEndpoint(text, env.get("API_KEY")), "--endpoint", look)),
    );
    return usable(asked);
  }
  const wanted = again?.map(({ endpoint }) => `@${endpoint}`) ?? names ?? [];
  if (wanted.length > 0 && wanted.every((name) => name.endsWith(`@${EMBEDDED}`))) return [];
  const found = usable(await findServices({ fetch, env, signal, run }));
  return again === undefined ? found : [...found, ...await servicesAgain(again, found, { fetch, signal })];
}

/**
 * The services on this machine that a run which is resumed was measured at, where they were not found already. No key
 * is sent: run.json may come from someone else.
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
  return services.map(({ endpoint, models, listed, source }) => ({
    endpoint,
    models,
    listed,
    named: source !== "known port" && source !== "Foundry CLI",
  }));
}

/** What is measured where no names are given, and in a few words why. */
async function foundNames(
  services: readonly NamedOrFound[],
  { most }: CandidateRequest,
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
      `${empty.endpoint.name} at ${empty.endpoint.baseUrl} has no model ready: download or load one there first`,
      1,
    );
  }
  const defaults = await embeddedDefault(resources);
  return { names: defaults.slice(0, most), why: "the embedded default, since no service was found" };
}

/** Where not all of them are taken, one build of each model is, the CPU's first: every machine has one. */
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

/** A model for each candidate that is named by its file; size, context and licence come from the file. */
async function modelFiles(
  names: readonly string[],
  services: readonly ServiceListing[],
): Promise<Map<string, Model>> {
  const endpoints = endpointNames(services);
  const parsed = names.map((name) => parseCandidateName(name, endpoints)).filter(({ isFile }) => isFile);
  const files = new Map<string, Model>();
  for (const { name, text } of parsed) files.set(name, await modelOfFile(name, text));
  return files;
}

async function modelOfFile(path: string, text: string): Promise<Model> {
  const info = await Deno.stat(path).catch(() => null);
  if (info === null || !info.isFile) {
    throw new UserError(`${text}: there is no such file: give the path of a GGUF file`);
  }
  const facts = await readGguf(path);
  const sizes = await Promise.all(ggufParts(path).map(async (part) => (await Deno.stat(part)).size));
  const file = path.replace(/^.*[\\/]/, "");
  const alias = file.replace(/\.gguf$/i, "").replaceAll(/[^\w.-]+/g, "-").replaceAll(/^\.+|\.+$/g, "");
  const variant = {
    name: (facts.quantization ?? "file").toLowerCase(),
    format: "gguf",
    file,
    size_mb: sizes.reduce((sum, size) => sum + size, 0) / 1e6,
    sources: [{ kind: "file", path }],
  };
  const [model] = parseRegistry(
    JSON.stringify({ schema_version: 1, models: [{ alias, variants: [variant] }] }),
    path,
  ).models;
  const [only] = model?.variants ?? [];
  if (model === undefined || only === undefined) throw new TypeError(`Cannot make a model of ${path}`);
  return fillIn(model, only, facts);
}
