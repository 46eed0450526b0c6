/** The options of the public functions, and the session's request made from them. */
import { join } from "node:path";
import { PLAN_DEFAULTS } from "../bench/plan.ts";
import type { StatedSetting } from "../bench/records.ts";
import type { SessionPlan, SessionRequest } from "../bench/session.ts";
import { UserError } from "../errors.ts";
import { type CaseChoice, chooseCases } from "../prompts/choose_cases.ts";
import { promptSet } from "../prompts/prompt.ts";
import { loadPromptSet, type Note, readPromptSet, singlePrompt } from "../prompts/prompts.ts";
import type { Constraints } from "../select/decide/constraints.ts";
import { Job } from "./job.ts";
import type { DecisionView, Race } from "./race.ts";
import type { ScoredRun } from "./scored_run.ts";

/** Which cases of a job are taken, and how the rows of a table become cases. */
export interface JobOptions extends CaseChoice {
  /** The prompt for each row of a table, as in `"Classify: {{text}}"`; a job file has its own. */
  readonly template?: string;
  /** Leaves rows out that miss a value or repeat another, instead of refusing the file. @default false */
  readonly skipFaulty?: boolean;
  /** Only this many cases, from the start, as `limit`. */
  readonly first?: number;
}

/** The requests of a run. Options that are left out have the defaults of `deno task bench`. */
export interface RunOptions {
  /** A job, the name of one that Podium ships (`"default"`, `"meeting_notes"` …), or the path of a file or folder. */
  readonly job?: Job | string;
  /** A single prompt instead of a job. */
  readonly prompt?: string;
  /** Passes over the cases. @default 1 */
  readonly rounds?: number;
  /** Warm-up requests per candidate. @default 2; 1 for `race`, 0 for `quality` */
  readonly warmup?: number;
  /** Longest answer in tokens. @default 40; 384 for `quality` */
  readonly maxTokens?: number;
  /** Sampling temperature. @default 0 */
  readonly temperature?: number;
  /** What the server has seen of a prompt before: nothing, the same prompt, or whatever it is. @default "cold" */
  readonly prefix?: "cold" | "warm" | "as is";
  /** Seed of the order of cases and candidates. @default 1 */
  readonly seed?: number;
  /** Longest wait for an answer, in seconds. @default 120; 300 for `quality` */
  readonly timeoutS?: number;
  /** Most models where none is named. @default every model of a named service, 6 of one that was found */
  readonly most?: number;
  /** The folder that the run's own folder is made in. @default "reports" */
  readonly reports?: string;
}

/** Options of `bench`. */
export interface BenchOptions extends RunOptions {
  /** Adds the first model a second time: two rows that can differ only by noise. @default false */
  readonly control?: boolean;
  /**
   * Repeats blocks that other programs disturbed; without it the run has exactly the
   * requested rounds. @default true
   */
  readonly repeatDisturbed?: boolean;
  /** Runs for this many seconds instead of a number of rounds, and looks for a change of decode speed. */
  readonly forS?: number;
  /** Pads each case to each of these prompt lengths, in tokens: figures by length follow. */
  readonly promptTokens?: readonly number[];
}

/** Options of `race`. */
export interface RaceOptions extends Omit<RunOptions, "rounds"> {
  /** The metric that decides a block. @default "latency" */
  readonly by?: "latency" | "ttft" | "throughput";
  /** Accepted probability of a wrong winner. @default 0.05 */
  readonly delta?: number;
  /** Relative difference that does not matter. @default 0.1 */
  readonly epsilon?: number;
  /**
   * The scope of the verdict: cases like these (each case counts once), or these very
   * cases (drawn again and again).
   * @default "cases like these"
   */
  readonly scope?: "cases like these" | "these cases";
  /** Most requests. @default 200 */
  readonly budget?: number;
  /** A decision by quality: only candidates that met its constraints race, or else the best of the rest. */
  readonly gate?: DecisionView;
}

/** What a decision rests on. */
export interface DecideOptions {
  /** The run whose answers were scored: a recommendation needs quality. */
  readonly quality: ScoredRun;
  /** The race that says which candidate is fastest. */
  readonly race?: Race;
  /** Limits that a candidate must meet, for example `{ licenses: ["commercial"], minPassRate: 0.5 }`. */
  readonly constraints?: Partial<Constraints>;
}

/** Options of `fidelity`. What is left out has the defaults of `deno task fidelity`. */
export interface FidelityOptions {
  /** The text itself, or the path of a `.txt` or `.md` file. @default the text that Podium ships */
  readonly text?: string;
  /** Tokens per block of text; the second half of each is compared. @default 512 */
  readonly block?: number;
  /** Most tokens of the text that are read. @default 16384 */
  readonly tokens?: number;
  /** A job with checks that both answer too, as in `bench`. */
  readonly job?: Job | string;
  /** Differences of the mean score up to this size count as none. @default 0.1 */
  readonly epsilon?: number;
  /** The folder that the job's run folder is made in. @default "reports" */
  readonly reports?: string;
}

