/**
 * Does choosing a model per request help at all? Rules are compared with the one best model on recorded
 * answers, each learned on some prompts and tried on others. A rule is switched on only if its gain is more
 * than chance: more than the same rules gain, learned anew, where the worths are dealt out to other texts.
 */
import { meanOf, sumOf, varianceOfMean } from "../../stats/mean.ts";
import { type Random, shuffle } from "../../stats/random.ts";
import { studentTQuantile } from "../../stats/t.ts";
import { type Intent, intentFinder } from "./intent.ts";
import { nearestTexts, type Neighbour, neighbourMean } from "./router_neighbours.ts";

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
  /** Permutations of the test. Default 399. */
  readonly permutations?: number;
  /** Accepted probability of switching on a rule that gains nothing, over all rules together. Default 0.05. */
  readonly alpha?: number;
  readonly random: Random;
}

const routingRules = ["intent", "neighbours"] as const;
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
  /** Its interval at `level`, corrected for the number of rules; null below two prompts. It describes, `p` decides. */
  readonly gain_ci: readonly [number, number] | null;
  readonly level: number;
  /** How often a gain as large comes of texts that say nothing: permutation test, over all rules together. */
  readonly p: number;
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

/**
 * Audits the rules: a map by intent, nearest neighbours, the best single model, the oracle.
 *
 * @param outcomes each with the worth of every model's answer
 * @throws {RangeError} with fewer than two models or two prompts, or when a worth is missing
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const outcomes = Array.from({ length: 40 }, (_, i) => ({
 *   id: `p${i}`,
 *   text: i % 2 === 0 ? `code of parser${i} scanner${i} lexer${i}` : `morning of rain${i} sun${i} wind${i}`,
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
  const [models, prompts] = [arms.length, outcomes.length];
  if (models < 2 || prompts < 2) {
    throw new RangeError(`Cannot audit ${models} models on ${prompts} prompts: it takes two of each`);
  }
  const { intents, k = 5, folds = 10, repeats = 5, permutations = 399, alpha = 0.05, random } = options;
  const find = intentFinder(intents);
  const intentOf = outcomes.map(({ text }) => find(text, null).name);
  const worths = outcomes.map((one) => arms.map((arm) => worthOf(one, arm)));
  const clusters = nearDuplicates(outcomes.map(({ text }) => text));
  const dealt = deals(clusters, folds, repeats, random).map((deal) => prepare(deal, outcomes, k));
  const reach = (rows: Worths) => heldOut(rows, intentOf, dealt);
  const tried = reach(worths);
  const byChance = () => gainsOf(reach(permuted(worths, clusters, random)));
  const ps = permutationPs(gainsOf(tried), byChance, permutations);
  const rules = routingRules.map((rule, at) => auditedRule(rule, tried, ps[at] ?? 1, alpha));
  const best = rules.filter(({ on }) => on).sort((a, b) => b.gain - a.gain)[0];
  const all = outcomes.map((_, at) => at);
  const favourite = arms[bestOf(meansOver(worths, all))] ?? "";
  return {
    prompts,
    arms,
    single: arms.map((arm, at) => ({ arm, ...meanOver(worths.map((row) => row[at] ?? 0)) }))
      .sort((a, b) => b.mean - a.mean),
    best_single: { arm: favourite, ...meanOver(tried.single) },
    rules,
    oracle: meanOver(worths.map((row) => Math.max(...row))),
    intents: [...intentMap(worths, intentOf, all)].map(([intent, arm]) => ({
      intent,
      prompts: intentOf.filter((one) => one === intent).length,
      arm: arms[arm] ?? "",
    })),
    chosen: best?.rule ?? null,
    why: auditReason(prompts, rules, best),
  };
}

/** For each gain, how often the largest gain of all by chance is as large. */
function permutationPs(gains: readonly number[], byChance: () => number[], permutations: number): number[] {
  const largest = Array.from({ length: permutations }, () => Math.max(...byChance()));
  return gains.map((gain) => (1 + largest.filter((one) => one >= gain - 1e-12).length) / (1 + permutations));
}

