/** A pass rate over prompts with its interval. */

/** The default share of its checks' weight that an answer must earn to pass. */
export const defaultPassMark = 0.8;

/** A rate over prompts. `passed` may be a fraction where a prompt was asked several times. */
export interface PassRate {
  readonly passed: number;
  /** Prompts, not answers: repeats of a prompt are not independent. */
  readonly n: number;
  /** Null where there are no prompts. */
  readonly rate: number | null;
  readonly ci95: readonly [number, number] | null;
}

const z95 = 1.959963984540054;

/**
 * A pass rate over prompts with Wilson's 95 % score interval (Wilson, "Probable inference, the law of
 * succession, and statistical inference", JASA 1927): it holds for few prompts and for rates near 0 and 1.
 *
 * Each prompt enters once, with the share of its answers that passed: repeats make the share finer, never n
 * larger. A share between 0 and 1 varies less than a yes or no, so that the interval errs to the wide side.
 *
 * @param shares of every prompt, the share of its answers that passed, 0 to 1
 * @throws {RangeError} for a share outside 0 to 1
 *
 * @example
 * ```ts
 * const { ci95 } = passRate(Array.from({ length: 10 }, () => 0));
 * if (ci95?.[0] !== 0 || Math.abs(ci95[1] - 0.2775) > 1e-4) throw new Error(String(ci95));
 * ```
 */
export function passRate(shares: readonly number[]): PassRate {
  const wrong = shares.find((share) => !(share >= 0 && share <= 1));
  if (wrong !== undefined) throw new RangeError(`a share of passed answers is ${wrong}: expected 0 to 1`);
  const n = shares.length;
  const passed = shares.reduce((sum, share) => sum + share, 0);
  if (n === 0) return { passed, n, rate: null, ci95: null };
  const rate = passed / n;
  const scale = 1 + z95 ** 2 / n;
  const centre = (rate + z95 ** 2 / (2 * n)) / scale;
  const half = z95 * Math.sqrt(rate * (1 - rate) / n + z95 ** 2 / (4 * n ** 2)) / scale;
  // At the ends the bound is exactly 0 or 1; floating point would miss it by 1e-17.
  const low = rate === 0 ? 0 : Math.max(0, centre - half);
  const high = rate === 1 ? 1 : Math.min(1, centre + half);
  return { passed, n, rate, ci95: [low, high] };
}
