/** The simulated worlds of notebooks 05 and 06: the benchmarks' simulations as figures and tables. */
import { FigureView, type RoutingEvidence, TableView } from "podium";
import { INTERVALS, missesOverTime, NULL_DIFFERENCES } from "../benchmarks/null_races.ts";
import { type Replay, replayRouting, worldFrom } from "../benchmarks/router_replay.ts";
import {
  meanRegret,
  policies,
  type PolicyMaker,
  type PolicyName,
  routerPolicy,
  type RoutingWorld,
  worlds,
} from "../benchmarks/router_simulation.ts";
import { beliefPlot, regretPlot, repeatedTestingPlot } from "../lib/plot/simulations.ts";
import { makeBreaker } from "../lib/select/route/breaker.ts";
import { DEFAULT_INTENTS } from "../lib/select/route/intent.ts";
import { makeRouter } from "../lib/select/route/router.ts";
import { planFromDecision } from "../lib/select/route/router_plan.ts";
import { simulateRace } from "../lib/select/race/simulation.ts";
import { seededRandom } from "../lib/stats/random.ts";

/** Simulations behind every mean regret; fewer in the short setting. */
const SIMULATIONS = Deno.env.get("PODIUM_SHORT") === "1" ? 10 : 30;

/** How often a t test, and an interval that holds at any time, call two equal models different by each look. */
export function peeking({ looks }: { readonly looks: number }): FigureView {
  const draws = { draw: NULL_DIFFERENCES["normal"] ?? (() => 0), sequences: 2000, looks };
  const shares = (interval: typeof INTERVALS[keyof typeof INTERVALS]) =>
    missesOverTime(interval, draws, seededRandom("looks"));
  return new FigureView(repeatedTestingPlot([
    { name: "t test at every look", values: shares(INTERVALS.naive) },
    { name: "interval that holds at any time", values: shares(INTERVALS.anytime) },
  ], {
    title: "Two equal models, called different",
    promised: 0.05,
    caption:
      "Line: share of simulated comparisons of two equal models that were called different at this look or before. " +
      `n = ${draws.sequences.toLocaleString("en-GB")} comparisons.`,
  }));
}

/** The requests that a simulated race takes, per gap between two models: 0.1 is one that is 10 % slower. */
export function raceCosts(gaps: readonly number[]): TableView {
  const rules = { delta: 0.05, epsilon: 0.01, better: "lower", effect: "ratio", budget: 2000 } as const;
  return new TableView(
    gaps.map((gap) => {
      const { verdict, requests } = simulateRace({ gaps: [0, gap], noise: 0.1 }, rules, seededRandom("gap"));
      return { gap: `${100 * gap} %`, verdict: verdict?.verdict ?? null, requests };
    }),
    "One simulated race per gap. Small differences cost requests; large ones hardly any.",
  );
}

/** What happens to a replayed router's favourite. */
export interface Degradation {
  /** The model that degrades. */
  readonly model: string;
  /** The request from which nine in ten of its successes fail. */
  readonly from: number;
}

/** Requests that a router served from recorded answers: who got them, and what it believed. */
export class ReplayedRouter extends FigureView {
  /** Made by `replay`. */
  constructor(readonly replayed: Replay, readonly fault: Degradation | null, title: string, cases: number) {
    const requests = replayed.taken.length;
    const taken = replayed.beliefs.map(({ name }) =>
      `${name} ${replayed.taken.filter((one) => one === name).length}`
    );
    const { model, from } = fault ?? { model: "", from: 0 };
    super(beliefPlot(replayed.beliefs, {
      title,
      changes: fault === null ? [] : [from],
      caption:
        `Line: mean of the posterior of the success rate; band: its 95 % interval. n = ${requests} requests, ` +
        `drawn from ${cases} recorded cases. ` +
        (fault === null
          ? `Taken: ${taken.join(", ")}.`
          : `Dashed upright: from here nine of ten successes of ${model} fail (simulated). Of the ${
            requests - from
          } requests after it, ${
            replayed.taken.slice(from).filter((one) => one === model).length
          } still went to it.`),
    }));
  }

  /** The model that got the most requests. */
  get favourite(): string {
    const counts = Map.groupBy(this.replayed.taken, (model) => model);
    return [...counts].toSorted(([, a], [, b]) => b.length - a.length)[0]?.[0] ?? "";
  }
}

/**
 * Serves recorded answers again: cases come at random, the router chooses, and the recorded answer says whether that
 * was a success. No model is asked again.
 */
export function replay(
  { cases, models, passMark }: RoutingEvidence,
  { requests, discount, fault = null, title }: {
    readonly requests: number;
    /** How much each new observation makes the older ones count; null forgets nothing; left out: the router's default. */
    readonly discount?: number | null;
    readonly fault?: Degradation | null;
    readonly title: string;
  },
): ReplayedRouter {
  const plan = planFromDecision(null, models, { mode: "adaptive" });
  const routed = models.map((id) => ({ id, capabilities: [] }));
  const router = makeRouter(
    discount === undefined ? plan : { ...plan, discount },
    routed,
    null,
    seededRandom(fault === null ? "router" : "sick"),
  );
  const replayed = replayRouting(router, cases, {
    requests,
    passMark,
    random: seededRandom("requests"),
    ...(fault === null ? {} : { fault: { model: fault.model, from: fault.from, share: 0.9 } }),
  });
  return new ReplayedRouter(replayed, fault, title, cases.length);
}

