/** How far people agree when they rate the same answers. */
import { sumOf } from "../stats/mean.ts";

/** One value of one rater for one unit (an answer on one dimension). */
export interface Rating {
  readonly unit: string;
  readonly rater: string;
  readonly value: number;
}

export interface Agreement {
  /** 1 is perfect agreement, 0 that of chance, below 0 systematic disagreement; null where it can't be computed. */
  readonly alpha: number | null;
  /** Units that at least two raters rated: the only ones that count. */
  readonly units: number;
  readonly raters: number;
  /** Why alpha is null. */
  readonly reason: string | null;
}

/**
 * Krippendorff's alpha for ordinal values, with any number of raters and missing ratings (Krippendorff,
 * "Computing Krippendorff's Alpha-Reliability", 2011): alpha = 1 − D_observed / D_expected over the
 * coincidence matrix, with the ordinal difference δ²(c, k) = (Σ_{g=c..k} n_g − (n_c + n_k)/2)².
 *
 * Krippendorff asks for 0.8 to rely on, and 0.667 for a tentative conclusion.
 *
 * ```ts
 * const same = krippendorffAlpha([
 *   { unit: "a", rater: "x", value: 1 }, { unit: "a", rater: "y", value: 1 },
 *   { unit: "b", rater: "x", value: 5 }, { unit: "b", rater: "y", value: 5 },
 * ]);
 * if (same.alpha !== 1) throw new Error("they agree");
 * ```
 */
export function krippendorffAlpha(ratings: readonly Rating[]): Agreement {
  const raters = new Set(ratings.map(({ rater }) => rater)).size;
  const pairable = [...Map.groupBy(ratings, ({ unit }) => unit).values()].filter((unit) => unit.length > 1);
  const units = pairable.length;
  if (units === 0) return { alpha: null, units, raters, reason: "no answer was rated by two people" };
  const values = [...new Set(pairable.flat().map(({ value }) => value))].sort((a, b) => a - b);
  const coincidences = coincidenceMatrix(pairable, values);
  const totals = coincidences.map(sumOf);
  const n = sumOf(totals);
  const distance = ordinalDistance(totals);
  let observed = 0;
  let expected = 0;
  for (const [c, row] of coincidences.entries()) {
    for (const [k, count] of row.entries()) {
      observed += count * distance(c, k);
      expected += (totals[c] ?? 0) * (totals[k] ?? 0) * distance(c, k);
    }
  }
  if (expected === 0) {
    return { alpha: null, units, raters, reason: "all ratings are the same, so agreement says nothing" };
  }
  return { alpha: 1 - (n - 1) * observed / expected, units, raters, reason: null };
}

/** o(c, k): every ordered pair of values inside a unit, each unit weighted by 1 / (its ratings − 1). */
function coincidenceMatrix(units: readonly (readonly Rating[])[], values: readonly number[]): number[][] {
  const matrix = values.map(() => values.map(() => 0));
  for (const unit of units) {
    const places = unit.map(({ value }) => values.indexOf(value));
    for (const [i, c] of places.entries()) {
      const row = matrix[c];
      if (!row) continue;
      for (const [j, k] of places.entries()) {
        if (i !== j) row[k] = (row[k] ?? 0) + 1 / (unit.length - 1);
      }
    }
  }
  return matrix;
}

function ordinalDistance(totals: readonly number[]): (c: number, k: number) => number {
  return (c, k) => {
    const [low, high] = c < k ? [c, k] : [k, c];
    const between = sumOf(totals.slice(low, high + 1));
    return (between - ((totals[low] ?? 0) + (totals[high] ?? 0)) / 2) ** 2;
  };
}
