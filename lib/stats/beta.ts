/** The Beta distribution: what is known of a rate after some successes and failures. */
import { type Random, standardNormal } from "./random.ts";
import { logBeta, regularizedBeta } from "./special.ts";

/**
 * Quantile of Beta(a, b): the x with P(X <= x) = p. Newton's method on the incomplete beta function, inside a
 * bracket that is halved wherever a step would leave it.
 *
 * @throws {RangeError} When a or b is not positive, or p lies outside [0, 1].
 *
 * ```ts
 * console.assert(Math.abs(betaQuantile(0.5, 2, 2) - 0.5) < 1e-12);
 * console.assert(Math.abs(betaQuantile(0.3, 1, 1) - 0.3) < 1e-12);
 * ```
 */
export function betaQuantile(p: number, a: number, b: number): number {
  if (!(p >= 0 && p <= 1 && a > 0 && b > 0)) {
    throw new RangeError(`Cannot give the ${p} quantile of Beta(${a}, ${b}): a, b > 0 and 0 <= p <= 1`);
  }
  if (p === 0 || p === 1) return p;
  let [low, high] = [0, 1];
  let x = a / (a + b);
  for (let step = 0; step < 200; step++) {
    const miss = regularizedBeta(x, a, b) - p;
    if (miss < 0) low = x;
    else high = x;
    const density = Math.exp((a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x) - logBeta(a, b));
    const guess = x - miss / density;
    const next = guess > low && guess < high ? guess : (low + high) / 2;
    if (Math.abs(next - x) <= 1e-15 * x || next === low || next === high) return next;
    x = next;
  }
  return x;
}

/**
 * Exact bounds of a rate (Clopper and Pearson 1934), each of which misses with probability `error`.
 *
 * ```ts
 * const [low, high] = rateInterval(0, 10);
 * console.assert(low === 0 && Math.abs(high - 0.3085) < 1e-4);
 * ```
 */
export function rateInterval(count: number, n: number, error = 0.025): [low: number, high: number] {
  return [
    count === 0 ? 0 : betaQuantile(error, count, n - count + 1),
    count >= n ? 1 : betaQuantile(1 - error, count + 1, n - count),
  ];
}

/**
 * Draws from Beta(a, b), as X / (X + Y) of two Gamma variables.
 *
 * @throws {RangeError} When a or b is below 1: a posterior that starts from the uniform prior never is.
 *
 * ```ts
 * import { seededRandom } from "./random.ts";
 * const x = drawBeta(8, 4, seededRandom(1));
 * console.assert(x > 0 && x < 1);
 * ```
 */
export function drawBeta(a: number, b: number, random: Random): number {
  if (!(a >= 1 && b >= 1)) throw new RangeError(`Cannot draw from Beta(${a}, ${b}): a and b of at least 1`);
  const x = drawGamma(a, random);
  return x / (x + drawGamma(b, random));
}

/** Gamma(shape, 1) for a shape of at least 1 (Marsaglia and Tsang 2000). */
function drawGamma(shape: number, random: Random): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = standardNormal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < x * x / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}
