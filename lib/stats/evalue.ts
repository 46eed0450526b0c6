/**
 * Evidence that may be looked at after every block: the e-value of the race, and its chance of a false
 * winner.
 *
 * An e-value is the money that a gambler holds who started with 1 and bets against the null hypothesis at
 * its own odds. Were the null true, the gambler would ever reach x with probability at most 1/x, however
 * long one watches (Ville 1939). So one may stop as soon as it is large enough, and need not plan a number.
 */
import { gammaln } from "simple-statistics";
import { logBeta } from "./special.ts";

/**
 * Natural logarithm of the e-value against "of two candidates the first wins an untied block at most every
 * second time", after `wins` of `blocks` untied ones: the likelihood of p, averaged uniformly over
 * p in (1/2, 1), over that of p = 1/2 (a mixture in the manner of Robbins 1970), in closed form
 *
 *     e = 2^(n+1) · B(s+1, n−s+1) · P(Bin(n+1, 1/2) ≤ s)      with n blocks and s wins
 *
 * It is a test supermartingale as long as, given the past, a win has at most probability 1/2.
 *
 * @throws {RangeError} When the counts are not whole numbers with 0 <= wins <= blocks.
 *
 * ```ts
 * console.assert(Math.abs(Math.exp(logEValue(3, 4)) - 1.3) < 1e-12);
 * ```
 */
export function logEValue(wins: number, blocks: number): number {
  if (!Number.isInteger(wins) || !Number.isInteger(blocks) || wins < 0 || wins > blocks) {
    throw new RangeError(
      `Cannot give the evidence of ${wins} wins in ${blocks} blocks: give whole numbers, 0 <= wins <= blocks`,
    );
  }
  return (blocks + 1) * Math.LN2 + logBeta(wins + 1, blocks - wins + 1) + logCoinTail(wins, blocks + 1);
}

/**
 * Chance that a race between two identical candidates has announced a winner by the given number of untied
 * blocks, when a candidate goes at an e-value of `threshold`: exact, by dynamic programming over all paths.
 *
 * ```ts
 * console.assert(Math.abs(nullWinnerRate(40, 30) - 0.018915) < 1e-6);
 * ```
 */
export function nullWinnerRate(threshold: number, blocks: number): number {
  // paths[s]: probability of s wins so far with neither candidate gone.
  let paths = [1];
  let announced = 0;
  for (let n = 1; n <= blocks; n++) {
    const next = Array.from({ length: n + 1 }, (_, s) => ((paths[s - 1] ?? 0) + (paths[s] ?? 0)) / 2);
    for (let s = n; s > n / 2 && logEValue(s, n) >= Math.log(threshold); s--) {
      announced += (next[s] ?? 0) + (next[n - s] ?? 0);
      next[s] = 0;
      next[n - s] = 0;
    }
    paths = next;
  }
  return announced;
}

/** ln P(X <= k) for X the heads in n tosses of a fair coin, k < n; exact also where the probability underflows. */
function logCoinTail(k: number, n: number): number {
  // By symmetry the larger half is 1 - P(X <= n - k - 1), and the sum below need only handle the smaller.
  if (2 * k + 1 > n) return Math.log1p(-Math.exp(logCoinTail(n - k - 1, n)));
  let term = 1;
  let sum = 1;
  for (let i = k; i > 0 && term > sum * 1e-17; i--) {
    term *= i / (n - i + 1);
    sum += term;
  }
  return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * Math.LN2 + Math.log(sum);
}
