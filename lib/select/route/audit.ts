/**
 * Does choosing a model per request help at all? Rules are compared with the one best model on recorded answers,
 * each learned on some prompts and tried on others. A rule is switched on only if its gain is more than chance.
 */
import type { Random } from "../../stats/random.ts";
import { shuffle } from "../../stats/random.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { type Intent, intentFinder } from "./intent.ts";
import { neighbourEstimator } from "./router_neighbours.ts";

/** A prompt, and the worth of each model's answer to it, 0 to 1. */
export interface ScoredCase {
  readonly id: string;
  readonly text: string;
  readonly worth: Readonly<Record<string, number>>;
}

export interface AuditOptions {
  readonly intents: readonly Intent[];
  /** Neighbours that count. Default 5. */
  readonly k?: number;
  /** Parts that the prompts are dealt into; each is tried with rules learned on the others. Default 10. */
  readonly folds?: number;
  /** Deals; a prompt's result is its mean over them. Default 5. */
  readonly repeats?: number;
  /** Accepted probability of switching on a rule that gains nothing, over all rules together. Default 0.05. */
  readonly alpha?: number;
  readonly random: Random;
}

export const routingRules = ["intent", "neighbours"] as const;
export type RoutingRule = typeof routingRules[number];

/** A mean over prompts, and a t interval over prompts; null below two. */
export interface MeanOverCases {
  readonly mean: number;
  readonly ci95: readonly [number, number] | null;
}

export interface AuditedRule extends MeanOverCases {
  readonly rule: RoutingRule;
  /** Worth of the rule minus worth of the best single model on the same prompts. */
  readonly gain: number;
  /** Its interval at `level`, corrected for the number of rules; null below two prompts. */
  readonly gain_ci: readonly [number, number] | null;
  readonly level: number;
  readonly on: boolean;
}

export interface Audit {
  readonly prompts: number;
  readonly arms: readonly string[];
  /** Each model by itself, the best first. */
  readonly single: readonly (MeanOverCases & { readonly arm: string })[];
  /** The best single model as it would have been chosen: on other prompts than those it is tried on. */
  readonly best_single: MeanOverCases & { readonly arm: string };
  readonly rules: readonly AuditedRule[];
  /** The best model of every prompt, known afterwards: no rule can reach it, since it profits from luck. */
  readonly oracle: MeanOverCases;
  /** What the intent rule would do, learned on all prompts. */
  readonly intents: readonly { readonly intent: string; readonly prompts: number; readonly arm: string }[];
  /** The rule to switch on; null for none. */
  readonly chosen: RoutingRule | null;
  readonly why: string;
}

/** Below this many prompts nothing is switched on: t intervals over so few do not hold. */
export const LEAST_PROMPTS = 20;

/** A part's mean is drawn towards the whole's as if by this many prompts: few prompts must not decide alone. */
const SHRINKAGE = 4;

/** Learns from outcomes which model to take for a text. */
type Learner = (seen: readonly ScoredCase[]) => (text: string) => string;

/**
 * Audits the rules: a map by intent, nearest neighbours, the best single model, the oracle.
 *
 * @param outcomes every one with the worth of every arm
 * @throws {RangeError} with fewer than two arms or two prompts, or when a worth is missing
 *
 * @example
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const outcomes = Array.from({ length: 40 }, (_, i) => ({
 *   id: `p${i}`,
 *   text: i % 2 === 0 ? "refactor this code" : "good morning",
 *   worth: { coder: i % 2 === 0 ? 1 : 0.1 * (i % 3), chatter: i % 2 === 0 ? 0.1 * (i % 5) : 1 },
 * }));
 * const intents = [{ name: "code", patterns: ["code"], needs: [] }];
 * const found = audit(outcomes, ["coder", "chatter"], { intents, random: seededRandom(1) });
 * console.assert(found.chosen !== null);
 * ```
 */
export function audit(
  outcomes: readonly ScoredCase[],
  arms: readonly string[],
  options: AuditOptions,
): Audit {
  if (arms.length < 2 || outcomes.length < 2) {
    throw new RangeError(
      `Cannot audit ${arms.length} models on ${outcomes.length} prompts: it takes two of each`,
    );
  }
  const { intents, k = 5, folds = 10, repeats = 5, alpha = 0.05, random } = options;
  const find = intentFinder(intents);
  const learners = {
    single: singleLearner(arms),
    intent: intentLearner(arms, (text) => find(text, null).name),
    neighbours: neighbourLearner(arms, k),
  };
  const dealt = deals(outcomes, folds, repeats, random);
  const tried = {
    single: heldOut(outcomes, learners.single, dealt),
    intent: heldOut(outcomes, learners.intent, dealt),
    neighbours: heldOut(outcomes, learners.neighbours, dealt),
  };
  const level = 1 - alpha / routingRules.length;
  const audited = routingRules.map((rule): AuditedRule => {
    const differences = tried[rule].map((worth, at) => worth - (tried.single[at] ?? 0));
    const gained = meanWith(differences, level);
    const on = outcomes.length >= LEAST_PROMPTS && gained.interval !== null && gained.interval[0] > 0;
    return { rule, ...meanOf(tried[rule]), gain: gained.mean, gain_ci: gained.interval, level, on };
  });
  const best = audited.filter(({ on }) => on).sort((a, b) => b.gain - a.gain)[0];
  const single = arms.map((arm) => ({ arm, ...meanOf(outcomes.map((one) => worthOf(one, arm))) }))
    .sort((a, b) => b.mean - a.mean);
  const favourite = learners.single(outcomes)("");
  const map = learners.intent(outcomes);
  const byIntent = Map.groupBy(outcomes, ({ text }) => find(text, null).name);
  return {
    prompts: outcomes.length,
    arms,
    single,
    best_single: { arm: favourite, ...meanOf(tried.single) },
    rules: audited,
    oracle: meanOf(outcomes.map((one) => Math.max(...arms.map((arm) => worthOf(one, arm))))),
    intents: [...byIntent].map(([intent, same]) => ({
      intent,
      prompts: same.length,
      arm: map(same[0]?.text ?? ""),
    })),
    chosen: best?.rule ?? null,
    why: whyOf(outcomes.length, audited, best),
  };
}

