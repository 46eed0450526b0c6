/** The steps behind the public functions: names to candidates, and plans to results, with progress on a screen. */
import { join } from "node:path";
import { measureCapacity } from "../bench/capacity.ts";
import type { CapacityTerms } from "../bench/search_capacity.ts";
import { writeCapacityReports } from "../report/capacity.ts";
import { Capacity } from "./capacity.ts";
import { requireRun } from "../bench/find_run.ts";
import { loadText } from "../bench/load_level.ts";
import { replaceFile } from "../bench/folder.ts";
import { readRunInfo } from "../bench/read_run.ts";
import type { NamedCandidate } from "../bench/named_candidate.ts";
import { followed } from "../bench/progress.ts";
import type { Exclusion, RaceTerms } from "../bench/records.ts";
import {
  findCandidates,
  type FinishedRun,
  runSession,
  type SessionEvent,
  type SessionRequest,
  type SessionResources,
} from "../bench/session.ts";
import { modelsHere } from "../bench/fit_report.ts";
import { probeModels } from "../bench/speed_probe.ts";
import { addToCalibration } from "../catalog/calibration.ts";
import { describeMachine } from "../catalog/machine.ts";
import { prepareEngine } from "../engine/supervisor.ts";
import type { Model, Variant } from "../catalog/model.ts";
import { pull, type PullEvent } from "../catalog/pull.ts";
import type { Clock } from "../clock.ts";
import { promptSetJson } from "../prompts/prompts.ts";
import {
  type CandidatePair,
  type ComparedJob,
  compareOnJob,
  compareTexts,
  type JobComparison,
  type ReadOptions,
} from "../quality/fidelity_session.ts";
import { answersKey } from "../select/decide/facts.ts";
import { raceFound } from "../select/decide/race_and_decide.ts";
import type { RaceState } from "../select/race/race_state.ts";
import { replayRecorded } from "../select/race/recorded_race.ts";
import { ConstrainedCandidates, type Names } from "./candidate_list.ts";
import { Fidelity } from "./fidelity.ts";
import { type DecisionView, evidenceFigure, Race } from "./race.ts";
import { QUALITY_DEFAULTS } from "./run_options.ts";
import type { Progress, Screen } from "./screen.ts";
import { TextView } from "./view.ts";

/** The resources that the steps get from the caller, who reads the environment. */
export interface Setup {
  readonly resources: SessionResources;
  readonly screen: Screen;
  /** Where run folders are made. */
  readonly out: string;
  readonly now: Date;
  readonly random: () => number;
}

