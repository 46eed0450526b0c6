/** Comparisons: two candidates inside one run (paired), and one candidate in two runs. */
import { errorFunction } from "simple-statistics";
import { meanOf, squaredDeviations, sumOf, varianceOfMean } from "./mean.ts";
import { type Interval, quantileSorted, sorted } from "./quantile.ts";
import type { Random } from "./random.ts";
import { studentTCdf, studentTQuantile } from "./t.ts";

/** What two candidates took for the same block, one case sent to both. Positive values of one metric. */
export interface Pair {
  readonly prompt: string;
  readonly a: number;
  readonly b: number;
  /** Under load, the stretch that the block belongs to. */
  readonly stretch?: number;
}

/** One value of one run, positive. */
export interface PromptValue {
  readonly prompt: string;
  readonly value: number;
}

/** How many times larger a is than b, in the geometric mean over cases. */
export interface RatioEstimate {
  /** a / b; null when nothing is common to both. */
  readonly ratio: number | null;
  /** 95 %; null where the sample is too small or shows no spread. */
  readonly ci95: Interval | null;
  /** Pairs (within a run), or values of a and b together (two runs), that entered. */
  readonly n: number;
  readonly prompts: number;
  /**
   * What was taken as independent, and so what the interval speaks about: `case` generalises to
   * cases like these; `repeat` (only one case was there) speaks about that case alone; `stretch`
   * about this load on these cases.
   */
  readonly unit: "case" | "repeat" | "stretch";
}

/** A comparison inside one run. */
export interface PairedComparison extends RatioEstimate {
  /** Two-sided p-value of the t test that the ratio is 1; null where there is no interval. */
  readonly p: number | null;
  /** Independent units: cases, repeats or stretches. */
  readonly units: number;
  /** Pairs in which one value is more than twice the other. */
  readonly farApart: number;
  /**
   * Standard deviations of the logarithm of the ratio: between cases, and between repeats of a case; null
   * where they can't be estimated. They say what more cases, and what more rounds, would bring.
   */
  readonly spread: { readonly between: number | null; readonly within: number | null };
}

/**
 * Compares two candidates over the blocks that both answered: the mean log ratio, cases as the independent
 * unit (repeats of a case are averaged first), with a Student t interval over cases. Under load, where blocks
 * overlap, the unit is the stretch.
 *
 * @throws {RangeError} When a value is not positive and finite, or a pair under load has no stretch.
 *
 * ```ts
 * const { ratio, ci95 } = comparePaired([
 *   { prompt: "p1", a: 2.0, b: 1.0 },
 *   { prompt: "p2", a: 2.2, b: 1.0 },
 *   { prompt: "p3", a: 1.8, b: 1.0 },
 * ]);
 * console.assert(ratio !== null && ratio > 1.9 && ratio < 2.1 && ci95 !== null);
 * ```
 */
export function comparePaired(pairs: readonly Pair[], by: "case" | "stretch" = "case"): PairedComparison {
  const logs = pairs.map((pair) => ({ ...pair, log: logOf(pair.a) - logOf(pair.b) }));
  const groupedBy = (key: (pair: Pair) => string | number) =>
    [...Map.groupBy(logs, key).values()].map((same) => same.map(({ log }) => log));
  const cases = groupedBy(({ prompt }) => prompt);
  const groups = by === "case" ? cases : groupedBy(stretchOf);
  const unit = by === "stretch" ? by : cases.length === 1 ? "repeat" : "case";
  const differences = unit === "repeat" ? groups.flat() : groups.map(meanOf);
  const test = tTest(differences);
  return {
    ratio: differences.length === 0 ? null : Math.exp(meanOf(differences)),
    ci95: exponentiate(test?.ci95 ?? null),
    n: pairs.length,
    prompts: cases.length,
    unit,
    p: test?.p ?? null,
    units: differences.length,
    farApart: logs.filter(({ log }) => Math.abs(log) > Math.LN2).length,
    spread: spreadOf(cases),
  };
}

function stretchOf({ prompt, stretch }: Pair): number {
  if (stretch === undefined) throw new RangeError(`Cannot group a pair of ${prompt}: it has no stretch`);
  return stretch;
}

/** Components of the variance of log ratios: between cases and within them (one-way analysis of variance). */
function spreadOf(groups: readonly (readonly number[])[]): PairedComparison["spread"] {
  const repeated = groups.filter((group) => group.length > 1);
  const freedom = sumOf(repeated.map((group) => group.length - 1));
  const within = freedom === 0 ? null : sumOf(repeated.map(squaredDeviations)) / freedom;
  const between = groups.length < 2 ? null : squaredDeviations(groups.map(meanOf)) / (groups.length - 1);
  const repeats = groups.length === 0 ? 1 : groups.length / sumOf(groups.map((one) => 1 / one.length));
  return {
    between: between === null ? null : Math.sqrt(Math.max(0, between - (within ?? 0) / repeats)),
    within: within === null ? null : Math.sqrt(within),
  };
}

