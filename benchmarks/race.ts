/**
 * What does it cost to be sure, and is the promise kept? Prints how many requests a race needs in
 * simulation, next to a design with a fixed number of blocks, the plain pick of the best mean, and the
 * information bound; with --proof, how often it errs where no candidate is better.
 *
 *   deno task bench:race                     the table of docs/statistics.md (about 20 s)
 *   deno task bench:race --noise 0.2         with noisier models
 *   deno task bench:race --from RUN          with the noise of a real run of `deno task bench`
 *   deno task bench:race --proof             false winners and missed means, simulated and exact (about 20 s)
 *   deno task bench:race --plot docs/race-cost.svg
 *   deno task bench:race --json              one JSON document
 */
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { decimal, option, pathValue, shared, wholeNumber } from "../scripts/options.ts";

/** The gaps of the three rivals, and the requests that the race is meant to stay within. */
const GAPS = [
  { gaps: [0, 0.1, 0.3, 0.6], target: 105, targetSlow: 125 },
  { gaps: [0, 0.2, 0.4, 0.8], target: 50, targetSlow: 60 },
  { gaps: [0, 0.5, 0.8, 1.5], target: 40, targetSlow: 45 },
];

interface Options {
  races: number;
  noise: number;
  slow: number;
  delta: number;
  seed: number;
  from?: string;
  proof?: boolean;
  plot?: string;
  json?: boolean;
}

/** What the repeats of a real run say of noise; the flags' values where no run is named. */
async function withNoise(options: Options): Promise<Options> {
  if (options.from === undefined) return options;
  const [{ readRunInfo, readSamples }, { latencyNoise }, { UserError }] = await Promise.all([
    import("../lib/bench/read_run.ts"),
    import("./latency_noise.ts"),
    import("../lib/errors.ts"),
  ]);
  await readRunInfo(options.from);
  const groups = new Map<string, number[]>();
  for await (const sample of readSamples(options.from)) {
    if (sample.kind !== "request" || sample.phase !== "timed" || sample.status !== "ok") continue;
    const key = `${sample.candidate}/${sample.prompt_id}`;
    const group = groups.get(key) ?? [];
    groups.set(key, [...group, (sample.end_ms - sample.due_ms) / 1000]);
  }
  try {
    const { noise, slowShare, n } = latencyNoise([...groups.values()]);
    console.error(
      `${options.from}, ${n} requests: noise ${(100 * noise).toFixed(1)} %, ` +
        `${(100 * slowShare).toFixed(1)} % slow`,
    );
    return { ...options, noise: Math.max(noise, 0.001), slow: slowShare };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(`--from ${options.from}: ${error.message}; give a run of several rounds`);
  }
}

async function measure({ races, noise, slow, delta, seed }: Options) {
  const { fixedDesign, informationBound, plainPick, raceCost } = await import("./race_cost.ts");
  const { seededRandom } = await import("../lib/stats/random.ts");
  const rules = { delta, epsilon: 0.1, better: "lower", effect: "ratio", budget: 10_000 } as const;
  const plan = { delta, power: 0.95, races: Math.min(races, 1000), most: 400 };
  const round = (requests: number) => Math.round(10 * requests) / 10;
  return [...new Set([0, slow])].flatMap((slowShare) => {
    // A fixed design has to be planned for the smallest gap that matters: 10 %.
    const smallest = { gaps: [0, 0.1, 0.3, 0.6], noise, slowShare };
    const fixed = fixedDesign(smallest, plan, () => seededRandom(`fixed/${seed}/${slowShare}`));
    return GAPS.map(({ gaps, target, targetSlow }) => {
      const world = { gaps, noise, slowShare };
      const cost = raceCost(world, rules, races, seededRandom(`race/${seed}/${gaps}/${slowShare}`));
      return {
        gaps: gaps.slice(1),
        slow_share: slowShare,
        race: { ...cost, requestsMean: round(cost.requestsMean) },
        target: slowShare === 0 ? target : targetSlow,
        fixed_design: fixed,
        plain_pick: plainPick(world, plan, seededRandom(`plain/${seed}/${gaps}/${slowShare}`)),
        information_bound: round(informationBound(world, delta)),
      };
    });
  });
}

