/** What a decision costs in requests: the race, its alternatives, and the lower bound. */
import { addValue, type Moments, NO_MOMENTS } from "../lib/stats/anytime_t.ts";
import type { Random } from "../lib/stats/random.ts";
import { binomialCdf } from "../lib/stats/special.ts";
import { studentTQuantile } from "../lib/stats/t.ts";
import type { RaceBlock } from "../lib/select/race/pairing.ts";
import type { RaceRules } from "../lib/select/race/race_state.ts";
import {
  type RaceWorld,
  simulatedBlocks,
  simulatedCandidates,
  simulateRace,
} from "../lib/select/race/simulation.ts";

/** Of many races in one world. */
export interface RaceCost {
  readonly requestsMean: number;
  readonly requestsP95: number;
  /** Shares of the races. */
  readonly right: number;
  readonly wrong: number;
  readonly tie: number;
  readonly undecided: number;
}

/**
 * Races many times in a world whose first candidate is the best.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 500 } as const;
 * const { requestsMean, right } = raceCost({ gaps: [0, 1], noise: 0.1 }, rules, 10, seededRandom(1));
 * console.assert(requestsMean === 16 && right === 1);
 * ```
 */
export function raceCost(world: RaceWorld, rules: RaceRules, races: number, random: Random): RaceCost {
  const finished = Array.from({ length: races }, () => simulateRace(world, rules, random));
  const requests = finished.map((race) => race.requests).sort((a, b) => a - b);
  const share = (holds: (race: (typeof finished)[number]) => boolean) =>
    finished.filter(holds).length / races;
  return {
    requestsMean: requests.reduce((sum, n) => sum + n, 0) / races,
    requestsP95: requests[Math.ceil(0.95 * races) - 1] ?? 0,
    right: share(({ verdict }) => verdict?.winner === "c0"),
    wrong: share(({ verdict }) => verdict?.verdict === "winner" && verdict.winner !== "c0"),
    tie: share(({ verdict }) => verdict?.verdict === "tie"),
    undecided: share(({ verdict }) => verdict?.verdict === "undecided"),
  };
}

/**
 * Requests of a design whose number of blocks is fixed beforehand: the best candidate against each rival,
 * paired and one-sided, at δ over the number of rivals, with enough blocks for all tests to succeed with the
 * asked power; t tests on log latencies or sign tests, whichever needs fewer in this world. It has to be
 * planned for the smallest gap that matters, knowing the noise, and pays that price at every gap.
 *
 * @param world What it is planned for; no failures.
 * @returns Null when `most` blocks are not enough.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const plan = { delta: 0.05, power: 0.95, races: 50, most: 60 };
 * const random = () => seededRandom(1);
 * console.assert(fixedDesign({ gaps: [0, 1], noise: 0.1 }, plan, random) !== null);
 * ```
 */
export function fixedDesign(
  world: RaceWorld,
  plan: { readonly delta: number; readonly power: number; readonly races: number; readonly most: number },
  random: () => Random,
): number | null {
  const level = plan.delta / (world.gaps.length - 1);
  const upTo = Array.from({ length: plan.most + 1 }, (_, n) => n);
  const critical = upTo.map((n) => n < 2 ? Infinity : studentTQuantile(1 - level, n - 1));
  const wins = upTo.map((n) => upTo.find((k) => 1 - binomialCdf(k - 1, n, 0.5) <= level) ?? Infinity);
  const tests = [
    ({ log: { n, mean, squares } }: Lead) =>
      mean >= (critical[n] ?? Infinity) * Math.sqrt(squares / (n - 1) / n),
    (lead: Lead) => lead.wins >= (wins[lead.log.n] ?? Infinity),
  ];
  const requests = tests.flatMap((test) => {
    const successes = overBlocks(world, plan.races, plan.most, random(), (leads) => leads.every(test));
    return requestsFor(successes, plan.power * plan.races, world) ?? [];
  });
  return requests.length === 0 ? null : Math.min(...requests);
}

/**
 * Requests of the plain pick: n rounds, then the candidate with the best mean. Here n is the smallest number
 * that is right in the asked share of cases, which is not known beforehand; there is no guarantee, and among
 * identical candidates it names a winner every time.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const plan = { power: 0.95, races: 50, most: 60 };
 * console.assert(plainPick({ gaps: [0, 1], noise: 0.1 }, plan, seededRandom(1)) === 2);
 * ```
 */
