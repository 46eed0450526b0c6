/**
 * The one way from names to a finished run. Tasks, notebooks and the workshop's mirrors all come through
 * here, so that a default, a choice of models or a check that holds in one of them holds in all.
 *
 * `runSession` does it all. Its two stages can also be had alone:
 * 1. `findCandidates` (find_candidates.ts): names to live candidates; `openModel` opens the
 *    first of them outside a run.
 * 2. `measure`: live candidates and a plan to a finished run, in a folder of its own, with its summary.
 *
 * Nothing here prints: what a person should read goes to `resources.note` and to `onEvent`.
 */
import { reasonOf, UserError } from "../errors.ts";
import type { CollectedRun } from "./collect.ts";
import {
  type CandidateRequest,
  chooseCandidates,
  type ChosenCandidates,
  findCandidates,
  openableCandidates,
  type SessionCandidates,
  type SessionResources,
} from "./find_candidates.ts";
import { caseOf } from "./case_request.ts";
import { createRunFolder, type Resumed, resumeRunFolder, type RunFolder } from "./folder.ts";
import { busiestFinder } from "./busiest_program.ts";
import type { OpenCandidate } from "./live_candidate.ts";
import type { RequestMetric } from "./metrics.ts";
import { machineReader } from "./noise.ts";
import { type CandidateInfo, type PlanInfo, prefixText, type RunInfo } from "./records.ts";
import { draftLengths, trueLengths } from "./prompt_lengths.ts";
import { runBench, type RunEvent } from "./run.ts";
import { newRunInfo, type OpenedEvent, planInfo, type SessionPlan, withOpened } from "./run_info.ts";
import { readRun, writeSummary } from "./summary.ts";
import type { Summary } from "./summary_schema.ts";

export {
  candidateFile,
  type CandidateRequest,
  chooseCandidates,
  findCandidates,
  openableCandidates,
  type SessionCandidates,
  type SessionResources,
} from "./find_candidates.ts";
export { planInfo, type SessionPlan } from "./run_info.ts";

/** Where a run's folder is made, when it begins, and who follows it. */
export interface NewRun {
  /** The folder that holds all runs. */
  readonly out: string;
  readonly now: Date;
  /** Makes the run's name unique. */
  readonly random: () => number;
}

/** How a run is followed while it is made. */
export interface MeasureOptions extends NewRun {
  readonly resources: SessionResources;
  readonly onEvent?: (event: SessionEvent) => void;
  /** Called with the run's folder before the first request, to add files next to the records. */
  readonly onFolder?: (path: string) => Promise<void>;
  /** A run that ended early, to be finished: its plan is carried out, not the one that is given. */
  readonly resumed?: Resumed | null;
}

/** The events of a run: it begins, with what an earlier process already did of it, and then each step is reported. */
export type SessionEvent =
  | { readonly kind: "begin"; readonly info: RunInfo; readonly done: ReadonlySet<string> }
  | RunEvent;

/** A finished run: its folder, its summary and the values behind it. */
export interface FinishedRun {
  readonly folder: string;
  /** Aborting `resources.signal` ends a run early and keeps what it has: `interrupted`. */
  readonly status: RunInfo["status"];
  readonly summary: Summary;
  readonly run: CollectedRun;
}

/** Candidates and plan in one; `resume` is the folder of a run that ended early. */
export interface SessionRequest extends Omit<CandidateRequest, "plan" | "again"> {
  readonly plan: SessionPlan;
  readonly resume?: string | undefined;
}

/**
 * From names to a finished run.
 *
 * @throws {UserError} as `findCandidates`; exit code 1 when the disk is full: what was measured is kept
 *
 * ```ts ignore
 * const { summary } = await runSession(
 *   { names: ["smollm2-135m", "gemma-3-270m"], plan: { prompts: singlePrompt("Say hello."), rounds: 5 } },
 *   resources,
 *   { out: "reports", now: new Date(), random: Math.random },
 * );
 * console.log(summary.candidates[0]?.latency_s.mean);
 * ```
 */
