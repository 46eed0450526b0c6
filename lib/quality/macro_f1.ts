/** F1 per label and its mean, with a bootstrap interval over cases. */
import { meanOf } from "../stats/mean.ts";
import { quantile } from "../stats/quantile.ts";
import { seededRandom } from "../stats/random.ts";
import { passRate } from "./pass_rate.ts";

/** One answer: the label that is right, the one given (null for none), and its share in its case. */
export interface LabelledAnswer {
  readonly case_id: string;
  readonly expected: string;
  readonly given: string | null;
}

const RESAMPLES = 1000;

/** The answers of one case as indices of labels; -1 for no label. */
interface LabelledCase {
  readonly expected: number;
  readonly given: readonly number[];
}

/**
 * F1 of every label and macro-F1: the unweighted mean over all labels that were expected or given, as
 * scikit-learn computes it with `zero_division=0`. An answer without a label counts against the recall of the
 * right one. The answers of a case share its weight.
 *
 * The interval is the percentile bootstrap over cases (Efron and Tibshirani 1993) with a fixed seed. Where
 * every case is right, or none, a bootstrap sees no spread, so the interval is Wilson's for the accuracy.
 *
 * ```ts
 * const answers = [["a", "a"], ["a", "b"], ["b", "b"]].map(([expected = "", given = ""], at) => (
 *   { case_id: `c${at}`, expected, given }
 * ));
 * const { value } = macroF1(answers, ["a", "b", "c"]);
 * if (Math.abs((value ?? 0) - 2 / 3) > 1e-12) throw new Error(String(value));
 * ```
 */
export function macroF1(answers: readonly LabelledAnswer[], labels: readonly string[]): {
  readonly value: number | null;
  readonly ci95: readonly [number, number] | null;
  readonly f1: ReadonlyMap<string, number>;
} {
  const indexOf = new Map(labels.map((label, at) => [label, at]));
  const cases = [...Map.groupBy(answers, ({ case_id }) => case_id).values()].map((same): LabelledCase => ({
    expected: indexOf.get(same[0]?.expected ?? "") ?? -1,
    given: same.map(({ given }) => given === null ? -1 : indexOf.get(given) ?? -1),
  }));
  const scores = f1Of(cases, labels.length);
  const value = macroMean(scores);
  const f1 = new Map(labels.flatMap((label, at) => {
    const score = scores[at] ?? NaN;
    return Number.isNaN(score) ? [] : [[label, score] as const];
  }));
  if (value === null) return { value, ci95: null, f1 };
  const shares = cases.map(({ expected, given }) =>
    given.filter((one) => one === expected).length / given.length
  );
  if (shares.every((one) => one === 1) || shares.every((one) => one === 0)) {
    return { value, ci95: passRate(shares).ci95, f1 };
  }
  const random = seededRandom("macro-f1");
  const drawn = Array.from({ length: RESAMPLES }, () => {
    const sample = cases.map(() => cases[Math.floor(random() * cases.length)]).filter((one) =>
      one !== undefined
    );
    return macroMean(f1Of(sample, labels.length)) ?? 0;
  });
  return { value, ci95: [quantile(drawn, 0.025), quantile(drawn, 0.975)], f1 };
}

/** F1 by label; NaN for a label that was neither expected nor given. */
function f1Of(cases: readonly LabelledCase[], labels: number): Float64Array {
  const [hits, expected, given] = [0, 1, 2].map(() => new Float64Array(labels));
  if (hits === undefined || expected === undefined || given === undefined) return new Float64Array(labels);
  for (const one of cases) {
    if (one.expected >= 0) expected[one.expected] = (expected[one.expected] ?? 0) + 1;
    for (const label of one.given) {
      if (label < 0) continue;
      given[label] = (given[label] ?? 0) + 1 / one.given.length;
      if (label === one.expected) hits[label] = (hits[label] ?? 0) + 1 / one.given.length;
    }
  }
  return expected.map((n, at) => {
    const all = n + (given[at] ?? 0);
    return all === 0 ? NaN : 2 * (hits[at] ?? 0) / all;
  });
}

function macroMean(scores: Float64Array): number | null {
  const known = scores.filter((score) => !Number.isNaN(score));
  return known.length === 0 ? null : meanOf(known);
}