/** Downloads a variant with a progress bar; shows the terms of a model that is not under an open licence. */
export async function pullShown(
  model: Model,
  variant: Variant,
  resources: Omit<SessionResources, "download">,
  screen: Screen,
): Promise<string> {
  const bar = await screen.progress(`Downloading ${model.alias}`);
  const path = await pull(resources.store, model, variant, {
    ...resources,
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

/** The cases stay with the run, so that its answers can be scored later; a resumed run has them. */
async function keepCases(folder: string, { plan, resume }: SessionRequest): Promise<void> {
  if (resume === undefined) await replaceFile(join(folder, "prompts.json"), promptSetJson(plan.prompts));
}

/** From names to a finished run, with a progress bar. */
export async function runShown(request: SessionRequest, setup: Setup): Promise<FinishedRun> {
  const { resources, screen, ...newRun } = setup;
  const bar = await screen.progress("Loading the models");
  let requests = 0;
  const follow = following(bar, resources.clock);
  const run = await ending(
    bar,
    runSession(request, { ...resources, note: bar.note }, {
      ...newRun,
      onFolder: (folder) => keepCases(folder, request),
      onEvent: (event) => {
        if (event.kind === "request" && event.phase === "timed") requests++;
        follow(event);
      },
    }),
  );
  await bar.finish(endText(run, requests));
  return run;
}

/** The request of `fidelityShown`. */
export interface FidelityRequest {
  readonly names: CandidatePair;
  readonly file: string;
  readonly read: Omit<ReadOptions, "onBlock">;
  /** Null where no job was given. */
  readonly job: Pick<JobComparison, "set" | "epsilon" | "maxTokens"> | null;
}

/** Two candidates read a text and, where one was given, answer a job, with progress bars. */
export async function fidelityShown(
  { names, file, read, job }: FidelityRequest,
  { resources, screen, ...newRun }: Setup,
): Promise<Fidelity> {
  const bar = await screen.progress("Loading the models");
  const onBlock = (done: number, all: number) =>
    bar.update(done, Math.max(1, all), "blocks of text, read by both");
  const { ids, fidelity } = await ending(
    bar,
    compareTexts(names, { ...read, onBlock }, { ...resources, note: bar.note }),
  );
  await bar.finish(`${fidelity.compared} predictions were compared.`);
  const done = job === null ? null : await jobShown(names, job, { resources, screen, ...newRun });
  return new Fidelity({
    schema_version: 1,
    candidates: ids,
    text: { file, ...fidelity },
    job: done?.fidelity ?? null,
  });
}

async function jobShown(
  names: CandidatePair,
  job: NonNullable<FidelityRequest["job"]>,
  { resources, screen, ...newRun }: Setup,
): Promise<ComparedJob> {
  const bar = await screen.progress("Loading the models");
  let answers = 0;
  const follow = following(bar, resources.clock);
  const onEvent = (event: SessionEvent) => {
    if (event.kind === "request") answers++;
    follow(event);
  };
  const options = { ...job, ...newRun, timeoutS: QUALITY_DEFAULTS.timeoutS, onEvent };
  const done = await ending(bar, compareOnJob(names, options, { ...resources, note: bar.note }));
  await bar.finish(`Done: ${answers} answers, all kept in ${shortPath(done.folder)}.`);
  return done;
}

/** Searches the capacity of candidates with a line of progress, and writes its reports. */
export async function capacityShown(
  request: SessionRequest,
  terms: CapacityTerms,
  { resources, screen, out, now, random }: Setup,
): Promise<Capacity> {
  const bar = await screen.progress("Loading the models");
  let levels = 0;
  const { report, folder } = await ending(
    bar,
    measureCapacity(request, terms, { ...resources, note: bar.note }, {
      out,
      now,
      random,
      onLevel: (candidate, load, { verdict }) => {
        levels++;
        bar.update(levels, levels + 1, `${candidate}: ${loadText(load)}: ${verdict}`);
      },
    }),
  );
  await writeCapacityReports(folder, report);
  await bar.finish(`Done: ${levels} levels, all requests kept in ${shortPath(folder)}.`);
  return new Capacity(report, folder);
}

/** Measures the models that are here for some seconds, so that speeds are predicted from this machine's own. */
export async function probeShown(
  seconds: number,
  { resources, screen, now, random }: Setup,
): Promise<void> {
  const models = await modelsHere(resources);
  const lines: string[] = [];
  await prepareEngine({ denoPath: resources.denoPath });
  const samples = await probeModels(
    { models, seconds, at: now.toISOString(), note: (line) => lines.push(line) },
    { ...resources, random },
  );
  await addToCalibration(resources.store, await describeMachine(), samples);
  const said = lines.filter((line) => !line.endsWith("…")).join("\n");
  await screen.show(new TextView(said || "No model is here to measure: await serve() downloads one."));
}

/** Ends the bar when the work fails; otherwise it would stay below its cell. */
async function ending<T>(bar: Progress, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    await bar.finish("Nothing was measured.");
    throw error;
  }
}

function endText({ folder, status, summary }: FinishedRun, requests: number): string {
  if (status === "completed") return `Done: ${requests} requests, all kept in ${shortPath(folder)}.`;
  return summary.candidates.every(({ latency_s }) => latency_s.n === 0)
    ? `Ended early (${status}), before the first timed request: measure again before you continue.`
    : `Ended early (${status}) after ${requests} requests; they are kept in ${shortPath(folder)}.`;
}

/** The run's folder below its parent: nothing shown names a user's own folders. */
const shortPath = (folder: string) => folder.split(/[\\/]/).slice(-2).join("/");

/** Shows the progress of a run: the time left and what happens now. */
function following(bar: Progress, clock: Clock): (event: SessionEvent) => void {
  return followed(clock, ({ done, total, unit, left, now, more }) => {
    const parts = [unit === "s" ? "seconds" : unit, left, more ?? now];
    bar.update(done, total, parts.filter((part) => part !== null && part !== "").join(", "));
  });
}

/** From names to a finished race, with a progress bar and the evidence growing below it. */
export async function raceShown(
  request: SessionRequest,
  termsFor: (named: readonly NamedCandidate[]) => RaceTerms,
  { resources, screen, ...newRun }: Setup,
): Promise<Race> {
  const bar = await screen.progress("Loading the models");
  const figure = await screen.live("The evidence appears with the first block.");
  const found = await ending(bar, findCandidates(request, { ...resources, note: bar.note }));
  const terms = termsFor(found.named);
  const states: RaceState[] = [];
  try {
    const race = await raceFound(found, request.plan, terms, {
      ...newRun,
      resources,
      onFolder: (folder) => keepCases(folder, request),
      onEvent: following(bar, resources.clock),
      onBlock: (state) => {
        const history = [...states];
        states.push(state);
        figure.update(() => evidenceFigure({ history, state }, "live"));
      },
    });
    const { requests, blocks } = race.state;
    await bar.finish(`${requests} requests in ${blocks} blocks, all kept in ${shortPath(race.folder)}.`);
    await figure.finish(evidenceFigure(race, "live"));
    return new Race(race);
  } finally {
    found.close();
  }
}

/**
 * Shows a recorded race again instead of running one.
 *
 * @throws {UserError} when there is no such run
 */
export async function replayShown(run: string, { screen, out }: Setup): Promise<Race> {
  const folder = await requireRun(run, out);
  const { status } = await readRunInfo(folder);
  const race = await replayRecorded(folder);
  await screen.show(evidenceFigure(race, "replayed"));
  return new Race({ ...race, folder, status });
}

/**
 * The candidates that stay out of a race: those that the constraints exclude, and those whose answers did not
 * meet the decision's.
 */
export function excludedFromRace(
  names: Names,
  named: readonly NamedCandidate[],
  gate: DecisionView | null,
): Exclusion[] {
  const before = names instanceof ConstrainedCandidates ? names.excluded : [];
  if (gate === null) return [...before];
  const goOn = gate.goOn.map(answersKey);
  const byQuality = named.flatMap(({ info: { id } }) =>
    goOn.includes(answersKey(id)) ? [] : gate.document.excluded
      .filter((one) => answersKey(one.id) === answersKey(id)).map((one) => ({ ...one, id }))
  );
  return [...before, ...byQuality];
}
