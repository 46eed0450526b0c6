/** The plan of a run, its defaults, and the run.json that a run begins with. */
import config from "../../deno.json" with { type: "json" };
import type { Machine } from "../catalog/machine.ts";
import type { Prompt, PromptSet } from "../prompts/prompts.ts";
import { settingsRecord } from "./case_request.ts";
import { newRunId } from "./folder.ts";
import { PLAN_DEFAULTS, roundsUnderLoad } from "./plan.ts";
import {
  type CandidateProtocol,
  type LlamaCpp,
  type MachineInfo,
  type PlanInfo,
  type RaceTerms,
  RUN_SCHEMA,
  type RunInfo,
  type StatedSetting,
} from "./records.ts";

/** What a run asks every candidate. What is left out has the value of `PLAN_DEFAULTS`. */
export interface SessionPlan {
  readonly prompts: PromptSet;
  /** Each case padded to each of these prompt lengths, in tokens. Left out: as long as it is. */
  readonly promptTokens?: readonly number[] | undefined;
  /** Passes over the prompt set. Under load the default is what six stretches take. */
  readonly rounds?: number;
  /** Runs for this many seconds instead of a number of rounds. */
  readonly forS?: number | undefined;
  /** Warm-up requests per candidate, at most: they end when two in a row take the same time per token. */
  readonly warmup?: number;
  readonly maxTokens?: number;
  readonly temperature?: number;
  /** Answers that will be scored are captured `as is`: a nonce would be part of the question. */
  readonly prefix?: PlanInfo["prefix"];
  /** Seed of every random order. */
  readonly seed?: number;
  /** Seed sent with every request, for a temperature above 0. */
  readonly samplingSeed?: number | undefined;
  /** Longest wait for one request, in seconds. */
  readonly timeoutS?: number;
  /** Clients at once. */
  readonly concurrency?: number;
  /** Requests due per second, however long answers take. */
  readonly rate?: number | undefined;
  /** Limits for goodput. */
  readonly slo?: PlanInfo["slo"] | undefined;
  /** False asks for whole answers instead of streams. */
  readonly stream?: boolean;
  /** Asks for answers of exactly `maxTokens`, where the endpoint supports that. */
  readonly fixedOutput?: boolean;
  /** Whether disturbed blocks are made up for. @default true */
  readonly repeatDisturbed?: boolean;
  /** Settings that a flag stated: they precede the job's own. */
  readonly stated?: readonly StatedSetting[];
  /** Only of a race. */
  readonly race?: RaceTerms;
}

/** What a plan for a time has room for. */
const MOST_ROUNDS = 100_000;

/**
 * A session's plan as run.json holds it.
 *
 * ```ts
 * import { singlePrompt } from "../prompts/prompts.ts";
 * const plan = planInfo({ prompts: singlePrompt("Say hello."), rounds: 5 }, "interleaved");
 * if (plan.rounds !== 5 || plan.max_tokens !== 40 || plan.mode !== "bench") throw new Error(JSON.stringify(plan));
 * ```
 */
export function planInfo(plan: SessionPlan, order: PlanInfo["order"]): PlanInfo {
  const { concurrency = PLAN_DEFAULTS.concurrency, rate = null, stated = [] } = plan;
  const { rounds, warmup, maxTokens, temperature, prefix, seed, timeoutS, stream, fixedOutput } = {
    ...PLAN_DEFAULTS,
    rounds: roundsUnderLoad({ prompts: plan.prompts.prompts.length, concurrency, rate }),
    ...plan,
    // As many as fit in the time: run.json of the finished run says how many those were.
    ...(plan.forS === undefined ? {} : { rounds: MOST_ROUNDS }),
  };
  return {
    mode: plan.race === undefined ? "bench" : "race",
    ...(plan.race === undefined ? {} : { race: plan.race }),
    prompt_set: promptSetInfo(plan.prompts),
    rounds,
    warmup,
    max_tokens: stated.includes("max_tokens") ? maxTokens : plan.prompts.prompts.reduce(
      (most, one) => Math.max(most, maxTokensOf(one, plan.prompts, maxTokens)),
      1,
    ),
    temperature,
    ...(stated.length === 0 ? {} : { stated: [...stated] }),
    seed,
    sampling_seed: plan.samplingSeed ?? null,
    prefix,
    concurrency,
    rate,
    timeout_s: timeoutS,
    ...(plan.forS === undefined ? {} : { for_s: plan.forS }),
    slo: plan.slo ?? null,
    ...(stream ? {} : { stream: false }),
    ...(fixedOutput ? { fixed_output: true } : {}),
    ...(plan.repeatDisturbed === false ? { repeat_disturbed: false } : {}),
    order,
  };
}