export async function runSession(
  { resume, ...request }: SessionRequest,
  resources: SessionResources,
  options: Omit<MeasureOptions, "resources" | "resumed">,
): Promise<FinishedRun> {
  const resumed = resume === undefined ? null : await resumeRunFolder(resume);
  try {
    if (resumed?.info.plan.mode === "race") throw notResumable(resumed.info);
    const { promptTokens } = request.plan;
    const drafted = promptTokens === undefined
      ? request.plan
      : { ...request.plan, prompts: draftLengths(request.plan, promptTokens) };
    const chosen = await chooseCandidates(
      resumed === null ? { ...request, plan: drafted } : { ...request, ...requestAgain(resumed.info) },
      resources,
    );
    const why = resumed === null ? chosen.why : `finishing ${resumed.info.run_id}`;
    resources.note?.(measuringLine(chosen, resumed?.info.plan ?? planInfo(drafted, chosen.order), why));
    const found = await openableCandidates(chosen, resources);
    try {
      const prompts = promptTokens === undefined || resumed !== null
        ? request.plan.prompts
        : await trueLengths(found, request.plan, promptTokens, resources);
      const plan = planInfo({ ...request.plan, prompts }, found.order);
      return await measure(found, plan, { ...options, resources, resumed });
    } finally {
      found.close();
    }
  } finally {
    resumed?.folder.close();
  }
}

/**
 * Measures live candidates by a plan, into a run folder below `out`, and writes the summary.
 *
 * @throws {UserError} exit code 1 when the disk is full; what was measured is kept
 *
 * ```ts ignore
 * const plan = planInfo({ prompts: singlePrompt("Say hello.") }, found.order);
 * const run = await measure(found, plan, { resources, out: "reports", now: new Date(), random: Math.random });
 * ```
 */
export async function measure(
  found: SessionCandidates,
  plan: PlanInfo,
  options: MeasureOptions,
): Promise<FinishedRun> {
  const { resources: { clock, sleep, signal }, resumed = null, onEvent, onFolder } = options;
  if (plan.for_s !== undefined && plan.order === "by model" && found.candidates.length > 1) {
    throw new UserError(
      "the models don't fit in memory together, so they can't take turns for a time: measure them one by one",
    );
  }
  const { info, folder } = resumed ?? await beginRun(found, plan, options);
  const opened = new Map<string, OpenedEvent>();
  let timed = 0;
  let status: RunInfo["status"];
  try {
    await onFolder?.(folder.path);
    onEvent?.({ kind: "begin", info, done: resumed?.done ?? new Set() });
    status = await runBench({
      info,
      candidates: found.candidates,
      sink: folder,
      clock,
      sleep,
      readMachine: machineReader(clock),
      findBusiest: busiestFinder(options.resources.run, clock, Deno.build.os),
      signal,
      onEvent: (event) => {
        if (event.kind === "opened") opened.set(event.candidate, event);
        if (event.kind === "request" && event.phase === "timed") timed++;
        onEvent?.(event);
      },
      ...(resumed === null ? {} : { resumed }),
    });
    await folder.writeInfo({ ...withOpened(withRounds(info, timed), opened), status });
  } finally {
    folder.close();
  }
  const { summary, run } = await readRun(folder.path);
  await writeSummary(folder.path, summary);
  return { folder: folder.path, status, summary, run };
}

/** A run for a time has as many rounds as there was time for: its plan says how many those were. */
function withRounds(info: RunInfo, timed: number): RunInfo {
  const { plan, candidates } = info;
  if (plan.for_s === undefined) return info;
  const rounds = Math.max(1, Math.ceil(timed / (plan.prompt_set.prompts.length * candidates.length)));
  return { ...info, plan: { ...plan, rounds } };
}

/**
 * Makes the folder of a new run and its run.json: for `measure`, and for a race, which asks block by block.
 *
 * @throws {UserError} exit code 1 where the folder can't be written
 */
export async function beginRun(
  { named, machine }: Pick<SessionCandidates, "named" | "machine">,
  plan: PlanInfo,
  { out, now, random }: NewRun,
): Promise<{ info: RunInfo; folder: RunFolder }> {
  const info = newRunInfo({ plan, machine, candidates: named.map(({ info }) => info), now, random });
  return { info, folder: await createRunFolder(out, info) };
}

