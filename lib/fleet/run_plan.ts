/** A plan on a device: held against the device's limits, then carried out by the one session. */
import { parseCandidateName } from "../bench/candidate_name.ts";
import { readRunInfo, replaceFile } from "../bench/folder.ts";
import { PLAN_DEFAULTS } from "../bench/plan.ts";
import type { RunInfo } from "../bench/records.ts";
import {
  findCandidates,
  runSession,
  type SessionEvent,
  type SessionPlan,
  type SessionResources,
} from "../bench/session.ts";
import { reasonOf } from "../errors.ts";
import { parsePromptSet, type PromptSet } from "../prompts/prompts.ts";
import { raceFound } from "../select/decide/session.ts";
import { DEFAULT_TERMS } from "../select/race/recorded_race.ts";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { carriedJobProblem } from "./carried_job.ts";
import type { DeviceLimits, FleetPlan } from "./device.ts";

/** Longest answer and wait of answers that are scored, where the plan states none: those of `quality capture`. */
const CAPTURE = { maxTokens: 384, timeoutS: 300 } as const;

/** Requests that a plan makes on one device. */
export function requestsOf(plan: FleetPlan, prompts: number): number {
  if (plan.kind === "race") return plan.budget ?? DEFAULT_TERMS.budget;
  return (plan.rounds ?? PLAN_DEFAULTS.rounds) * prompts * plan.models.length;
}

/** Longest answer that a plan allows, in tokens. */
const maxTokensOf = ({ kind, max_tokens }: FleetPlan): number =>
  max_tokens ?? (kind === "quality" ? CAPTURE.maxTokens : PLAN_DEFAULTS.maxTokens);

/**
 * The prompts of a plan's job, where a device may carry the plan out.
 *
 * @returns the prompts, or why the plan goes beyond what the device allows
 *
 * ```ts ignore
 * const accepted = acceptPlan(plan, limits, 4);
 * if ("refused" in accepted) console.log(accepted.refused);
 * ```
 */
export function acceptPlan(
  plan: FleetPlan,
  limits: DeviceLimits,
  cores: number,
): { readonly prompts: PromptSet } | { readonly refused: string } {
  const { kind, job, models, concurrency = 1 } = plan;
  if (!limits.kinds.includes(kind)) {
    return { refused: `it is a ${kind}, and this device allows ${limits.kinds}` };
  }
  if (createHash("sha256").update(job.text).digest("hex") !== job.sha256) {
    return { refused: "its job is not the one whose SHA-256 it states" };
  }
  const carried = carriedJobProblem(job.text);
  if (carried !== null) return { refused: `its job reaches beyond itself: ${carried}` };
  for (const model of models) {
    const problem = modelProblem(model, cores);
    if (problem !== null) return { refused: problem };
  }
  let prompts: PromptSet;
  try {
    prompts = parsePromptSet(JSON.parse(job.text), job.name);
  } catch (error) {
    return { refused: `its job can't be read: ${reasonOf(error).slice(0, 300)}` };
  }
  const requests = requestsOf(plan, prompts.prompts.length);
  if (requests > limits.max_requests) {
    return { refused: `it has ${requests} requests, and this device allows ${limits.max_requests}` };
  }
  if (maxTokensOf(plan) > limits.max_tokens) {
    return {
      refused: `its answers have up to ${
        maxTokensOf(plan)
      } tokens, and this device allows ${limits.max_tokens}`,
    };
  }
  if (concurrency > 64) return { refused: `it has ${concurrency} clients at once, and a device allows 64` };
  return { prompts };
}

/** A plan names models of the device's registry and its services; no file, no download from elsewhere. */
function modelProblem(text: string, cores: number): string | null {
  try {
    const { name, parts, isFile } = parseCandidateName(text, []);
    if (isFile || /^hf:/i.test(name) || text.includes("://")) {
      return `${text} is not a model of this device's registry`;
    }
    const threads = parts.find((part) => /^threads=\d+$/.test(part))?.slice("threads=".length);
    return Number(threads ?? 0) > cores ? `${text}: this device has ${cores} cores` : null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** What a plan is carried out with. */
export interface PlanRun {
  readonly plan: FleetPlan;
  readonly prompts: PromptSet;
  readonly resources: SessionResources;
  /** The folder of runs. */
  readonly out: string;
  readonly now: Date;
  readonly random: () => number;
  /** Whether models may be downloaded. */
  readonly downloads: boolean;
  /** The folder of a run that an earlier process began. */
  readonly resume: string | null;
  readonly onFolder: (path: string) => Promise<void>;
  readonly onEvent: (event: SessionEvent) => void;
}

/**
 * Carries a plan out through the session, into a run folder of the device's own.
 *
 * @throws {UserError} as the session
 */
export async function runPlan(run: PlanRun): Promise<{ folder: string; status: RunInfo["status"] }> {
  const { plan, prompts, resources, out, now, random, resume, onFolder, onEvent } = run;
  const session = sessionPlan(plan, prompts);
  const request = { names: plan.models, plan: session, downloads: run.downloads ? "all" : "none" } as const;
  const place = { out, now, random, onEvent };
  if (plan.kind === "race") {
    // A race ends when the evidence decides: it begins anew rather than going on after a pause.
    const found = await findCandidates(request, resources);
    const { by, delta, epsilon, budget } = { ...DEFAULT_TERMS, ...definedOf(plan) };
    try {
      return await raceFound(found, session, { ...DEFAULT_TERMS, by, delta, epsilon, budget }, {
        ...place,
        resources,
        onFolder,
      });
    } finally {
      found.close();
    }
  }
  const withJob = async (path: string) => {
    if (plan.kind === "quality") await replaceFile(join(path, "prompts.json"), plan.job.text);
    await onFolder(path);
  };
  const isOver = resume !== null && (await readRunInfo(resume)).status === "completed";
  if (isOver) return { folder: resume, status: "completed" };
  return await runSession(resume === null ? request : { ...request, resume }, resources, {
    ...place,
    onFolder: withJob,
  });
}

const definedOf = ({ by, delta, epsilon, budget }: FleetPlan) => ({
  ...(by === undefined ? {} : { by }),
  ...(delta === undefined ? {} : { delta }),
  ...(epsilon === undefined ? {} : { epsilon }),
  ...(budget === undefined ? {} : { budget }),
});

/** The session's plan that a fleet's plan stands for. */
export function sessionPlan(plan: FleetPlan, prompts: PromptSet): SessionPlan {
  const { kind, rounds, warmup, temperature, seed, sampling_seed, prefix, concurrency, timeout_s } = plan;
  const isScored = kind === "quality";
  const timeoutS = timeout_s ?? (isScored ? CAPTURE.timeoutS : undefined);
  const warmups = isScored ? 0 : warmup ?? (kind === "race" ? 1 : undefined);
  const prefixKind = isScored ? "as is" : prefix;
  return {
    prompts,
    maxTokens: maxTokensOf(plan),
    ...(rounds === undefined ? {} : { rounds }),
    ...(warmups === undefined ? {} : { warmup: warmups }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(sampling_seed === undefined ? {} : { samplingSeed: sampling_seed }),
    ...(prefixKind === undefined ? {} : { prefix: prefixKind }),
    ...(concurrency === undefined || isScored ? {} : { concurrency }),
    ...(timeoutS === undefined ? {} : { timeoutS }),
  };
}
