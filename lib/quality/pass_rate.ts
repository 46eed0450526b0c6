/** A pass rate over prompts with its interval. */
import { z } from "zod";
import { sumOf } from "../stats/mean.ts";

/** The default share of its checks' weight that an answer must earn to pass. */
export const defaultPassMark = 0.8;

export const share = z.number().min(0).max(1);

/** Null where there are too few cases. */
export const interval = z.tuple([z.number(), z.number()]).readonly().nullable();

/** A rate over prompts with Wilson's interval, as in quality.json. */
export const rate = z.object({
  /** May be a fraction: a prompt asked several times counts with the share of its answers. */
  passed: z.number().nonnegative(),
  /** Prompts, not answers: repeats of a prompt are not independent. */
  n: z.number().int().nonnegative(),
  /** Null where there are no prompts. */
  rate: share.nullable(),
  ci95: interval,
});
export type PassRate = z.infer<typeof rate>;

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
 * ```ts
 * const { ci95 } = passRate(Array.from({ length: 10 }, () => 0));
 * if (ci95?.[0] !== 0 || Math.abs(ci95[1] - 0.2775) > 1e-4) throw new Error(String(ci95));
 * ```
 */
export function passRate(shares: readonly number[]): PassRate {
  const wrong = shares.find((share) => !(share >= 0 && share <= 1));
  if (wrong !== undefined) throw new RangeError(`a share of passed answers is ${wrong}: expected 0 to 1`);
  const n = shares.length;
  const passed = sumOf(shares);
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

/** A rate over cases; of a case that was asked several times, the share of its answers for which `holds` is true. */
export function rateByCase<Answer extends { readonly prompt_id: string }>(
  answers: readonly Answer[],
  holds: (answer: Answer) => boolean,
): PassRate {
  const byCase = [...Map.groupBy(answers, ({ prompt_id }) => prompt_id).values()];
  return passRate(byCase.map((same) => same.filter(holds).length / same.length));
}
