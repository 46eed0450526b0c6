/**
 * Routing in worlds whose truth is known: what each policy loses against an oracle that always takes the model which
 * is best at that moment. Only the answers are made up: the router is the one that serves.
 */
import type { Random } from "../lib/stats/random.ts";
import { type Counts, NOTHING, posteriors } from "../lib/select/route/bandit.ts";
import { makeBreaker } from "../lib/select/route/breaker.ts";
import { ANY } from "../lib/select/route/intent.ts";
import { makeRouter } from "../lib/select/route/router.ts";
import type { RoutingMode, RoutingPlan } from "../lib/select/route/router_plan.ts";

/** Success rates of all models for one intent. */
export type Rates = Readonly<Record<string, number>>;

/** A change of the world at some request. */
export interface Change {
  /** From this request on (counted from 0) … */
  readonly from: number;
  /** … to before this one; default: for ever. */
  readonly to?: number;
  /** Rates that replace a model's own, in all intents. */
  readonly rates: Rates;
}

export interface RoutingWorld {
  /** By intent; every intent is equally frequent. */
  readonly intents: Readonly<Record<string, Rates>>;
  readonly changes?: readonly Change[];
  readonly requests: number;
  /** What a decision knew beforehand of each model, as pseudo-counts: all learners start from it. */
  readonly prior?: Readonly<Record<string, Counts>>;
}

/** A way to choose a model. */
export interface Policy {
  choose(intent: string, at: number): string;
  observe(intent: string, model: string, success: boolean, at: number): void;
}

export type PolicyMaker = (world: RoutingWorld, random: Random) => Policy;

/** The success rate of a model at a moment. */
function rateAt(world: RoutingWorld, intent: string, model: string, at: number): number {
  const change = world.changes?.findLast(({ from, to = Infinity, rates }) =>
    at >= from && at < to && rates[model] !== undefined
  );
  return change?.rates[model] ?? world.intents[intent]?.[model] ?? 0;
}

/** The models of a world, in the order of its first intent. */
export function modelsOf(world: RoutingWorld): [string, ...string[]] {
  const [first, ...rest] = Object.keys(Object.values(world.intents)[0] ?? {});
  if (first === undefined) throw new RangeError("Cannot simulate a world without models");
  return [first, ...rest];
}

/**
 * Cumulative regret of a policy: after each request, how many successes fewer than the oracle's are to be expected
 * (differences of rates, not of luck: pseudo-regret, Bubeck and Cesa-Bianchi 2012).
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const world = { intents: { general: { a: 0.9, b: 0.5 } }, requests: 100 };
 * const regret = simulateRouting(world, policies.uniform, seededRandom(1));
 * console.assert(regret.length === 100 && (regret.at(-1) ?? 0) > 10);
 * ```
 */
export function simulateRouting(world: RoutingWorld, make: PolicyMaker, random: Random): Float64Array {
  const models = modelsOf(world);
  const intents = Object.keys(world.intents);
  const policy = make(world, random);
  const regret = new Float64Array(world.requests);
  let sum = 0;
  for (let at = 0; at < world.requests; at++) {
    const intent = intents[Math.floor(random() * intents.length)] ?? "";
    const model = policy.choose(intent, at);
    const rate = rateAt(world, intent, model, at);
    sum += Math.max(...models.map((one) => rateAt(world, intent, one, at))) - rate;
    regret[at] = sum;
    policy.observe(intent, model, random() < rate, at);
  }
  return regret;
}

/**
 * Mean cumulative regret over seeded simulations.
 *
 * @param seeded a random source a simulation, by its number
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const world = { intents: { general: { a: 1, b: 0 } }, requests: 10 };
 * const regret = meanRegret(world, policies.oracle, 5, (n) => seededRandom(n));
 * console.assert(regret.at(-1) === 0);
 * ```
 */
export function meanRegret(
  world: RoutingWorld,
  make: PolicyMaker,
  simulations: number,
  seeded: (simulation: number) => Random,
): Float64Array {
  const mean = new Float64Array(world.requests);
  for (let n = 0; n < simulations; n++) {
    const regret = simulateRouting(world, make, seeded(n));
    for (let at = 0; at < mean.length; at++) mean[at] = (mean[at] ?? 0) + (regret[at] ?? 0) / simulations;
  }
  return mean;
}

const noLesson = () => {};

/** The model with the largest value; of equals the first. */
function best(models: readonly [string, ...string[]], value: (model: string) => number): string {
  let [found] = models;
  let most = value(found);
  for (const model of models.slice(1)) {
    const its = value(model);
    if (its > most) [found, most] = [model, its];
  }
  return found;
}

/** Takes the best mean inside the intent, and with probability ε any model. */
function greedy(epsilon: number): PolicyMaker {
  return (world, random) => {
    const models = modelsOf(world);
    const known = new Map(
      Object.keys(world.intents).map((intent) => [
        intent,
        posteriors((model) => world.prior?.[model] ?? NOTHING, null),
      ]),
    );
    return {
      choose(intent) {
        if (random() < epsilon) return models[Math.floor(random() * models.length)] ?? models[0];
        return best(models, (model) => known.get(intent)?.mean(model) ?? 0);
      },
      observe: (intent, model, success) => known.get(intent)?.observe(model, success),
    };
  };
}

