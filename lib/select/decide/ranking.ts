/** Ranks by quality, speed and memory together, and asks how far the weights and the cases decide. */
import type { Random } from "../../stats/random.ts";
import { studentTQuantile } from "../../stats/t.ts";
import type { Eligibility } from "./eligibility.ts";
import type { CandidateEvidence, SpeedMetric } from "./evidence.ts";

/** The parts of a utility. Quality counts 1 per point of the score; times and memory count 1 per halving. */
export const decisionParts = ["quality", "latency", "ttft", "throughput", "memory"] as const;
export type DecisionPart = typeof decisionParts[number];
export type DecisionWeights = Readonly<Partial<Record<DecisionPart, number>>>;

/** Half the latency is worth a tenth of the quality scale, half the memory a twentieth; see `MOST_HALVINGS`. */
export const DEFAULT_WEIGHTS: DecisionWeights = { quality: 1, latency: 0.1, memory: 0.05 };

type SpeedPart = "latency" | "ttft" | "throughput";
const speedOf: Readonly<Record<SpeedPart, { readonly metric: SpeedMetric; readonly sign: 1 | -1 }>> = {
  latency: { metric: "latency_s", sign: -1 },
  ttft: { metric: "ttft_s", sign: -1 },
  throughput: { metric: "output_tokens_per_s", sign: 1 },
};

/** What each part of a candidate is, before rankingBasis. */
export type Features = Readonly<Partial<Record<DecisionPart, number>>>;

/** How often each case counts, of those with a time and of those with a score. */
interface Counts {
  readonly speed: readonly number[];
  readonly quality: readonly number[];
}

/** What can be basis: the candidates, the parts known of all of them, and the prompts they have in common. */
export interface RankingBasis {
  readonly candidates: readonly CandidateEvidence[];
  readonly weights: DecisionWeights;
  /** Parts that have a weight and are not known of all candidates, with those that lack them. */
  readonly unknown: readonly { readonly part: DecisionPart; readonly lacking: readonly string[] }[];
  readonly speedPrompts: readonly string[];
  readonly qualityPrompts: readonly string[];
}

/** Leaves out what is not known of all: a candidate must not win by a figure that it lacks. */
export function rankingBasis(
  candidates: readonly CandidateEvidence[],
  weights: DecisionWeights,
): RankingBasis {
  const common = (of: (one: CandidateEvidence) => ReadonlyMap<string, unknown>) => {
    const [first, ...rest] = candidates;
    if (first === undefined) return [];
    return [...of(first).keys()].filter((key) => rest.every((one) => of(one).has(key))).sort();
  };
  const all = {
    candidates,
    weights,
    unknown: [],
    speedPrompts: common(({ logByPrompt }) => logByPrompt),
    qualityPrompts: common(({ qualityByPrompt }) => qualityByPrompt),
  };
  const unknown = decisionParts.filter((part) => (weights[part] ?? 0) > 0).flatMap((part) => {
    const lacking = candidates.filter((one) => featuresOf(one, all)[part] === undefined);
    return lacking.length === 0 ? [] : [{ part, lacking: lacking.map(({ id }) => id) }];
  });
  const kept = Object.entries(weights).filter(([part]) => !unknown.some((one) => one.part === part));
  return { ...all, weights: Object.fromEntries(kept), unknown };
}

/** A candidate's values case by case, as features are: logarithms to base 2; undefined where a case lacks one. */
interface CaseValues {
  readonly quality: readonly number[] | undefined;
  readonly speed: Readonly<Record<SpeedPart, readonly number[] | undefined>>;
  readonly memory: number | undefined;
}

function caseValues(
  { logByPrompt, qualityByPrompt, summary }: CandidateEvidence,
  { speedPrompts, qualityPrompts }: Pick<RankingBasis, "speedPrompts" | "qualityPrompts">,
): CaseValues {
  const whole = (values: readonly (number | undefined)[]) => {
    const known = values.filter((value) => value !== undefined);
    return known.length < values.length ? undefined : known;
  };
  const speed = (part: SpeedPart) =>
    whole(speedPrompts.map((prompt) => logByPrompt.get(prompt)?.[speedOf[part].metric]));
  return {
    quality: whole(qualityPrompts.map((prompt) => qualityByPrompt.get(prompt))),
    speed: { latency: speed("latency"), ttft: speed("ttft"), throughput: speed("throughput") },
    memory: summary.memory_mb === null || summary.memory_mb <= 0 ? undefined : -Math.log2(summary.memory_mb),
  };
}

