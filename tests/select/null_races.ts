/** Worlds in which no candidate is better than another, each breaking an assumption that other tests make. */
import type { RaceRules } from "../../lib/select/race.ts";
import { simulateRace, type World } from "../../lib/select/simulation.ts";
import { seededRandom } from "../../lib/stats/random.ts";

export const NULL_WORLDS: Record<string, Omit<World, "gaps">> = {
  normal: { noise: 0.1 },
  "heavy tails": { noise: 0.1, heavyTails: true },
  ties: { noise: 0.1, grid: 0.25 },
  failures: { noise: 0.1, failShare: 0.2 },
  drift: { noise: 0.1, drift: 0.005 },
  "slow requests": { noise: 0.1, slowShare: 0.05 },
  "two prompts": { noise: 0.1, prompts: 2 },
};

/** How often identical candidates, looked at after every block, gave a false winner or lost the first of them. */
export function nullRaces(candidates: number, world: Omit<World, "gaps">, races: number, blocks: number) {
  // An ε of nothing keeps the verdict "tie" from ending a race early.
  const rules: RaceRules = {
    delta: 0.05,
    epsilon: 1e-9,
    better: "lower",
    effect: "ratio",
    budget: candidates * blocks,
  };
  const random = seededRandom(`null/${candidates}/${JSON.stringify(world)}`);
  const gaps = Array(candidates).fill(0);
  const count = { winners: 0, firstDropped: 0 };
  for (let i = 0; i < races; i++) {
    const { verdict, live } = simulateRace({ ...world, gaps }, rules, random);
    if (verdict?.verdict === "winner") count.winners++;
    if (!live.includes("c0")) count.firstDropped++;
  }
  return count;
}
