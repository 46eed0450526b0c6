/**
 * Podium: choose the local model for the job, on evidence.
 *
 * Every function works with sensible defaults: the models of a service that answers on this machine, or the two small
 * models that Podium runs itself (downloaded on first use); the registry `models.json`; and run folders below
 * `reports/`. The environment variables of the tasks hold here too: `PODIUM_REGISTRY`, `PODIUM_STORE`, `PODIUM_GPU`,
 * `FOUNDRY_LOCAL_ENDPOINT`. Paths are relative to the working directory. Every result shows itself: as the last line of
 * a notebook cell, and with `console.log(result)` in a terminal.
 *
 * Ctrl-C, or the Stop button of a notebook, ends a measurement early and keeps what it has. A mistake in what you
 * give (an unknown model, a service that does not answer) throws a `UserError` that names the value and what to do.
 *
 * ```ts ignore
 * import { bench } from "podium";
 *
 * const run = await bench(["smollm2-135m", "gemma-3-270m"], { rounds: 3 });
 * console.log(run.table());
 * await run.ecdf("latency").save("latency.svg");
 * ```
 *
 * @module
 */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openModel } from "./lib/bench/session.ts";
import { fitReport } from "./lib/bench/fit_report.ts";
import { describeMachine } from "./lib/catalog/machine.ts";
import { runProgram } from "./lib/program.ts";
import { FIDELITY_DEFAULTS } from "./lib/quality/fidelity_session.ts";
import { writeQuality } from "./lib/quality/quality.ts";
import { readRecordedAnswers, writeRunFile } from "./lib/quality/recorded_answers.ts";
import { promptSetJson } from "./lib/prompts/prompts.ts";
import {
  CandidateList,
  chooseNames,
  ConstrainedCandidates,
  type Names,
  namesOf,
  withThreads,
} from "./lib/results/candidate_list.ts";
import type { Capacity, CapacityOptions } from "./lib/results/capacity.ts";
import { Catalogue } from "./lib/results/catalogue.ts";
import type { Fidelity } from "./lib/results/fidelity.ts";
import { type ModelFitOptions, ModelFits } from "./lib/results/model_fit.ts";
import type { Job } from "./lib/results/job.ts";
import { DecisionView, type Race } from "./lib/results/race.ts";
import { Run } from "./lib/results/run.ts";
import {
  type BenchOptions,
  type DecideOptions,
  type FidelityOptions,
  jobOf,
  type JobOptions,
  loadJob,
  QUALITY_DEFAULTS,
  type RaceOptions,
  requestOf,
  type RunOptions,
  SHORT,
} from "./lib/results/run_options.ts";
import { ScoredRun } from "./lib/results/scored_run.ts";
import { ServedModel } from "./lib/results/served_model.ts";
import {
  capacityShown,
  excludedFromRace,
  fidelityShown,
  probeShown,
  raceShown,
  replayShown,
  runShown,
} from "./lib/results/steps.ts";
import { Surroundings } from "./lib/results/surroundings.ts";
import { NO_CONSTRAINTS } from "./lib/select/decide/constraints.ts";
import { adapterAnswers } from "./lib/select/decide/baseline.ts";
import { decideOn } from "./lib/select/decide/race_and_decide.ts";
import { DEFAULT_TERMS } from "./lib/select/race/recorded_race.ts";
import { findServices } from "./lib/services/discovery.ts";
import { seededRandom } from "./lib/stats/random.ts";
import { TextView, type View } from "./lib/results/view.ts";
import { readTextFile } from "./lib/text_file.ts";

/** Podium's own folder: its registry and the jobs that it ships. */
const home = fileURLToPath(new URL(".", import.meta.url));

const surroundings = new Surroundings({
  home,
  env: Deno.env,
  clock: () => performance.now(),
  random: Math.random,
  print: (text) => console.log(text),
  note: (line) => console.error(line),
  kernel: kernel(),
});