/**
 * Compares two runs of one candidate over the prompts that both hold: mean log ratio of the prompts'
 * geometric means, with a bootstrap interval that resamples prompts, each with all its repeats; with one
 * prompt, its repeats in each run. The percentile interval is widened for few units after Hesterberg (2015,
 * "expanded percentile"), since plain percentiles cover too little there; below five units it is null:
 * resamples of so few cannot reach beyond them (measured coverage 52 % with two prompts, 73 % with three).
 *
 * Two runs share no clock: the interval knows the spread between prompts, not what the machine did
 * differently on another day.
 *
 * @param options.random Source of the resampling, e.g. `seededRandom(1)`.
 * @param options.resamples Default 4,000.
 * @returns with the standard error of the logarithm of the ratio, where there is an interval:
 * for a test at another error
 * @throws {RangeError} When a value is not positive and finite.
 *
 * ```ts
 * const before = ["p1", "p2", "p3"].map((prompt, i) => ({ prompt, value: 1 + i / 10 }));
 * const after = before.map(({ prompt, value }, i) => ({ prompt, value: value * (2 + i / 50) }));
 * const { ratio } = compareRuns(after, before, { random: () => 0.3 });
 * console.assert(ratio !== null && Math.abs(ratio - 2.02) < 0.01);
 * ```
 */
export function compareRuns(
  a: readonly PromptValue[],
  b: readonly PromptValue[],
  options: { readonly random: Random; readonly resamples?: number },
): RatioEstimate & { readonly error: number | null } {
  const inB = logsByPrompt(b);
  const common = [...logsByPrompt(a)].flatMap(([prompt, left]) => {
    const right = inB.get(prompt);
    return right === undefined ? [] : [{ left, right }];
  });
  const differences = common.map(({ left, right }) => meanOf(left) - meanOf(right));
  const [only] = common;
  const one = common.length === 1 && only !== undefined;
  const resample = one
    ? () => meanOf(redraw(only.left, options.random)) - meanOf(redraw(only.right, options.random))
    : () => meanOf(redraw(differences, options.random));
  const units = one ? Math.min(only.left.length, only.right.length) : common.length;
  const means = Array.from({ length: units < RESAMPLE_FROM ? 0 : options.resamples ?? 4000 }, resample);
  const ci95 = exponentiate(expandedPercentiles(means, units));
  const error = one ? Math.hypot(errorOf(only.left), errorOf(only.right)) : errorOf(differences);
  return {
    ratio: common.length === 0 ? null : Math.exp(meanOf(differences)),
    ci95,
    error: ci95 === null ? null : error,
    n: sumOf(common.map(({ left, right }) => left.length + right.length)),
    prompts: common.length,
    unit: one ? "repeat" : "case",
  };
}

/** Student's t: the interval of the mean, and the p-value of a mean of 0; null below two values or without spread. */
function tTest(values: readonly number[]): { readonly ci95: Interval; readonly p: number } | null {
  const n = values.length;
  if (n < 2) return null;
  const centre = meanOf(values);
  const error = errorOf(values);
  if (error <= NO_SPREAD) return null;
  const half = studentTQuantile(0.975, n - 1) * error;
  return { ci95: [centre - half, centre + half], p: 2 * studentTCdf(-Math.abs(centre) / error, n - 1) };
}

/** Standard error of the mean. */
const errorOf = (values: readonly number[]) => Math.sqrt(varianceOfMean(values));

/** The 2.5th and 97.5th percentiles of resampled figures, moved outwards as a t interval over `units` would be. */
export function expandedPercentiles(means: readonly number[], units: number): Interval | null {
  const ascending = sorted(means);
  const low = ascending[0];
  const high = ascending[ascending.length - 1];
  if (low === undefined || high === undefined || high - low <= NO_SPREAD) return null;
  const reach = Math.sqrt(units / (units - 1)) * studentTQuantile(0.975, units - 1);
  const tail = Math.max(0, 0.5 - 0.5 * errorFunction(reach / Math.SQRT2));
  return [quantileSorted(ascending, tail), quantileSorted(ascending, 1 - tail)];
}

/** The fewest prompts (or repeats of one prompt) that are resampled. */
export const RESAMPLE_FROM = 5;

/** On a logarithmic scale: below this, a spread is rounding error, and an interval would feign certainty. */
const NO_SPREAD = 1e-12;

function logOf(value: number): number {
  if (!(value > 0 && value < Infinity)) {
    throw new RangeError(`Cannot form a ratio with ${value}: values must be positive and finite`);
  }
  return Math.log(value);
}

function logsByPrompt(values: readonly PromptValue[]): Map<string, number[]> {
  const byPrompt = Map.groupBy(values, ({ prompt }) => prompt);
  return new Map([...byPrompt].map(([prompt, same]) => [prompt, same.map(({ value }) => logOf(value))]));
}

function redraw(values: readonly number[], random: Random): number[] {
  return values.map((value) => values[Math.floor(random() * values.length)] ?? value);
}

function exponentiate(limits: Interval | null): Interval | null {
  return limits === null ? null : [Math.exp(limits[0]), Math.exp(limits[1])];
}
