/** What the promises of the race are worth where nothing is to be found: simulations with a known answer. */
import { addValue, anytimeTInterval, type Moments, NO_MOMENTS } from "../lib/stats/anytime_t.ts";
import type { Interval } from "../lib/stats/quantile.ts";
import { type Random, standardNormal } from "../lib/stats/random.ts";
import { studentTQuantile } from "../lib/stats/t.ts";
import type { RaceRules } from "../lib/select/race/race_state.ts";
import { type RaceWorld, simulateRace } from "../lib/select/race/simulation.ts";

/** Worlds of identical candidates, each against an assumption that other tests make. */
export const NULL_WORLDS: Readonly<Record<string, Omit<RaceWorld, "gaps">>> = {
  "normal": { noise: 0.1 },
  "heavy tails": { noise: 0.1, heavyTails: true },
  "ties": { noise: 0.1, grid: 0.25 },
  "failures": { noise: 0.1, failShare: 0.2 },
  "drift": { noise: 0.1, drift: 0.005 },
  "slow requests": { noise: 0.1, slowShare: 0.05 },
  "these two cases": { noise: 0.1, cases: 2 },
  "case effects": { noise: 0.2, caseEffect: 1.26 },
};

/**
 * How often identical candidates, looked at after every block, gave a false winner, and how often the first of
 * them was dropped (each is a best one).
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const { winners } = nullRaces({ noise: 0.1 }, { candidates: 2, races: 20, blocks: 10 }, seededRandom(1));
 * console.assert(winners <= 2);
 * ```
 */
export function nullRaces(
  world: Omit<RaceWorld, "gaps">,
  { candidates, races, blocks }: {
    readonly candidates: number;
    readonly races: number;
    readonly blocks: number;
  },
  random: Random,
): { winners: number; firstDropped: number } {
  // An ε of nothing keeps the verdict "tie" from ending a race early.
  const rules: RaceRules = {
    delta: 0.05,
    epsilon: 1e-9,
    better: "lower",
    effect: "ratio",
    budget: candidates * blocks,
  };
  const gaps = Array(candidates).fill(0);
  const count = { winners: 0, firstDropped: 0 };
  for (let i = 0; i < races; i++) {
    const { verdict, live } = simulateRace({ ...world, gaps }, rules, random);
    if (verdict?.verdict === "winner") count.winners++;
    if (!live.includes("c0")) count.firstDropped++;
  }
  return count;
}

/** Paired log differences of two identical candidates, one per call. */
export const NULL_DIFFERENCES: Readonly<Record<string, (random: Random) => number>> = {
  "normal": (random) => 0.14 * standardNormal(random),
  "5 % three times slower": (random) => 0.14 * standardNormal(random) + slow(random) - slow(random),
};

const slow = (random: Random) => random() < 0.05 ? Math.log(3) : 0;

/** Intervals at 95 % whose misses over time are compared. */
export const INTERVALS = {
  anytime: (moments: Moments) => anytimeTInterval(moments, 0.05),
  /** The ordinary t interval, from three values on: meant for one look, at a number of blocks fixed before. */
  naive: ({ n, mean, squares }: Moments): Interval | null => {
    if (n < 3) return null;
    const half = tQuantile(n - 1) * Math.sqrt(squares / (n - 1) / n);
    return [mean - half, mean + half];
  },
} as const;

const tQuantiles: number[] = [];
function tQuantile(df: number): number {
  return tQuantiles[df] ??= studentTQuantile(0.975, df);
}

/**
 * In what share of sequences an interval has missed the true mean 0 at some look, after 1, 2, … looks: one
 * look after every value. For the naive interval this is how often an uncorrected t test, looked at after
 * every block, has crowned one of two identical models.
 *
 * @example
 * ```ts
 * import { seededRandom } from "../lib/stats/random.ts";
 * const draws = { draw: () => 0.5, sequences: 1, looks: 3 };
 * console.assert(missesOverTime(INTERVALS.naive, draws, seededRandom(1)).at(-1) === 1);
 * ```
 */
export function missesOverTime(
  interval: (moments: Moments) => Interval | null,
  { draw, sequences, looks }: {
    readonly draw: (random: Random) => number;
    readonly sequences: number;
    readonly looks: number;
  },
  random: Random,
): number[] {
  const firstMiss = Array<number>(looks).fill(0);
  for (let i = 0; i < sequences; i++) {
    let moments = NO_MOMENTS;
    for (let look = 0; look < looks; look++) {
      moments = addValue(moments, draw(random));
      const limits = interval(moments);
      if (limits === null || (limits[0] <= 0 && 0 <= limits[1])) continue;
      firstMiss[look] = (firstMiss[look] ?? 0) + 1;
      break;
    }
  }
  let missed = 0;
  return firstMiss.map((count) => (missed += count) / sequences);
}
