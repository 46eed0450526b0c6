/**
 * Races in worlds whose truth is known: what a verdict costs, and how often it is wrong. Latencies are
 * log-normal, because real ones are positive, skewed, and vary in proportion to their size.
 */
import type { Random } from "../../stats/random.ts";
import { shuffle, standardNormal } from "../../stats/random.ts";
import type { CaseOutcome, RaceBlock } from "./pairing.ts";
import type { RaceCandidate, RaceRules, RaceState } from "./race_state.ts";
import { replayRace } from "./run_race.ts";

/** A world to race in. The first candidate is a best one. */
export interface RaceWorld {
  /** How much slower than the first each candidate is: 0.1 is 10 %. The first is 0 by definition. */
  readonly gaps: readonly number[];
  /** Standard deviation of the logarithm of one latency, over repeats of one case; 0.1 is about 10 %. */
  readonly noise: number;
  /** Share of requests that take three times as long. Default 0. */
  readonly slowShare?: number;
  /** Share of requests that fail. Default 0. */
  readonly failShare?: number;
  /** Latencies are rounded to whole multiples of this, so that ties occur. Default 0: not at all. */
  readonly grid?: number;
  /** Growth of all latencies with every request, as a machine that heats up. Default 0. */
  readonly drift?: number;
  /** Noise follows Student's t with two degrees of freedom: infinite variance. Default false. */
  readonly heavyTails?: boolean;
  /**
   * Standard deviation, between cases, of the logarithm of what a case takes one candidate and not the
   * others. Default 0.
   */
  readonly caseEffect?: number;
  /**
   * A number of cases, drawn with replacement: the world of a claim about these cases.
   * Default: a new one per block.
   */
  readonly cases?: number;
}

/** `c0` (the best), `c1` …: the candidates of a world. */
export function simulatedCandidates(world: RaceWorld): RaceCandidate[] {
  return world.gaps.map((_, i) => ({ id: `c${i}`, sizeMb: 100 + i }));
}

/**
 * Runs one race in a world. The race is the one that runs live; only the answers are made up.
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const rules = { delta: 0.05, epsilon: 0.1, better: "lower", effect: "ratio", budget: 500 } as const;
 * const race = simulateRace({ gaps: [0, 0.5, 0.8], noise: 0.1 }, rules, seededRandom(1));
 * console.assert(race.verdict?.winner === "c0");
 * ```
 */
export function simulateRace(world: RaceWorld, rules: RaceRules, random: Random): RaceState {
  return replayRace(simulatedCandidates(world), rules, simulatedBlocks(world, random));
}

/**
 * Makes up one block after the other: every live candidate on one case, in random order.
 *
 * ```ts
 * import { seededRandom } from "../../stats/random.ts";
 * const next = simulatedBlocks({ gaps: [0, 1], noise: 0 }, seededRandom(1));
 * const block = next({ live: ["c0", "c1"] });
 * console.assert(block.size === 2);
 * ```
 */
export function simulatedBlocks(
  world: RaceWorld,
  random: Random,
): (state: { readonly live: readonly string[] }) => RaceBlock {
  const ids = world.gaps.map((_, i) => `c${i}`);
  const speed = world.gaps.map((gap) => Math.log1p(gap));
  const newCase = () => {
    const difficulty = Math.log(1.5) * standardNormal(random);
    return new Map(ids.map((id, i) => {
      const own = world.caseEffect === undefined ? 0 : world.caseEffect * standardNormal(random);
      return [id, (speed[i] ?? 0) + difficulty + own] as const;
    }));
  };
  const cases = Array.from({ length: world.cases ?? 0 }, newCase);
  let sent = 0;
  return ({ live }) => {
    const logs = cases[Math.floor(random() * cases.length)] ?? newCase();
    const answer = (id: string): [string, CaseOutcome] => {
      const drift = (world.drift ?? 0) * sent++;
      return [id, simulatedOutcome(world, drift + (logs.get(id) ?? 0), random)];
    };
    return new Map(shuffle(live, random).map(answer));
  };
}

function simulatedOutcome(world: RaceWorld, logSeconds: number, random: Random): CaseOutcome {
  if (random() < (world.failShare ?? 0)) return { status: "failed", reason: "simulated" };
  // A normal over the root of an exponential is Student's t with two degrees of freedom.
  const stretch = world.heavyTails === true ? 1 / Math.sqrt(-Math.log(1 - random())) : 1;
  const slow = random() < (world.slowShare ?? 0) ? 3 : 1;
  const value = slow * Math.exp(logSeconds + world.noise * stretch * standardNormal(random));
  const grid = world.grid ?? 0;
  return { status: "ok", value: grid > 0 ? Math.max(1, Math.round(value / grid)) * grid : value };
}
