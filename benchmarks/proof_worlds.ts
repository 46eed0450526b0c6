/**
 * Worlds whose truth is known, run through the code that ships: candidates on a virtual clock go through the real
 * race, run and summary, so that what is proved is what users get.
 */
import type { LiveCandidate } from "../lib/bench/live_candidate.ts";
import type { PlanInfo, RunInfo } from "../lib/bench/records.ts";
import type { Trace } from "../lib/endpoint/trace.ts";
import { type Random, seededRandom, standardNormal } from "../lib/stats/random.ts";
import {
  answeredTrace,
  failedTrace,
  simulatedCandidate,
  simulatedPlan,
  type VirtualTime,
} from "./simulated.ts";

/** What a world does to its candidates. Figures with one value hold for all of them, lists give one value each. */
export interface ProofWorld {
  /** How much slower than the first each candidate is. All 0: identical candidates. */
  readonly gaps: readonly number[];
  /** Standard deviation of the logarithm of a latency, over repeats of one case. */
  readonly noise: number;
  /** The same between cases, of what a case takes one candidate and not the others. */
  readonly caseEffect?: number;
  /** Every second case treats the candidates the other way round, so that a set of cases is fair to two of them. */
  readonly mirrored?: boolean;
  /** Share of requests that fail. */
  readonly failShare?: number | readonly number[];
  /** Share of requests, the slowest ones, that run into the time-out: censored, not slow. */
  readonly timeOutShare?: readonly number[];
  /** Share of requests that take ten times as long. */
  readonly tailShare?: number | readonly number[];
  /** Student's t with two degrees of freedom instead of the normal distribution. */
  readonly heavyTails?: boolean;
  /** Factor on the first request in a block, whichever candidate gets it: the position matters. */
  readonly firstInBlock?: number;
  /** Factor on a candidate's first request after its load. */
  readonly firstRequest?: number;
  /** Growth of all latencies per second of the run, as a machine that heats up. */
  readonly driftPerS?: number;
  /** Seed of the cases' difficulty, where two runs are to meet the same cases. */
  readonly fixedCases?: number;
  /** Several clients at a time: then time passes by waiting. */
  readonly overlapping?: boolean;
  /** Latencies are multiples of this many milliseconds. */
  readonly gridMs?: number;
}

const at = (value: number | readonly number[] | undefined, index: number) =>
  (typeof value === "object" ? value[index] : value) ?? 0;

/** The candidates of a world, and the latencies that they draw, in ms; null for a failure. */
export function worldCandidates(world: ProofWorld, time: VirtualTime, random: Random): LiveCandidate[] {
  const effects = caseEffects(world, random);
  let lastCase = "";
  const latencyMs = (index: number, asked: string, first: boolean): number | null => {
    if (random() < at(world.failShare, index)) return null;
    // A normal over the root of an exponential is Student's t with two degrees of freedom.
    const stretch = world.heavyTails === true ? 1 / Math.sqrt(-Math.log(1 - random())) : 1;
    const z = standardNormal(random);
    if (z > normalQuantileAbove(at(world.timeOutShare, index))) return null;
    const log = Math.log(100) + effects.difficulty(asked) +
      effects.own(asked, index) +
      Math.log1p(world.gaps[index] ?? 0) + world.noise * stretch * z +
      Math.log(random() < at(world.tailShare, index) ? 10 : 1) +
      Math.log(asked !== lastCase ? world.firstInBlock ?? 1 : 1) +
      Math.log(first ? world.firstRequest ?? 1 : 1) +
      (world.driftPerS ?? 0) * time.nowMs / 1000;
    lastCase = asked;
    const grid = world.gridMs ?? 0;
    // A tail without a second moment draws times beyond the age of the universe.
    const drawn = Math.min(1e8, Math.exp(log));
    return grid > 0 ? Math.round(drawn / grid) * grid : drawn;
  };
  return world.gaps.map((_, index) => {
    let requests = 0;
    return simulatedCandidate(`c${index}`, async ({ messages }) => {
      const sentMs = time.nowMs;
      const tookMs = latencyMs(index, messages.at(-1)?.content ?? "", ++requests === 1);
      if (world.overlapping === true) await time.sleep(tookMs ?? 5);
      else time.nowMs += tookMs ?? 5;
      return tookMs === null ? failedTrace(sentMs, time.nowMs) : answered(sentMs, tookMs);
    });
  });
}

/** What a case takes all candidates, and one of them alone: logarithms, drawn once and then kept. */
function caseEffects({ caseEffect = 0, mirrored, fixedCases, gaps }: ProofWorld, random: Random) {
  const drawn = new Map<string, number>();
  const kept = (key: string, sd: number) => {
    const source = () => fixedCases === undefined ? random : seededRandom(`${fixedCases} ${key}`);
    const effect = drawn.get(key) ?? sd * standardNormal(source());
    drawn.set(key, effect);
    return effect;
  };
  return {
    difficulty: (asked: string) => kept(asked, 0.5),
    own(asked: string, index: number) {
      const number = Number(/\d+/.exec(asked)?.[0] ?? 0);
      if (mirrored !== true || number % 2 === 0) return kept(`Case ${number}/${index}`, caseEffect);
      return kept(`Case ${number - 1}/${(index + 1) % gaps.length}`, caseEffect);
    },
  };
}

/** The z that a standard normal exceeds with this probability; infinite for 0. Bisection over the tail. */
function normalQuantileAbove(share: number): number {
  if (share <= 0) return Infinity;
  let [low, high] = [-8, 8];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (upperTail(middle) > share) low = middle;
    else high = middle;
  }
  return low;
}

/** P(Z > z), Abramowitz and Stegun 26.2.17: seven digits are enough for a share of requests. */
function upperTail(z: number): number {
  if (z < 0) return 1 - upperTail(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const series = t *
    (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI) * series;
}

const TOKENS = 8;

function answered(sentMs: number, tookMs: number): Trace {
  const chunksAtMs = Array.from({ length: TOKENS }, (_, chunk) => sentMs + tookMs * (chunk + 1) / TOKENS);
  return answeredTrace(sentMs, chunksAtMs, sentMs + tookMs);
}

/** run.json of a simulated run over the given number of cases. */
export function worldInfo(
  candidates: readonly LiveCandidate[],
  cases: number,
  change: Partial<PlanInfo> = {},
): RunInfo {
  const prompts = Array.from({ length: cases }, (_, n) => ({
    id: `case-${n}`,
    sha256: String(n).padStart(64, "0"),
    messages: [{ role: "user" as const, content: `Case ${n}` }],
  }));
  return {
    schema_version: 1,
    run_id: "simulated",
    created_at: "2026-11-28T00:00:00.000Z",
    status: "running",
    machine: { cpu: "simulated", cores: 2, ram_gb: 16, gpu: [], os: "none", arch: "none" },
    versions: {},
    plan: simulatedPlan(
      { name: "simulated", sha256: "0".repeat(64), prompts },
      { prefix: "as is", ...change },
    ),
    candidates: candidates.map(({ info }) => info),
  };
}
