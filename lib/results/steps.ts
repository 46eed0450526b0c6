/** The steps behind the public functions: names to candidates, and plans to results, with progress on a screen. */
import { findRun } from "../bench/find_run.ts";
import type { Exclusion, RaceTerms } from "../bench/records.ts";
import type { RunEvent } from "../bench/run.ts";
import {
  findCandidates,
  type FoundCandidates,
  measure,
  type Measured,
  type SessionPlan,
  type Surroundings,
} from "../bench/session.ts";
import { pull, type PullEvent } from "../catalog/pull.ts";
import type { Store } from "../catalog/store.ts";
import type { Model, Variant } from "../catalog/types.ts";
import { UserError } from "../errors.ts";
import { Judge } from "../quality/judge.ts";
import { tryJudge } from "../quality/judge_trial.ts";
import { rubrics } from "../quality/rubric.ts";
import { answersKey } from "../select/decide/facts.ts";
import { raceFound } from "../select/decide/session.ts";
import type { RaceState } from "../select/race/race.ts";
import { replayRecorded } from "../select/race/recorded_race.ts";
import { CandidateList, ConstrainedCandidates } from "./candidate_list.ts";
import type { Job } from "./job.ts";
import { type DecisionView, evidenceFigure, Race } from "./race.ts";
import { JudgeTrial } from "./scored_run.ts";
import type { Screen } from "./screen.ts";
import { TextView } from "./view.ts";

/** What the steps are given by whoever reads the environment. */
export interface Setup {
  readonly surroundings: Surroundings;
  readonly screen: Screen;
  /** Where run folders are made. */
  readonly reports: string;
  readonly now: () => Date;
  readonly random: () => number;
}

/**
 * Which candidates: a name, several, a list that `candidates` returned, or null for the defaults (the first two
 * models of a service that answers, else the two small models that Podium runs itself).
 */
export type Names = string | readonly string[] | CandidateList | ConstrainedCandidates | null;

/** The names that may be measured; null for the defaults. */
export function namesOf(names: Names): readonly string[] | null {
  if (names instanceof CandidateList) return names.names;
  if (names instanceof ConstrainedCandidates) return names.allowed;
  return typeof names === "string" ? [names] : names;
}

/** Candidates by name, found again by these names at any time. */
export interface Named {
  readonly found: FoundCandidates;
  readonly names: readonly string[];
}

/** Finds candidates; where none are named, the defaults and the names that stand for them. */
export async function findNamed(
  names: readonly string[] | null,
  { surroundings: around }: Setup,
  { most, plan }: { readonly most?: number; readonly plan?: Pick<SessionPlan, "prompts" | "maxTokens"> } = {},
): Promise<Named> {
  const found = await findCandidates(names, {
    around,
    ...(most === undefined ? {} : { most }),
    ...(plan === undefined ? {} : { plan }),
  });
  return { found, names: names ?? found.candidates.map(({ info }) => `${info.model_id}@${info.endpoint}`) };
}

/**
 * The names with other numbers of threads: the first candidate once per number, the others with the first number.
 * Models of a service stay as they are, since the service decides on its threads.
 */
export function withThreads({ found, names }: Named, threads: readonly number[]): string[] {
  const [first, ...more] = threads;
  if (first === undefined) return [...names];
  return found.candidates.flatMap(({ info }, at) => {
    if (info.endpoint !== "embedded") return [names[at] ?? info.id];
    const name = (count: number) => `${info.model_id}+threads=${count}`;
    return [name(first), ...(at === 0 ? more.map(name) : [])];
  });
}

/** One name per set of weights: more threads don't change an answer. */
export function byWeights({ found, names }: Named): string[] {
  const byKey = new Map<string, string>();
  for (const [at, { info }] of found.candidates.entries()) {
    const key = answersKey(info.id);
    if (!byKey.has(key)) byKey.set(key, info.endpoint === "embedded" ? key : names[at] ?? key);
  }
  return [...byKey.values()];
}

/** Downloads a variant with a progress bar; shows the terms of a model that is not under an open licence. */
export async function pullShown(
  model: Model,
  variant: Variant,
  { store, screen, ...terms }: Pick<Surroundings, "clock" | "sleep" | "fetch" | "env" | "signal"> & {
    readonly store: Store;
    readonly screen: Screen;
  },
): Promise<string> {
  const bar = await screen.progress(`Downloading ${model.alias}`);
  const path = await pull(store, model, variant, {
    ...terms,
    onTerms: async ({ model, license, url }) => {
      const where = url === null ? "" : ` (${url})`;
      await screen.show(
        new TextView(`${model} is licensed under **${license}**${where}. To use it is to accept that.`),
      );
      return true;
    },
    onProgress: ({ receivedBytes, totalBytes }: PullEvent) =>
      bar.update(receivedBytes, totalBytes ?? receivedBytes + 1, `bytes of ${model.alias}`),
  });
  await bar.finish(`${model.alias} is downloaded and verified.`);
  return path;
}

/** Measures candidates by a plan, with a progress bar. Closes the candidates' connections. */
export async function measureShown(
  found: FoundCandidates,
  plan: SessionPlan,
  { surroundings: around, screen, reports: out, now, random }: Setup,
): Promise<Measured> {
  const total = plan.rounds * plan.prompts.prompts.length * found.candidates.length;
  const bar = await screen.progress("Loading the models");
  let done = 0;
  try {
    const measured = await measure(found, plan, {
      around,
      out,
      now: now(),
      random,
      onEvent: (event) => {
        if (event.kind === "request") done++;
        bar.update(Math.min(done, total), total, progressLabel(event));
      },
    });
    await bar.finish(endOf(measured, done));
    return measured;
  } finally {
    found.close();
  }
}