/** Where the requests of a replay go, by discount, while the favourite is healthy and while it is sick. */
export function byDiscount(
  evidence: RoutingEvidence,
  fault: Degradation,
  discounts: readonly (number | null)[],
): TableView {
  const to = (taken: readonly string[]) =>
    `${taken.filter((one) => one === fault.model).length} of ${taken.length}`;
  return new TableView(
    discounts.map((discount) => {
      const { taken } = replay(evidence, { requests: 2 * fault.from, discount, fault, title: "" }).replayed;
      return {
        discount: discount ?? "none",
        "evidence is worth at most": discount === null
          ? "all requests"
          : `${Math.round(1 / (1 - discount))} requests`,
        "to the favourite while healthy": to(taken.slice(0, fault.from)),
        "to it while sick": to(taken.slice(fault.from)),
      };
    }),
    "Your models: a router that forgets much never stops trying, whether the favourite is healthy or sick. " +
      "One replay per row.",
  );
}

/** What each discount costs where a favourite that was far ahead degrades half-way (simulated). */
export function costOfDiscount(discounts: readonly (number | null)[]): TableView {
  return new TableView(
    discounts.map((discount) => ({
      discount: discount ?? "none",
      "successes lost": lost(
        worlds["the best model degrades"],
        routerPolicy("by-intent", discount),
        "discount",
      ),
    })),
    "Simulated: a favourite far ahead (0.85 against 0.65) falls to 0.3 half-way. Forgetting a little pays, forgetting " +
      `much does not. Mean regret, n = ${SIMULATIONS} simulations of 2,000 requests.`,
  );
}

const regret = (world: RoutingWorld, policy: PolicyMaker, seed: string) =>
  meanRegret(world, policy, SIMULATIONS, (n) => seededRandom(`${seed}/${n}`));

const lost = (world: RoutingWorld, policy: PolicyMaker, seed: string) =>
  (regret(world, policy, seed).at(-1) ?? 0).toFixed(1);

/** What each rule loses among three models, each of which is the best at something. */
export function regretAmongSpecialists(): FigureView {
  const drawn = ["uniform", "epsilon-greedy", "best constant in hindsight", "by intent"] as const;
  const { specialists } = worlds;
  return new FigureView(regretPlot(
    drawn.map((name) => ({ name, values: regret(specialists, policies[name], name) })),
    {
      title: "Regret among specialists",
      changes: [],
      caption:
        `Line: mean cumulative regret, n = ${SIMULATIONS} simulations of ${specialists.requests} requests.`,
    },
  ));
}

/** Worlds in which a rule that learns loses to one model for everything. */
export function whereConstantWins(): TableView {
  const simple = ["one model is best for everything", "hardly a difference", "too few requests"] as const;
  const compared: readonly PolicyName[] = ["constant", "greedy", "by intent", "uniform"];
  return new TableView(
    simple.map((name) => ({
      world: name,
      requests: worlds[name].requests,
      ...Object.fromEntries(compared.map((policy) => [policy, lost(worlds[name], policies[policy], policy)])),
    })),
    `Successes lost to the oracle, mean of n = ${SIMULATIONS} simulations. "constant" is the decision's choice from the start.`,
  );
}

/** The regret of each rule in a world with your models' success rates, in which the favourite degrades half-way. */
export function regretWithYourModels({ cases, passMark }: RoutingEvidence, favourite: string): FigureView {
  const half = 1000;
  const world = worldFrom(cases, DEFAULT_INTENTS, {
    passMark,
    requests: 2 * half,
    changes: [{ from: half, rates: { [favourite]: 0.1 } }],
  });
  const compared: readonly PolicyName[] = [
    "uniform",
    "greedy",
    "best constant in hindsight",
    "adaptive",
    "by intent",
    "by intent, discounted",
  ];
  return new FigureView(regretPlot(
    compared.map((name) => ({ name, values: regret(world, policies[name], `own/${name}`) })),
    {
      title: "Regret with the models of this machine",
      changes: [half],
      caption:
        `Line: mean cumulative regret, n = ${SIMULATIONS} simulations; rates by intent from n = ${cases.length} ` +
        `recorded cases per model; dashed upright: ${favourite} falls to a success rate of 0.1 (simulated).`,
    },
  ));
}

/** A breaker around a model that is down for its first minute (made up): which requests reach it, and its states. */
export function breakerEvents(): TableView {
  let second = 0;
  const breaker = makeBreaker({ failuresToOpen: 3, openMs: 30_000 }, () => 1000 * second);
  const events: { second: number; state: string; answer: string; then: string }[] = [];
  for (; second <= 70; second++) {
    if (!breaker.allows()) continue;
    const before = breaker.state();
    const up = second >= 60;
    breaker.started();
    if (up) breaker.succeeded();
    else breaker.failed();
    if (second > 3 && before === "closed") continue;
    events.push({ second, state: before, answer: up ? "success" : "failure", then: breaker.state() });
  }
  return new TableView(
    events,
    "Three failed requests open the breaker; every 30 s one request is let through, until one succeeds (simulated).",
  );
}
