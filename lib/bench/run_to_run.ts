/**
 * The spread between repeated runs of the same thing: a run is a start of the engine, a state of
 * the caches and an hour of the machine, and none of them shows within it. A gate that ignores
 * this takes it for a change.
 */
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { meanOf, squaredDeviations } from "../stats/mean.ts";
import {
  type ComparableRun,
  type ComparedMetric,
  comparedMetrics,
  conditionDifferences,
} from "./compare_runs.ts";
import { metricValues } from "./compare.ts";
import { replaceFile } from "./folder.ts";
import { byMetric } from "./metrics.ts";

const spread = z.object({
  /** Standard deviation of the logarithm of a run's level. */
  sd: z.number().nonnegative(),
  /** Degrees of freedom: runs − 1. */
  df: z.number().int().positive(),
  /** Cases that every run answered: a run's level is their mean. */
  cases: z.number().int().positive(),
});
/** How far the level of one metric of one candidate moves from run to run. */
export type RunSpread = z.infer<typeof spread>;

const runToRun = z.object({
  schema_version: z.literal(1),
  /** The run that was repeated. */
  run_id: z.string(),
  /** The repeats behind the figures. */
  repeats: z.array(z.string()),
  candidates: z.array(z.object({
    candidate: z.string(),
    ...byMetric(comparedMetrics, () => spread.nullable()),
  })),
});
/** What `selfcheck --aa` found out about a run, and what a gate reads. */
export type RunToRun = z.infer<typeof runToRun>;

/** The file in the folder of the run that was repeated. */
export const RUN_TO_RUN_FILE = "run_to_run.json";

/**
 * The spread of a run's repeats: per candidate and metric, the standard deviation of the runs' mean
 * logarithms over the cases that all of them answered. The noise of the requests within a run is part of it,
 * so that a gate that adds its own interval is rather too careful than too bold.
 *
 * @param run the run that was repeated
 * @param repeats at least two; those on a busy machine are left out
 * @throws {UserError} where fewer than two are left, or a repeat was measured under
 * other conditions than the run
 *
 * @example
 * ```ts ignore
 * const { candidates } = runToRunOf(run, repeats);
 * console.log(candidates[0]?.latency_s?.sd); // 0.03: two runs differ by about 4 %
 * ```
 */
export function runToRunOf(run: ComparableRun, repeats: readonly ComparableRun[]): RunToRun {
  for (const repeat of repeats) {
    const other = conditionDifferences(run, repeat).filter((one) => one.blocking).map((one) => one.what);
    if (other.length === 0) continue;
    throw new UserError(
      `${repeat.name} and ${run.name} differ in ${
        other.join(", ")
      }: repeat a run on the machine and with the ` +
        `settings that it was measured with, or remove the folder of that repeat`,
    );
  }
  const quiet = repeats.filter(({ busy }) => busy === null);
  if (quiet.length < 2) {
    const busy = repeats.findLast((one) => one.busy !== null);
    throw new UserError(
      `the spread between runs takes two repeats on a quiet machine, and ${quiet.length} of ${repeats.length} ` +
        `${quiet.length === 1 ? "was" : "were"} quiet${
          busy === undefined ? "" : ` (${busy.name}: ${busy.busy})`
        }; repeat the run once more, which adds to them`,
      1,
    );
  }
  return {
    schema_version: 1,
    run_id: run.info.run_id,
    repeats: quiet.map(({ info }) => info.run_id),
    candidates: run.candidates.map(({ info }) => ({
      candidate: info.id,
      ...byMetric(comparedMetrics, (metric) => spreadBetweenRuns(quiet, info.id, metric)),
    })),
  };
}

/** Null where some run measured nothing, or no case is common to all. */
function spreadBetweenRuns(
  runs: readonly ComparableRun[],
  id: string,
  metric: ComparedMetric,
): RunSpread | null {
  const byCase = runs.map(({ candidates }) => {
    const values = candidates.find(({ info }) => info.id === id)?.values ?? [];
    const groups = Map.groupBy(metricValues(values, metric, null), ({ prompt }) => prompt);
    return new Map(
      [...groups].map(([prompt, same]) => [prompt, meanOf(same.map(({ value }) => Math.log(value)))]),
    );
  });
  const common = [...byCase[0]?.keys() ?? []].filter((prompt) => byCase.every((run) => run.has(prompt)));
  if (common.length === 0) return null;
  const levels = byCase.map((run) => meanOf(common.map((prompt) => run.get(prompt) ?? NaN)));
  const df = levels.length - 1;
  return { sd: Math.sqrt(squaredDeviations(levels) / df), df, cases: common.length };
}

/**
 * Writes what was found into the folder of the run that was repeated, and returns the file's path.
 *
 * @example
 * ```ts ignore
 * await writeRunToRun("reports/2026-11-20T10-00-00-ab12", runToRunOf(run, repeats));
 * ```
 */
export async function writeRunToRun(folder: string, found: RunToRun): Promise<string> {
  const path = join(folder, RUN_TO_RUN_FILE);
  await replaceFile(path, `${JSON.stringify(found, null, 2)}\n`);
  return path;
}

/**
 * What `selfcheck --aa` wrote into a run's folder; null where it never ran.
 *
 * @throws {UserError} for a file that is damaged
 * @example
 * ```ts ignore
 * const repeats = await readRunToRun("reports/2026-11-20T10-00-00-ab12");
 * ```
 */
export async function readRunToRun(folder: string): Promise<RunToRun | null> {
  const path = join(folder, RUN_TO_RUN_FILE);
  try {
    return runToRun.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    throw new UserError(
      `${path} can't be read: it is damaged; remove it, or make it again with deno task selfcheck --aa`,
      2,
      { cause: error },
    );
  }
}