export function plainPick(
  world: RaceWorld,
  plan: { readonly power: number; readonly races: number; readonly most: number },
  random: Random,
): number | null {
  const successes = overBlocks(
    world,
    plan.races,
    plan.most,
    random,
    (leads) => leads.every(({ raw }) => raw.mean > 0),
  );
  return requestsFor(successes, plan.power * plan.races, world);
}

/**
 * Expected requests below which no procedure can stay that runs the leader against each rival, block by block,
 * and errs with at most δ, even if it knows the law of the noise (Kaufmann, Cappé and Garivier 2016): against
 * each rival kl(δ, 1 − δ) / KL blocks, where KL is the divergence of the paired log difference from the same
 * law moved to a gap of zero.
 *
 * @example
 * ```ts
 * // Normal noise: KL = gap² / (2 · 2 · noise²).
 * const requests = informationBound({ gaps: [0, Math.exp(0.1) - 1], noise: 0.1 }, 0.05);
 * console.assert(Math.abs(requests - 2 * 0.9 * Math.log(19) / 0.25) < 0.01);
 * ```
 */
export function informationBound(world: RaceWorld, delta: number): number {
  const needed = (1 - 2 * delta) * Math.log((1 - delta) / delta);
  const blocks = world.gaps.slice(1).map((gap) => Math.max(1, needed / divergence(world, Math.log1p(gap))));
  return blocks.reduce((sum, n) => sum + n, 0) + Math.max(...blocks);
}

/** How far each rival lies behind the best, on the logarithmic and on the plain scale. */
interface Lead {
  readonly log: Moments;
  readonly raw: Moments;
  readonly wins: number;
}

/** In how many of the simulated runs `decided` holds after 1, 2, … blocks with all candidates in. */
function overBlocks(
  world: RaceWorld,
  races: number,
  most: number,
  random: Random,
  decided: (leads: readonly Lead[]) => boolean,
): number[] {
  const live = simulatedCandidates(world).map(({ id }) => id);
  const successes = Array<number>(most).fill(0);
  for (let race = 0; race < races; race++) {
    const next = simulatedBlocks(world, random);
    let leads: readonly Lead[] = live.slice(1).map(() => ({ log: NO_MOMENTS, raw: NO_MOMENTS, wins: 0 }));
    for (let n = 0; n < most; n++) {
      const [best = 1, ...rivals] = secondsOf(live, next({ live }));
      leads = leads.map(({ log, raw, wins }, i) => {
        const rival = rivals[i] ?? 1;
        return {
          log: addValue(log, Math.log(rival / best)),
          raw: addValue(raw, rival - best),
          wins: wins + (best < rival ? 1 : 0),
        };
      });
      if (decided(leads)) successes[n] = (successes[n] ?? 0) + 1;
    }
  }
  return successes;
}

function secondsOf(live: readonly string[], block: RaceBlock): number[] {
  return live.map((id) => {
    const outcome = block.get(id);
    if (outcome?.status !== "ok") {
      throw new RangeError("Cannot plan for a world with failures: set failShare to 0");
    }
    return outcome.value;
  });
}

/** The first number of blocks from which on enough runs succeed, in requests. */
function requestsFor(successes: readonly number[], needed: number, world: RaceWorld): number | null {
  const enough = successes.findLastIndex((count) => count < needed) + 2;
  return enough > successes.length ? null : enough * world.gaps.length;
}

/** KL divergence between the law of the paired log difference at the given gap and the same law at none. */
function divergence({ noise, slowShare = 0 }: RaceWorld, gap: number): number {
  const one = slowShare * (1 - slowShare);
  const sd = noise * Math.SQRT2;
  const parts = [[1 - 2 * one, 0], [one, Math.log(3)], [one, -Math.log(3)]];
  const logDensity = (x: number) => {
    // Far out every part underflows, unless the largest exponent is taken out first.
    const exponents = parts.map(([share = 0, at = 0]) => Math.log(share) - ((x - at) / sd) ** 2 / 2);
    const largest = Math.max(...exponents);
    return largest + Math.log(exponents.reduce((sum, exponent) => sum + Math.exp(exponent - largest), 0));
  };
  const reach = Math.log(3) + 10 * sd;
  const steps = 20_000;
  const width = 2 * reach / steps;
  let mass = 0;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const x = -reach + i * width;
    const here = Math.exp(logDensity(x));
    mass += here;
    sum += here * (logDensity(x) - logDensity(x + gap));
  }
  return sum / mass;
}
