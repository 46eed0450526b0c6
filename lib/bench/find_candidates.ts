/** The first stage of a session: from names to live candidates. */
import { describeMachine, fits, type Machine } from "../catalog/machine.ts";
import type { EngineSettings } from "../catalog/model.ts";
import { locate } from "../catalog/store.ts";
import { socketTargets } from "../endpoint/loopback.ts";
import { type TimedClient, timedClient } from "../endpoint/timed_client.ts";
import { prepareEngine } from "../engine/supervisor.ts";
import { reasonOf, UserError } from "../errors.ts";
import { engineSettingsOf } from "./candidate_name.ts";
import type { CandidatePlan, CandidateRequest, SessionResources } from "./candidate_request.ts";
import { type CaseToSend, checkVariation, neededFields, probeSettingsFor } from "./case_request.ts";
import { foundNames, servicesFor } from "./candidate_sources.ts";
import { withContextFor } from "./context_size.ts";
import {
  brokenCandidate,
  embeddedCandidate,
  endpointCandidate,
  type LiveCandidate,
  type LiveCandidateOptions,
  orderThatFits,
} from "./live_candidate.ts";
import { modelFiles } from "./model_file.ts";
import { type NamedCandidate, resolveAgain, resolveCandidates, runsInEngine } from "./named_candidate.ts";
import { PLAN_DEFAULTS } from "./plan.ts";
import type { PlanInfo } from "./records.ts";
import { SharedEngines } from "./shared_engines.ts";

export type { CandidatePlan, CandidateRequest, SessionResources } from "./candidate_request.ts";

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
  /** Their descriptions, in the same order. */
  readonly named: readonly NamedCandidate[];
  readonly why: string;
  readonly machine: Machine;
  readonly order: PlanInfo["order"];
  /** Closes the kept connections. */
  close(): void;
}

/**
 * The live candidates of a request: services are searched for, names resolved, models checked against this
 * machine and downloaded, the engine prepared. A model that can't be used becomes a candidate that gives its
 * reason when it is opened, and so a row of the run.
 *
 * Without names the candidates are: every ready model of the services that `endpoints` or the environment
 * name; else six models of the first service found on this machine, one build of each, the CPU's first; else
 * the models that models.json marks `always`, and those marked `where-reachable` that are here or can be
 * downloaded, and the job's baseline where that is an adapter.
 *
 * @throws {UserError} for an unknown name; exit code 1 for a named service that can't be reached and where
 * none of the models can be had
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
 * The first half of `findCandidates`: from names to named candidates, for a task that drops some of them
 * before anything is downloaded. Follow it with `openableCandidates`, or close `client`.
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
    const files = await modelFiles(request.names ?? [], services, resources);
    const from = { registry, services, files, engine: engineSettings(request, env) };
    const { names, why } = request.again !== undefined
      ? { names: null, why: "as before" }
      : request.names === null
      ? await foundNames(services, request, resources)
      : { names: request.names, why: "as asked" };
    const chosen = names === null ? resolveAgain(request.again ?? [], from) : resolveCandidates(names, from);
    const cases = casesToSend(request.plan);
    for (const { info } of cases === null ? [] : chosen) checkVariation(info, cases ?? []);
    const maxTokens = request.plan?.maxTokens ?? PLAN_DEFAULTS.maxTokens;
    const named = cases === null ? chosen : withContextFor(chosen, cases, maxTokens);
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
 * @param keep those of `chosen.named` that stay. @default all
 * @throws {UserError} exit code 1 where none of them can be used
 */
export async function openableCandidates(
  chosen: ChosenCandidates,
  resources: SessionResources,
  keep: readonly NamedCandidate[] = chosen.named,
): Promise<SessionCandidates> {
  const { why, machine, order, request, client } = chosen;
  const { timeoutS = PLAN_DEFAULTS.timeoutS, stream = true } = request.plan ?? {};
  const { post } = client;
  const options = { ...resources, post, timeoutMs: timeoutS * 1000, stream, engines: new SharedEngines() };
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

/** The engine settings of the request; a device that it leaves open comes from PODIUM_GPU. */
function engineSettings({ engine = {} }: CandidateRequest, env: SessionResources["env"]): EngineSettings {
  const gpu = env.get("PODIUM_GPU")?.trim() ?? "";
  return engine.gpu !== undefined || gpu === ""
    ? engine
    : { ...engine, ...engineSettingsOf("PODIUM_GPU", [`gpu=${gpu}`]) };
}

/** The cases of a plan, each with the settings that it shares with the others; null where none are known yet. */
function casesToSend(plan: CandidatePlan = {}): CaseToSend[] | null {
  const { prompts } = plan;
  return prompts?.prompts.map((one) => ({ ...one, settings: { ...prompts.settings, ...one.settings } })) ??
    null;
}

/** The fields that a probe adds to the job's settings, and those that a candidate must support. */
function probed(
  { temperature = PLAN_DEFAULTS.temperature, samplingSeed, fixedOutput, responseFormat, ...plan }:
    CandidatePlan,
  { info }: NamedCandidate,
): Pick<LiveCandidateOptions, "settings" | "needs"> {
  const settings = probeSettingsFor(casesToSend(plan) ?? [], info.request);
  return {
    needs: neededFields(settings),
    settings: {
      temperature,
      ...(samplingSeed === undefined ? {} : { seed: samplingSeed }),
      ...(fixedOutput === true ? { fixedOutput } : {}),
      ...(responseFormat === undefined ? {} : { responseFormat }),
      ...settings,
    },
  };
}

async function makeLive(named: NamedCandidate, { options, request, machine, resources }: {
  readonly options: LiveCandidateOptions;
  readonly request: CandidateRequest;
  readonly machine: Machine;
  readonly resources: SessionResources;
}): Promise<{ candidate: LiveCandidate; problem: string | null }> {
  const probing = { ...options, ...probed(request.plan ?? {}, named) };
  if (named.kind === "endpoint") return { candidate: endpointCandidate(named, probing), problem: null };
  try {
    const path = await candidateFile(named, { request, machine }, resources);
    return { candidate: embeddedCandidate(named, path, probing), problem: null };
  } catch (error) {
    resources.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    const problem = reasonOf(error);
    const { id } = named.info;
    const saysWho = problem.startsWith(`${id} `);
    return {
      candidate: brokenCandidate(named, problem),
      problem: saysWho ? problem : `${id}: ${problem}`,
    };
  }
}

/**
 * The path of the file that an embedded candidate runs, or of its adapter's module. A model that is missing
 * is downloaded, where the request allows it.
 *
 * @throws {UserError} exit code 1 for a model that doesn't fit this machine or can't be downloaded
 */
export async function candidateFile(
  named: Extract<NamedCandidate, { kind: "embedded" }>,
  { request, machine }: Pick<ChosenCandidates, "request" | "machine">,
  resources: SessionResources,
): Promise<string> {
  const { model, variant, engine: { contextTokens, parallel }, file } = named;
  const fit = fits(model, machine, { variant, contextTokens, parallel });
  if (!fit.ok) throw new UserError(`it doesn't fit this machine: ${fit.reasons.join("; ")}`, 1);
  return file ?? await locate(resources.store, model, variant) ??
    await download(named, request.downloads ?? "all", resources);
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
