/** Strengths from comparisons of pairs, with intervals over cases and voters. */
import { meanOf, sumOf } from "./mean.ts";
import { type Interval, quantile } from "./quantile.ts";
import { seededRandom } from "./random.ts";

/** One comparison: 1 where the first was better, 0 where the second was, ½ for neither. */
export interface PairOutcome {
  readonly first: string;
  readonly second: string;
  readonly share: number;
  readonly case_id: string;
  readonly voter: string;
}

/** How often a player would be preferred to the others. */
export interface Strength {
  readonly id: string;
  /** Mean over the others of the probability of being preferred, by the model. */
  readonly share: number;
  readonly ci95: Interval;
}

const RESAMPLES = 400;

/**
 * Bradley–Terry strengths (1952) by Hunter's MM algorithm (2004); a neither counts half for each, and each
 * pair that was compared starts with half a win for either, which keeps an unbeaten player finite. The
 * interval resamples cases and voters together (the pigeonhole bootstrap, Owen 2007): neither repeated votes
 * on a case nor many votes of one person make it narrower than they should.
 *
 * @returns the strongest first; empty without comparisons
 *
 * ```ts
 * const won = (first: string, second: string, at: number) => ({ first, second, share: 1, case_id: `${at}`, voter: "ana" });
 * const [best] = bradleyTerry([won("a", "b", 1), won("a", "c", 2), won("b", "c", 3), won("a", "b", 4)]);
 * console.assert(best?.id === "a" && best.share > 0.6 && best.ci95[0] < best.share);
 * ```
 */
export function bradleyTerry(comparisons: readonly PairOutcome[]): Strength[] {
  const ids = [...new Set(comparisons.flatMap(({ first, second }) => [first, second]))];
  if (ids.length === 0) return [];
  const point = sharesOf(ids, comparisons, () => 1);
  const random = seededRandom("votes");
  const cases = [...new Set(comparisons.map(({ case_id }) => case_id))];
  const voters = [...new Set(comparisons.map(({ voter }) => voter))];
  const drawn = Array.from({ length: RESAMPLES }, () => {
    const [caseCounts, voterCounts] = [resample(cases, random), resample(voters, random)];
    return sharesOf(
      ids,
      comparisons,
      ({ case_id, voter }) =>
        (caseCounts.get(case_id) ?? 0) * (voters.length === 1 ? 1 : voterCounts.get(voter) ?? 0),
    );
  });
  return ids.map((id, at): Strength => {
    const values = drawn.map((shares) => shares[at] ?? 0.5).sort((a, b) => a - b);
    return { id, share: point[at] ?? 0.5, ci95: [quantile(values, 0.025), quantile(values, 0.975)] };
  }).sort((a, b) => b.share - a.share);
}

function resample(names: readonly string[], random: () => number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < names.length; i++) {
    const name = names[Math.floor(random() * names.length)] ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Weighted maximum likelihood; for each id the mean probability of beating the others. */
function sharesOf(
  ids: readonly string[],
  comparisons: readonly PairOutcome[],
  weightOf: (one: PairOutcome) => number,
): number[] {
  const strengths = strengthsOf(winsOf(ids, comparisons, weightOf));
  return strengths.map((own, a) =>
    meanOf(strengths.filter((_, b) => a !== b).map((other) => own / (own + other)))
  );
}

/** How often each (row) beat each (column). */
function winsOf(
  ids: readonly string[],
  comparisons: readonly PairOutcome[],
  weightOf: (one: PairOutcome) => number,
): Float64Array[] {
  const indexOf = new Map(ids.map((id, at) => [id, at]));
  const wins = ids.map(() => new Float64Array(ids.length));
  const add = (winner: number, loser: number, amount: number) => {
    const row = wins[winner];
    if (row !== undefined) row[loser] = (row[loser] ?? 0) + amount;
  };
  const compared = new Set<string>();
  for (const one of comparisons) {
    const [a, b] = [indexOf.get(one.first) ?? 0, indexOf.get(one.second) ?? 0];
    const weight = weightOf(one);
    add(a, b, weight * one.share);
    add(b, a, weight * (1 - one.share));
    const pair = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (compared.has(pair)) continue;
    compared.add(pair);
    add(a, b, 0.5);
    add(b, a, 0.5);
  }
  return wins;
}

/** Hunter's algorithm; the mean strength is 1. */
function strengthsOf(wins: readonly Float64Array[]): number[] {
  const played = (a: number, b: number) => (wins[a]?.[b] ?? 0) + (wins[b]?.[a] ?? 0);
  let strengths = wins.map(() => 1);
  for (let round = 0; round < 200; round++) {
    const next = strengths.map((own, a) => {
      const met = sumOf(strengths.map((other, b) => a === b ? 0 : played(a, b) / (own + other)));
      return met === 0 ? own : sumOf(wins[a] ?? []) / met;
    });
    const mean = meanOf(next);
    const scaled = next.map((one) => one / mean);
    const moved = Math.max(...scaled.map((one, at) => Math.abs(one - (strengths[at] ?? 0))));
    strengths = scaled;
    if (moved < 1e-9) break;
  }
  return strengths;
}