export { UserError } from "./lib/errors.ts";
export { CandidateList, ConstrainedCandidates, type Names } from "./lib/results/candidate_list.ts";
export { Capacity, type CapacityOptions } from "./lib/results/capacity.ts";
export { Catalogue, type ModelFit } from "./lib/results/catalogue.ts";
export { type ModelFitOptions, ModelFits } from "./lib/results/model_fit.ts";
export { ImaginedBenchmarks, type MeasuredModel } from "./lib/results/imagined_benchmarks.ts";
export { Fidelity } from "./lib/results/fidelity.ts";
export { Job } from "./lib/results/job.ts";
export { DecisionView, Race } from "./lib/results/race.ts";
export { type Duration, Run } from "./lib/results/run.ts";
export type {
  BenchOptions,
  DecideOptions,
  FidelityOptions,
  JobOptions,
  RaceOptions,
  RunOptions,
} from "./lib/results/run_options.ts";
export { RoutingEvidence } from "./lib/results/routing_evidence.ts";
export { ScoredRun } from "./lib/results/scored_run.ts";
export { type AskOptions, ServedModel } from "./lib/results/served_model.ts";
export { type TimedRequest, TimedRequests } from "./lib/results/timed_requests.ts";
export {
  type CellValue,
  checkGuess,
  FigureView,
  Result,
  type TableRow,
  TableView,
  TextView,
  View,
} from "./lib/results/view.ts";

// Drawings of your own data: show them with `new FigureView(figure)`.
export { type BoxCell, type BoxOptions, boxPlot } from "./lib/plot/box.ts";
export { type EcdfOptions, ecdfPlot, type EcdfSeries } from "./lib/plot/ecdf.ts";
export { type ParetoCandidate, paretoPlot } from "./lib/plot/pareto.ts";
export { ratePlot, type RateRow } from "./lib/plot/rate.ts";
export { type RatioOptions, ratioPlot, type RatioRow } from "./lib/plot/ratio.ts";
export { type TimelineOptions, timelinePlot, type TimelineRequest } from "./lib/plot/timeline.ts";
// The data behind the results: documents and records.
export type { Adapter, AdapterRequest, LoadContext } from "./lib/adapter/adapter.ts";
export type { CapacityReport } from "./lib/bench/capacity.ts";
export type { RequestRecord } from "./lib/bench/records.ts";
export type { Summary } from "./lib/bench/summary_schema.ts";
export type { FitReport } from "./lib/bench/fit_report.ts";
export type { Machine } from "./lib/catalog/machine.ts";
export type { Model, Registry } from "./lib/catalog/model.ts";
export type { Figure } from "./lib/plot/figure.ts";
export type { FidelityReport, JobFidelity, TextFidelity } from "./lib/quality/fidelity.ts";
export type { QualityReport } from "./lib/quality/quality_schema.ts";
export type { Constraints } from "./lib/select/decide/constraints.ts";
export type { Decision } from "./lib/select/decide/decision_schema.ts";
export type { RaceReport } from "./lib/select/race/race_report.ts";

/**
 * Measures candidates side by side and returns the run.
 *
 * @param names which candidates, as in `"smollm2-135m"` or `["smollm2-135m:q4_1+threads=2", "phi-4-mini@foundry"]`;
 * null for the defaults
 * @throws {UserError} for a name that is unknown, a service that does not answer, or when no model can be had
 *
 * @example
 * ```ts ignore
 * const run = await bench(["smollm2-135m", "gemma-3-270m"], { job: "default", rounds: 3, maxTokens: 48 });
 * console.log(run.table());
 * ```
 */
export async function bench(names: Names = null, options: BenchOptions = {}): Promise<Run> {
  const setup = await surroundings.setUp(options.reports);
  let wanted = namesOf(names);
  if (options.control === true) {
    const chosen = await chooseNames(wanted, options.most, setup.resources);
    wanted = [...chosen.names.slice(0, 1), ...chosen.names];
  }
  const run = await runShown(await requestOf(wanted, options, surroundings.shipped), setup);
  return new Run(run, options.control === true ? run.summary.candidates[1]?.id ?? null : null);
}

