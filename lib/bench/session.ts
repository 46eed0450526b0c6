/** The shortest way from the names of models to a finished run: what notebooks and the workshop's mirrors share. */
import { describeMachine } from "../catalog/machine.ts";
import { type EngineSettings, type Model, plainName, type Registry, type Variant } from "../catalog/model.ts";
import { locate, type Store } from "../catalog/store.ts";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import { findServices } from "../services/discovery.ts";
import { socketTargets } from "../endpoint/loopback.ts";
import { timedClient } from "../endpoint/timed_client.ts";
import { prepareEngine } from "../engine/supervisor.ts";
import { runProgram } from "../program.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import type { LiveCandidate } from "./candidate.ts";
import { type Choice, chooseCandidates, runsInEngine } from "./choose.ts";
import { type CollectedRun, collectRun, type RequestMetric } from "./collect.ts";
import { createRunFolder } from "./folder.ts";
import { brokenCandidate, embeddedCandidate, endpointCandidate, orderThatFits } from "./live.ts";
import { machineReader } from "./noise.ts";
import type { PlanInfo, RunInfo } from "./records.ts";
import { withRoom } from "./room.ts";
import { runBench, type RunEvent } from "./run.ts";
import { newRunInfo, promptSetInfo } from "./run_info.ts";
import { summarizeRun, writeSummary } from "./summary.ts";
import type { Summary } from "./summary_schema.ts";

/** The outside world, and the models on this machine. */
export interface Surroundings {
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly fetch: Fetch;
  /** Where services are named: FOUNDRY_LOCAL_ENDPOINT, BASE_URL, API_KEY. */
  readonly env: { get(name: string): string | undefined };
  readonly denoPath: string;
  readonly registry: Registry;
  readonly store: Store;
  /** Brings a model that is not there yet, or throws why it does not; its message becomes the row's reason. */
  readonly download: (entry: Model, variant: Variant) => Promise<string>;
  readonly signal: AbortSignal;
}

/** Candidates, ready to be measured. */
export interface FoundCandidates {
  readonly candidates: readonly LiveCandidate[];
  /** What each of them was chosen as, in the same order. */
  readonly choices: readonly Choice[];
  readonly order: PlanInfo["order"];
  /** Closes the connections that were kept. */
  close(): void;
}

/** Longest wait for the probe of a service, in ms: a model may have to be loaded first. */
const PROBE_TIMEOUT_MS = 120_000;

/**
 * The candidates that `names` stand for. Without names: the first `most` models of the first service that
 * answers, otherwise the registry's own defaults. A model that can't be had becomes a row with its reason.
 *
 * @throws {UserError} for a name that nobody knows, a service that was named and does not answer, and where
 * not one of the models can be had
 *
 * ```ts ignore
 * const found = await findCandidates(["smollm2-135m", "gemma-3-270m"], { around });
 * ```
 */
export async function findCandidates(
  names: readonly string[] | null,
  { around, most = 2, engine = {}, plan }: {
    readonly around: Surroundings;
    readonly most?: number;
    /** What they will be asked, where it may be long: embedded models then get the context that it takes. */
    readonly plan?: Pick<SessionPlan, "prompts" | "maxTokens">;
    /** Options of the embedded engine that hold unless a candidate's own say otherwise. */
    readonly engine?: EngineSettings;
  },
): Promise<FoundCandidates> {
  const { clock, fetch, env, signal, registry, denoPath } = around;
  const services = await findServices({ fetch, env, signal, run: runProgram });
  for (const { problem } of services) if (problem !== null) throw new UserError(problem, 1);
  const named = names ?? defaultNames(services, registry).slice(0, most);
  const chosen = chooseCandidates(named, { registry, services, engine });
  const choices = plan === undefined ? chosen : withRoom(chosen, plan.prompts.prompts, plan.maxTokens);
  const transport = timedClient({ clock, fetch, accepts: socketTargets(env) });
  const world = {
    clock,
    fetch,
    post: transport.post,
    denoPath,
    timeoutMs: PROBE_TIMEOUT_MS,
    stream: true,
    run: runProgram,
  };
  const made: { choice: Choice; candidate: LiveCandidate; problem: string | null }[] = [];
  for (const choice of choices) made.push({ choice, ...await make(choice, world, around) });
  const problems = made.flatMap(({ problem }) => problem ?? []);
  if (problems.length === made.length) throw new UserError(problems[0] ?? "no model is named", 1);
  if (made.some(({ choice, problem }) => runsInEngine(choice) && problem === null)) {
    await prepareEngine({ denoPath });
  }
  return {
    candidates: made.map(({ candidate }) => candidate),
    choices,
    order: orderThatFits(choices, await describeMachine()),
    close: () => transport.close(),
  };
}

type Services = Awaited<ReturnType<typeof findServices>>;

function defaultNames(services: Services, registry: Registry): string[] {
  const service = services
    .map((one) => ({ ...one, models: one.models.filter(({ ready }) => ready !== false) }))
    .find(({ models }) => models.length > 0);
  return service === undefined
    ? registry.models.filter((entry) => entry.default === "always").map(({ alias }) => alias)
    : onePerModel(service.models.map(({ id }) => id)).map((id) => `${id}@${service.endpoint.name}`);
}