function whyOf(prompts: number, audited: readonly AuditedRule[], best: AuditedRule | undefined): string {
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  const shown = ({ rule, gain, gain_ci }: AuditedRule) =>
    `${rule} ${signed(gain)}${gain_ci === null ? "" : ` (${gain_ci.map(signed).join(" to ")})`}`;
  if (best !== undefined) return `beats the best single model on ${prompts} held-out prompts: ${shown(best)}`;
  const too = prompts < LEAST_PROMPTS ? `${prompts} prompts are too few (it takes ${LEAST_PROMPTS}); ` : "";
  return `${too}no rule per request beats the best single model by more than chance on ${prompts} held-out ` +
    `prompts: ${audited.map(shown).join(", ")}`;
}

/** Prompts to learn from, and those to be tried on. */
interface Deal {
  readonly seen: readonly ScoredCase[];
  readonly tried: readonly ScoredCase[];
}

/** Deals the prompts into parts, several times over; every prompt is tried once in each repeat. */
function deals(outcomes: readonly ScoredCase[], folds: number, repeats: number, random: Random): Deal[] {
  const parts = Math.min(folds, outcomes.length);
  return Array.from({ length: repeats }, () => shuffle(outcomes, random)).flatMap((dealt) =>
    Array.from({ length: parts }, (_, part) => ({
      seen: dealt.filter((_, at) => at % parts !== part),
      tried: dealt.filter((_, at) => at % parts === part),
    }))
  );
}

/** What a learner reaches on each prompt, learned on the other parts only; the mean over the repeats. */
function heldOut(outcomes: readonly ScoredCase[], learner: Learner, dealt: readonly Deal[]): number[] {
  const reached = new Map(outcomes.map((one): [ScoredCase, number[]] => [one, []]));
  for (const { seen, tried } of dealt) {
    const choose = learner(seen);
    for (const one of tried) reached.get(one)?.push(worthOf(one, choose(one.text)));
  }
  return [...reached.values()].map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
}

function singleLearner(arms: readonly string[]): Learner {
  return (seen) => {
    const best = bestArm(arms, (arm) => averageOf(seen, arm));
    return () => best;
  };
}

function intentLearner(arms: readonly string[], intentOf: (text: string) => string): Learner {
  return (seen) => {
    const groups = Map.groupBy(seen, ({ text }) => intentOf(text));
    const overall = new Map(arms.map((arm) => [arm, averageOf(seen, arm)]));
    const best = new Map([...groups].map(([intent, same]) => [
      intent,
      bestArm(arms, (arm) => {
        const sum = same.reduce((total, one) => total + worthOf(one, arm), 0);
        return (sum + SHRINKAGE * (overall.get(arm) ?? 0)) / (same.length + SHRINKAGE);
      }),
    ]));
    const otherwise = bestArm(arms, (arm) => overall.get(arm) ?? 0);
    return (text) => best.get(intentOf(text)) ?? otherwise;
  };
}

function neighbourLearner(arms: readonly string[], k: number): Learner {
  return (seen) => {
    const estimate = neighbourEstimator({ k, examples: seen });
    return (text) => {
      const worth = estimate(text);
      return bestArm(arms, (arm) => worth.get(arm) ?? 0);
    };
  };
}

/** Of equals the first. */
function bestArm(arms: readonly string[], value: (arm: string) => number): string {
  const valued = arms.map((arm) => ({ arm, value: value(arm) })).sort((a, b) => b.value - a.value);
  const [best] = valued;
  if (best === undefined) throw new RangeError("Cannot choose among no models");
  return best.arm;
}

function worthOf({ id, worth }: ScoredCase, arm: string): number {
  const value = worth[arm];
  if (value === undefined) {
    throw new RangeError(`Cannot audit: the worth of ${arm}'s answer to ${id} is missing`);
  }
  return value;
}

const averageOf = (outcomes: readonly ScoredCase[], arm: string) =>
  outcomes.reduce((sum, one) => sum + worthOf(one, arm), 0) / outcomes.length;

function meanOf(values: readonly number[]): MeanOverCases {
  const { mean, interval } = meanWith(values, 0.95);
  return { mean, ci95: interval && [Math.max(0, interval[0]), Math.min(1, interval[1])] };
}

/** MeanOverCases with Student's t interval at a level; null below two values. */
function meanWith(
  values: readonly number[],
  level: number,
): { readonly mean: number; readonly interval: readonly [number, number] | null } {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { mean, interval: null };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const reach = studentTQuantile(0.5 + level / 2, n - 1) * Math.sqrt(variance / n);
  return { mean, interval: [mean - reach, mean + reach] };
}
