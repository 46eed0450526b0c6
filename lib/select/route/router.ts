/**
 * Which model answers a request that asked for `auto`. A plan says how (one model for everything, Thompson sampling
 * over all requests or inside each intent, or the most similar recorded prompts); what is observed is the evidence.
 * Nothing here talks to a model: the server says what is available and reports the results.
 */
import type { Random } from "../../stats/random.ts";
import { type Belief, type Counts, NOTHING, type Posteriors, posteriors } from "./bandit.ts";
import { ANY, type FoundIntent, intentFinder } from "./intent.ts";
import { neighbourEstimator } from "./router_neighbours.ts";
import { planFor, type RouterState, type RoutingMode, type RoutingPlan } from "./router_plan.ts";

export {
  armOf,
  parseRouterState,
  parseRoutingPlan,
  planFromDecision,
  type RouterState,
  type RoutingPlan,
} from "./router_plan.ts";

/** A conversation keeps its model. */
export interface RoutedConversation {
  /** What its requests share. */
  readonly key: string;
  /** Its first turn chooses anew, so that the same question asked again is another conversation. */
  readonly begins: boolean;
}

/** What a request says of itself. */
export interface RoutingRequest {
  /** Its last user message, or its prompt. */
  readonly text: string;
  /** The intent that its sender names; one that the plan doesn't know is set aside. */
  readonly intentHint: string | null;
  /** What the model must be able to do; models without it are not taken. */
  readonly capability: string | null;
  /** The conversation that it belongs to; null where each request stands alone. */
  readonly conversation: RoutedConversation | null;
}

/** A model that can be taken. */
export interface RoutedModel {
  readonly id: string;
  readonly capabilities: readonly string[];
}

export interface RoutingChoice {
  readonly intent: string;
  /** Ids of available arms, the best first: the order of fallback. */
  readonly order: readonly [string, ...string[]];
  /** One line of ASCII for people and headers. */
  readonly reason: string;
}

export interface RouterView {
  readonly mode: RoutingMode;
  readonly why: string;
  /** The one model of mode `constant`. */
  readonly constant: string | null;
  readonly discount: number | null;
  readonly excluded: RoutingPlan["excluded"];
  /** By intent, `any` being all of them together: what was observed of each arm, and what is believed of it. */
  readonly intents: Readonly<Record<string, { readonly arms: Readonly<Record<string, Belief>> }>>;
  /** Conversations that are remembered. */
  readonly conversations: number;
}

export interface Router {
  /** Null where no arm that may be taken is available. */
  choose(ask: RoutingRequest, available: (arm: string) => boolean): RoutingChoice | null;
  /** Counts what came of a request. What an arm did that is not served just now is kept for its return. */
  observe(seen: { readonly intent: string; readonly arm: string; readonly success: boolean }): void;
  view(): RouterView;
  state(): RouterState;
}

/** Arms in order, and why in that order. */
interface Ranking {
  readonly order: readonly string[];
  readonly reason: string;
}

/**
 * Makes a router.
 *
 * @param given names models by the candidates' ids of the runs it was made from; `armOf` finds the arms
 * @param arms the models that are served; those that the plan excludes are left out of `auto`
 * @param state what it had learned before; null to begin anew
 * @throws {RangeError} without an arm
 *
 * @example
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * import { planFromDecision } from "./router_plan.ts";
 * const arms = [{ id: "small", capabilities: ["general"] }, { id: "coder", capabilities: ["code"] }];
 * const plan = planFromDecision(null, ["small", "coder"], { mode: "by-intent" });
 * const router = makeRouter(plan, arms, null, seededRandom(1));
 * const ask = { text: "Refactor this function", intentHint: null, capability: null, conversation: null };
 * const choice = router.choose(ask, () => true);
 * console.assert(choice?.intent === "code" && choice.order[0] === "coder");
 * ```
 */
export function makeRouter(
  given: RoutingPlan,
  arms: readonly RoutedModel[],
  state: RouterState | null,
  random: Random,
): Router {
  if (arms.length === 0) throw new RangeError("Cannot route without a model");
  const plan = planFor(given, arms.map(({ id }) => id));
  const find = intentFinder(plan.intents);
  const tables = new Map<string, Posteriors>();
  const table = (intent: string): Posteriors => {
    const known = tables.get(intent);
    if (known !== undefined) return known;
    const made = posteriors((arm) => priorOf(plan, intent, arm), plan.discount, state?.seen[intent]);
    tables.set(intent, made);
    return made;
  };
  for (const intent of [ANY, ...Object.keys(state?.seen ?? {})]) table(intent);
  const allowed = arms.filter(({ id }) => !plan.excluded.some((one) => one.id === id));
  const constant = plan.constant ?? constantOf(plan, allowed);
  const rank = rankerOf({ ...plan, constant }, table, random);
  const kept = rememberer(plan.conversations, state?.conversations ?? []);

  return {
    choose(ask, available) {
      const intent = find(ask.text, ask.intentHint);
      const able = allowed.filter(({ id, capabilities }) =>
        (ask.capability === null || capabilities.includes(ask.capability)) && available(id)
      );
      const fit = fitting(able, intent, plan.mode);
      const ranked = rank(intent, ask.text, fit.arms.map(({ id }) => id));
      // Those who lack what the intent needs are still better than no answer.
      const rest = rank(intent, ask.text, able.filter((arm) => !fit.arms.includes(arm)).map(({ id }) => id));
      const order = [...ranked.order, ...rest.order];
      const { conversation } = ask;
      const before = conversation === null || conversation.begins ? null : kept.of(conversation.key);
      const keeps = before !== null && order.includes(before);
      const [first, ...others] = keeps ? [before, ...order.filter((id) => id !== before)] : order;
      if (first === undefined) return null;
      if (conversation !== null) kept.keep(conversation.key, first);
      const reason = keeps ? "the conversation keeps its model" : `${ranked.reason}${fit.note}`;
      return { intent: intent.name, order: [first, ...others], reason: `${shown(intent)}: ${reason}` };
    },
    observe({ intent, arm, success }) {
      table(ANY).observe(arm, success);
      if (intent !== ANY) table(intent).observe(arm, success);
    },
    view: () => ({
      mode: plan.mode,
      why: plan.why,
      constant,
      discount: plan.discount,
      excluded: plan.excluded,
      intents: Object.fromEntries(
        [...tables].map(([intent, known]) => [intent, {
          arms: Object.fromEntries(arms.map(({ id }) => [id, known.belief(id)])),
        }]),
      ),
      conversations: kept.all().length,
    }),
    state: () => ({
      schema_version: 1,
      seen: Object.fromEntries([...tables].map(([intent, known]) => [intent, known.seen()])),
      conversations: kept.all(),
    }),
  };
}

