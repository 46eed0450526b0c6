/** From settings to everything a run needs, or one line that says what is wrong. */
import type { LiveCandidate } from "../../lib/bench/candidate.ts";
import { type Choice, chooseAgain, runsInEngine } from "../../lib/bench/choose.ts";
import { findRun } from "../../lib/bench/find_run.ts";
import { createRunFolder, type Resumed, resumeRunFolder, type RunFolder } from "../../lib/bench/folder.ts";
import {
  brokenCandidate,
  embeddedCandidate,
  endpointCandidate,
  orderThatFits,
  type World,
} from "../../lib/bench/live.ts";
import type { PlanInfo, RunInfo } from "../../lib/bench/records.ts";
import { newRunInfo, promptSetInfo } from "../../lib/bench/run_info.ts";
import { withRoom } from "../../lib/bench/room.ts";
import { describeMachine, fits, type Machine } from "../../lib/catalog/machine.ts";
import { loadRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, type Store } from "../../lib/catalog/store.ts";
import { socketTargets } from "../../lib/endpoint/loopback.ts";
import { type TimedClient, timedClient } from "../../lib/endpoint/timed_client.ts";
import { prepareEngine } from "../../lib/engine/supervisor.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { loadPromptSet, singlePrompt } from "../../lib/prompts/prompts.ts";
import { interruptSignal, realClock } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";
import type { BenchSettings } from "./options.ts";
import { chosen, servicesOf } from "./sources.ts";

export interface Prepared {
  readonly info: RunInfo;
  readonly folder: RunFolder;
  readonly candidates: readonly LiveCandidate[];
  readonly resumed: Resumed | null;
  readonly transport: TimedClient;
}

/**
 * Chooses and fetches the candidates, makes the plan and opens the run's folder; says in a line what is
 * measured, and why.
 *
 * @throws {UserError} for everything the user can mend
 */
export async function prepare(settings: BenchSettings): Promise<Prepared> {
  const registry = await loadRegistry(settings.registry);
  const transport = timedClient({ clock: realClock, fetch, accepts: socketTargets(Deno.env) });
  const resumed = settings.resume === undefined ? null : await resumeRunFolder(await runPath(settings));
  try {
    if (resumed?.info.plan.mode === "race") {
      throw new UserError(
        `${resumed.info.run_id} is a race, which ends when the evidence decides: start a new one, or look at it ` +
          "with deno task race --replay",
      );
    }
    return await prepareWith(settings, registry, transport, resumed);
  } catch (error) {
    resumed?.folder.close();
    throw error;
  }
}

async function prepareWith(
  settings: BenchSettings,
  registry: Registry,
  transport: TimedClient,
  resumed: Resumed | null,
): Promise<Prepared> {
  const prompts = settings.prompt === undefined
    ? await loadPromptSet(settings.prompts)
    : singlePrompt(settings.prompt);
  const machine = await describeMachine();
  const store = await openStore(settings.store ?? defaultStore(Deno.env, Deno.build.os));
  const services = await servicesOf(settings, resumed);
  const from = { registry, services, engine: { gpu: settings.gpu } };
  const { choices: named, why } = resumed === null
    ? await chosen(settings, from, store)
    : { choices: chooseAgain(resumed.info.candidates, from), why: `finishing ${resumed.info.run_id}` };
  const asked = resumed?.info.plan.prompt_set.prompts ?? prompts.prompts;
  const choices = withRoom(named, asked, resumed?.info.plan.max_tokens ?? settings.maxTokens);
  const plan = resumed?.info.plan ?? {
    ...planOf(settings, orderThatFits(choices, machine)),
    prompt_set: promptSetInfo(prompts),
  };
  console.error(firstLine(choices, plan, why));
  const info = resumed?.info ?? newRunInfo({
    plan,
    machine,
    candidates: choices.map((choice) => choice.info),
    now: new Date(),
    random: Math.random,
  });
  const folder = resumed?.folder ?? await createRunFolder(settings.out, info);
  try {
    const candidates = await liveCandidates(choices, plan, { store, machine, transport });
    return { info, folder, candidates, resumed, transport };
  } catch (error) {
    folder.close();
    // Nothing was measured yet: a new folder would only be litter.
    if (resumed === null) await Deno.remove(folder.path, { recursive: true });
    throw error;
  }
}

/** Fetches what is missing, and makes candidates that a run can open. */
export async function liveCandidates(
  choices: readonly Choice[],
  plan: PlanInfo,
  { store, machine, transport }: { store: Store; machine: Machine; transport: TimedClient },
): Promise<LiveCandidate[]> {
  const world: World = {
    clock: realClock,
    fetch,
    post: transport.post,
    denoPath: Deno.execPath(),
    timeoutMs: plan.timeout_s * 1000,
    stream: plan.stream !== false,
    run: runProgram,
  };
  if (choices.some(runsInEngine)) await prepareEngine({ denoPath: Deno.execPath() });
  const candidates: LiveCandidate[] = [];
  for (const choice of choices) candidates.push(await liveCandidate(choice, { store, machine, world }));
  return candidates;
}

/** `--resume` takes a folder, or the name of a run below --out. */
async function runPath({ resume = "", out }: BenchSettings): Promise<string> {
  const path = await findRun(resume, out);
  if (path !== null) return path;
  throw new UserError(`--resume ${resume}: there is no such run: give its folder, or its name below ${out}`);
}

export function planOf(settings: BenchSettings, order: PlanInfo["order"]): Omit<PlanInfo, "prompt_set"> {
  return {
    mode: "bench",
    rounds: settings.rounds,
    warmup: settings.warmup,
    max_tokens: settings.maxTokens,
    temperature: settings.temperature,
    seed: settings.seed,
    sampling_seed: settings.samplingSeed ?? null,
    prefix: settings.prefix,
    concurrency: settings.concurrency,
    rate: settings.rate ?? null,
    timeout_s: settings.timeout,
    slo: settings.slo ?? null,
    ...(settings.stream ? {} : { stream: false }),
    ...(settings.fixedOutput ? { fixed_output: true } : {}),
    order,
  };
}

function firstLine(choices: readonly Choice[], plan: PlanInfo, why: string): string {
  const ids = choices.map(({ info }) => info.id).join(", ");
  const prompts = plan.prompt_set.prompts.length;
  const size = `${prompts} ${prompts === 1 ? "prompt" : "prompts"} × ${plan.rounds} ${
    plan.rounds === 1 ? "round" : "rounds"
  }`;
  return `Measuring ${ids} (${why}): ${size}, ${plan.prefix} prefix, ${plan.order}.`;
}

/** Fetches what is missing. What can't be had or doesn't fit becomes a row with its reason. */
async function liveCandidate(
  choice: Choice,
  { store, machine, world }: { store: Store; machine: Machine; world: World },
): Promise<LiveCandidate> {
  if (choice.kind === "endpoint") return endpointCandidate(choice, world);
  const fit = fits(choice.entry, machine, { variant: choice.variant });
  if (!fit.ok) return brokenCandidate(choice, `it doesn't fit this machine: ${fit.reasons.join("; ")}`);
  try {
    const path = await pullShown(store, choice.entry, choice.variant, { signal: interruptSignal() });
    return embeddedCandidate(choice, path, world);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return brokenCandidate(choice, reasonOf(error));
  }
}
