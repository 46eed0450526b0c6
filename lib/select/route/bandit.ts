/**
 * What is known of each model's success rate, and Thompson sampling from it (Thompson 1933): a model is
 * chosen with the probability that it is the best one, so that doubt is tried out and certainty is used.
 */
import { betaQuantile, drawBeta } from "../../stats/beta.ts";
import type { Random } from "../../stats/random.ts";

/** Successes and failures; fractions where they were discounted or are a prior's pseudo-counts. */
export interface Counts {
  readonly successes: number;
  readonly failures: number;
}

/** What is known of one model. */
export interface Belief extends Counts {
  /** Mean of the posterior, prior and evidence together. */
  readonly mean: number;
  /** The 2.5 % and 97.5 % quantiles of the posterior. */
  readonly ci95: readonly [number, number];
}

export interface Posteriors {
  /** Counts one observation, after discounting all that was counted before, of every model. */
  observe(model: string, success: boolean): void;
  /** One draw from the posterior of a model. */
  draw(model: string, random: Random): number;
  mean(model: string): number;
  belief(model: string): Belief;
  /** What was observed, discounted, without the prior. */
  seen(): Record<string, Counts>;
}

export const NOTHING: Counts = { successes: 0, failures: 0 };

/**
 * Beta posteriors over success bits: Beta(1 + prior successes + successes, 1 + prior failures + failures).
 *
 * With a discount γ below 1 every observation first multiplies all counts by γ, so that the evidence
 * is worth at most 1 / (1 − γ) requests and a model that degrades is noticed (Raj and Kalyani 2017).
 * The prior is not discounted.
 *
 * @param prior pseudo-counts of a model
 * @param discount γ in (0, 1); null for none
 * @param seen what was observed before
 *
 * ```ts
 * const models = posteriors(() => ({ successes: 0, failures: 0 }), null);
 * models.observe("a", true);
 * console.assert(models.mean("a") === 2 / 3 && models.mean("b") === 1 / 2);
 * ```
 */
export function posteriors(
  prior: (model: string) => Counts,
  discount: number | null,
  seen: Readonly<Record<string, Counts>> = {},
): Posteriors {
  const counts = new Map(Object.entries(seen));
  const shape = (model: string): [number, number] => {
    const { successes, failures } = counts.get(model) ?? NOTHING;
    const start = prior(model);
    return [1 + start.successes + successes, 1 + start.failures + failures];
  };
  const mean = (model: string) => {
    const [a, b] = shape(model);
    return a / (a + b);
  };
  return {
    observe(model, success) {
      if (discount !== null) {
        for (const [id, { successes, failures }] of counts) {
          counts.set(id, { successes: discount * successes, failures: discount * failures });
        }
      }
      const { successes, failures } = counts.get(model) ?? NOTHING;
      counts.set(model, { successes: successes + Number(success), failures: failures + Number(!success) });
    },
    draw: (model, random) => drawBeta(...shape(model), random),
    mean,
    belief(model) {
      const [a, b] = shape(model);
      return {
        ...(counts.get(model) ?? NOTHING),
        mean: mean(model),
        ci95: [betaQuantile(0.025, a, b), betaQuantile(0.975, a, b)],
      };
    },
    seen: () => Object.fromEntries(counts),
  };
}
