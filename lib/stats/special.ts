/** The few special functions that the intervals need and that simple-statistics lacks. */
import { gammaln } from "simple-statistics";

/**
 * Natural logarithm of the beta function B(a, b), for positive a and b.
 *
 * ```ts
 * console.assert(Math.abs(logBeta(2, 3) - Math.log(1 / 12)) < 1e-12);
 * ```
 */
export function logBeta(a: number, b: number): number {
  return gammaln(a) + gammaln(b) - gammaln(a + b);
}

/**
 * Regularised incomplete beta function I_x(a, b): the probability that a Beta(a, b) variable is at most x.
 * Continued fraction, evaluated by the modified Lentz method (NIST Digital Library of Mathematical
 * Functions, 8.17.22; Thompson and Barnett 1986).
 *
 * @throws {RangeError} When a or b is not positive, or x lies outside [0, 1].
 *
 * ```ts
 * console.assert(Math.abs(regularizedBeta(0.5, 2, 2) - 0.5) < 1e-14);
 * ```
 */
export function regularizedBeta(x: number, a: number, b: number): number {
  if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) {
    throw new RangeError(
      `Cannot evaluate I_x(a, b) at x = ${x}, a = ${a}, b = ${b}: a, b > 0 and 0 <= x <= 1`,
    );
  }
  if (x === 0 || x === 1) return x;
  // The fraction converges quickly on the near side of the mean only; the other side is its mirror image.
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b)) / a;
  return front * betaFraction(x, a, b);
}

/** P(X <= k) for X binomial with n trials of probability p. `k` below 0 gives 0, `k` of n or more gives 1. */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  const whole = Math.floor(k);
  return regularizedBeta(1 - p, n - whole, whole + 1);
}

/**
 * Two-sided p-value of the exact sign test: `a` of a + b differences go one way, `b` the other, and under the
 * null hypothesis each way is equally likely. 1 where there is no difference.
 *
 * ```ts
 * console.assert(Math.abs(signTestP(6, 0) - 0.03125) < 1e-14 && signTestP(0, 0) === 1);
 * ```
 */
export function signTestP(a: number, b: number): number {
  return Math.min(1, 2 * binomialCdf(Math.min(a, b), a + b, 0.5));
}

function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const away = (v: number) => Math.abs(v) < tiny ? tiny : v;
  let c = 1;
  let d = 1 / away(1 - (a + b) * x / (a + 1));
  let value = d;
  // About sqrt(max(a, b)) terms are needed, so this bound holds far beyond ten million values.
  for (let m = 1; m <= 100_000; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    value *= d * c;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    const step = d * c;
    value *= step;
    if (Math.abs(step - 1) < 1e-15) return value;
  }
  throw new RangeError(`The continued fraction of I_x(a, b) did not settle at x = ${x}, a = ${a}, b = ${b}`);
}
