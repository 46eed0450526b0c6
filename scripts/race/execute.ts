/** Runs a race: live, over records, or simulated. The report of each is made in the same way. */
import { join } from "node:path";
import { requireRun } from "../../lib/bench/find_run.ts";
import { replaceFile } from "../../lib/bench/folder.ts";
import { readRunInfo } from "../../lib/bench/read_run.ts";
import type { RunInfo } from "../../lib/bench/records.ts";
import { loadPromptSet, type PromptSet } from "../../lib/prompts/prompts.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import { writeReports } from "../../lib/report/write.ts";
import { raceFound } from "../../lib/select/decide/race_and_decide.ts";
import { needsScores, rulesOf } from "../../lib/select/race/criterion.ts";
import { type RaceReport, raceReport } from "../../lib/select/race/race_report.ts";
import { DEFAULT_TERMS, replayRecorded, scorer } from "../../lib/select/race/recorded_race.ts";
import { simulatedBlocks, simulatedCandidates } from "../../lib/select/race/simulation.ts";
import { replayRace } from "../../lib/select/race/run_race.ts";
import { MAX_DROP } from "../../lib/select/decide/decision.ts";
import { DEFAULT_WEIGHTS } from "../../lib/select/decide/ranking.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { isFile } from "../../lib/text_file.ts";
import { selectFrom } from "../select/execute.ts";
import { promptsFile } from "../quality/run_folder.ts";
import { shownProgress } from "../progress.ts";
import { sessionResources } from "../session_resources.ts";
import type { RaceSettings } from "./options.ts";
import { prepareRace } from "./prepare.ts";

export interface Raced {
  readonly report: RaceReport;
  /** The folder of its report; null where nothing was written. */
  readonly folder: string | null;
  readonly code: number;
}

/** The verdict is derived from what was recorded, so that a replay gives the same one. */
export async function race(settings: RaceSettings): Promise<Raced> {
  const resources = await sessionResources(settings.bench);
  const { found, entered, terms, plan, text, qualityFolder } = await prepareRace(settings, resources);
  const progress = shownProgress();
  const raced = await raceFound(found, plan, terms, {
    resources,
    entered,
    out: settings.bench.out,
    now: new Date(),
    random: Math.random,
    onFolder: (path) => replaceFile(join(path, promptsFile), text),
    ...(needsScores(terms) ? { score: scorer(plan.prompts.prompts) } : {}),
    onEvent: progress.event,
    onBlock: progress.block,
  }).finally(() => {
    progress.stop();
    found.close();
  });
  const { folder, status } = raced;
  const report = raceReport(raced);
  if (needsScores(terms)) await writeQuality(folder, plan.prompts);
  await writeReports(folder);
  await selectFrom([folder], qualityFolder, {
    ...settings,
    weights: DEFAULT_WEIGHTS,
    maxDrop: MAX_DROP,
    task: "chat",
    watts: undefined,
    price: undefined,
    seed: settings.bench.seed,
    registry: settings.bench.registry,
    out: settings.bench.out,
  }, resources.registry);
  if (status === "interrupted") {
    console.error(`Interrupted; everything up to here is kept: deno task race --replay ${folder}`);
  }
  return { report, folder, code: codeOf(status, report) };
}

/** Whatever the verdict, 0; 1 where candidates raced and not one answered, or not one could be loaded. */
function codeOf(status: RunInfo["status"], { verdict, excluded }: RaceReport): number {
  if (status === "interrupted") return 130;
  const failed = status === "failed" ||
    verdict === "none" && excluded.length > 0 && excluded.every(({ constraint }) => constraint === "failed");
  return failed ? 1 : 0;
}

export async function replay({ bench, given }: RaceSettings, name: string): Promise<Raced> {
  const folder = await requireRun(name, bench.out, "--replay");
  const { plan } = await readRunInfo(folder);
  const scored = needsScores({ ...DEFAULT_TERMS, ...plan.race, ...given });
  const set = scored ? await promptSetFor(folder) ?? await loadPromptSet(bench.prompts) : null;
  const recorded = await replayRecorded(folder, given, set);
  if (recorded.info.plan.order === "by model") {
    console.error(
      "The candidates of this run ran one after the other, not in turns: a verdict may reflect a change of the machine.",
    );
  }
  return { report: raceReport(recorded), folder: null, code: 0 };
}

/** The prompt set in the run's folder; null where there is none. */
async function promptSetFor(folder: string): Promise<PromptSet | null> {
  const path = join(folder, "prompts.json");
  return await isFile(path) ? await loadPromptSet(path) : null;
}

export async function simulate({ gaps, noise, delta, epsilon, budget, bench }: RaceSettings): Promise<Raced> {
  const terms = { ...DEFAULT_TERMS, delta, epsilon, budget };
  const world = { gaps: [0, ...gaps], noise };
  const next = simulatedBlocks(world, seededRandom(`simulate ${bench.seed}`));
  const progress = shownProgress();
  const state = replayRace(simulatedCandidates(world), rulesOf(terms), (state) => {
    if (state.blocks > 0) progress.block(state);
    return next(state);
  });
  progress.block(state);
  progress.stop();
  const info = { run_id: `simulated, seed ${bench.seed}` };
  const report = raceReport({ info, terms, state, perToken: null, busy: null, cases: state.blocks });
  return await Promise.resolve({ report, folder: null, code: 0 });
}