/**
 * Finds how many users, and what rate, each candidate can serve within limits.
 *
 * @throws {UserError} as `bench`, and for limits that limit nothing
 *
 * @example
 * ```ts ignore
 * const found = await capacity("smollm2-135m", { slo: { ttft: 2, e2e: 10 }, search: "users" });
 * console.log(found.users(), String(found));
 * ```
 */
export async function capacity(names: Names, options: CapacityOptions): Promise<Capacity> {
  const setup = await surroundings.setUp(options.reports);
  const { slo, within = 0.95, thinkS = 5, search = "both", maxUsers = 256, mostRequests = 800, ...asked } =
    options;
  const limits = { ttft_s: slo.ttft ?? null, e2e_s: slo.e2e ?? null, within, mostRequests };
  return await capacityShown(
    await requestOf(namesOf(names), { warmup: 3, ...asked }, surroundings.shipped),
    { limits, thinkS, search, maxUsers },
    setup,
  );
}

/**
 * Lets each candidate answer every case once and scores the answers by the job's checks. Candidates that differ in
 * threads alone answer each for itself: threads change some answers.
 *
 * @throws {UserError} as `bench`, and when the job has no checks
 *
 * @example
 * ```ts ignore
 * const answers = await quality(null, { job: "meeting_notes" });
 * console.log(answers.scores());
 * ```
 */
export async function quality(names: Names = null, options: RunOptions = {}): Promise<ScoredRun> {
  const setup = await surroundings.setUp(options.reports);
  const given = await jobOf({ job: "meeting_notes", ...options }, surroundings.shipped);
  const chosen = await chooseNames(namesOf(names), options.most, setup.resources);
  const run = await runShown(
    await requestOf(chosen.names, { ...options, job: given }, surroundings.shipped, QUALITY_DEFAULTS),
    setup,
  );
  await writeRunFile(join(run.folder, "prompts.json"), promptSetJson(given.set));
  const report = await writeQuality(run.folder, given.set);
  const { answers } = await readRecordedAnswers(run.folder);
  return new ScoredRun({
    run,
    job: given,
    report,
    answers: [...answers.values()],
  });
}

/**
 * Races candidates: one case after the other goes to all that are still in, until the evidence decides or the budget
 * is spent. Where the environment variable PODIUM_REPLAY names a recorded race, that race is shown again instead.
 *
 * @param names which candidates; what `constrain` excluded stays out, with its reason in the records
 * @throws {UserError} as `bench`
 *
 * @example
 * ```ts ignore
 * const result = await race(["smollm2-135m+threads=1", "smollm2-135m+threads=2"], { budget: 60 });
 * console.log(result.verdict, String(result));
 * ```
 */
export async function race(names: Names = null, options: RaceOptions = {}): Promise<Race> {
  const setup = await surroundings.setUp(options.reports);
  const recorded = Deno.env.get("PODIUM_REPLAY")?.trim() ?? "";
  if (recorded !== "") return await replayShown(recorded, setup);
  const entered = names instanceof ConstrainedCandidates ? names.list.names : namesOf(names);
  const request = await requestOf(entered, { warmup: 1, ...options }, surroundings.shipped);
  const { by, scope, delta, epsilon, budget = DEFAULT_TERMS.budget, gate = null } = options;
  return await raceShown(request, (named) => ({
    ...DEFAULT_TERMS,
    ...(by === undefined ? {} : { by }),
    ...(scope === undefined ? {} : { scope }),
    ...(delta === undefined ? {} : { delta }),
    ...(epsilon === undefined ? {} : { epsilon }),
    budget: surroundings.short ? Math.min(budget, SHORT.budget) : budget,
    excluded: excludedFromRace(names, named, gate),
    quality_run: gate?.document.quality_run ?? null,
  }), setup);
}

