/**
 * routing.json: how `auto` chooses, and why in that way. Made from a decision (`planFromDecision`) or by the
 * audit (`deno task route audit`), read by the router. Beside it the router's state: what it has observed.
 */
import { z } from "zod";
import { parseDocument } from "../../text_file.ts";
import { type Counts, NOTHING } from "./bandit.ts";
import type { DecidedCandidate, Decision } from "../decide/decision_schema.ts";
import { answersKey } from "../decide/facts.ts";
import { ANY, DEFAULT_INTENTS, intentSchema } from "./intent.ts";
import { neighboursSchema } from "./router_neighbours.ts";

const counts = z.strictObject({ successes: z.number().nonnegative(), failures: z.number().nonnegative() });
const byModel = z.record(z.string(), counts);

export const routingPlanSchema = z.strictObject({
  schema_version: z.literal(1),
  /**
   * `constant`: one model for everything. `adaptive`: Thompson sampling over all requests together.
   * `by-intent`: Thompson sampling inside each intent. `neighbours`: what did best on the most similar
   * recorded prompts. `by-tag`: of the models with the capabilities that the intent needs the one with the
   * best prior; nothing is learned.
   */
  mode: z.enum(["constant", "adaptive", "by-intent", "neighbours", "by-tag"]),
  /** Why this mode, shown on request. */
  why: z.string(),
  /** The one model of `constant`; null takes the one with the best prior. */
  constant: z.string().nullable(),
  intents: z.array(intentSchema),
  /** Pseudo-counts by intent and model; `any` holds for all intents that say nothing themselves. */
  priors: z.record(z.string(), byModel),
  /** γ of the evidence's discount; null for none. */
  discount: z.number().gt(0).lt(1).nullable(),
  /** Models that `auto` never takes, and why. */
  excluded: z.array(z.strictObject({ id: z.string(), reason: z.string() })),
  /** Conversations whose model is remembered, the most recently used. */
  conversations: z.number().int().nonnegative().max(1_000_000),
  neighbours: neighboursSchema.nullable(),
}).superRefine(({ mode, neighbours, intents }, context) => {
  if (mode === "neighbours" && neighbours === null) {
    context.addIssue({ code: "custom", path: ["neighbours"], message: "mode neighbours needs its examples" });
  }
  const twice = intents.find(({ name }, at) => intents.findIndex((one) => one.name === name) < at);
  if (twice) context.addIssue({ code: "custom", path: ["intents"], message: `${twice.name} occurs twice` });
});
/** The document in routing.json. */
export type RoutingPlan = z.infer<typeof routingPlanSchema>;
export type RoutingMode = RoutingPlan["mode"];

const routerStateSchema = z.strictObject({
  schema_version: z.literal(1),
  /** What was observed by intent and model, discounted; `any` is all intents together. */
  seen: z.record(z.string(), byModel),
  /** Conversation and its model, the least recently used first. */
  conversations: z.array(z.tuple([z.string(), z.string()])),
});
/** What a router has learned: to be kept between runs of a server. */
export type RouterState = z.infer<typeof routerStateSchema>;

/**
 * Reads routing.json.
 *
 * @param name how messages name the file
 * @throws {UserError} one message with every fault
 *
 * ```ts
 * const text = JSON.stringify(planFromDecision(null, ["small", "large"]));
 * console.assert(parseRoutingPlan(text, "routing.json").mode === "adaptive");
 * ```
 */
export function parseRoutingPlan(text: string, name: string): RoutingPlan {
  return parseDocument(text, {
    schema: routingPlanSchema,
    newest: 1,
    name,
    remedy: "make it with deno task route audit RUN --write routing.json",
  });
}

/**
 * Reads the state that a router was left with.
 *
 * @param name how messages name the file
 * @throws {UserError} when it is damaged
 *
 * ```ts
 * const state = parseRouterState('{"schema_version":1,"seen":{},"conversations":[]}', "router.json");
 * console.assert(state.conversations.length === 0);
 * ```
 */
export function parseRouterState(text: string, name: string): RouterState {
  return parseDocument(text, {
    schema: routerStateSchema,
    newest: 1,
    name,
    remedy: "delete it to begin anew: what was learned online is lost",
  });
}

/**
 * The served model that stands for a candidate of a run: the same id, else the same weights, else the same
 * model where one of the two names no variant. Engine options and the endpoint are set aside.
 *
 * ```ts
 * console.assert(servedModel("smollm2:q4_1+threads=1", ["smollm2:q4_1", "gemma"]) === "smollm2:q4_1");
 * console.assert(servedModel("phi-4-mini@foundry", ["phi-4-mini"]) === "phi-4-mini");
 * console.assert(servedModel("phi-4-mini:q8_0", ["phi-4-mini:q4_0"]) === null);
 * ```
 */
