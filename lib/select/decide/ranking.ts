/** Weighs quality, speed and memory against each other, and asks how far the weights and the prompts decide. */
import type { Random } from "../../stats/random.ts";
import type { CandidateEvidence, SpeedMetric } from "./evidence.ts";

/** The parts of a utility. Quality counts 1 per point of the score; times and memory count 1 per halving. */
export const decisionParts = ["quality", "latency", "ttft", "throughput", "memory"] as const;
export type DecisionPart = typeof decisionParts[number];
export type DecisionWeights = Readonly<Partial<Record<DecisionPart, number>>>;

/**
 * Half the latency is worth a tenth of the quality scale, half the memory a twentieth: a model must be 32 times
 * faster to make up for half of the quality.
 */
export const DEFAULT_WEIGHTS: DecisionWeights = { quality: 1, latency: 0.1, memory: 0.05 };

const speedOf: Partial<Record<DecisionPart, { readonly metric: SpeedMetric; readonly sign: 1 | -1 }>> = {
  latency: { metric: "latency_s", sign: -1 },
  ttft: { metric: "ttft_s", sign: -1 },
  throughput: { metric: "output_tokens_per_s", sign: 1 },
};

/** What each part of a candidate is, before rankingBasis. */
export type Features = Readonly<Partial<Record<DecisionPart, number>>>;

/** So often every prompt counts; null for once each. */
type Counts = ReadonlyMap<string, number> | null;

/** What can be basis: the candidates, the parts known of all of them, and the prompts they have in common. */
export interface RankingBasis {
  readonly candidates: readonly CandidateEvidence[];
  readonly weights: DecisionWeights;
  /** Parts that have a weight and are not known of everybody, with those who lack them. */
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
    const lacking = candidates.filter((one) => featuresOf(one, all, null)[part] === undefined);
    return lacking.length === 0 ? [] : [{ part, lacking: lacking.map(({ id }) => id) }];
  });
  const kept = Object.entries(weights).filter(([part]) => !unknown.some((one) => one.part === part));
  return { ...all, weights: Object.fromEntries(kept), unknown };
}

/** Means over the common prompts; logarithms to base 2, so that 1 is a halving or a doubling. */
export function featuresOf(
  { logByPrompt, qualityByPrompt, summary }: CandidateEvidence,
  { speedPrompts, qualityPrompts }: Pick<RankingBasis, "speedPrompts" | "qualityPrompts">,
  counts: Counts,
): Features {
  const speed = (part: DecisionPart) => {
    const { metric, sign } = speedOf[part] ?? { metric: "latency_s", sign: -1 };
    const mean = weightedMean(speedPrompts, counts, (prompt) => logByPrompt.get(prompt)?.[metric]);
    return mean === undefined ? undefined : sign * mean / Math.LN2;
  };
  const values = {
    quality: weightedMean(qualityPrompts, counts, (prompt) => qualityByPrompt.get(prompt)),
    latency: speed("latency"),
    ttft: speed("ttft"),
    throughput: speed("throughput"),
    memory: summary.memory_mb === null || summary.memory_mb <= 0 ? undefined : -Math.log2(summary.memory_mb),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** Undefined where there are no prompts, or one lacks the value. */
function weightedMean(
  prompts: readonly string[],
  counts: Counts,
  of: (prompt: string) => number | undefined,
): number | undefined {
  let [sum, n] = [0, 0];
  for (const prompt of prompts) {
    const [value, count] = [of(prompt), counts === null ? 1 : counts.get(prompt) ?? 0];
    if (value === undefined) return undefined;
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
}

/** Sum of weight times feature over all parts. */
export function utilityFrom(features: Features, weights: DecisionWeights): number {
  return decisionParts.reduce((sum, part) => sum + (weights[part] ?? 0) * (features[part] ?? 0), 0);
}

/** Below this many prompts a resample says nothing: of two, half of the resamples hold one prompt twice. */
export const FEWEST_PROMPTS = 5;

export interface Chances {
  /** How often each candidate came out best. */
  readonly best: ReadonlyMap<string, number>;
  /** 95 % of the resamples put the worth of the first minus the second between these. */
  readonly lead: readonly [number, number];
}

/**
 * Resamples the prompts (Efron 1979): with other prompts of the same kind, how often would each candidate be the
 * best? Prompts are resampled, not requests, since repeats of a prompt are no further evidence. Where the
 * answers belong to the prompts that were timed, both are resampled together.
 *
 * @returns null below `FEWEST_PROMPTS` prompts, or with fewer than two candidates
 */
export function chances(
  basis: RankingBasis,
  order: readonly string[],
  random: Random,
  resamples = 2000,
): Chances | null {
  const { candidates, speedPrompts, qualityPrompts, weights } = basis;
  const weighsQuality = (weights.quality ?? 0) > 0;
  const sizes = [speedPrompts.length, ...(weighsQuality ? [qualityPrompts.length] : [])];
  const [first, second] = order;
  if (Math.min(...sizes) < FEWEST_PROMPTS || first === undefined || second === undefined) return null;
  const wins = new Map(candidates.map(({ id }) => [id, 0]));
  const leads: number[] = [];
  const together = qualityPrompts.every((prompt) => speedPrompts.includes(prompt));
  for (let i = 0; i < resamples; i++) {
    const counts = new Map([
      ...draw(speedPrompts, random),
      ...(together ? [] : draw(qualityPrompts, random)),
    ]);
    const worths = new Map(
      candidates.map((one) => [one.id, utilityFrom(featuresOf(one, basis, counts), weights)]),
    );
    const best = [...worths].reduce((top, one) => one[1] > top[1] ? one : top)[0];
    wins.set(best, (wins.get(best) ?? 0) + 1);
    leads.push((worths.get(first) ?? 0) - (worths.get(second) ?? 0));
  }
  leads.sort((a, b) => a - b);
  const at = (p: number) => leads[Math.min(leads.length - 1, Math.floor(p * leads.length))] ?? 0;
  return {
    best: new Map([...wins].map(([id, n]) => [id, n / resamples])),
    lead: [at(0.025), at(0.975)],
  };
}

function draw(prompts: readonly string[], random: Random): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < prompts.length; i++) {
    const prompt = prompts[Math.floor(random() * prompts.length)] ?? "";
    counts.set(prompt, (counts.get(prompt) ?? 0) + 1);
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
 * How far each weight can move before another candidate is chosen. The worth is linear in every weight, so the
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
  if (own === undefined) throw new RangeError(`Cannot vary the weights of ${choice}: it was not basis`);
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
 * Those whom nobody beats in one thing without losing in another: higher quality, lower latency, less memory.
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