/** The router that serves, with one breaker per model: one request is one second. */
export function routerPolicy(mode: RoutingMode, discount: number | null): PolicyMaker {
  return (world, random) => {
    const models = modelsOf(world);
    let nowMs = 0;
    const breakers = new Map(
      models.map((model) => [model, makeBreaker({ failuresToOpen: 5, openMs: 30_000 }, () => nowMs)]),
    );
    const plan: RoutingPlan = {
      schema_version: 1,
      mode,
      why: "simulated",
      constant: null,
      intents: Object.keys(world.intents).map((name) => ({ name, patterns: [], needs: [] })),
      priors: { [ANY]: { ...world.prior } },
      discount,
      excluded: [],
      conversations: 0,
      neighbours: null,
    };
    const router = makeRouter(plan, models.map((id) => ({ id, capabilities: [] })), null, random);
    return {
      choose(intent, at) {
        nowMs = 1000 * at;
        const ask = { text: "", intentHint: intent, capability: null, conversation: null };
        const choice = router.choose(ask, (model) => breakers.get(model)?.allows() ?? false) ??
          router.choose(ask, () => true);
        const model = choice?.order[0] ?? models[0];
        breakers.get(model)?.started();
        return model;
      },
      observe(intent, model, success) {
        router.observe({ intent, model, success });
        if (success) breakers.get(model)?.succeeded();
        else breakers.get(model)?.failed();
      },
    };
  };
}

/** Mean rate of a model over all requests of a world. */
function meanRate(world: RoutingWorld, intents: readonly string[], model: string): number {
  let sum = 0;
  for (const intent of intents) {
    for (let at = 0; at < world.requests; at++) sum += rateAt(world, intent, model, at);
  }
  return sum;
}

/** The discount that the simulations show: evidence is worth at most 100 requests. */
const DISCOUNT = 0.99;

/** Every policy that is compared, by name. */
export const policies = {
  uniform: (world, random) => {
    const models = modelsOf(world);
    return { choose: () => models[Math.floor(random() * models.length)] ?? models[0], observe: noLesson };
  },
  "epsilon-greedy": greedy(0.1),
  greedy: greedy(0),
  /** The model with the best prior, for everything and for ever. */
  constant: (world) => {
    const known = posteriors((model) => world.prior?.[model] ?? NOTHING, null);
    const model = best(modelsOf(world), known.mean);
    return { choose: () => model, observe: noLesson };
  },
  /** The one model that turns out best for everything, which can't be known beforehand. */
  "best constant in hindsight": (world) => {
    const model = best(modelsOf(world), (one) => meanRate(world, Object.keys(world.intents), one));
    return { choose: () => model, observe: noLesson };
  },
  adaptive: routerPolicy("adaptive", null),
  "by intent": routerPolicy("by-intent", null),
  "by intent, discounted": routerPolicy("by-intent", DISCOUNT),
  oracle: (world) => ({
    choose: (intent, at) => best(modelsOf(world), (model) => rateAt(world, intent, model, at)),
    observe: noLesson,
  }),
} as const satisfies Record<string, PolicyMaker>;
export type PolicyName = keyof typeof policies;

/** Rules that need no hindsight: what the router is compared with. */
export const WITHOUT_HINDSIGHT = ["uniform", "epsilon-greedy", "greedy", "constant"] as const;

/**
 * What learning may cost besides the 1.3 times of the best rule: a quarter of √(models × intents × requests). In its worst
 * world every learner loses in proportion to that root (Auer, Cesa-Bianchi, Freund and Schapire 2002).
 *
 * @example
 * ```ts
 * console.assert(learningAllowance({ intents: { general: { a: 1, b: 0 } }, requests: 200 }) === 5);
 * ```
 */
export function learningAllowance(world: RoutingWorld): number {
  return Math.sqrt(modelsOf(world).length * Object.keys(world.intents).length * world.requests) / 4;
}

const specialists = {
  code: { small: 0.35, coder: 0.9, writer: 0.5 },
  summarize: { small: 0.6, coder: 0.5, writer: 0.9 },
  classification: { small: 0.9, coder: 0.6, writer: 0.65 },
  general: { small: 0.6, coder: 0.6, writer: 0.8 },
};
const oneBest = {
  code: { small: 0.4, coder: 0.6, writer: 0.85 },
  summarize: { small: 0.5, coder: 0.4, writer: 0.85 },
  classification: { small: 0.6, coder: 0.5, writer: 0.85 },
  general: { small: 0.5, coder: 0.5, writer: 0.85 },
};
// Ten pseudo-requests of a decision that measured the mean over all intents.
const told = (small: number, coder: number, writer: number) => ({
  small: { successes: 10 * small, failures: 10 * (1 - small) },
  coder: { successes: 10 * coder, failures: 10 * (1 - coder) },
  writer: { successes: 10 * writer, failures: 10 * (1 - writer) },
});
const prior = told(0.61, 0.65, 0.71);

/** The worlds of docs/routing.md. */
export const worlds = {
  specialists: { intents: specialists, requests: 2000, prior },
  "the best model degrades": {
    intents: { general: { small: 0.6, coder: 0.65, writer: 0.85 } },
    changes: [{ from: 1000, rates: { writer: 0.3 } }],
    requests: 2000,
    prior: told(0.6, 0.65, 0.85),
  },
  "drift and failures": {
    intents: specialists,
    changes: [
      { from: 500, to: 800, rates: { writer: 0 } },
      { from: 1200, rates: { coder: 0.3 } },
    ],
    requests: 2000,
    prior,
  },
  "one model is best for everything": { intents: oneBest, requests: 2000, prior: told(0.5, 0.5, 0.85) },
  "too few requests": { intents: specialists, requests: 60, prior },
  "hardly a difference": {
    intents: { general: { small: 0.78, coder: 0.79, writer: 0.8 } },
    requests: 2000,
    prior: told(0.78, 0.79, 0.8),
  },
} as const satisfies Record<string, RoutingWorld>;