/**
 * Says how much a quantisation, a KV-cache type or another setting changes a model: both candidates read a text, and
 * their predictions are compared token by token, over the whole vocabulary; with a job, their answers are too.
 *
 * @param first the candidate that sets the standard, as in `"smollm2-135m"` or `"model-Q8_0.gguf"`
 * @param second another variant, file or setting of the same model, as in `"smollm2-135m:kv=q4_0"`
 * @throws {UserError} as `bench`, for models of different vocabularies, and for a text that is too short
 *
 * @example
 * ```ts ignore
 * const result = await fidelity("smollm2-135m", "smollm2-135m:kv=q4_0", { text: "letters.txt" });
 * console.log(result.table());
 * ```
 */
export async function fidelity(
  first: string,
  second: string,
  options: FidelityOptions = {},
): Promise<Fidelity> {
  const setup = await surroundings.setUp(options.reports);
  const { text = join(home, "prompts", "fidelity.txt"), block, tokens, epsilon } = options;
  const isFile = /\.(txt|md)$/i.test(text);
  const given = options.job === undefined ? null : await jobOf({ job: options.job }, surroundings.shipped);
  return await fidelityShown({
    names: [first, second],
    file: isFile ? basename(text) : "the given text",
    read: {
      text: isFile ? await readTextFile(text, "the text") : text,
      blockTokens: surroundings.short ? SHORT.textBlock : block ?? FIDELITY_DEFAULTS.blockTokens,
      mostTokens: surroundings.short ? SHORT.textTokens : tokens ?? FIDELITY_DEFAULTS.mostTokens,
    },
    job: given === null ? null : {
      set: given.set,
      epsilon: epsilon ?? FIDELITY_DEFAULTS.epsilon,
      maxTokens: surroundings.short ? SHORT.maxTokens : FIDELITY_DEFAULTS.maxTokens,
    },
  }, setup);
}

/**
 * Decides which model to use on this machine, from scored answers and, where there was one, a race.
 *
 * @throws {UserError} when the runs come from different machines or asked under different conditions
 *
 * @example
 * ```ts ignore
 * const decision = await decide({ quality: answers, race: result, constraints: { minPassRate: 0.5 } });
 * console.log(decision.verdict, decision.choice);
 * ```
 */
export async function decide({ quality, race, constraints }: DecideOptions): Promise<DecisionView> {
  const models = await surroundings.registry();
  const document = await decideOn({
    race: race?.recorded ?? null,
    answers: quality.folder,
    prompts: quality.job.set,
    answersOf: adapterAnswers(models, { denoPath: Deno.execPath(), env: Deno.env }),
  }, {
    constraints: { ...NO_CONSTRAINTS, ...constraints },
    registry: models,
    random: seededRandom("decision"),
  });
  return new DecisionView(document, (race ?? quality).folder);
}

/**
 * The models of the registry, and which of them fit this machine now. Nothing is downloaded.
 *
 * @param path another registry file; default: the one that the environment variable PODIUM_REGISTRY names, else
 * `models.json` of the working directory, else Podium's own
 * @throws {UserError} when the registry can't be read
 *
 * @example
 * ```ts
 * const catalogue = await models();
 * if (!catalogue.models.some(({ model }) => model.alias.startsWith("smollm2"))) throw new Error("it is missing");
 * ```
 */
export async function models(path?: string): Promise<Catalogue> {
  return new Catalogue(await surroundings.registry(path), await describeMachine());
}

/**
 * Predicts which models fit this machine, or an imagined one, how long a context may be, and how fast they are; says
 * which to take. Nothing is downloaded but the headers of Hugging Face repositories that are named.
 *
 * @param names candidates as in `bench`, or `hf:OWNER/REPO`; null: every model of the registry
 * @param options.probe measure the models that are here first: true for 20 seconds, or a number of seconds
 * @throws {UserError} for a name that is unknown, and where a named repository can't be reached
 *
 * @example
 * ```ts ignore
 * const small = await fit(null, { ramGb: 4 });
 * console.log(small.recommended, String(small));
 * ```
 */
