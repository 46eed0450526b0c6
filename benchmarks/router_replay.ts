/** Serving again what was answered before: a router chooses, and the recorded answer gives the outcome. */
import type { Random } from "../lib/stats/random.ts";
import type { ScoredCase } from "../lib/select/route/audit.ts";
import { ANY, type Intent, intentFinder } from "../lib/select/route/intent.ts";
import type { Router } from "../lib/select/route/router.ts";
import type { Change, Rates, RoutingWorld } from "./router_simulation.ts";

export interface ReplayOptions {
  readonly requests: number;
  /** Worth from which an answer is a success. */
  readonly passMark: number;
  readonly random: Random;
  /** A made-up fault: from request `from` on, this share of a model's successes fails. */
  readonly fault?: { readonly model: string; readonly from: number; readonly share: number };
}

/** What was believed of a model after each request: mean and 95 % interval of the posterior over all requests. */
export interface BeliefCurve {
  readonly name: string;
  readonly values: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

export interface Replay {
  readonly beliefs: readonly BeliefCurve[];
  /** The model that was taken, request by request. */
  readonly taken: readonly string[];
  readonly successes: number;
}

/**
 * Sends recorded prompts, drawn at random with replacement, through a router.
 *
 * @throws {RangeError} without a prompt, or where the router finds no model
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * import { makeRouter } from "../lib/select/route/router.ts";
 * import { planFromDecision } from "../lib/select/route/router_plan.ts";
 * const models = ["a", "b"].map((id) => ({ id, capabilities: [] }));
 * const router = makeRouter(planFromDecision(null, ["a", "b"]), models, null, seededRandom(1));
 * const outcomes = [{ id: "p", text: "Hello", worth: { a: 1, b: 0 } }];
 * const { taken } = replayRouting(router, outcomes, { requests: 50, passMark: 0.8, random: seededRandom(2) });
 * console.assert(taken.filter((model) => model === "a").length > 30);
 * ```
 */
export function replayRouting(
  router: Router,
  outcomes: readonly ScoredCase[],
  options: ReplayOptions,
): Replay {
  const { requests, passMark, random, fault } = options;
  const curves = new Map<string, { values: number[]; low: number[]; high: number[] }>();
  const taken: string[] = [];
  let successes = 0;
  for (let at = 0; at < requests; at++) {
    const outcome = outcomes[Math.floor(random() * outcomes.length)];
    if (outcome === undefined) throw new RangeError("Cannot replay without a recorded prompt");
    const ask = { text: outcome.text, intentHint: null, capability: null, conversation: null };
    const choice = router.choose(ask, () => true);
    if (choice === null) throw new RangeError("Cannot replay: the router finds no model");
    const [model] = choice.order;
    const spoiled = fault !== undefined && fault.model === model && at >= fault.from &&
      random() < fault.share;
    const success = !spoiled && (outcome.worth[model] ?? 0) >= passMark;
    router.observe({ intent: choice.intent, model, success });
    taken.push(model);
    if (success) successes++;
    for (const [id, { mean, ci95 }] of Object.entries(router.view().intents[ANY]?.arms ?? {})) {
      const curve = curves.get(id) ?? { values: [], low: [], high: [] };
      curve.values.push(mean);
      curve.low.push(ci95[0]);
      curve.high.push(ci95[1]);
      curves.set(id, curve);
    }
  }
  return { beliefs: [...curves].map(([name, curve]) => ({ name, ...curve })), taken, successes };
}

/**
 * A world to simulate in, from recorded answers: in each intent, the share of prompts that each model passed, drawn
 * towards one half as if by one success and one failure.
 *
 * @example
 * ```ts
 * const outcomes = [{ id: "p", text: "Refactor this code", worth: { a: 1, b: 0 } }];
 * const intents = [{ name: "code", patterns: ["code"], needs: [] }];
 * const world = worldFrom(outcomes, intents, { passMark: 0.8, requests: 10 });
 * console.assert(world.intents.code?.a === 2 / 3);
 * ```
 */
export function worldFrom(
  outcomes: readonly ScoredCase[],
  intents: readonly Intent[],
  { passMark, requests, changes = [] }: {
    readonly passMark: number;
    readonly requests: number;
    readonly changes?: readonly Change[];
  },
): RoutingWorld {
  const find = intentFinder(intents);
  const groups = Map.groupBy(outcomes, ({ text }) => find(text, null).name);
  const models = Object.keys(outcomes[0]?.worth ?? {});
  const rates = (same: readonly ScoredCase[]): Rates =>
    Object.fromEntries(models.map((model) => {
      const passed = same.filter(({ worth }) => (worth[model] ?? 0) >= passMark).length;
      return [model, (passed + 1) / (same.length + 2)];
    }));
  return {
    intents: Object.fromEntries([...groups].map(([intent, same]) => [intent, rates(same)])),
    changes,
    requests,
  };
}
