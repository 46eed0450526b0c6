/** Runs of worlds with a known truth, through the real run and summary: how often a figure or a verdict is wrong. */
import type { PlanInfo } from "../lib/bench/records.ts";
import { runBench } from "../lib/bench/run.ts";
import { summarizeRecords } from "../lib/bench/summary.ts";
import type { Summary } from "../lib/bench/summary_schema.ts";
import type { Random } from "../lib/stats/random.ts";
import { type ProofWorld, worldCandidates, worldInfo } from "./proof_worlds.ts";
import { RecordList, VirtualTime } from "./simulated.ts";

/** Runs a plan over a world through the code that ships. */
async function benchWorld(
  world: ProofWorld,
  { cases, plan, random }: {
    readonly cases: number;
    readonly plan: Partial<PlanInfo>;
    readonly random: Random;
  },
): Promise<{ readonly summary: Summary; readonly records: RecordList }> {
  const time = new VirtualTime();
  const overlapping = (plan.concurrency ?? 1) > 1;
  const candidates = worldCandidates({ ...world, overlapping }, time, random);
  const info = worldInfo(candidates, cases, { seed: Math.floor(random() * 2 ** 31), ...plan });
  const records = new RecordList();
  const status = await runBench({
    info,
    candidates,
    sink: records,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: time.readMachine,
    signal: new AbortController().signal,
  });
  const { summary } = await summarizeRecords({
    info: { ...info, status },
    samples: records.samples,
    answers: records.answers,
  });
  return { summary, records };
}

/** The verdicts of many runs of identical candidates, or of candidates whose ratio is known. */
export interface BenchTally {
  readonly runs: number;
  /** Runs that say "better" anywhere, in any metric; of candidates that differ only where it is the wrong one. */
  readonly wrong: number;
  /** The interval of the latency ratio of the first pair misses the true one; of those that give one. */
  readonly missed: number;
  readonly intervals: number;
  /** Rank intervals that leave out the true rank, in any metric. */
  readonly ranksWrong: number;
}

/** Runs a world again and again. */
export async function tallyBenches(
  world: ProofWorld,
  options: {
    readonly cases: number;
    readonly runs: number;
    readonly plan: Partial<PlanInfo>;
    readonly random: Random;
  },
): Promise<BenchTally> {
  const tally = { runs: options.runs, wrong: 0, missed: 0, intervals: 0, ranksWrong: 0 };
  const gapOf = (id: string) => world.gaps[Number(id.slice(1))] ?? 0;
  const truth = 1 / (1 + (world.gaps[1] ?? 0));
  for (let i = 0; i < options.runs; i++) {
    const { summary } = await benchWorld(world, options);
    const wrong = summary.comparisons.some(({ a, b, verdict }) =>
      verdict === "a better" && gapOf(a) >= gapOf(b) || verdict === "b better" && gapOf(b) >= gapOf(a)
    );
    if (wrong) tally.wrong++;
    const interval = summary.comparisons.find(({ metric }) => metric === "latency_s")?.ci95 ?? null;
    if (interval !== null) {
      tally.intervals++;
      if (truth < interval[0] || interval[1] < truth) tally.missed++;
    }
    const ranked = summary.ranks.filter(({ metric }) => metric === "latency_s").some(
      ({ candidate, from, to }) => {
        const ahead = world.gaps.filter((gap) => gap < gapOf(candidate)).length;
        const level = world.gaps.filter((gap) => gap === gapOf(candidate)).length;
        return from > ahead + level || to < ahead + 1;
      },
    );
    if (ranked) tally.ranksWrong++;
  }
  return tally;
}