export async function fit(
  names: string | readonly string[] | null = null,
  options: ModelFitOptions = {},
): Promise<ModelFits> {
  const setup = await surroundings.setUp();
  const { probe = false, ...question } = options;
  if (probe !== false) {
    await probeShown(surroundings.short ? 5 : probe === true ? 20 : probe, setup);
  }
  const wanted = typeof names === "string" ? [names] : names;
  return new ModelFits(await fitReport({ reports: setup.out, ...question, names: wanted }, setup.resources));
}

/**
 * Finds candidates without measuring, downloading or loading anything.
 *
 * @param options.threads engine threads: the first candidate enters once per number, the others with the first
 * number; models of a service stay as they are
 * @param options.most the most models to take where none is named
 * @throws {UserError} as `bench`
 *
 * @example
 * ```ts ignore
 * const found = await candidates(null, { threads: [1, 2] });
 * console.log(found.ids);
 * ```
 */
export async function candidates(
  names: Names = null,
  options: { readonly threads?: readonly number[]; readonly most?: number } = {},
): Promise<CandidateList> {
  const setup = await surroundings.setUp();
  const { fetch, env, signal, registry } = setup.resources;
  const services = await findServices({ fetch, env, signal, run: runProgram });
  const { most, threads = [] } = options;
  let chosen = await chooseNames(namesOf(names), most, setup.resources);
  if (threads.length > 0) {
    chosen = await chooseNames(withThreads(chosen, threads), undefined, setup.resources);
  }
  return new CandidateList(chosen.names, chosen.named, services, registry);
}

/**
 * Reads a job: cases, and the checks that score an answer to each.
 *
 * @param name one that Podium ships (`"default"`, `"meeting_notes"`, `"four_kinds"` …), or the path of a file of cases:
 *   a prompt set or job (.json, .yaml), a table (.csv, .tsv, .jsonl) or a folder of text files; or an object in the shape
 *   of a job file
 * @param options which cases to take (`first`, `draw`, `shortest`), and the `template` for the rows of a table
 * @throws {UserError} when there is no such job, or the file is damaged: what, where, and what is accepted
 *
 * @example
 * ```ts
 * const notes = await job("meeting_notes", { first: 3 });
 * if (notes.cases.length !== 3) throw new Error("three cases were wanted");
 * ```
 */
export async function job(name: string | object, options: JobOptions = {}): Promise<Job> {
  return await loadJob(name, options, surroundings.shipped);
}

/**
 * Loads one model and keeps it loaded, for `ask` and for any OpenAI client at its `baseUrl`. Close it at the end.
 *
 * @param name the model; default: the first one that is found
 * @throws {UserError} as `bench`, and when the model can't be loaded
 *
 * @example
 * ```ts ignore
 * await using model = await serve("smollm2-135m");
 * console.log(String(await model.ask("Why is the sky blue?")));
 * ```
 */
export async function serve(name?: string): Promise<ServedModel> {
  const { resources } = await surroundings.setUp();
  const model = await openModel({ names: name === undefined ? null : [name], most: 1 }, resources);
  const { endpoint } = model.open;
  if (endpoint === undefined) throw new RangeError(`${model.info.id} has no endpoint`);
  return new ServedModel({
    ...model,
    endpoint,
    signal: () => surroundings.stopSignal(),
    random: Math.random,
  });
}

/**
 * Shows results or paragraphs now, one after the other; a cell's last line shows itself without it.
 *
 * ```ts
 * await show("**Ready.**");
 * ```
 */
export async function show(...views: readonly (View | string)[]): Promise<void> {
  for (const view of views) {
    await surroundings.screen.show(typeof view === "string" ? new TextView(view) : view);
  }
}

/** `Deno.jupyter`, or undefined outside the kernel, where naming it throws. */
function kernel(): typeof Deno.jupyter | undefined {
  try {
    return Deno.jupyter;
  } catch {
    return undefined;
  }
}
