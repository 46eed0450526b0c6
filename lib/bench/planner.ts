/** Predicts what a run could show: sizes, differences and minutes, from a pilot or an earlier run. */
import { UserError } from "../errors.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import { meanOf } from "../stats/mean.ts";
import { adviceFor, type PlannedSize, planSizes } from "../stats/planning.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { Comparison, SummaryStatistic } from "./summary_schema.ts";

/** Cases of a pilot. */
const PILOT_CASES = 8;
/** Rounds of a pilot: one round would not separate the spread between cases from that between repeats. */
export const PILOT_ROUNDS = 2;

/** The difference that the advice assumes. */
const WANTED_RATIO = 1.1;

/** The metrics that are planned for. Time per token needs fewer cases where answers differ in length. */
const PLANNED_METRICS = ["latency_s", "tpot_s"] as const;

/** The differences that a run of some size could show in one metric. */
export interface MetricPlan {
  readonly metric: typeof PLANNED_METRICS[number];
  /** The pair of candidates whose ratio varies most: the other pairs need fewer cases. */
  readonly a: string;
  readonly b: string;
  readonly spread: Comparison["spread"];
  /** The planned size first, then the cases that differences of 50, 20, 10 and 5 % take. */
  readonly sizes: readonly PlannedSize[];
  readonly advice: string;
}

/** The part of a summary that a plan is made from. */
export interface PilotSummary {
  readonly run_id: string;
  readonly candidates: readonly { readonly latency_s: Pick<SummaryStatistic, "mean"> }[];
  readonly comparisons: readonly PilotComparison[];
}
type PilotComparison = Pick<Comparison, "a" | "b" | "metric" | "unit" | "spread">;

/** What `bench --plan` says. */
export interface RunPlan {
  /** The pilot or the earlier run that it rests on. */
  readonly run_id: string;
  readonly candidates: number;
  readonly seconds_per_request: number;
  readonly metrics: readonly MetricPlan[];
}

/**
 * The cases of a pilot: a few of a prompt set, chosen by the seed.
 *
 * ```ts
 * import { singlePrompt } from "../prompts/prompts.ts";
 * if (pilotSet(singlePrompt("Hello"), 1).prompts.length !== 1) throw new Error("no more than there are");
 * ```
 */
export function pilotSet(set: PromptSet, seed: number): PromptSet {
  const chosen = shuffle([...set.prompts], seededRandom(`${seed} pilot`)).slice(0, PILOT_CASES);
  return { ...set, name: `${set.name}, ${chosen.length} for a pilot`, prompts: chosen };
}

/**
 * Plans a run of `cases` × `rounds` from what another run of the same candidates saw.
 *
 * @throws {UserError} where that run compares no two candidates, or ran under load
 *
 * ```ts ignore
 * const plan = planRun(await summarizeRun("reports/2026-11-21T04-55-07-ab12"), { cases: 64, rounds: 1 });
 * console.log(plan.metrics[0]?.advice);
 * ```
 */
export function planRun(
  summary: PilotSummary,
  { cases, rounds }: { readonly cases: number; readonly rounds: number },
): RunPlan {
  const measured = summary.candidates.flatMap(({ latency_s }) => latency_s.mean ?? []);
  const seconds = meanOf(measured);
  const metrics = PLANNED_METRICS.flatMap((metric) => {
    const pairs = summary.comparisons.filter((one) =>
      one.metric === metric && one.unit !== "stretch" && one.spread.between !== null
    );
    const [widest] = pairs.toSorted((one, other) => totalVariance(other) - totalVariance(one));
    if (widest === undefined) return [];
    const { a, b, spread } = widest;
    const known = { between: spread.between ?? 0, within: spread.within };
    const candidates = measured.length;
    return [{
      metric,
      a,
      b,
      spread,
      sizes: planSizes(known, { cases, rounds, candidates, secondsPerRequest: seconds }),
      advice: adviceFor(known, { cases, rounds, wanted: Math.log(WANTED_RATIO) }),
    }];
  });
  if (metrics.length === 0) {
    throw new UserError(
      `--plan: ${summary.run_id} compares no two candidates over several cases: give a run of two or more candidates ` +
        "without --concurrency or --rate, or leave the run out for a pilot",
    );
  }
  return { run_id: summary.run_id, candidates: measured.length, seconds_per_request: seconds, metrics };
}

const totalVariance = ({ spread }: PilotComparison) => (spread.between ?? 0) ** 2 + (spread.within ?? 0) ** 2;