const maxTokensOf = ({ settings }: Prompt, shared: PromptSet, otherwise: number) =>
  settings.maxTokens ?? shared.settings.maxTokens ?? otherwise;

/** The prompts as a plan carries them: what is sent, and hashes that show whether two runs sent the same. */
function promptSetInfo({ name, sha256, settings: shared, prompts }: PromptSet): PlanInfo["prompt_set"] {
  return {
    name,
    sha256,
    prompts: prompts.map(({ id, sha256, messages, tools, settings: own, turns, wordings, targetTokens }) => {
      const settings = { ...shared, ...own };
      return ({
        id,
        sha256,
        messages: [...messages],
        ...(tools.length === 0 ? {} : { tools: tools.map((tool) => ({ ...tool })) }),
        ...(Object.keys(settings).length === 0 ? {} : { settings: settingsRecord(settings) }),
        ...(turns.length === 0 ? {} : { turns: [...turns] }),
        ...(wordings.size === 0
          ? {}
          : { wordings: Object.fromEntries([...wordings].map(([name, texts]) => [name, [...texts]])) }),
        ...(targetTokens === undefined ? {} : { target_tokens: targetTokens }),
      });
    }),
  };
}

/**
 * run.json of a run that begins at `now`; `random` makes its name unique.
 *
 * ```ts ignore
 * const info = newRunInfo({ plan, machine, candidates, now: new Date(), random: Math.random });
 * ```
 */
export function newRunInfo({ plan, machine, candidates, now, random }: {
  readonly plan: PlanInfo;
  readonly machine: Machine;
  readonly candidates: RunInfo["candidates"];
  readonly now: Date;
  readonly random: () => number;
}): RunInfo {
  return {
    schema_version: RUN_SCHEMA,
    run_id: newRunId(now, random),
    created_at: now.toISOString(),
    status: "running",
    machine: machineInfoOf(machine),
    versions: { podium: config.version, deno: Deno.version.deno, "node-llama-cpp": engineVersion() },
    plan,
    candidates,
  };
}

/** The machine without what is free at this moment. */
export const machineInfoOf = ({ cpu, cores, ram_gb, gpu, os, arch }: Machine): MachineInfo => ({
  cpu,
  cores,
  ram_gb,
  gpu: [...gpu],
  os,
  arch,
});

/** What an `opened` event says about its candidate. */
export interface OpenedEvent {
  readonly llamaCpp: LlamaCpp | null;
  readonly protocol: CandidateProtocol | null;
}

/**
 * run.json with what the `opened` events said about each candidate: the way in which the engine called
 * llama.cpp, and how requests to an endpoint differ from the plan.
 *
 * ```ts ignore
 * await folder.writeInfo({ ...withOpened(info, opened), status });
 * ```
 */
export function withOpened(info: RunInfo, opened: ReadonlyMap<string, OpenedEvent>): RunInfo {
  const candidates = info.candidates.map((candidate) => {
    const { llamaCpp = null, protocol = null } = opened.get(candidate.id) ?? {};
    const isReplaced = llamaCpp?.chat_template_note !== undefined;
    return {
      ...candidate,
      ...(llamaCpp === null ? {} : { llama_cpp: llamaCpp }),
      ...(isReplaced ? { chat_template: "plain" as const } : {}),
      ...(protocol === null ? {} : { protocol }),
    };
  });
  return { ...info, candidates };
}

function engineVersion(): string {
  return /@([^@]+)$/.exec(config.imports["node-llama-cpp"])?.[1] ?? "unknown";
}
