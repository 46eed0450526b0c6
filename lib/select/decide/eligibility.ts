/**
 * The candidates that are good enough to be chosen: those that met a floor, or are shown to
 * be about as good as the best.
 */
import { type Difference, scoreDifference } from "../../stats/paired_difference.ts";
import { casesFor } from "../../stats/planning.ts";
import { meanOf } from "../../stats/mean.ts";
import type { Baseline } from "./baseline.ts";
import type { CandidateEvidence } from "./evidence.ts";

/** Whether a candidate may be chosen, and why or why not. */
export interface Eligibility {
  readonly eligible: boolean;
  readonly why: string;
  /** Its quality minus the best candidate's, with a 95 % interval over cases; null for the best itself. */
  readonly behindBest: Difference | null;
  /** Its quality minus the baseline's; null where a floor was met instead. */
  readonly overBaseline: Difference | null;
}

/** A candidate, as far as its quality decides. */
type Scored = Pick<CandidateEvidence, "id" | "qualityByPrompt">;

/** What decides about eligibility. */
export interface EligibilityTerms {
  /** Whether a quality floor was asked for; then all candidates here met it. */
  readonly floor: boolean;
  /** The largest loss of quality that is accepted, in points of the score. */
  readonly maxDrop: number;
  readonly baseline: Baseline;
  /** The cases that all candidates answered. */
  readonly cases: readonly string[];
}

/**
 * Holds every candidate against the best by quality and against the job's baseline. With a floor that was
 * met, neither is asked for. Without one a candidate may be chosen if its quality is non-inferior to the best
 * (the interval of the paired difference lies above −`maxDrop`) and beats the baseline: among models that all
 * score 0, each is as good as the best.
 *
 * ```ts ignore
 * const found = eligibilityOf(candidates, { floor: false, maxDrop: 0.1, baseline: EMPTY_ANSWER, cases });
 * if (found.get("tiny")?.eligible) console.log("may be chosen for its speed");
 * ```
 */
export function eligibilityOf(
  candidates: readonly Scored[],
  { floor, maxDrop, baseline, cases }: EligibilityTerms,
): Map<string, Eligibility> {
  const means = candidates.map((one) => ({ one, mean: meanOver(one, cases) }));
  const best = means.toSorted((a, b) => b.mean - a.mean)[0]?.one;
  return new Map(candidates.map((one) => {
    const against = (other: (prompt: string) => number | undefined) =>
      scoreDifference(cases.flatMap((prompt) => {
        const [own, theirs] = [one.qualityByPrompt.get(prompt), other(prompt)];
        return own === undefined || theirs === undefined ? [] : [[own, theirs] as const];
      }));
    const isBest = best === undefined || one === best;
    const behindBest = isBest ? null : against((prompt) => best.qualityByPrompt.get(prompt));
    const overBaseline = floor ? null : against((prompt) => baseline.byPrompt.get(prompt) ?? 0);
    const fault = floor ? null : baselineFault(overBaseline, baseline) ??
      (isBest ? null : dropFault(behindBest, best.id, maxDrop));
    const merit = floor
      ? "it met the quality floor"
      : isBest
      ? "its quality is the best"
      : `its quality is at most ${maxDrop} below the best`;
    return [one.id, { eligible: fault === null, why: fault ?? merit, behindBest, overBaseline }];
  }));
}

function baselineFault(over: Difference | null, { what }: Baseline): string | null {
  if (over === null) return "too few scored cases";
  if (over.interval[0] > 0) return null;
  return `its quality is not shown to beat the baseline (${what}): ${shown(over)}`;
}

function dropFault(behind: Difference | null, best: string, maxDrop: number): string | null {
  if (behind === null) return "too few scored cases";
  if (behind.cautious[0] > -maxDrop) return null;
  const needed = casesNeeded(behind, maxDrop);
  return `its quality is not shown to be within ${maxDrop} of ${best}'s: ${
    shown({ ...behind, interval: behind.cautious })
  }` + (needed === null ? "" : `; about ${needed} cases would tell`);
}

/** `−0.05 (−0.21 to +0.11, 24 cases)`. */
export function shown({ mean, interval, n }: Difference): string {
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
  return `${signed(mean)} (95 %: ${interval.map(signed).join(" to ")}, ${n} cases)`;
}

/** Cases at which an interval of this spread, around this mean, would lie above −margin; null where none would. */
function casesNeeded({ mean, interval: [low, high], n }: Difference, margin: number): number | null {
  if (mean <= -margin) return null;
  const spread = (high - low) / 2 * Math.sqrt(n) / 1.96;
  const bySpread = casesFor({ between: spread, within: null }, margin + Math.min(0, mean));
  const unseen = mean >= 0 ? 1 - margin : (1 - margin) / (1 + mean);
  return bySpread === null ? null : Math.max(bySpread, Math.ceil(Math.log(0.025) / Math.log(unseen)));
}

function meanOver({ qualityByPrompt }: Scored, cases: readonly string[]): number {
  const values = cases.map((prompt) => qualityByPrompt.get(prompt) ?? 0);
  return values.length === 0 ? 0 : meanOf(values);
}
