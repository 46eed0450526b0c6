/**
 * The effect of other programs on a run: how much slower disturbed blocks were, and what
 * that means for its figures.
 */
import { meanOf, varianceOfMean } from "../stats/mean.ts";
import { studentTQuantile } from "../stats/t.ts";
import type { Collected, CollectedRun } from "./collect.ts";
import { logTimes } from "./stationarity.ts";
import type { BusyProgram } from "./busiest_program.ts";

/** Disturbed blocks count where they were less than this much slower than quiet ones, measured in the run itself. */
const HARMLESS_SLOWDOWN = 1.05;

/** Blocks of both kinds that it takes to measure that. */
const BLOCKS_TO_MEASURE = 5;

/**
 * Disturbed blocks are left out where at least half of the blocks were quiet. On a machine that was busy most
 * of the time the quiet blocks would be a chance selection.
 */
const QUIET_SHARE = 0.5;

/** The treatment of a run's disturbed blocks. */
export interface NoiseEffect {
  /**
   * `none` were disturbed; `harmless`: they count, since they were not slower; `left out` of the headline;
   * `too many` to be left out: all count, and there is no verdict.
   */
  readonly treatment: "none" | "harmless" | "left out" | "too many";
  /** How many times as long requests took in disturbed blocks, and its 95 % interval; null where it is unknown. */
  readonly slowdown: number | null;
  readonly ci95: readonly [number, number] | null;
  /** The program that was busy most often, with the largest share seen; null where none was named. */
  readonly busiest: BusyProgram | null;
}

/**
 * Judges the disturbed blocks of a run by the time per token (by latency where that is unknown) of the
 * requests in them, against the same candidate's requests in quiet blocks.
 *
 * ```ts ignore
 * const { treatment, slowdown } = noiseEffect(run);
 * ```
 */
export function noiseEffect(run: CollectedRun): NoiseEffect {
  const { disturbed, blocks } = run;
  const busiest = busiestOf(run.busiest);
  if (disturbed.size === 0) return { treatment: "none", slowdown: null, ci95: null, busiest };
  const { slowdown, ci95 } = measuredSlowdown(run);
  const harmless = ci95 !== null && ci95[1] < HARMLESS_SLOWDOWN;
  const quiet = blocks.size - disturbed.size;
  const treatment = harmless ? "harmless" : quiet < QUIET_SHARE * blocks.size ? "too many" : "left out";
  return { treatment, slowdown, ci95, busiest };
}

/**
 * Why a machine that was busy most of the time allows no verdict, for comparisons,
 * races, decisions and reports.
 *
 * @param busiest null where no program was named
 *
 * ```ts
 * const said = machineWasBusy({ program: "firefox", cores: 0.618 });
 * if (said !== "the machine was busy (firefox, 0.62 cores)") throw new Error(said);
 * ```
 */
export function machineWasBusy(busiest: BusyProgram | null): string {
  return `the machine was busy${
    busiest === null ? "" : ` (${busiest.program}, ${busiest.cores.toFixed(2)} cores)`
  }`;
}

/** The program that was named in most blocks. */
function busiestOf(seen: readonly BusyProgram[]): BusyProgram | null {
  const byName = [...Map.groupBy(seen, ({ program }) => program)].toSorted(([, a], [, b]) =>
    b.length - a.length
  );
  const [first] = byName;
  if (first === undefined) return null;
  return { program: first[0], cores: Math.max(...first[1].map(({ cores }) => cores)) };
}

function measuredSlowdown(run: CollectedRun): Pick<NoiseEffect, "slowdown" | "ci95"> {
  const times = [...run.candidates.values()].flatMap((candidate) => residuals(candidate, run.disturbed));
  const levels = [...Map.groupBy(times, ({ block }) => block)].map(([block, same]) => ({
    isBusy: run.disturbed.has(block),
    level: meanOf(same.map(({ residual }) => residual)),
  }));
  const busy = levels.filter(({ isBusy }) => isBusy).map(({ level }) => level);
  const quiet = levels.filter(({ isBusy }) => !isBusy).map(({ level }) => level);
  if (busy.length === 0 || quiet.length === 0) return { slowdown: null, ci95: null };
  const difference = meanOf(busy) - meanOf(quiet);
  const slowdown = Math.exp(difference);
  const fewer = Math.min(busy.length, quiet.length);
  if (fewer < BLOCKS_TO_MEASURE) return { slowdown, ci95: null };
  // Welch's interval, with the smaller sample's degrees of freedom.
  const error = Math.sqrt(varianceOfMean(busy) + varianceOfMean(quiet));
  const half = studentTQuantile(0.975, fewer - 1) * error;
  return { slowdown, ci95: [Math.exp(difference - half), Math.exp(difference + half)] };
}

/** The logarithm of each good request's time, against the mean of the candidate's quiet ones. */
function residuals(
  { good }: Collected,
  disturbed: ReadonlyMap<number, string>,
): { readonly block: number; readonly residual: number }[] {
  const logs = logTimes(good);
  const quiet = logs.filter(({ block }) => !disturbed.has(block));
  if (quiet.length === 0) return [];
  const mean = meanOf(quiet.map(({ log }) => log));
  return logs.map(({ block, log }) => ({ block, residual: log - mean }));
}
