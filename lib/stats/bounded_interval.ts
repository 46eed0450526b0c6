/** An interval for the mean of bounded values that holds at all sample sizes at once, whatever their distribution. */
import { meanOf } from "./mean.ts";
import type { Interval } from "./quantile.ts";

/** Supposed means that are tried; the interval is wider than exact by one step on each side at most. */
const GRID = 400;

/**
 * Confidence sequence for the mean of values in [0, 1] by betting (Waudby-Smith and Ramdas 2024, "Estimating
 * means of bounded random variables by betting", the hedged capital process with predictable plug-in bets).
 * Against every supposed mean m two gamblers bet, one on more and one on less, each with half a unit:
 *
 *     K⁺ ← K⁺ (1 + min(λ, ½/m) (x − m))        K⁻ ← K⁻ (1 − min(λ, ½/(1−m)) (x − m))
 *     λ = sqrt( 2 ln(2/error) / (σ² t ln(1+t)) )        σ² the variance before x, with one value of ½ and ¼ in advance
 *
 * m is in the interval while neither holds 1/error. Were m the mean, either would ever get there with
 * probability at most error in all (Ville 1939), so that one may look after every value and stop at will.
 *
 * @param error total over all times, e.g. 0.05
 * @throws {RangeError} for a value outside [0, 1], or an error not strictly between 0 and 1
 *
 * ```ts
 * const [low] = anytimeMeanInterval(Array(20).fill(1), 0.05);
 * console.assert(low > 0.6 && anytimeMeanInterval([], 0.05)[0] === 0);
 * ```
 */
export function anytimeMeanInterval(values: readonly number[], error: number): Interval {
  if (!(error > 0 && error < 1)) {
    throw new RangeError(`Cannot bound a mean with error ${error}: 0 < error < 1`);
  }
  const wrong = values.find((value) => !(value >= 0 && value <= 1));
  if (wrong !== undefined) throw new RangeError(`Cannot bet on ${wrong}: it takes values from 0 to 1`);
  const bets = plugInBets(values, error);
  const limit = Math.log(2 / error);
  const survives = (m: number) => {
    let [more, less] = [0, 0];
    for (const [at, x] of values.entries()) {
      const bet = bets[at] ?? 0;
      more += Math.log1p(Math.min(bet, 0.5 / m) * (x - m));
      less += Math.log1p(-Math.min(bet, 0.5 / (1 - m)) * (x - m));
      if (more >= limit || less >= limit) return false;
    }
    return true;
  };
  const kept = Array.from({ length: GRID - 1 }, (_, at) => (at + 1) / GRID).filter(survives);
  const [first, last] = [kept[0], kept.at(-1)];
  if (first === undefined || last === undefined) {
    return meanOf(values) < 0.5 ? [0, 1 / GRID] : [1 - 1 / GRID, 1];
  }
  return [Math.max(0, first - 1 / GRID), Math.min(1, last + 1 / GRID)];
}

function plugInBets(values: readonly number[], error: number): number[] {
  let [sum, squares] = [0.5, 0.25];
  return values.map((x, at) => {
    const t = at + 1;
    // The variance before x times t: the sum of squares.
    const bet = Math.sqrt(2 * Math.log(2 / error) / (squares * Math.log(1 + t)));
    sum += x;
    squares += (x - sum / (t + 1)) ** 2;
    return bet;
  });
}