/** A service may list a model for several devices: one is taken, the CPU's first, since every machine has one. */
function onePerModel(ids: readonly string[]): string[] {
  const chosen = new Map<string, string>();
  for (const id of ids) {
    const model = plainName(id);
    const known = chosen.get(model);
    if (known === undefined || (/cpu/i.test(id) && !/cpu/i.test(known))) chosen.set(model, id);
  }
  return [...chosen.values()];
}

async function make(choice: Choice, world: Parameters<typeof endpointCandidate>[1], around: Surroundings) {
  if (choice.kind === "endpoint") return { candidate: endpointCandidate(choice, world), problem: null };
  try {
    const path = await locate(around.store, choice.entry, choice.variant) ??
      await around.download(choice.entry, choice.variant);
    return { candidate: embeddedCandidate(choice, path, world), problem: null };
  } catch (error) {
    around.signal.throwIfAborted();
    const problem = reasonOf(error);
    return { candidate: brokenCandidate(choice, problem), problem };
  }
}

/** What is asked of every candidate. The rest of a run's plan has one value here: one client, in a closed loop. */
export interface SessionPlan {
  readonly prompts: PromptSet;
  readonly rounds: number;
  readonly warmup: number;
  readonly maxTokens: number;
  readonly temperature: number;
  /** Answers that are to be scored are asked for as is: a nonce would be part of the question. */
  readonly prefix: PlanInfo["prefix"];
  readonly seed: number;
  readonly timeoutS: number;
}

/** A finished run: its folder, its summary and the values behind it. */
export interface Measured {
  readonly folder: string;
  readonly status: RunInfo["status"];
  readonly summary: Summary;
  readonly run: CollectedRun;
}

/**
 * Measures candidates by a plan, into a run folder below `out`. Aborting `signal` ends the run early and keeps
 * what it has: its status is then `interrupted`.
 *
 * ```ts ignore
 * const measured = await measure(found, plan, { around, out: "reports", now: new Date(), random: Math.random });
 * console.log(measured.summary.candidates[0]?.latency_s.mean);
 * ```
 */
export async function measure(found: FoundCandidates, plan: SessionPlan, options: {
  readonly around: Surroundings;
  readonly out: string;
  readonly now: Date;
  readonly random: () => number;
  readonly onEvent?: (event: RunEvent) => void;
}): Promise<Measured> {
  const { around, out, now, random, onEvent } = options;
  const info = newRunInfo({
    plan: planOf(plan, found.order),
    machine: await describeMachine(),
    candidates: found.candidates.map((candidate) => candidate.info),
    now,
    random,
  });
  const folder = await createRunFolder(out, info);
  let status: RunInfo["status"];
  try {
    status = await runBench({
      info,
      candidates: found.candidates,
      sink: folder,
      clock: around.clock,
      sleep: around.sleep,
      readMachine: machineReader(around.clock),
      signal: around.signal,
      ...(onEvent === undefined ? {} : { onEvent }),
    });
    await folder.writeInfo({ ...info, status });
  } finally {
    folder.close();
  }
  const summary = await summarizeRun(folder.path);
  await writeSummary(folder.path, summary);
  const promptIds = info.plan.prompt_set.prompts.map(({ id }) => id);
  const run = await collectRun(folder.path, { candidates: info.candidates, promptIds, slo: null });
  return { folder: folder.path, status, summary, run };
}

/**
 * A metric's values of one candidate: its good timed requests in the order in which they ran, disturbed blocks
 * included. A value that is not known (a first token that was not streamed) is left out.
 *
 * ```ts ignore
 * const latencies = valuesOf(measured, "smollm2-135m-instruct:q4_1", "latency_s").map(({ value }) => value);
 * ```
 */
export function valuesOf(measured: Measured, candidate: string, metric: RequestMetric): RequestValue[] {
  const good = measured.run.candidates.get(candidate)?.good;
  if (good === undefined) return [];
  const prompts = measured.summary.plan.prompt_set.prompts;
  const [blocks, asked] = [good.block.view(), good.prompt.view()];
  return Array.from(good.metrics[metric].view(), (value, at) => {
    const block = blocks[at] ?? 0;
    return {
      value,
      block,
      prompt: prompts[asked[at] ?? -1]?.id ?? "",
      disturbed: measured.run.disturbed.get(block) ?? null,
    };
  }).filter(({ value }) => Number.isFinite(value));
}

/** One value, and the request it belongs to. */
export interface RequestValue {
  readonly value: number;
  readonly block: number;
  readonly prompt: string;
  /** Why the machine was busy meanwhile; null for a quiet block. */
  readonly disturbed: string | null;
}

/** A session's plan as run.json holds it. */
export function planOf(plan: SessionPlan, order: PlanInfo["order"]): PlanInfo {
  return {
    mode: "bench",
    prompt_set: promptSetInfo(plan.prompts),
    rounds: plan.rounds,
    warmup: plan.warmup,
    max_tokens: plan.maxTokens,
    temperature: plan.temperature,
    seed: plan.seed,
    sampling_seed: null,
    prefix: plan.prefix,
    concurrency: 1,
    rate: null,
    timeout_s: plan.timeoutS,
    slo: null,
    order,
  };
}