/** Where the plan names no constant: the arm with the best prior, of equals the first. */
function constantOf(plan: RoutingPlan, arms: readonly RoutedModel[]): string | null {
  const known = posteriors((arm) => priorOf(plan, ANY, arm), null);
  return arms.map(({ id }) => ({ id, mean: known.mean(id) })).sort((a, b) => b.mean - a.mean)[0]?.id ?? null;
}

function priorOf({ priors }: RoutingPlan, intent: string, arm: string): Counts {
  return priors[intent]?.[arm] ?? priors[ANY]?.[arm] ?? NOTHING;
}

const shown = ({ name, by }: FoundIntent) =>
  by === "default" ? `intent ${name}` : `intent ${name} (by ${by})`;

/** The arms with what the intent needs, where a rule per request is on or the sender named the intent. */
function fitting(
  arms: readonly RoutedModel[],
  { needs, by }: FoundIntent,
  mode: RoutingMode,
): { readonly arms: readonly RoutedModel[]; readonly note: string } {
  if (needs.length === 0 || (by !== "hint" && mode !== "by-intent" && mode !== "by-tag")) {
    return { arms, note: "" };
  }
  const fit = arms.filter(({ capabilities }) => needs.every((one) => capabilities.includes(one)));
  if (fit.length === arms.length) return { arms, note: "" };
  if (fit.length > 0) return { arms: fit, note: `, among those tagged ${needs.join(" and ")}` };
  return { arms, note: `, since no available model is tagged ${needs.join(" and ")}` };
}

/** How the arms are put in order, by mode. */
function rankerOf(
  plan: RoutingPlan,
  table: (intent: string) => Posteriors,
  random: Random,
): (intent: FoundIntent, text: string, ids: readonly string[]) => Ranking {
  const byWorth = (ids: readonly string[], worth: (id: string) => number) => {
    const valued = ids.map((id) => ({ id, worth: worth(id) }));
    return valued.sort((a, b) => b.worth - a.worth).map(({ id }) => id);
  };
  const bandit = (intent: string, ids: readonly string[]): Ranking => {
    const known = table(intent);
    const order = byWorth(ids, (id) => known.draw(id, random));
    const [first] = order;
    const mean = first === undefined ? "" : `, success rate ${known.mean(first).toFixed(2)}`;
    return { order, reason: ids.length < 2 ? "the only one" : `Thompson sampling${mean}` };
  };
  const estimate = plan.neighbours === null ? null : neighbourEstimator(plan.neighbours);
  return ({ name }, text, ids) => {
    switch (plan.mode) {
      case "adaptive":
        return bandit(ANY, ids);
      case "by-intent":
        return bandit(name, ids);
      case "constant": {
        const others = byWorth(ids.filter((id) => id !== plan.constant), (id) => table(ANY).mean(id));
        return plan.constant !== null && ids.includes(plan.constant)
          ? { order: [plan.constant, ...others], reason: "one model for everything" }
          : { order: others, reason: "the one model can't be taken now" };
      }
      case "by-tag": {
        const prior = posteriors((arm) => priorOf(plan, name, arm), null);
        return { order: byWorth(ids, prior.mean), reason: "the first" };
      }
      case "neighbours": {
        const worth = estimate?.(text);
        const order = byWorth(ids, (id) => worth?.get(id) ?? 0);
        return { order, reason: "did best on the most similar recorded prompts" };
      }
    }
  };
}

/** Remembers the model of the most recently used conversations. */
function rememberer(most: number, known: readonly (readonly [string, string])[]) {
  const models = new Map(known.slice(Math.max(0, known.length - most)));
  return {
    of: (key: string) => models.get(key) ?? null,
    keep(key: string, arm: string) {
      models.delete(key);
      models.set(key, arm);
      const [oldest] = models.keys();
      if (models.size > most && oldest !== undefined) models.delete(oldest);
    },
    all: () => [...models].map(([key, arm]): [string, string] => [key, arm]),
  };
}