function auditedRule(rule: RoutingRule, tried: HeldOut, p: number, alpha: number): AuditedRule {
  const level = 1 - alpha / routingRules.length;
  const gains = tried[rule].map((worth, at) => worth - (tried.single[at] ?? 0));
  const gain = meanOf(gains);
  const on = gains.length >= LEAST_PROMPTS && gain > 0 && p <= alpha;
  return { rule, ...meanOver(tried[rule]), gain, gain_ci: meanInterval(gains, level), level, p, on };
}

function auditReason(
  prompts: number,
  audited: readonly AuditedRule[],
  best: AuditedRule | undefined,
): string {
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  const shown = ({ rule, gain, gain_ci, p }: AuditedRule) =>
    `${rule} ${signed(gain)}${gain_ci === null ? "" : ` (${gain_ci.map(signed).join(" to ")})`}, p = ${
      p.toFixed(3)
    }`;
  if (best !== undefined) return `beats the best single model on ${prompts} held-out prompts: ${shown(best)}`;
  const too = prompts < LEAST_PROMPTS ? `${prompts} prompts are too few (it takes ${LEAST_PROMPTS}); ` : "";
  return `${too}no rule per request beats the best single model by more than chance on ${prompts} held-out ` +
    `prompts: ${audited.map(shown).join(", ")}`;
}

/** Prompts to learn from, and those to be tried on, by their numbers. */
interface Deal {
  readonly seen: readonly number[];
  readonly tried: readonly number[];
}

/** Texts at least this alike are taken as one prompt in several wordings. */
const DUPLICATE_LIKENESS = 0.8;

/** Groups of prompts that are near duplicates of each other: learning from one would be peeking at the next. */
function nearDuplicates(texts: readonly string[]): number[][] {
  const nearest = nearestTexts(texts, texts.length);
  const clusterOf = texts.map((_, at) => at);
  texts.forEach((text, at) => {
    for (const { at: other, likeness } of nearest(text)) {
      if (likeness < DUPLICATE_LIKENESS) break;
      const [keep, join] = [clusterOf[at] ?? at, clusterOf[other] ?? other];
      if (keep !== join) clusterOf.forEach((own, i) => clusterOf[i] = own === join ? keep : own);
    }
  });
  return [...Map.groupBy(texts.map((_, at) => at), (at) => clusterOf[at] ?? at).values()];
}

/** Deals the prompts into parts, several times over, near duplicates together; each is tried once per repeat. */
function deals(
  clusters: readonly (readonly number[])[],
  folds: number,
  repeats: number,
  random: Random,
): Deal[] {
  const parts = Math.min(folds, clusters.length);
  return Array.from({ length: repeats }, () => shuffle(clusters, random)).flatMap((dealt) =>
    Array.from({ length: parts }, (_, part) => ({
      seen: dealt.filter((_, at) => at % parts !== part).flat(),
      tried: dealt.filter((_, at) => at % parts === part).flat(),
    })).filter(({ seen, tried }) => seen.length > 0 && tried.length > 0)
  );
}

/** A deal with the nearest seen prompts of each tried one: texts don't change when worths are permuted. */
interface PreparedDeal extends Deal {
  readonly nearest: readonly (readonly Neighbour[])[];
}

function prepare(deal: Deal, outcomes: readonly ScoredCase[], k: number): PreparedDeal {
  const find = nearestTexts(deal.seen.map((at) => outcomes[at]?.text ?? ""), k);
  return { ...deal, nearest: deal.tried.map((at) => find(outcomes[at]?.text ?? "")) };
}

/** Worth of each model's answer, by prompt. */
type Worths = readonly (readonly number[])[];

/** What each rule, and the best single model, reach on each prompt. */
type HeldOut = Readonly<Record<RoutingRule | "single", readonly number[]>>;