/** `Measuring a, b (as asked): 64 prompts × 1 round, cold prefix, interleaved.` */
function measuringLine({ named }: ChosenCandidates, plan: PlanInfo, why: string): string {
  const count = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const ids = named.map(({ info }) => info.id).join(", ");
  const prompts = count(plan.prompt_set.prompts.length, "prompt");
  const size = plan.for_s === undefined
    ? `${prompts} × ${count(plan.rounds, "round")}`
    : `${prompts} over and over for ${plan.for_s} s`;
  return `Measuring ${ids} (${why}): ${size}, ${prefixText(plan.prefix)}, ${plan.order}.`;
}

function notResumable({ run_id }: RunInfo): UserError {
  return new UserError(
    `${run_id} is a race, which ends when the evidence decides: start a new one, or replay it with ` +
      `deno task race --replay ${run_id}`,
  );
}

/** What run.json says about the candidates of a run and its plan. */
function requestAgain({ candidates, plan }: RunInfo): Pick<CandidateRequest, "again" | "plan"> {
  return {
    again: candidates,
    plan: {
      prompts: { prompts: plan.prompt_set.prompts.map(caseOf) },
      maxTokens: plan.max_tokens,
      timeoutS: plan.timeout_s,
      stream: plan.stream !== false,
    },
  };
}

/**
 * Measures the candidates of an earlier run again, by its plan, into a new folder: they are found, loaded and
 * warmed up anew, so that two repeats differ as two runs do.
 *
 * @throws {UserError} for a race, which has no plan to repeat; otherwise as `runSession`
 *
 * ```ts ignore
 * const { folder } = await repeatRun(await readRunInfo("reports/RUN"), undefined, resources, options);
 * ```
 */
export async function repeatRun(
  info: RunInfo,
  endpoints: readonly string[] | undefined,
  resources: SessionResources,
  options: Omit<MeasureOptions, "resources" | "resumed">,
): Promise<FinishedRun> {
  const { plan } = info;
  if (plan.mode === "race") {
    throw new UserError(
      `${info.run_id} is a race, which has no fixed plan to repeat: give a run of deno task bench`,
    );
  }
  const found = await findCandidates({ names: null, endpoints, ...requestAgain(info) }, resources);
  try {
    return await measure(found, { ...plan, order: found.order }, { ...options, resources });
  } finally {
    found.close();
  }
}

/** A model that is open outside a run: for a conversation, a judge, or a few requests. */
export interface OpenModel {
  readonly info: CandidateInfo;
  readonly open: OpenCandidate;
  /** Closes the model and its connections. */
  readonly close: () => Promise<void>;
}

/**
 * Opens the first candidate of a request.
 *
 * @throws {UserError} as `findCandidates`; exit code 1 when the model can't be loaded
 *
 * ```ts ignore
 * const { info, open, close } = await openModel({ names: ["smollm2-135m"] }, resources);
 * ```
 */
export async function openModel(request: CandidateRequest, resources: SessionResources): Promise<OpenModel> {
  const { signal } = resources;
  const found = await findCandidates(request, resources);
  try {
    const [candidate] = found.candidates;
    if (candidate === undefined) throw new UserError("no model was found: name one", 1);
    const { info } = candidate;
    const open = await candidate.open(signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      throw new UserError(`${info.id}: ${reasonOf(error)}`, 1, { cause: error });
    });
    const close = async () => {
      await open.close();
      found.close();
    };
    return { info, open, close };
  } catch (error) {
    found.close();
    throw error;
  }
}

/**
 * A metric's values of one candidate: its good timed requests in the order in which they ran, disturbed
 * blocks included. A value that is not known (a first token that was not streamed) is left out.
 *
 * ```ts ignore
 * const latencies = valuesOf(run, "smollm2-135m-instruct:q4_1", "latency_s").map(({ value }) => value);
 * ```
 */
export function valuesOf(
  { run, summary }: Pick<FinishedRun, "run" | "summary">,
  candidate: string,
  metric: RequestMetric,
): RequestValue[] {
  const good = run.candidates.get(candidate)?.good ?? [];
  return good.flatMap(({ block, prompt, [metric]: value }) =>
    value === null ? [] : [{
      value,
      block,
      prompt: summary.plan.prompt_set.prompts[prompt]?.id ?? "",
      disturbed: run.disturbed.get(block) ?? null,
    }]
  );
}

/** One value, and the request it belongs to. */
export interface RequestValue {
  readonly value: number;
  readonly block: number;
  readonly prompt: string;
  /** Why the machine was busy meanwhile; null for a quiet block. */
  readonly disturbed: string | null;
}
