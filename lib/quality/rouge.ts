/** ROUGE-L: how much of a reference an answer contains, in the same order. */
import { fold, wordsOf } from "./text.ts";

export interface RougeL {
  /** Share of the reference's words in the longest common subsequence. */
  readonly recall: number;
  /** Share of the answer's words in it. */
  readonly precision: number;
  /** Their harmonic mean: the F-measure with β = 1. */
  readonly f1: number;
}

/**
 * ROUGE-L at the level of the whole text (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries",
 * 2004, eq. 2–4), over lower-case words without stemming: with the longest common subsequence L of answer a
 * and reference r, recall L/|r|, precision L/|a|.
 *
 * It counts words, not meaning: a good summary in other words scores low. Compare it between candidates, and
 * set its floor from answers that people found good.
 *
 * ```ts
 * // Lin's example S2: an LCS of three of four words.
 * if (rougeL("police kill the gunman", "police killed the gunman").f1 !== 0.75) throw new Error("3/4");
 * ```
 */
export function rougeL(answer: string, reference: string): RougeL {
  const [a, r] = [wordsOf(answer).map(fold), wordsOf(reference).map(fold)];
  const common = longestCommonSubsequence(a, r);
  if (common === 0) return { recall: 0, precision: 0, f1: 0 };
  const recall = common / r.length;
  const precision = common / a.length;
  return { recall, precision, f1: 2 * recall * precision / (recall + precision) };
}

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++) {
      row[j] = word === b[j - 1] ? (above[j - 1] ?? 0) + 1 : Math.max(above[j] ?? 0, row[j - 1] ?? 0);
    }
    above = row;
  }
  return above[b.length] ?? 0;
}