export function servedModel(candidate: string, served: readonly string[]): string | null {
  const parts = (id: string) => id.toLowerCase().replace(/[@+#].*$/s, "").split(":", 2);
  const [model, variant] = parts(candidate);
  return served.find((one) => one === candidate) ??
    served.find((one) => answersKey(one) === answersKey(candidate)) ??
    served.find((one) => {
      const [other, its] = parts(one);
      return other === model && (its === variant || its === undefined || variant === undefined);
    }) ?? null;
}

/**
 * The plan with the ids of the served models instead of the runs' candidates; candidates that
 * are not served are dropped.
 *
 * ```ts
 * const plan = { ...planFromDecision(null, []), constant: "smollm2:q4_1" };
 * console.assert(planFor(plan, ["smollm2"]).constant === "smollm2");
 * ```
 */
export function planFor(plan: RoutingPlan, served: readonly string[]): RoutingPlan {
  const named = <T>(values: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(
      Object.entries(values).flatMap(([id, value]) => {
        const found = servedModel(id, served);
        return found === null ? [] : [[found, value] as const];
      }),
    );
  return {
    ...plan,
    constant: plan.constant === null ? null : servedModel(plan.constant, served),
    priors: Object.fromEntries(
      Object.entries(plan.priors).map(([intent, values]) => [intent, named(values)]),
    ),
    excluded: plan.excluded.flatMap(({ id, reason }) => {
      const found = servedModel(id, served);
      return found === null ? [] : [{ id: found, reason }];
    }),
    neighbours: plan.neighbours && {
      k: plan.neighbours.k,
      examples: plan.neighbours.examples.map(({ text, worth }) => ({ text, worth: named(worth) })),
    },
  };
}

/** What a plan takes from a decision. */
export interface DecisionWord extends Pick<Decision, "verdict" | "choice" | "reason" | "excluded" | "scope"> {
  readonly candidates: readonly Pick<DecidedCandidate, "id" | "quality">[];
}

/** What may be set where a plan is made. */
export interface PlanOptions {
  /** Default: `constant` where the decision has a choice, else `adaptive`. */
  readonly mode?: "constant" | "adaptive" | "by-intent";
  /** How many requests the decision's word is worth, as pseudo-counts. Default 10. */
  readonly strength?: number;
  readonly discount?: number | null;
  readonly intents?: RoutingPlan["intents"];
}

/**
 * A plan from a decision. A candidate whose quality was scored starts with pseudo-requests of which that
 * share succeeded: at most `strength`, and never more than cases were scored; one without starts with none.
 * The decision's choice gets no more than its own evidence. What the decision excluded is not taken, unless
 * that would leave no model.
 *
 * @param decision null where there is none
 * @param served the models that are served, the preferred one first
 *
 * ```ts
 * const plan = planFromDecision(null, ["small", "large"]);
 * console.assert(plan.mode === "adaptive" && plan.why.includes("no decision"));
 * ```
 */
export function planFromDecision(
  decision: DecisionWord | null,
  served: readonly string[],
  { mode, strength = 10, discount = null, intents = [...DEFAULT_INTENTS] }: PlanOptions = {},
): RoutingPlan {
  const choice = decision?.choice === undefined || decision.choice === null
    ? null
    : servedModel(decision.choice, served);
  const named = (decision?.excluded ?? []).flatMap(({ id, reason }) => {
    const found = servedModel(id, served);
    return found === null || found === choice ? [] : [{ id: found, reason }];
  });
  const excluded = served.every((one) => named.some(({ id }) => id === one)) ? [] : named;
  return {
    schema_version: 1,
    mode: mode ?? (choice === null ? "adaptive" : "constant"),
    why: planReason(decision, choice, named.length > excluded.length),
    constant: choice,
    intents: [...intents],
    priors: { [ANY]: decision === null ? {} : priorsOf(decision, served, strength) },
    discount,
    excluded,
    conversations: 1000,
    neighbours: null,
  };
}

function planReason(decision: DecisionWord | null, choice: string | null, allExcluded: boolean): string {
  if (decision === null) return "there is no decision yet, and no audit: what is observed decides";
  const passed = allExcluded ? "; every model served was excluded there, so none is left out" : "";
  if (decision.choice === null) return `the decision recommends nothing (${decision.reason})${passed}`;
  if (choice === null) return `the decision's choice ${decision.choice} is not served here${passed}`;
  return `the decision's choice (${decision.verdict}); no audit has shown that a rule per request does better`;
}

function priorsOf(
  decision: DecisionWord,
  served: readonly string[],
  strength: number,
): Record<string, Counts> {
  const weight = Math.min(strength, decision.scope.scored_cases);
  const rates = new Map<string, number>();
  for (const { id, quality } of decision.candidates) {
    const found = servedModel(id, served);
    if (found !== null && quality !== null && !rates.has(found)) rates.set(found, quality);
  }
  return Object.fromEntries(served.map((id) => {
    const rate = rates.get(id);
    const known = { successes: weight * (rate ?? 0), failures: weight * (1 - (rate ?? 0)) };
    return [id, rate === undefined ? NOTHING : known];
  }));
}