function endOf({ folder, status, summary }: Measured, requests: number): string {
  if (status === "completed") return `Done: ${requests} requests, all kept in ${shortPath(folder)}.`;
  return summary.candidates.every(({ latency_s }) => latency_s.n === 0)
    ? `Ended early (${status}), before the first timed request: measure again before you go on.`
    : `Ended early (${status}) after ${requests} requests; they are kept in ${shortPath(folder)}.`;
}

/** The run's folder below its parent: nothing shown names a user's own folders. */
const shortPath = (folder: string) => folder.split(/[\\/]/).slice(-2).join("/");

function progressLabel(event: RunEvent): string {
  switch (event.kind) {
    case "load":
      return `loading ${event.candidate}`;
    case "warmup":
      return `warming up ${event.candidate}`;
    case "request":
      return `requests, the last to ${event.candidate}`;
    case "left":
      return `${event.candidate} left: ${event.reason}`;
    case "disturbed":
      return `a block was disturbed: ${event.reason}`;
  }
}

/**
 * Races candidates, with a progress bar and the evidence growing below it. Closes the candidates' connections.
 */
export async function raceShown(
  found: FoundCandidates,
  plan: SessionPlan,
  terms: RaceTerms,
  { surroundings: around, screen, reports: out, now, random }: Setup,
): Promise<Race> {
  const bar = await screen.progress("Loading the models");
  const figure = await screen.live("The evidence appears with the first block.");
  const states: RaceState[] = [];
  try {
    const race = await raceFound(found, plan, terms, {
      around,
      out,
      now: now(),
      random,
      onEvent: (event) => {
        if (event.kind === "load" || event.kind === "warmup") {
          bar.update(0, terms.budget, progressLabel(event));
        }
      },
      onBlock: (state) => {
        const history = [...states];
        states.push(state);
        bar.update(state.requests, terms.budget, `requests of the budget; ${state.live.length} still in`);
        figure.update(() => evidenceFigure({ history, state }, "live"));
      },
    });
    const { requests, blocks } = race.state;
    await bar.finish(`${requests} requests in ${blocks} blocks, all kept in ${shortPath(race.folder)}.`);
    await figure.finish(evidenceFigure(race, "live"));
    return new Race(race, race.folder);
  } finally {
    found.close();
  }
}

/**
 * Shows a recorded race again instead of running one.
 *
 * @throws {UserError} when there is no such run
 */
export async function replayShown(run: string, { screen, reports }: Setup): Promise<Race> {
  const folder = await findRun(run, reports);
  if (folder === null) throw new UserError(`there is no run called ${run} in ${reports}`);
  const race = await replayRecorded(folder);
  await screen.show(evidenceFigure(race, "replayed"));
  return new Race(race, folder);
}

/**
 * Who stays out of a race: those that the constraints exclude, and those whose answers did not meet the decision's.
 */
export function excludedFromRace(names: Names, { found }: Named, gate: DecisionView | null): Exclusion[] {
  const before = names instanceof ConstrainedCandidates ? names.excluded : [];
  if (gate === null) return [...before];
  const goOn = gate.goOn.map(answersKey);
  const byQuality = found.candidates.flatMap(({ info: { id } }) =>
    goOn.includes(answersKey(id)) ? [] : gate.document.excluded
      .filter((one) => answersKey(one.id) === answersKey(id)).map((one) => ({ ...one, id }))
  );
  return [...before, ...byQuality];
}

/** Tokens of a judge's reply; the rubric, the aspects and two answers come on top of the prompt. */
const REPLY_TOKENS = 64;
const RUBRIC_TOKENS = 1500;
const JUDGE_TIMEOUT_MS = 300_000;

/** Opens the first of the named models as a judge and tries it on the job's shortest cases, for correctness alone. */
export async function tryFirstAsJudge(
  names: readonly string[],
  job: Job,
  cases: number,
  setup: Setup,
): Promise<JudgeTrial> {
  const length = ({ messages }: { messages: readonly { content: string }[] }) =>
    messages.at(-1)?.content.length ?? 0;
  const prompts = job.whole.prompts.toSorted((a, b) => length(a) - length(b)).slice(0, cases);
  const plan = { prompts: { ...job.whole, prompts }, maxTokens: REPLY_TOKENS + RUBRIC_TOKENS };
  const { found } = await findNamed(names.slice(0, 1), setup, { plan });
  const [candidate] = found.candidates;
  if (candidate === undefined) throw new RangeError("No model was found to judge");
  const { info } = candidate;
  const { signal } = setup.surroundings;
  const bar = await setup.screen.progress(`Trying ${info.id}`);
  const open = await candidate.open(signal);
  try {
    const judge = new Judge(async (messages, responseFormat) => {
      const trace = await open.request(
        { model: info.model_id, messages, maxTokens: REPLY_TOKENS, temperature: 0, responseFormat },
        { timeoutMs: JUDGE_TIMEOUT_MS, signal },
      );
      if (trace.status === "failed") throw new UserError(`the judge did not answer: ${trace.reason}`, 1);
      return trace.content;
    }, {
      ...rubrics.fluency,
      dimensions: rubrics.fluency.dimensions.filter(({ name }) => name === "correctness"),
    });
    const trial = await tryJudge(judge, prompts, {
      onPair: (done, all) => bar.update(done, all, "pairs of a good and a bad answer"),
    });
    await bar.finish(`${trial.pairs} pairs of a good and a bad answer were judged.`);
    return new JudgeTrial(info.id, trial);
  } finally {
    await open.close();
    found.close();
  }
}