const percentText = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`;

async function print(rows: Awaited<ReturnType<typeof measure>>, options: Options): Promise<void> {
  const { benchTable } = await import("./bench_table.ts");
  const head = ["rivals slower by", "3× slow", "race: mean", "p95", "wrong", "tie", "target", "fixed"];
  const table = benchTable(
    [...head, "plain pick", "bound"],
    rows.map(({ gaps, slow_share, race, target, fixed_design, plain_pick, information_bound }) => [
      gaps.map((gap) => Math.round(100 * gap)).join(" / ") + " %",
      percentText(slow_share),
      race.requestsMean.toFixed(1),
      race.requestsP95,
      percentText(race.wrong),
      percentText(race.tie),
      target,
      fixed_design ?? "> 1600",
      plain_pick ?? "> 1600",
      information_bound.toFixed(1),
    ]),
  );
  console.log(
    `Requests until a verdict: 4 candidates, delta ${options.delta}, ${percentText(options.noise)} noise, ` +
      `${options.races} simulated races per row, seed ${options.seed}\n${table}`,
  );
}

async function plot(
  rows: Awaited<ReturnType<typeof measure>>,
  { plot, races, noise }: Options,
): Promise<void> {
  if (plot === undefined) return;
  const [{ costPlot }, { svgFile }] = await Promise.all([
    import("../lib/plot/race.ts"),
    import("../lib/plot/figure.ts"),
  ]);
  const world = (gaps: readonly number[], slow: number) =>
    `rivals ${gaps.map((gap) => Math.round(100 * gap)).join(" / ")} % slower` +
    (slow > 0 ? `, ${100 * slow} % of requests 3× slower` : "");
  const figure = costPlot(
    rows.map(({ gaps, slow_share, race, fixed_design, plain_pick, information_bound }) => ({
      world: world(gaps, slow_share),
      requests: {
        "race (mean)": race.requestsMean,
        "fixed design": fixed_design,
        "plain pick": plain_pick,
        "bound": information_bound,
      },
    })),
    {
      title: "What a verdict costs",
      caption: `4 candidates, ${races} races per row, ${100 * noise} % noise`,
    },
  );
  await Deno.writeTextFile(plot, svgFile(figure));
}

/** Candidates that are all the same: whatever is found is an error. */
async function prove({ races, seed }: Options) {
  const { INTERVALS, missesOverTime, NULL_DIFFERENCES, NULL_WORLDS, nullRaces } = await import(
    "./null_races.ts"
  );
  const { nullWinnerRate } = await import("../lib/stats/evalue.ts");
  const { seededRandom } = await import("../lib/stats/random.ts");
  const random = (name: string) => seededRandom(`${name}/${seed}`);
  return {
    exact: [30, 200, 1000].map((blocks) => ({ blocks, winner: nullWinnerRate(40, blocks) })),
    races: Object.entries(NULL_WORLDS).map(([world, options]) => {
      const two = nullRaces(options, { candidates: 2, races, blocks: 200 }, random(world));
      const four = nullRaces(options, { candidates: 4, races, blocks: 60 }, random(world));
      return { world, winner_of_2: two.winners / races, winner_of_4: four.winners / races };
    }),
    misses: Object.entries(NULL_DIFFERENCES).flatMap(([differences, draw]) =>
      Object.entries(INTERVALS).map(([interval, limits]) => {
        const missed = missesOverTime(limits, { draw, sequences: races, looks: 1000 }, random(differences));
        return {
          differences,
          interval,
          by_30: missed[29] ?? 0,
          by_200: missed[199] ?? 0,
          by_1000: missed[999] ?? 0,
        };
      })
    ),
  };
}

async function printProof({ exact, races, misses }: Awaited<ReturnType<typeof prove>>, options: Options) {
  const { benchTable } = await import("./bench_table.ts");
  const tables = [
    benchTable(
      ["two identical candidates, exact", "false winner"],
      exact.map(({ blocks, winner }) => [`by ${blocks} blocks`, percentText(winner, 4)]),
    ),
    benchTable(
      ["identical candidates, simulated", "2, 200 blocks", "4, 60 blocks"],
      races.map((
        { world, winner_of_2, winner_of_4 },
      ) => [world, percentText(winner_of_2, 2), percentText(winner_of_4, 2)]),
    ),
    benchTable(
      ["true mean missed at some look", "interval", "by 30", "by 200", "by 1,000"],
      misses.map((
        { differences, interval, by_30, by_200, by_1000 },
      ) => [differences, interval, ...[by_30, by_200, by_1000].map((share) => percentText(share, 2))]),
    ),
  ];
  console.log(
    `Delta 0.05, ${options.races} races or sequences a figure, seed ${options.seed}\n${tables.join("\n")}`,
  );
}

if (import.meta.main) {
  const command = bareCommand("bench:race")
    .addOptions([
      option("--races <n>", "simulated races per row", wholeNumber(10, 1e6), 2000),
      option(
        "--noise <sd>",
        "standard deviation of a latency's logarithm",
        decimal({ above: 0, max: 2 }),
        0.1,
      ),
      option("--slow <share>", "share of requests three times slower", decimal({ min: 0, max: 0.5 }), 0.05),
      option("--delta <d>", "accepted probability of error", decimal({ above: 0, max: 0.5 }), 0.05),
      option("--from <run>", "estimate noise and slow share from a run", pathValue).conflicts([
        "noise",
        "slow",
      ]),
      option("--plot <file>", "write the table as an .svg figure", pathValue),
      option("--proof", "count errors among identical candidates instead"),
      ...shared("seed", "json"),
    ]);
  await runTask(command, async (given: Options) => {
    const options = await withNoise(given);
    if (options.proof) {
      const proof = await prove(options);
      if (options.json) printJson({ ...options, ...proof });
      else await printProof(proof, options);
      return 0;
    }
    const rows = await measure(options);
    await plot(rows, options);
    if (options.json) printJson({ ...options, rows });
    else await print(rows, options);
    return 0;
  });
}
