/** What an experiment of some size can show, before it is run: from the spread that a pilot or an earlier run saw. */
import { studentTQuantile } from "./t.ts";

/** Standard deviations of a difference (of logarithms, for ratios), as `comparePaired` estimates them. */
export interface Spread {
  /** Between cases. */
  readonly between: number;
  /** Between repeats of a case; null where nothing was repeated. */
  readonly within: number | null;
}

/**
 * Half-width of the 95 % interval of a mean difference over a number of cases and repeats: Student's t over
 * the cases' means, whose variance is between² + within² / rounds.
 *
 * @returns infinity below two cases
 *
 * ```ts
 * const spread = { between: 1.26, within: 0.22 };
 * const [two, thousand] = [halfWidth(spread, 10, 2), halfWidth(spread, 10, 1000)];
 * console.assert(two - thousand < 0.02, "rounds do next to nothing where cases differ");
 * ```
 */
export function halfWidth({ between, within }: Spread, cases: number, rounds = 1): number {
  if (cases < 2) return Infinity;
  const variance = between ** 2 + (within ?? 0) ** 2 / rounds;
  return studentTQuantile(0.975, cases - 1) * Math.sqrt(variance / cases);
}

/**
 * The fewest cases, each asked `rounds` times, whose 95 % interval is at most ± `wanted`; null where more
 * than a million would be needed.
 *
 * @param wanted On the scale of the spread: `Math.log(1.1)` for ± 10 % of a ratio.
 * @throws {RangeError} When `wanted` is not positive.
 *
 * ```ts
 * console.assert(casesFor({ between: 0.1, within: null }, Math.log(1.1)) === 7);
 * ```
 */
export function casesFor(spread: Spread, wanted: number, rounds = 1): number | null {
  if (!(wanted > 0)) throw new RangeError(`Cannot plan for a half-width of ${wanted}: give > 0`);
  return leastFrom(2, (cases) => halfWidth(spread, cases, rounds) <= wanted);
}

/** The least whole number from `first` on that is enough, as all larger ones are; null beyond a million. */
function leastFrom(first: number, isEnough: (n: number) => boolean): number | null {
  let [low, high] = [first - 1, first];
  while (!isEnough(high)) {
    if (high > 1e6) return null;
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** What an experiment can show: one row per number of cases. */
export interface PlannedSize {
  readonly cases: number;
  readonly rounds: number;
  /** The smallest ratio that its 95 % interval would tell from 1, e.g. 1.1 for 10 %. */
  readonly smallest_ratio: number;
  readonly requests: number;
  readonly minutes: number;
}

/**
 * What this machine and these cases can show, in how many cases and minutes: for the planned size, and for
 * the cases that differences of 50, 20, 10 and 5 % would take.
 *
 * @param spread of the log ratio of two candidates, from a pilot or an earlier run
 * @param secondsPerRequest mean, of all candidates
 *
 * ```ts
 * const [now] = planSizes({ between: 0.3, within: 0.1 }, { cases: 64, rounds: 1, candidates: 2, secondsPerRequest: 1.5 });
 * console.assert(now !== undefined && now.smallest_ratio < 1.1 && Math.round(10 * now.minutes) === 32);
 * ```
 */
export function planSizes(
  spread: Spread,
  { cases, rounds, candidates, secondsPerRequest }: {
    readonly cases: number;
    readonly rounds: number;
    readonly candidates: number;
    readonly secondsPerRequest: number;
  },
): PlannedSize[] {
  const sizeOf = (cases: number): PlannedSize => {
    const requests = cases * rounds * candidates;
    return {
      cases,
      rounds,
      smallest_ratio: Math.exp(halfWidth(spread, cases, rounds)),
      requests,
      minutes: requests * secondsPerRequest / 60,
    };
  };
  const others = [1.5, 1.2, 1.1, 1.05].map((ratio) => casesFor(spread, Math.log(ratio), rounds));
  return [sizeOf(cases), ...others.flatMap((one) => one === null ? [] : [sizeOf(one)])];
}

/**
 * What would narrow an interval over these cases and rounds to ± `wanted`, in words: more cases, more rounds,
 * or another figure where neither does.
 *
 * ```ts
 * const advice = adviceFor({ between: 1.26, within: 0.22 }, { cases: 10, rounds: 2, wanted: Math.log(1.1) });
 * console.assert(advice.includes("more rounds would not help"), advice);
 * ```
 */
export function adviceFor(
  spread: Spread,
  { cases, rounds, wanted }: { readonly cases: number; readonly rounds: number; readonly wanted: number },
): string {
  const needed = casesFor(spread, wanted, rounds);
  const share = `±${Math.round(100 * (Math.exp(wanted) - 1))} %`;
  const takes = needed === null
    ? `${share} is out of reach with cases`
    : `${share} takes about ${needed} cases`;
  const most = halfWidth({ ...spread, within: 0 }, cases);
  const now = halfWidth(spread, cases, rounds);
  const repeats = spread.within === null
    ? ""
    : most <= wanted
    ? `, or about ${
      leastFrom(1, (rounds) => halfWidth(spread, cases, rounds) <= wanted) ?? 1e6
    } rounds of these ${cases}`
    : now - most < 0.1 * now
    ? "; more rounds would not help, since cases differ more than repeats"
    : `; more rounds of these ${cases} reach ±${Math.round(100 * (Math.exp(most) - 1))} % at best`;
  return takes + repeats;
}
