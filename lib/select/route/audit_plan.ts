/** From an audit to routing.json: the rule that proved itself, or one model for everything. */
import { meanOf } from "../../stats/mean.ts";
import type { Audit, ScoredCase } from "./audit.ts";
import type { Counts } from "./bandit.ts";
import type { Decision } from "../decide/decision_schema.ts";
import { answersKey } from "../decide/facts.ts";
import { ANY, type Intent, intentFinder } from "./intent.ts";
import type { RoutingPlan } from "./router_plan.ts";

export interface AuditPlanOptions {
  readonly intents: readonly Intent[];
  /** Its choice is the one model where no rule is on; without one it is the best single model. */
  readonly decision: Decision | null;
  /** How many requests a recorded figure is worth at most, as pseudo-counts. */
  readonly strength: number;
  readonly discount: number | null;
  readonly k: number;
}

/**
 * Makes the plan. The priors are the recorded worths as pseudo-counts: as many as prompts were asked, at most
 * `strength`. An intent's needs are dropped where the map by intent is on: it was
 * measured, tags were only said.
 */
export function planFromAudit(
  { chosen, why, best_single, arms }: Audit,
  outcomes: readonly ScoredCase[],
  { intents, decision, strength, discount, k }: AuditPlanOptions,
): RoutingPlan {
  const find = intentFinder(intents);
  const decided = decision?.choice
    ? arms.find((arm) => arm === answersKey(decision.choice ?? ""))
    : undefined;
  const priors = { [ANY]: countsOf(outcomes, arms, strength) };
  const byIntent = Map.groupBy(outcomes, ({ text }) => find(text, null).name);
  const more = chosen === "intent"
    ? Object.fromEntries([...byIntent].map(([intent, same]) => [intent, countsOf(same, arms, strength)]))
    : {};
  return {
    schema_version: 1,
    mode: chosen === "intent" ? "by-intent" : chosen === "neighbours" ? "neighbours" : "constant",
    why: decided === undefined ? why : `${why}; the one model is the decision's choice`,
    constant: decided ?? best_single.arm,
    intents: intents.map((intent) => chosen === "intent" ? { ...intent, needs: [] } : intent),
    priors: { ...priors, ...more },
    discount,
    excluded: (decision?.excluded ?? []).map(({ id, reason }) => ({ id: answersKey(id), reason }))
      .filter(({ id }) => !arms.includes(id)),
    conversations: 1000,
    neighbours: chosen === "neighbours"
      ? { k, examples: outcomes.map(({ text, worth }) => ({ text, worth: { ...worth } })) }
      : null,
  };
}

function countsOf(
  outcomes: readonly ScoredCase[],
  arms: readonly string[],
  strength: number,
): Record<string, Counts> {
  const weight = Math.min(strength, outcomes.length);
  return Object.fromEntries(arms.map((arm) => {
    const mean = meanOf(outcomes.map(({ worth }) => worth[arm] ?? 0));
    return [arm, { successes: weight * mean, failures: weight * (1 - mean) }];
  }));
}
