/** How far one candidate leads another, over cases, and whether by more than chance. */
import { meanOf, sumOf, varianceOfMean } from "../../stats/mean.ts";
import { studentTQuantile } from "../../stats/t.ts";
import type { CandidateEvidence } from "./evidence.ts";
import {
  FEWEST_CASES,
  MOST_HALVINGS,
  type RankingBasis,
  sameCases,
  speedOf,
  type SpeedPart,
  speedParts,
} from "./ranking.ts";

/** The utility of one candidate minus another's, over cases. */
export interface Lead {
  readonly mean: number;
  /** Standard error of the mean; 0 where no case differs from another. */
  readonly error: number;
  readonly df: number;
  /** The leads case by case, where quality and speed come from the same cases or only one of them counts; else null. */
  readonly byCase: readonly number[] | null;
}

/**
 * How far `a` leads `b`, with the standard error between cases: paired by case, quality and speed together
 * where they come from the same cases. A time that is more than `MOST_HALVINGS` apart counts like that many,
 * and memory has no spread over cases.
 *
 * @returns null below `FEWEST_CASES` cases
 */
export function leadOf(a: CandidateEvidence, b: CandidateEvidence, basis: RankingBasis): Lead | null {
  const { weights, speedPrompts, qualityPrompts } = basis;
  const { quality: qualityWeight = 0, memory: memoryWeight = 0 } = weights;
  const quality = qualityWeight === 0
    ? []
    : qualityPrompts.map((prompt) =>
      qualityWeight * ((a.qualityByPrompt.get(prompt) ?? 0) - (b.qualityByPrompt.get(prompt) ?? 0))
    );
  const speed: number[] = [];
  let constant = memoryWeight * bounded(memoryHalvings(a, b));
  for (const part of speedParts(weights)) {
    const weight = weights[part] ?? 0;
    const halvings = speedPrompts.map((prompt) => halvingsOf(part, a, b, prompt));
    const mean = sumOf(halvings) / Math.max(1, halvings.length);
    if (Math.abs(mean) > MOST_HALVINGS) constant += weight * bounded(mean);
    else halvings.forEach((one, at) => speed[at] = (speed[at] ?? 0) + weight * one);
  }
  // Both lists of cases are sorted, so of the same cases they are in the same order.
  const samples = sameCases(basis) && quality.length === speed.length
    ? [quality.map((value, at) => value + (speed[at] ?? 0))]
    : [quality, speed].filter((values) => values.length > 0);
  if (samples.length === 0 || samples.some((values) => values.length < FEWEST_CASES)) return null;
  return {
    mean: constant + sumOf(samples.map(meanOf)),
    error: Math.sqrt(sumOf(samples.map(varianceOfMean))),
    df: Math.min(...samples.map((values) => values.length)) - 1,
    byCase: samples.length === 1 ? samples[0] ?? null : null,
  };
}

const bounded = (halvings: number) => Math.max(-MOST_HALVINGS, Math.min(MOST_HALVINGS, halvings));

/** By how many halvings `a` is better than `b` on a case. */
function halvingsOf(part: SpeedPart, a: CandidateEvidence, b: CandidateEvidence, prompt: string): number {
  const { metric, sign } = speedOf[part];
  const [own, other] = [a.logByPrompt.get(prompt)?.[metric] ?? 0, b.logByPrompt.get(prompt)?.[metric] ?? 0];
  return sign * (own - other) / Math.LN2;
}

function memoryHalvings(a: CandidateEvidence, b: CandidateEvidence): number {
  const [own, other] = [a.summary.memory_mb ?? 0, b.summary.memory_mb ?? 0];
  return own > 0 && other > 0 ? Math.log2(other / own) : 0;
}

/**
 * Most cases for which the exact test is computed: there Student's t errs up to three
 * times too often on 0/1 scores.
 */
const SIGN_FLIP_UP_TO = 16;

/**
 * Whether a lead is above 0 by more than chance, at a one-sided error: by Student's t, and for few cases by
 * the sign-flip test as well (Fisher 1935), which is exact: between identical candidates each case may as
 * well have gone the other way.
 *
 * ```ts
 * const lead = { mean: 1, error: 0, df: 4, byCase: [1, 1, 1, 1, 1] };
 * console.assert(!isAhead(lead, 0.025) && isAhead(lead, 0.05), "five of five happen in 1 of 32");
 * ```
 */
export function isAhead({ mean, error: standardError, df, byCase }: Lead, error: number): boolean {
  if (mean <= studentTQuantile(1 - error, df) * standardError + 1e-12 || 0.5 ** (df + 1) > error) {
    return false;
  }
  return byCase === null || byCase.length > SIGN_FLIP_UP_TO ||
    signFlipP(byCase, mean * byCase.length) <= error;
}

/** The share of all 2^n choices of signs in which the sum is at least as large as the one seen. */
function signFlipP(values: readonly number[], seen: number): number {
  let sums = [0];
  for (const value of values) sums = sums.flatMap((sum) => [sum + value, sum - value]);
  return sums.filter((sum) => sum >= seen - 1e-9).length / sums.length;
}
