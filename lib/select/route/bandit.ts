/**
 * What is known of each arm's success rate, and Thompson sampling from it (Thompson 1933): an arm is chosen with
 * the probability that it is the best one, so that doubt is tried out and certainty is used.
 */
import { betaQuantile, drawBeta } from "../../stats/beta.ts";
import type { Random } from "../../stats/random.ts";

/** Successes and failures; fractions where they were discounted or are a prior's pseudo-counts. */
export interface Counts {
  readonly successes: number;
  readonly failures: number;
}

/** What is known of one arm. */
export interface Belief extends Counts {
  /** Mean of the posterior, prior and evidence together. */
  readonly mean: number;
  /** The 2.5 % and 97.5 % quantiles of the posterior. */
  readonly ci95: readonly [number, number];
}

export interface Posteriors {
  /** Counts one observation, after discounting all that was counted before, of every arm. */
  observe(arm: string, success: boolean): void;
  /** One draw from the posterior of an arm. */
  draw(arm: string, random: Random): number;
  mean(arm: string): number;
  belief(arm: string): Belief;
  /** What was observed, discounted, without the prior. */
  seen(): Record<string, Counts>;
}

export const NOTHING: Counts = { successes: 0, failures: 0 };

/**
 * Beta posteriors over success bits: Beta(1 + prior successes + successes, 1 + prior failures + failures).
 *
 * With a discount γ below 1 every observation first multiplies all counts by γ, so that the evidence is worth at
 * most 1 / (1 − γ) requests and a model that degrades is noticed (Raj and Kalyani 2017). The prior is not
 * discounted.
 *
 * @param prior pseudo-counts of an arm
 * @param discount γ in (0, 1); null for none
 * @param seen what was observed before
 *
 * @example
 * ```ts
 * const arms = posteriors(() => ({ successes: 0, failures: 0 }), null);
 * arms.observe("a", true);
 * console.assert(arms.mean("a") === 2 / 3 && arms.mean("b") === 1 / 2);
 * ```
 */
export function posteriors(
  prior: (arm: string) => Counts,
  discount: number | null,
  seen: Readonly<Record<string, Counts>> = {},
): Posteriors {
  const counts = new Map(Object.entries(seen));
  const shape = (arm: string): [number, number] => {
    const { successes, failures } = counts.get(arm) ?? NOTHING;
    const start = prior(arm);
    return [1 + start.successes + successes, 1 + start.failures + failures];
  };
  const mean = (arm: string) => {
    const [a, b] = shape(arm);
    return a / (a + b);
  };
  return {
    observe(arm, success) {
      if (discount !== null) {
        for (const [id, { successes, failures }] of counts) {
          counts.set(id, { successes: discount * successes, failures: discount * failures });
        }
      }
      const { successes, failures } = counts.get(arm) ?? NOTHING;
      counts.set(
        arm,
        success ? { successes: successes + 1, failures } : { successes, failures: failures + 1 },
      );
    },
    draw: (arm, random) => drawBeta(...shape(arm), random),
    mean,
    belief(arm) {
      const [a, b] = shape(arm);
      return {
        ...(counts.get(arm) ?? NOTHING),
        mean: mean(arm),
        ci95: [betaQuantile(0.025, a, b), betaQuantile(0.975, a, b)],
      };
    },
    seen: () => Object.fromEntries(counts),
  };
}