/** Learned on the other parts only; the mean over the repeats. */
function heldOut(worths: Worths, intentOf: readonly string[], dealt: readonly PreparedDeal[]): HeldOut {
  const reached = { single: sums(worths), intent: sums(worths), neighbours: sums(worths) };
  for (const { seen, tried, nearest } of dealt) {
    const means = meansOver(worths, seen);
    const single = bestOf(means);
    const map = intentMap(worths, intentOf, seen);
    tried.forEach((at, index) => {
      const own = worths[at] ?? [];
      const estimates = means.map((overall, arm) =>
        neighbourMean(nearest[index] ?? [], (near) => worths[seen[near] ?? -1]?.[arm], overall)
      );
      reached.single.add(at, own[single] ?? 0);
      reached.intent.add(at, own[map.get(intentOf[at] ?? "") ?? single] ?? 0);
      reached.neighbours.add(at, own[bestOf(estimates)] ?? 0);
    });
  }
  return {
    single: reached.single.means(),
    intent: reached.intent.means(),
    neighbours: reached.neighbours.means(),
  };
}

function sums(worths: Worths) {
  const [total, count] = [new Float64Array(worths.length), new Float64Array(worths.length)];
  return {
    add(at: number, value: number) {
      total[at] = (total[at] ?? 0) + value;
      count[at] = (count[at] ?? 0) + 1;
    },
    means: () => Array.from(total, (sum, at) => sum / Math.max(1, count[at] ?? 0)),
  };
}

/** Mean gain of each rule over the best single model. */
function gainsOf(tried: HeldOut): number[] {
  return routingRules.map((rule) =>
    tried[rule].reduce((sum, worth, at) => sum + worth - (tried.single[at] ?? 0), 0) / tried.single.length
  );
}

/** The worths dealt out to other prompts, whole rows, near duplicates together and to groups of the same size. */
function permuted(worths: Worths, clusters: readonly (readonly number[])[], random: Random): Worths {
  const dealt: (readonly number[])[] = worths.map((row) => row);
  for (const same of Map.groupBy(clusters, ({ length }) => length).values()) {
    shuffle(same, random).forEach((from, at) => {
      same[at]?.forEach((to, member) => dealt[to] = worths[from[member] ?? 0] ?? []);
    });
  }
  return dealt;
}

function meansOver(worths: Worths, seen: readonly number[]): number[] {
  const arms = worths[0]?.length ?? 0;
  return Array.from(
    { length: arms },
    (_, arm) => meanOf(seen.map((at) => worths[at]?.[arm] ?? 0)),
  );
}

/** The best model of each intent, its mean drawn towards the whole's. */
function intentMap(
  worths: Worths,
  intentOf: readonly string[],
  seen: readonly number[],
): Map<string, number> {
  const overall = meansOver(worths, seen);
  return new Map([...Map.groupBy(seen, (at) => intentOf[at] ?? "")].map(([intent, same]) => {
    const drawn = overall.map((mean, arm) => {
      const sum = sumOf(same.map((at) => worths[at]?.[arm] ?? 0));
      return (sum + SHRINKAGE * mean) / (same.length + SHRINKAGE);
    });
    return [intent, bestOf(drawn)] as const;
  }));
}

/** Of equals the first. */
function bestOf(values: readonly number[]): number {
  return values.reduce((best, value, at) => value > (values[best] ?? -Infinity) ? at : best, 0);
}

function worthOf({ id, worth }: ScoredCase, arm: string): number {
  const value = worth[arm];
  if (value === undefined) {
    throw new RangeError(`Cannot audit: the worth of ${arm}'s answer to ${id} is missing`);
  }
  return value;
}

function meanOver(values: readonly number[]): MeanOverCases {
  const interval = meanInterval(values, 0.95);
  return { mean: meanOf(values), ci95: interval && [Math.max(0, interval[0]), Math.min(1, interval[1])] };
}

/** Student's t interval of the mean at a level; null below two values. */
function meanInterval(values: readonly number[], level: number): [number, number] | null {
  const n = values.length;
  if (n < 2) return null;
  const mean = meanOf(values);
  const reach = studentTQuantile(0.5 + level / 2, n - 1) * Math.sqrt(varianceOfMean(values));
  return [mean - reach, mean + reach];
}
