/**
 * Which model answers a request that asked for `auto`. A plan says how (one model for everything, Thompson
 * sampling over all requests or inside each intent, or the most similar recorded prompts); what is observed
 * is the evidence. Nothing here talks to a model: the server says what is available and reports the results.
 */
import type { Random } from "../../stats/random.ts";
import { type Belief, type Counts, NOTHING, type Posteriors, posteriors } from "./bandit.ts";
import { ANY, type FoundIntent, intentFinder } from "./intent.ts";
import { neighbourEstimator } from "./router_neighbours.ts";
import { planFor, type RouterState, type RoutingMode, type RoutingPlan } from "./router_plan.ts";

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
  /** Ids of available models, the best first: the order of fallback. */
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
  /** By intent, `any` being all of them together: what was observed of each model, and what is believed of it. */
  readonly intents: Readonly<Record<string, { readonly arms: Readonly<Record<string, Belief>> }>>;
  /** Conversations that are remembered. */
  readonly conversations: number;
}

export interface Router {
  /** Null where no model that may be taken is available. */
  choose(request: RoutingRequest, available: (model: string) => boolean): RoutingChoice | null;
  /** Counts the outcome of a request. The outcomes of a model that is not served now are kept for its return. */
  observe(seen: { readonly intent: string; readonly model: string; readonly success: boolean }): void;
  view(): RouterView;
  state(): RouterState;
}

/** Models in order, and why in that order. */
interface Ranking {
  readonly order: readonly string[];
  readonly reason: string;
}

/**
 * Makes a router.
 *
 * @param given names models by the candidates' ids of the runs it was made from;
 * `servedModel` finds the models
 * @param models the models that are served; those that the plan excludes are left out of `auto`
 * @param state what it had learned before; null to begin anew
 * @throws {RangeError} without a model
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * import { planFromDecision } from "./router_plan.ts";
 * const models = [{ id: "small", capabilities: ["general"] }, { id: "coder", capabilities: ["code"] }];
 * const plan = planFromDecision(null, ["small", "coder"], { mode: "by-intent" });
 * const router = makeRouter(plan, models, null, seededRandom(1));
 * const ask = { text: "Refactor this function", intentHint: null, capability: null, conversation: null };
 * const choice = router.choose(ask, () => true);
 * console.assert(choice?.intent === "code" && choice.order[0] === "coder");
 * ```
 */
export function makeRouter(
  given: RoutingPlan,
  models: readonly RoutedModel[],
  state: RouterState | null,
  random: Random,
): Router {
  if (models.length === 0) throw new RangeError("Cannot route without a model");
  return new PlannedRouter(planFor(given, models.map(({ id }) => id)), models, state, random);
}

class PlannedRouter implements Router {
  readonly #plan: RoutingPlan;
  readonly #models: readonly RoutedModel[];
  /** Those that the plan doesn't exclude. */
  readonly #allowed: readonly RoutedModel[];
  readonly #find: ReturnType<typeof intentFinder>;
  /** What was observed, by intent. */
  readonly #tables = new Map<string, Posteriors>();
  readonly #before: RouterState | null;
  readonly #rank: ReturnType<typeof rankerOf>;
  readonly #kept: ReturnType<typeof rememberer>;

  constructor(plan: RoutingPlan, models: readonly RoutedModel[], before: RouterState | null, random: Random) {
    this.#allowed = models.filter(({ id }) => !plan.excluded.some((one) => one.id === id));
    this.#plan = { ...plan, constant: plan.constant ?? constantOf(plan, this.#allowed) };
    this.#models = models;
    this.#before = before;
    this.#find = intentFinder(plan.intents);
    this.#rank = rankerOf(this.#plan, (intent) => this.#table(intent), random);
    this.#kept = rememberer(plan.conversations, before?.conversations ?? []);
    for (const intent of [ANY, ...Object.keys(before?.seen ?? {})]) this.#table(intent);
  }

