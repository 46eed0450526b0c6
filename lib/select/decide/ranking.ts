/** Ranks by quality, speed and memory together, and asks how far the cases decide. */
import type { Random } from "../../stats/random.ts";
import type { Eligibility } from "./eligibility.ts";
import type { CandidateEvidence, SpeedMetric } from "./evidence.ts";

/** The parts of a utility. Quality counts 1 per point of the score; times and memory count 1 per halving. */
export const decisionParts = ["quality", "latency", "ttft", "throughput", "memory"] as const;
export type DecisionPart = typeof decisionParts[number];
export type DecisionWeights = Readonly<Partial<Record<DecisionPart, number>>>;

/** Half the latency is worth a tenth of the quality scale, half the memory a twentieth; see `MOST_HALVINGS`. */
export const DEFAULT_WEIGHTS: DecisionWeights = { quality: 1, latency: 0.1, memory: 0.05 };

/** The parts that come from times: the figure of each, and whether more of it is better. */
export const speedOf = {
  latency: { metric: "latency_s", sign: -1 },
  ttft: { metric: "ttft_s", sign: -1 },
  throughput: { metric: "output_tokens_per_s", sign: 1 },
} as const satisfies Partial<Record<DecisionPart, { readonly metric: SpeedMetric; readonly sign: 1 | -1 }>>;
export type SpeedPart = keyof typeof speedOf;

/** The speed parts that have a weight. */
export const speedParts = (weights: DecisionWeights): SpeedPart[] =>
  (["latency", "ttft", "throughput"] as const).filter((part) => (weights[part] ?? 0) > 0);

/** What a candidate has of each part, before it is weighted: logarithms to base 2, and points of the score. */
export type Features = Readonly<Partial<Record<DecisionPart, number>>>;

/** How often each case counts, of those with a time and of those with a score. */
interface Counts {
  readonly speed: readonly number[];
  readonly quality: readonly number[];
}

/** What a ranking rests on: the candidates, the parts known of all of them, and the prompts they have in common. */
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
  const values: Partial<Record<DecisionPart, number | undefined>> = {
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
  /** How often each came out best; see `chancesOfBest`. */
  readonly chances: ReadonlyMap<string, number> | null;
  /** Whose quality allows a choice; empty where nothing was scored. */
  readonly eligibility: ReadonlyMap<string, Eligibility>;
}

/** Sum of weight times feature over all parts. */
export function utilityFrom(features: Features, weights: DecisionWeights): number {
  return decisionParts.reduce((sum, part) => sum + (weights[part] ?? 0) * (features[part] ?? 0), 0);
}

/** Below this many cases nothing is said: of two, half of the resamples hold one case twice. */
export const FEWEST_CASES = 5;
const RESAMPLES = 2000;

/**
 * How often each candidate came out best where the cases are resampled (Efron 1979): with other cases of the
 * same kind, how often would it be the best? Exact ties are shared out. Cases are resampled, not requests,
 * since repeats of a case add no evidence. Where the answers belong to the cases that were timed, both are
 * resampled together.
 *
 * @returns null below `FEWEST_CASES` cases, or with fewer than two candidates
 */
export function chancesOfBest(
  basis: RankingBasis,
  random: Random,
): ReadonlyMap<string, number> | null {
  const { candidates, speedPrompts, qualityPrompts, weights } = basis;
  const [usesQuality, usesSpeed] = [(weights.quality ?? 0) > 0, speedParts(weights).length > 0];
  const sizes = [
    ...(usesQuality ? [qualityPrompts.length] : []),
    ...(usesSpeed ? [speedPrompts.length] : []),
  ];
  if (sizes.length === 0 || Math.min(...sizes) < FEWEST_CASES || candidates.length < 2) return null;
  const together = sameCases(basis);
  const positions = qualityPrompts.map((prompt) => speedPrompts.indexOf(prompt));
  const values = candidates.map((one) => caseValues(one, basis));
  const wins = values.map(() => 0);
  let counted = 0;
  for (let i = 0; i < RESAMPLES; i++) {
    const speed = usesSpeed || together ? drawCounts(speedPrompts.length, random) : [];
    const quality = together
      ? positions.map((at) => speed[at] ?? 0)
      : usesQuality
      ? drawCounts(qualityPrompts.length, random)
      : [];
    // A resample without a scored case says nothing of quality.
    if (usesQuality && !quality.some((count) => count > 0)) continue;
    counted++;
    const features = boundFeatures(values.map((one) => featuresFrom(one, { speed, quality })));
    const utilities = features.map((one) => utilityFrom(one, weights));
    const most = Math.max(...utilities);
    const best = utilities.flatMap((utility, at) => utility === most ? [at] : []);
    for (const at of best) wins[at] = (wins[at] ?? 0) + 1 / best.length;
  }
  return counted === 0 ? null : new Map(candidates.map(({ id }, at) => [id, (wins[at] ?? 0) / counted]));
}

/** Whether the scored cases are cases that were timed. */
export const sameCases = ({ speedPrompts, qualityPrompts }: RankingBasis) =>
  speedPrompts.length > 0 && qualityPrompts.every((prompt) => speedPrompts.includes(prompt));

/** What speed and memory can be worth is bounded: beyond this many halvings, more speed counts for nothing. */
export const MOST_HALVINGS = 3;

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

/** How often each of `n` cases is drawn in `n` draws. */
function drawCounts(n: number, random: Random): number[] {
  const counts = Array<number>(n).fill(0);
  for (let i = 0; i < n; i++) {
    const at = Math.floor(random() * n);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}
