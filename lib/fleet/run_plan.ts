/** A plan on a device: checked against the device's limits, then carried out by the session. */
import { parseCandidateName } from "../bench/candidate_name.ts";
import { replaceFile } from "../bench/folder.ts";
import { readRunInfo } from "../bench/read_run.ts";
import { PLAN_DEFAULTS } from "../bench/plan.ts";
import type { RaceTerms } from "../bench/records.ts";
import { findCandidates, runSession } from "../bench/session.ts";
import { reasonOf } from "../errors.ts";
import { parsePromptSet, type PromptSet, singlePrompt } from "../prompts/prompts.ts";
import { raceFound } from "../select/decide/race_and_decide.ts";
import { DEFAULT_TERMS } from "../select/race/recorded_race.ts";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { carriedJobProblem } from "./carried_job.ts";
import { type DeviceLimits, type FleetPlan, isDocumentKind } from "./device.ts";
import { capacityTerms, planProblem, readingTerms, usersAtOnce } from "./document_terms.ts";
import { runDocument } from "./run_document.ts";
import { type CarriedOut, maxTokensOf, type PlanRun, sessionPlan } from "./session_plan.ts";

/** Requests that a plan makes on one device. */
export function requestsOf(plan: FleetPlan, prompts: number): number {
  if (plan.kind === "race") return plan.budget ?? DEFAULT_TERMS.budget;
  // The least that a search takes, and the blocks that both candidates read.
  if (plan.kind === "capacity") return capacityTerms(plan).perLevel * plan.models.length;
  if (plan.kind === "fidelity") return readingTerms(plan).requests;
  return (plan.rounds ?? PLAN_DEFAULTS.rounds) * prompts * plan.models.length;
}

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
  const { kind, job, models } = plan;
  if (!limits.kinds.includes(kind)) {
    return { refused: `it is a ${kind}, and this device allows ${limits.kinds}` };
  }
  if (createHash("sha256").update(job.text).digest("hex") !== job.sha256) {
    return { refused: "its job is not the one whose SHA-256 it states" };
  }
  const unfit = planProblem(plan);
  if (unfit !== null) return { refused: unfit };
  const carried = kind === "fidelity" ? null : carriedJobProblem(job.text);
  if (carried !== null) return { refused: `its job reaches beyond itself: ${carried}` };
  for (const model of models) {
    const problem = modelProblem(model, cores);
    if (problem !== null) return { refused: problem };
  }
  let prompts: PromptSet;
  try {
    prompts = kind === "fidelity" ? singlePrompt(job.text) : parsePromptSet(JSON.parse(job.text), job.name);
  } catch (error) {
    return { refused: `its job can't be read: ${reasonOf(error).slice(0, 300)}` };
  }
  const tooMuch = excessOf(plan, prompts.prompts.length, limits);
  return tooMuch === null ? { prompts } : { refused: tooMuch };
}

/** What a plan takes beyond the device's limits; null where it keeps them. */
function excessOf(plan: FleetPlan, prompts: number, limits: DeviceLimits): string | null {
  const requests = requestsOf(plan, prompts);
  if (requests > limits.max_requests) {
    return `it has ${requests} requests, and this device allows ${limits.max_requests}`;
  }
  const tokens = maxTokensOf(plan);
  if (tokens > limits.max_tokens) {
    return `its answers have up to ${tokens} tokens, and this device allows ${limits.max_tokens}`;
  }
  const clients = Math.max(plan.concurrency ?? 1, plan.kind === "capacity" ? usersAtOnce(plan) : 1);
  return clients > 64 ? `it has ${clients} clients at once, and a device allows 64` : null;
}

/** A plan names models of the device's registry and services: no files, and no downloads from elsewhere. */
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

/**
 * Carries a plan out through the session, into a run folder of the device's own.
 *
 * @throws {UserError} as the session
 */
export async function runPlan(run: PlanRun): Promise<CarriedOut> {
  if (isDocumentKind(run.plan.kind)) return await runDocument(run, run.plan.kind);
  const { plan, prompts, resources, out, now, random, resume, onFolder, onEvent } = run;
  const session = sessionPlan(plan, prompts);
  const request = { names: plan.models, plan: session, downloads: run.downloads ? "all" : "none" } as const;
  const newRun = { out, now, random, onEvent };
  if (plan.kind === "race") {
    // A race ends when the evidence decides: it starts again rather than continue after a pause.
    const found = await findCandidates(request, resources);
    try {
      return await raceFound(found, session, raceTerms(plan), { ...newRun, resources, onFolder });
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
    ...newRun,
    onFolder: withJob,
  });
}

const raceTerms = ({ by, delta, epsilon, budget }: FleetPlan): RaceTerms => ({
  ...DEFAULT_TERMS,
  by: by ?? DEFAULT_TERMS.by,
  delta: delta ?? DEFAULT_TERMS.delta,
  epsilon: epsilon ?? DEFAULT_TERMS.epsilon,
  budget: budget ?? DEFAULT_TERMS.budget,
});