/** As `deno task quality capture` has them: nothing is added to a prompt or sent before it. */
export const QUALITY_DEFAULTS = {
  rounds: 1,
  warmup: 0,
  prefix: "as is",
  maxTokens: 384,
  timeoutS: 300,
} as const;

/** The smallest request that still exercises everything. */
export const SHORT = {
  cases: 5,
  rounds: 2,
  maxTokens: 24,
  budget: 16,
  textTokens: 256,
  textBlock: 64,
} as const;

/** The folder of shipped jobs, and whether requests are shortened. */
export interface Shipped {
  /** The folder of the jobs that Podium ships. */
  readonly jobs: string;
  /** Caps every request at `SHORT`, for the test of the notebooks. */
  readonly short: boolean;
  /** Receives notes for people about a file of cases. */
  readonly note?: Note;
}

/**
 * Reads a job by the name of a shipped one, from an object in the shape of a job file, or by the path of a
 * file or folder with cases, as `--prompts` takes it.
 *
 * @throws {UserError} when there is no such job, or the file is damaged
 */
export async function loadJob(
  name: string | object,
  { template, skipFaulty, first, ...choice }: JobOptions,
  { jobs, short, note }: Shipped,
): Promise<Job> {
  if (typeof name === "object") {
    const whole = await readPromptSet(name, "job.json", { template, skipFaulty, note });
    const chosen = chooseCases(
      whole.prompts,
      first === undefined ? choice : { ...choice, limit: first },
      note,
    );
    return new Job(whole, chosen === whole.prompts ? whole : promptSet(whole, chosen), name);
  }
  const isPath = /[\\/]|\.\w+$/.test(name);
  const path = isPath ? name : join(jobs, `${name}.json`);
  const whole = await loadPromptSet(path, { template, skipFaulty, note });
  const chosen = chooseCases(whole.prompts, first === undefined ? choice : { ...choice, limit: first }, note);
  const prompts = short ? chosen.slice(0, SHORT.cases) : chosen;
  return new Job(whole, prompts === whole.prompts ? whole : promptSet(whole, prompts));
}

/**
 * The job that the options name or hold; without one, the default job.
 *
 * @throws {UserError} when both a job and a prompt are given, and as `loadJob`
 */
export async function jobOf(
  { job, prompt }: Pick<RunOptions, "job" | "prompt">,
  shipped: Shipped,
): Promise<Job> {
  if (job instanceof Job) return job;
  if (prompt === undefined) return await loadJob(job ?? "default", {}, shipped);
  if (job !== undefined) throw new UserError("both a job and a prompt are given: give one of them");
  const set = singlePrompt(prompt);
  return new Job(set, set);
}

/**
 * The session's request: options that are left out come from `defaults`, else from the session. The token
 * limit and the temperature take precedence over the job's own settings only where they are given.
 *
 * @throws {UserError} for a number out of range, and as `jobOf`
 */
export async function requestOf(
  names: readonly string[] | null,
  options: RunOptions,
  shipped: Shipped,
  defaults: RunOptions = {},
): Promise<SessionRequest> {
  const { job: _job, prompt: _prompt, reports: _reports, most, ...given } = options;
  assertNumbers(options);
  const { set } = await jobOf(options, shipped);
  const stated: StatedSetting[] = [
    ...(given.maxTokens === undefined ? [] : ["max_tokens" as const]),
    ...(given.temperature === undefined ? [] : ["temperature" as const]),
  ];
  const plan: SessionPlan = {
    ...defaults,
    ...given,
    prompts: set,
    ...(stated.length === 0 ? {} : { stated }),
    ...(shipped.short && {
      rounds: Math.min(given.rounds ?? PLAN_DEFAULTS.rounds, SHORT.rounds),
      maxTokens: Math.min(given.maxTokens ?? PLAN_DEFAULTS.maxTokens, SHORT.maxTokens),
    }),
  };
  return { names, plan, ...(most === undefined ? {} : { most }) };
}

function assertNumbers(
  { rounds = 1, warmup = 0, maxTokens = 1, most = 1, temperature = 0 }: RunOptions,
): void {
  for (const [name, value] of Object.entries({ rounds, warmup, maxTokens, most })) {
    const from = name === "warmup" ? 0 : 1;
    if (!Number.isInteger(value) || value < from) {
      throw new UserError(`${name} is ${value}: give a whole number of at least ${from}`);
    }
  }
  if (!(temperature >= 0)) throw new UserError(`temperature is ${temperature}: give a number of at least 0`);
}
