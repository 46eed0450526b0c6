/** Races of worlds with a known truth, live and over their records: how often a verdict is wrong. */
import type { RaceTerms } from "../lib/bench/records.ts";
import { raceLive } from "../lib/select/race/live_race.ts";
import { effectBetween } from "../lib/select/race/race_state.ts";
import { DEFAULT_TERMS, raceOver, type RecordedRace } from "../lib/select/race/recorded_race.ts";
import type { Random } from "../lib/stats/random.ts";
import { type ProofWorld, worldCandidates, worldInfo } from "./proof_worlds.ts";
import { RecordList, VirtualTime } from "./simulated.ts";

/** Runs one race of a world through the code that ships. */
async function raceWorld(
  world: ProofWorld,
  { cases, terms, random }: {
    readonly cases: number;
    readonly terms: Partial<RaceTerms>;
    readonly random: Random;
  },
): Promise<RecordedRace> {
  const time = new VirtualTime();
  const candidates = worldCandidates(world, time, random);
  const seed = Math.floor(random() * 2 ** 31);
  const info = worldInfo(candidates, cases, { mode: "race", race: { ...DEFAULT_TERMS, ...terms }, seed });
  const sink = new RecordList();
  const ended = await raceLive({
    info,
    candidates,
    sink,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: time.readMachine,
    signal: new AbortController().signal,
    score: () => null,
  });
  return await raceOver({ info: ended, samples: sink.samples, answers: sink.answers });
}

/** The verdicts of many races among candidates of which the first is a best one. */
export interface RaceTally {
  readonly races: number;
  /** A winner that is not the best; among identical candidates any winner. */
  readonly wrong: number;
  readonly winners: number;
  readonly ties: number;
  readonly left: number;
  /** The first was dropped, by evidence. */
  readonly bestDropped: number;
  /** The interval of the first pair misses its true value when the race ends. */
  readonly missed: number;
  readonly requests: number;
}

/** Races a world again and again. */
export async function tallyRaces(
  world: ProofWorld,
  options: {
    readonly cases: number;
    readonly races: number;
    readonly terms: Partial<RaceTerms>;
    readonly random: Random;
  },
): Promise<RaceTally> {
  const identical = world.gaps.every((gap) => gap === 0);
  const tally = {
    races: options.races,
    wrong: 0,
    winners: 0,
    ties: 0,
    left: 0,
    bestDropped: 0,
    missed: 0,
    requests: 0,
  };
  for (let i = 0; i < options.races; i++) {
    const { state } = await raceWorld(world, options);
    const winner = state.verdict?.verdict === "winner" ? state.verdict.winner : null;
    const { interval } = effectBetween(state, "c1", "c0");
    const truth = 1 + (world.gaps[1] ?? 0);
    tally.requests += state.requests;
    if (winner !== null) tally.winners++;
    if (winner !== null && (identical || winner !== "c0")) tally.wrong++;
    if (state.verdict?.verdict === "tie") tally.ties++;
    if (state.verdict?.verdict === "left") tally.left++;
    if (state.eliminated.some(({ id }) => id === "c0")) tally.bestDropped++;
    if (interval !== null && (truth < interval[0] || interval[1] < truth)) tally.missed++;
  }
  return tally;
}
