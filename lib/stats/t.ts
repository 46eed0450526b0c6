/** Student's t distribution: the quantile behind every interval of a mean. */
import { regularizedBeta } from "./special.ts";

/**
 * P(T <= t) for Student's t with `df` degrees of freedom (Student 1908), by the incomplete beta function.
 *
 * ```ts
 * console.assert(studentTCdf(0, 5) === 0.5);
 * ```
 */
export function studentTCdf(t: number, df: number): number {
  // Near zero the other form of the beta function keeps its digits.
  const square = t * t;
  const inside = square < df
    ? 0.5 * regularizedBeta(square / (df + square), 0.5, df / 2)
    : 0.5 - 0.5 * regularizedBeta(df / (df + square), df / 2, 0.5);
  return t < 0 ? 0.5 - inside : 0.5 + inside;
}

/**
 * The t with P(T <= t) = p, for Student's t with `df` degrees of freedom.
 *
 * @param p Probability, strictly between 0 and 1.
 * @param df Degrees of freedom, positive; may be fractional.
 * @throws {RangeError} When p or df is out of range.
 *
 * ```ts
 * console.assert(Math.abs(studentTQuantile(0.975, 10) - 2.2281388520) < 1e-9);
 * ```
 */
export function studentTQuantile(p: number, df: number): number {
  if (!(p > 0 && p < 1 && df > 0)) {
    throw new RangeError(`Cannot find the t quantile at p = ${p}, df = ${df}: 0 < p < 1 and df > 0`);
  }
  if (p === 0.5) return 0;
  const tail = Math.min(p, 1 - p);
  // P(|T| > t) = I_{df/(df+t^2)}(df/2, 1/2) falls as t grows: bracket, then halve.
  const upperTail = (t: number) => 0.5 * regularizedBeta(df / (df + t * t), df / 2, 0.5);
  let high = 1;
  while (upperTail(high) > tail) high *= 2;
  let low = 0;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (upperTail(middle) > tail) low = middle;
    else high = middle;
  }
  return p < 0.5 ? -high : high;
}
