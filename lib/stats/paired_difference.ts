/** Differences of paired scores: right or wrong before and after, or scores from 0 to 1, case by case. */
import { gammaln } from "simple-statistics";
import { meanOf, sumOf, varianceOfMean } from "./mean.ts";
import type { Interval } from "./quantile.ts";
import { studentTCdf, studentTQuantile } from "./t.ts";

/**
 * Score interval for the difference of two paired proportions (Tango 1998): of n cases, `gained` were
 * right only in the first, `lost` only in the second. It keeps its level for few cases, and has a
 * width where nothing changed.
 *
 * @throws {RangeError} When the counts are not whole numbers with gained + lost <= n, or n is 0.
 *
 * ```ts
 * const [low, high] = tangoInterval(0, 0, 50);
 * console.assert(Math.abs(high - 0.0713) < 1e-4 && Math.abs(low + high) < 1e-9, "nothing changed, and still a width");
 * ```
 */
export function tangoInterval(gained: number, lost: number, n: number, confidence = 0.95): Interval {
  checkCounts(gained, lost, n);
  const z = studentTQuantile(0.5 + confidence / 2, 1e9);
  // The statistic falls as the supposed difference grows: bisect for where it is ± z.
  const solve = (wanted: number) => {
    let [low, high] = [-1, 1];
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (tangoStatistic(gained, lost, n, middle) > wanted) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };
  return [solve(z), solve(-z)];
}

/** (b − c − nΔ) over its standard error at the constrained maximum likelihood estimate. */
function tangoStatistic(b: number, c: number, n: number, delta: number): number {
  const B = -b - c + (2 * n - b + c) * delta;
  const C = -c * delta * (1 - delta);
  const q = (Math.sqrt(Math.max(0, B * B - 8 * n * C)) - B) / (4 * n);
  const variance = n * (2 * q + delta * (1 - delta));
  const excess = b - c - n * delta;
  return variance <= 1e-12 ? Math.sign(excess) * Infinity || 0 : excess / Math.sqrt(variance);
}

function checkCounts(gained: number, lost: number, n: number): void {
  const whole = [gained, lost, n].every((value) => Number.isInteger(value) && value >= 0);
  if (!whole || gained + lost > n || n === 0) {
    throw new RangeError(
      `Cannot compare ${gained} gained and ${lost} lost of ${n} cases: give whole numbers, gained + lost <= n`,
    );
  }
}

/** Most cases for which the exact test is computed; beyond, the score statistic is close enough to normal. */
const EXACT_UP_TO = 60;

/**
 * Exact unconditional p-value of a hypothesis on the difference of two paired proportions (Hsueh, Liu and
 * Chen 2001): the largest probability, over all rates of change at its border, of a score statistic as
 * extreme as the one seen. Beyond 60 cases the normal approximation of the statistic.
 *
 * @param margin e.g. 0.1: the border is a loss of a tenth; 0: no difference
 * @param against `loss`: the hypothesis is "at least that much was lost", and a
 * small p shows that it was not;
 *   `no loss`: it is "at most that much was lost", and a small p shows that more was
 *
 * ```ts
 * console.assert(lossP(0, 0, 29, 0.1, "loss") < 0.05 && lossP(0, 0, 28, 0.1, "loss") > 0.05);
 * console.assert(lossP(0, 12, 24, 0.05, "no loss") < 0.001);
 * ```
 */
export function lossP(
  gained: number,
  lost: number,
  n: number,
  margin: number,
  against: "loss" | "no loss",
): number {
  checkCounts(gained, lost, n);
  const sign = against === "loss" ? 1 : -1;
  const seen = sign * tangoStatistic(gained, lost, n, -margin) - 1e-9;
  if (n > EXACT_UP_TO) return studentTCdf(-seen, 1e9);
  const extreme: [number, number][] = [];
  for (let b = 0; b <= n; b++) {
    for (let c = 0; b + c <= n; c++) {
      if (sign * tangoStatistic(b, c, n, -margin) >= seen) extreme.push([b, c]);
    }
  }
  const choose = extreme.map(([b, c]) =>
    gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(n - b - c + 1)
  );
  const power = (p: number, k: number) => k === 0 ? 0 : k * Math.log(p);
  let worst = 0;
  // At the border the share that loses runs from the margin to where everything changes.
  for (let step = 0; step <= 100; step++) {
    const pLost = margin + (1 - margin) / 2 * step / 100;
    const pGained = Math.max(0, pLost - margin);
    const rest = Math.max(0, 1 - pLost - pGained);
    const chances = extreme.map(([b, c], at) =>
      Math.exp((choose[at] ?? 0) + power(pGained, b) + power(pLost, c) + power(rest, n - b - c))
    );
    worst = Math.max(worst, sumOf(chances));
  }
  return Math.min(1, worst);
}

/** A mean difference over cases, with its interval. */
export interface Difference {
  readonly mean: number;
  readonly interval: Interval;
  /**
   * The same for claims that a difference is small: never narrower than if all cases had differed by
   * the mean. A few cases in which everything changes may not have been among those seen, and
   * Student's t knows nothing of them.
   */
  readonly cautious: Interval;
  readonly n: number;
}

/**
 * Mean difference of paired scores from 0 to 1, a − b over cases: Tango's interval where all scores are 0 or
 * 1, Student's t otherwise. Where all differences are equal the interval is distribution-free: with
 * probability 1 − α/2 at least (α/2)^(1/n) of all cases lie on that side.
 *
 * @returns Null below two cases.
 *
 * ```ts
 * const same = scoreDifference(Array(12).fill([1, 1]));
 * console.assert(same !== null && same.mean === 0 && same.interval[0] < -0.2, "12 cases show little");
 * ```
 */
export function scoreDifference(
  pairs: readonly (readonly [a: number, b: number])[],
  confidence = 0.95,
): Difference | null {
  const n = pairs.length;
  if (n < 2) return null;
  const differences = pairs.map(([a, b]) => a - b);
  const mean = meanOf(differences);
  if (pairs.every(([a, b]) => (a === 0 || a === 1) && (b === 0 || b === 1))) {
    const gained = pairs.filter(([a, b]) => a > b).length;
    const lost = pairs.filter(([a, b]) => a < b).length;
    const interval = tangoInterval(gained, lost, n, confidence);
    return { mean, interval, cautious: interval, n };
  }
  const error = Math.sqrt(varianceOfMean(differences));
  const share = ((1 - confidence) / 2) ** (1 / n);
  const [low, high] = [mean * share - (1 - share), mean * share + (1 - share)];
  if (error < 1e-12) return { mean, interval: [low, high], cautious: [low, high], n };
  const half = studentTQuantile(0.5 + confidence / 2, n - 1) * error;
  const interval: Interval = [Math.max(-1, mean - half), Math.min(1, mean + half)];
  return { mean, interval, cautious: [Math.min(low, interval[0]), Math.max(high, interval[1])], n };
}