/** Means over the common prompts; logarithms to base 2, so that 1 is a halving or a doubling. */
export function featuresOf(
  candidate: CandidateEvidence,
  basis: Pick<RankingBasis, "speedPrompts" | "qualityPrompts">,
): Features {
  return featuresFrom(caseValues(candidate, basis), null);
}

function featuresFrom({ quality, speed, memory }: CaseValues, counts: Counts | null): Features {
  const speedMean = (part: SpeedPart) => {
    const mean = weightedMean(speed[part], counts?.speed);
    return mean === undefined ? undefined : speedOf[part].sign * mean / Math.LN2;
  };
  const values = {
    quality: weightedMean(quality, counts?.quality),
    latency: speedMean("latency"),
    ttft: speedMean("ttft"),
    throughput: speedMean("throughput"),
    memory,
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** Undefined where there are no values, or no case counts. */
function weightedMean(values: readonly number[] = [], counts?: readonly number[]): number | undefined {
  let [sum, n] = [0, 0];
  for (const [at, value] of values.entries()) {
    const count = counts === undefined ? 1 : counts[at] ?? 0;
    sum += count * value;
    n += count;
  }
  return n === 0 ? undefined : sum / n;
}

/** Candidates in order of their utility, and what the order rests on. */
export interface Ranking {
  readonly basis: RankingBasis;
  readonly features: ReadonlyMap<string, Features>;
  /** Ids, the best first. */
  readonly order: readonly string[];
  readonly chances: Chances | null;
  /** Whose quality allows a choice; empty where nothing was scored. */
  readonly eligibility: ReadonlyMap<string, Eligibility>;
}

/** Sum of weight times feature over all parts. */
export function utilityFrom(features: Features, weights: DecisionWeights): number {
  return decisionParts.reduce((sum, part) => sum + (weights[part] ?? 0) * (features[part] ?? 0), 0);
}

/** Below this many cases nothing is said: of two, half of the resamples hold one case twice. */
const FEWEST_CASES = 5;

export interface Chances {
  /** How often each candidate came out best; exact ties are shared out. */
  readonly best: ReadonlyMap<string, number>;
}

/**
 * Resamples the cases (Efron 1979): with other cases of the same kind, how often would each candidate be the best?
 * Cases are resampled, not requests, since repeats of a case add no evidence. Where the answers belong to the
 * cases that were timed, both are resampled together.
 *
 * @returns null below `FEWEST_CASES` cases, or with fewer than two candidates
 */
export function chances(basis: RankingBasis, random: Random, resamples = 2000): Chances | null {
  const { candidates, speedPrompts, qualityPrompts, weights } = basis;
  const [usesQuality, usesSpeed] = [(weights.quality ?? 0) > 0, speedParts(weights).length > 0];
  const sizes = [
    ...(usesQuality ? [qualityPrompts.length] : []),
    ...(usesSpeed ? [speedPrompts.length] : []),
  ];
  if (sizes.length === 0 || Math.min(...sizes) < FEWEST_CASES || candidates.length < 2) return null;
  const wins = new Map(candidates.map(({ id }) => [id, 0]));
  const together = sameCases(basis);
  const places = qualityPrompts.map((prompt) => speedPrompts.indexOf(prompt));
  const values = candidates.map((one) => caseValues(one, basis));
  let counted = 0;
  for (let i = 0; i < resamples; i++) {
    const speed = usesSpeed || together ? draw(speedPrompts.length, random) : [];
    const quality = together
      ? places.map((at) => speed[at] ?? 0)
      : usesQuality
      ? draw(qualityPrompts.length, random)
      : [];
    // A resample without a scored case says nothing of quality.
    if (usesQuality && !quality.some((count) => count > 0)) continue;
    counted++;
    const features = boundFeatures(values.map((one) => featuresFrom(one, { speed, quality })));
    const utilities = features.map((one) => utilityFrom(one, weights));
    const most = Math.max(...utilities);
    const best = candidates.filter((_, at) => utilities[at] === most);
    for (const { id } of best) wins.set(id, (wins.get(id) ?? 0) + 1 / best.length);
  }
  return counted === 0 ? null : { best: new Map([...wins].map(([id, n]) => [id, n / counted])) };
}

const sameCases = ({ speedPrompts, qualityPrompts }: RankingBasis) =>
  speedPrompts.length > 0 && qualityPrompts.every((prompt) => speedPrompts.includes(prompt));

/** The parts that come from times, of those that have a weight. */
export const speedParts = (weights: DecisionWeights) =>
  (["latency", "ttft", "throughput"] as const).filter((part) => (weights[part] ?? 0) > 0);

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
 * How far `a` leads `b`, with the standard error between cases: paired by case, quality and speed together where they
 * come from the same cases. A time that is more than `MOST_HALVINGS` apart counts like that many, and memory has no
 * spread over cases.
 *
 * @returns null below `FEWEST_CASES` cases
 */
export function leadOf(a: CandidateEvidence, b: CandidateEvidence, basis: RankingBasis): Lead | null {
  const { weights, speedPrompts, qualityPrompts } = basis;
  const quality = new Map(
    (weights.quality ?? 0) === 0 ? [] : qualityPrompts.map((prompt) => {
      const gap = (a.qualityByPrompt.get(prompt) ?? 0) - (b.qualityByPrompt.get(prompt) ?? 0);
      return [prompt, (weights.quality ?? 0) * gap] as const;
    }),
  );
  const speed = new Map<string, number>();
  let constant = (weights.memory ?? 0) * bounded(memoryHalvings(a, b));
  for (const part of speedParts(weights)) {
    const halvings = speedPrompts.map((prompt) => halvingsOf(part, a, b, prompt));
    const mean = halvings.reduce((sum, one) => sum + one, 0) / Math.max(1, halvings.length);
    const weight = weights[part] ?? 0;
    if (Math.abs(mean) > MOST_HALVINGS) constant += weight * bounded(mean);
    else {speedPrompts.forEach((prompt, at) => {
        speed.set(prompt, (speed.get(prompt) ?? 0) + weight * (halvings[at] ?? 0));
      });}
  }
  const paired = sameCases(basis) && quality.size === speed.size;
  const samples = paired
    ? [[...quality].map(([prompt, value]) => value + (speed.get(prompt) ?? 0))]
    : [[...quality.values()], [...speed.values()]].filter((values) => values.length > 0);
  if (samples.length === 0 || samples.some((values) => values.length < FEWEST_CASES)) return null;
  const moments = samples.map((values) => {
    const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
    const squares = values.reduce((sum, one) => sum + (one - mean) ** 2, 0);
    return { mean, variance: squares / (values.length - 1) / values.length };
  });
  return {
    mean: constant + moments.reduce((sum, { mean }) => sum + mean, 0),
    error: Math.sqrt(moments.reduce((sum, { variance }) => sum + variance, 0)),
    df: Math.min(...samples.map((values) => values.length)) - 1,
    byCase: samples.length === 1 ? samples[0] ?? null : null,
  };
}

/** Most cases for which the exact test is computed: there Student's t errs up to three times too often on 0/1 scores. */
const EXACT_UP_TO = 16;

/**
 * Whether a lead is above 0 by more than chance, at a one-sided error: by Student's t, and for few cases by the sign-flip
 * test as well (Fisher 1935), which is exact: between identical candidates each case may as well have gone the other way.
 *
 * @example
 * ```ts
 * const lead = { mean: 1, error: 0, df: 4, byCase: [1, 1, 1, 1, 1] };
 * console.assert(!isAhead(lead, 0.025) && isAhead(lead, 0.05), "five of five happen in 1 of 32");
 * ```
 */
export function isAhead({ mean, error: standardError, df, byCase }: Lead, error: number): boolean {
  if (mean <= studentTQuantile(1 - error, df) * standardError + 1e-12 || 0.5 ** (df + 1) > error) {
    return false;
  }
  return byCase === null || byCase.length > EXACT_UP_TO ||
    signFlipP(byCase, mean * byCase.length) <= error;
}

/** The share of all 2^n choices of signs in which the sum is at least as large as the one seen. */
function signFlipP(values: readonly number[], seen: number): number {
  let sums = [0];
  for (const value of values) sums = sums.flatMap((sum) => [sum + value, sum - value]);
  return sums.filter((sum) => sum >= seen - 1e-9).length / sums.length;
}

/** What speed and memory can be worth is bounded: beyond this many halvings, more speed counts for nothing. */
const MOST_HALVINGS = 3;

const bounded = (halvings: number) => Math.max(-MOST_HALVINGS, Math.min(MOST_HALVINGS, halvings));

/** The features with speed and memory at most `MOST_HALVINGS` below the best of all. */
export function boundFeatures(all: readonly Features[]): Features[] {
  const best = new Map(
    decisionParts.map((part) => [part, Math.max(...all.map((one) => one[part] ?? -Infinity))] as const),
  );
  return all.map((one) =>
    Object.fromEntries(
      decisionParts.filter((part) => one[part] !== undefined).map((part) => {
        const value = one[part] ?? 0;
        return [
          part,
          part === "quality" ? value : Math.max(value, (best.get(part) ?? value) - MOST_HALVINGS),
        ];
      }),
    )
  );
}

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

/** How often each of `n` cases is drawn in `n` draws. */
function draw(n: number, random: Random): number[] {
  const counts = Array<number>(n).fill(0);
  for (let i = 0; i < n; i++) {
    const at = Math.floor(random() * n);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

/** The range of one weight, the others as they are, in which the choice stays the best. */
export interface Sensitivity {
  readonly part: DecisionPart;
  readonly weight: number;
  readonly from: number;
  /** Null: however large. */
  readonly to: number | null;
  /** Who would be chosen beyond; null where there is no beyond. */
  readonly below: string | null;
  readonly above: string | null;
}

/**
 * How far each weight can move before another candidate is chosen. The utility is linear in every weight, so the
 * bounds are where two lines cross.
 *
 * @example
 * ```ts
 * const features = new Map([["good", { quality: 0.8, latency: 0 }], ["fast", { quality: 0.6, latency: 1 }]]);
 * const [, latency] = sensitivity("good", features, { quality: 1, latency: 0.1 });
 * if (latency?.above !== "fast" || Math.abs((latency.to ?? 0) - 0.2) > 1e-9) throw new Error("0.2 is worth a halving");
 * ```
 */
export function sensitivity(
  choice: string,
  features: ReadonlyMap<string, Features>,
  weights: DecisionWeights,
): Sensitivity[] {
  const own = features.get(choice);
  if (own === undefined) throw new RangeError(`Cannot vary the weights of ${choice}: it was not ranked`);
  return decisionParts.filter((part) => weights[part] !== undefined).map((part) => {
    const weight = weights[part] ?? 0;
    let [from, to]: [number, number | null] = [0, null];
    let [below, above]: [string | null, string | null] = [null, null];
    for (const [id, other] of features) {
      if (id === choice) continue;
      const lead = utilityFrom(own, weights) - utilityFrom(other, weights);
      const slope = (own[part] ?? 0) - (other[part] ?? 0);
      if (slope === 0) continue;
      const crossing = weight - lead / slope;
      if (slope > 0 && crossing > from) [from, below] = [crossing, id];
      if (slope < 0 && (to === null || crossing < to)) [to, above] = [crossing, id];
    }
    return { part, weight, from, to, below, above };
  });
}

/** What of a candidate the Pareto front compares; null where unknown. */
export interface FrontPoint {
  readonly id: string;
  readonly quality: number | null;
  readonly latencyS: number | null;
  readonly memoryMb: number | null;
}

/**
 * Those that no other beats in one thing without losing in another: higher quality, lower latency, less memory.
 * A figure that one of two lacks doesn't count between them.
 *
 * @example
 * ```ts
 * const front = paretoFront([
 *   { id: "a", quality: 0.9, latencyS: 2, memoryMb: 500 },
 *   { id: "b", quality: 0.5, latencyS: 1, memoryMb: 300 },
 *   { id: "c", quality: 0.4, latencyS: 1.5, memoryMb: 400 },
 * ]);
 * if (front.join() !== "a,b") throw new Error("b beats c in everything");
 * ```
 */
export function paretoFront(points: readonly FrontPoint[]): string[] {
  const axes = [
    ({ quality }: FrontPoint) => quality,
    ({ latencyS }: FrontPoint) => latencyS === null ? null : -latencyS,
    ({ memoryMb }: FrontPoint) => memoryMb === null ? null : -memoryMb,
  ];
  const beats = (a: FrontPoint, b: FrontPoint) => {
    const gaps = axes.flatMap((axis) => {
      const [x, y] = [axis(a), axis(b)];
      return x === null || y === null ? [] : [x - y];
    });
    return gaps.length > 0 && gaps.every((gap) => gap >= 0) && gaps.some((gap) => gap > 0);
  };
  return points.filter((point) => !points.some((other) => beats(other, point))).map(({ id }) => id);
}