  #table(intent: string): Posteriors {
    const known = this.#tables.get(intent);
    if (known !== undefined) return known;
    const plan = this.#plan;
    const made = posteriors(
      (model) => priorOf(plan, intent, model),
      plan.discount,
      this.#before?.seen[intent],
    );
    this.#tables.set(intent, made);
    return made;
  }

  choose(request: RoutingRequest, available: (model: string) => boolean): RoutingChoice | null {
    const { text, intentHint, capability, conversation } = request;
    const intent = this.#find(text, intentHint);
    const able = this.#allowed.filter(({ id, capabilities }) =>
      (capability === null || capabilities.includes(capability)) && available(id)
    );
    const fit = fitting(able, intent, this.#plan.mode);
    const idsOf = (some: readonly RoutedModel[]) => some.map(({ id }) => id);
    const ranked = this.#rank(intent, text, idsOf(fit.models));
    // Those who lack what the intent needs are still better than no answer.
    const rest = this.#rank(intent, text, idsOf(able.filter((model) => !fit.models.includes(model))));
    const order = [...ranked.order, ...rest.order];
    const before = conversation === null || conversation.begins ? null : this.#kept.of(conversation.key);
    const keeps = before !== null && order.includes(before);
    const [first, ...others] = keeps ? [before, ...order.filter((id) => id !== before)] : order;
    if (first === undefined) return null;
    if (conversation !== null) this.#kept.keep(conversation.key, first);
    const reason = keeps ? "the conversation keeps its model" : `${ranked.reason}${fit.note}`;
    return { intent: intent.name, order: [first, ...others], reason: `${intentText(intent)}: ${reason}` };
  }

  observe({ intent, model, success }: Parameters<Router["observe"]>[0]): void {
    this.#table(ANY).observe(model, success);
    if (intent !== ANY) this.#table(intent).observe(model, success);
  }

  view(): RouterView {
    const { mode, why, constant, discount, excluded } = this.#plan;
    const beliefs = (known: Posteriors) =>
      Object.fromEntries(this.#models.map(({ id }) => [id, known.belief(id)]));
    return {
      mode,
      why,
      constant,
      discount,
      excluded,
      intents: Object.fromEntries(
        [...this.#tables].map(([intent, known]) => [intent, { arms: beliefs(known) }]),
      ),
      conversations: this.#kept.all().length,
    };
  }

  state(): RouterState {
    return {
      schema_version: 1,
      seen: Object.fromEntries([...this.#tables].map(([intent, known]) => [intent, known.seen()])),
      conversations: this.#kept.all(),
    };
  }
}

/** Where the plan names no constant: the model with the best prior, of equals the first. */
function constantOf(plan: RoutingPlan, models: readonly RoutedModel[]): string | null {
  const known = posteriors((model) => priorOf(plan, ANY, model), null);
  return models.map(({ id }) => ({ id, mean: known.mean(id) })).sort((a, b) => b.mean - a.mean)[0]?.id ??
    null;
}

function priorOf({ priors }: RoutingPlan, intent: string, model: string): Counts {
  return priors[intent]?.[model] ?? priors[ANY]?.[model] ?? NOTHING;
}

const intentText = ({ name, by }: FoundIntent) =>
  by === "default" ? `intent ${name}` : `intent ${name} (by ${by})`;

/** The models with what the intent needs, where a rule per request is on or the sender named the intent. */
function fitting(
  models: readonly RoutedModel[],
  { needs, by }: FoundIntent,
  mode: RoutingMode,
): { readonly models: readonly RoutedModel[]; readonly note: string } {
  if (needs.length === 0 || (by !== "hint" && mode !== "by-intent" && mode !== "by-tag")) {
    return { models, note: "" };
  }
  const fit = models.filter(({ capabilities }) => needs.every((one) => capabilities.includes(one)));
  if (fit.length === models.length) return { models, note: "" };
  if (fit.length > 0) return { models: fit, note: `, among those tagged ${needs.join(" and ")}` };
  return { models, note: `, since no available model is tagged ${needs.join(" and ")}` };
}

/** The most valuable first; each is valued once, since a draw gives another value each time. */
function byWorth(ids: readonly string[], worth: (id: string) => number): string[] {
  const valued = ids.map((id) => ({ id, worth: worth(id) }));
  return valued.sort((a, b) => b.worth - a.worth).map(({ id }) => id);
}

/** How the models are put in order, by mode. */
function rankerOf(
  plan: RoutingPlan,
  table: (intent: string) => Posteriors,
  random: Random,
): (intent: FoundIntent, text: string, ids: readonly string[]) => Ranking {
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
        const prior = posteriors((model) => priorOf(plan, name, model), null);
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
    keep(key: string, model: string) {
      models.delete(key);
      models.set(key, model);
      const [oldest] = models.keys();
      if (models.size > most && oldest !== undefined) models.delete(oldest);
    },
    all: () => [...models].map(([key, model]): [string, string] => [key, model]),
  };
}
