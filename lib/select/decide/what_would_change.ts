/** What would change a decision: other weights, other figures, more evidence, a relaxed constraint. */
import type { Decision } from "./decision_schema.ts";
import type { QualityReport } from "../../quality/quality_schema.ts";
import { type DecisionPart, decisionParts, type Ranking, type RankingBasis, utilityFrom } from "./ranking.ts";

/** In plain sentences, the nearest changes first. */
export function whatWouldChangeIt(
  decision: Omit<Decision, "what_would_change_it">,
  ranking: Ranking,
  quality: QualityReport | null,
): string[] {
  return [
    ...nearerRival(decision, ranking),
    ...cutRivals(decision, quality),
    ...otherWeights(decision),
    ...moreEvidence(decision, ranking),
    ...decision.excluded.map(({ id, admit }) => `${id} would be admitted: ${admit}`),
  ];
}

/** How much faster, or better, the runner-up would have to be. */
function nearerRival(
  { choice, leader }: Pick<Decision, "choice" | "leader">,
  { order, features, basis: { weights } }: Ranking,
): string[] {
  const best = choice ?? leader;
  const rival = order.find((id) => id !== best);
  const [own, other] = [features.get(best ?? ""), features.get(rival ?? "")];
  if (best === null || rival === undefined || own === undefined || other === undefined) return [];
  const lead = utilityFrom(own, weights) - utilityFrom(other, weights);
  if (lead <= 0) return [];
  const ways = [
    (weights.latency ?? 0) > 0
      ? `answered ${Number((2 ** (lead / (weights.latency ?? 1))).toPrecision(3))} times faster`
      : null,
    (weights.quality ?? 0) > 0 ? `scored ${(lead / (weights.quality ?? 1)).toFixed(2)} higher` : null,
  ].filter((way) => way !== null);
  return ways.length === 0 ? [] : [`${rival} would lead by these weights if it ${ways.join(", or ")}`];
}

/** Candidates whose cut answers, if they were right, would lift them to the choice's share of right answers. */
function cutRivals(
  { choice, leader }: Pick<Decision, "choice" | "leader">,
  quality: QualityReport | null,
): string[] {
  const best = quality?.candidates.find(({ id }) => id === (choice ?? leader));
  const mark = best?.pass_rate.rate ?? null;
  if (quality === null || mark === null) return [];
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  return quality.candidates.flatMap(({ id, answers, states, pass_rate }) => {
    const most = answers === 0 ? 0 : (states.right + states.cut) / answers;
    return id === best?.id || states.cut === 0 || (pass_rate.rate ?? 1) >= mark || most < mark ? [] : [
      `${id} had ${states.cut} of ${answers} answers cut, which count as wrong: with a larger --max-tokens ` +
      `${percent(states.right / answers)} right could become up to ${percent(most)}`,
    ];
  });
}

function otherWeights({ sensitivity }: Pick<Decision, "sensitivity">): string[] {
  const digits = (value: number) => Number(value.toPrecision(2));
  return sensitivity.flatMap(({ part, weight, from, to, below, above }) => [
    ...(below === null
      ? []
      : [`${below} would lead with a weight of ${part} below ${digits(from)} (it is ${digits(weight)})`]),
    ...(above === null || to === null
      ? []
      : [`${above} would lead with a weight of ${part} above ${digits(to)} (it is ${digits(weight)})`]),
  ]);
}

function moreEvidence(
  { verdict, quality_source }: Pick<Decision, "verdict" | "quality_source">,
  { basis: { qualityPrompts, speedPrompts, candidates } }: Ranking,
): string[] {
  if (quality_source === null) {
    return ["scored answers: deno task quality capture, then this command again with --quality RUN"];
  }
  if (verdict === "undecided" && candidates.length > 1) {
    return [
      `more cases: it rests on ${qualityPrompts.length} with scored answers and ${speedPrompts.length} timed ` +
      "ones that all candidates share",
    ];
  }
  return [];
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
 * How far each weight can move before another candidate is chosen. The utility is linear in every weight, so
 * the bounds are where two lines cross.
 *
 * @returns empty where the choice has no rival
 *
 * @example
 * ```ts
 * const features = new Map([["good", { quality: 0.8, latency: 0 }], ["fast", { quality: 0.6, latency: 1 }]]);
 * const [, latency] = sensitivity("good", { features, basis: { weights: { quality: 1, latency: 0.1 } } });
 * if (latency?.above !== "fast" || Math.abs((latency.to ?? 0) - 0.2) > 1e-9) throw new Error("0.2 is worth a halving");
 * ```
 */
export function sensitivity(
  choice: string | undefined,
  { features, basis: { weights } }: Pick<Ranking, "features"> & {
    readonly basis: Pick<RankingBasis, "weights">;
  },
): Sensitivity[] {
  if (choice === undefined || features.size < 2) return [];
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
