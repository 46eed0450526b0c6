/**
 * WHY: what does it cost to be sure? Prints how many requests a race needs in simulation, beside a design
 * with a fixed number of blocks, the plain pick of the best mean, and the information bound.
 *
 *   deno task bench:race                     the table of docs/statistics.md (about 20 s)
 *   deno task bench:race --noise 0.2         with noisier models
 *   deno task bench:race --json              one JSON document
 */
import { bareCommand, decimal, jsonOption, printJson, runCli, seedOption, wholeNumber } from "./cli.ts";
import { Option } from "commander";

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
  json?: boolean;
}

async function measure({ races, noise, slow, delta, seed }: Options) {
  const { fixedDesign, informationBound, plainPick, raceCost } = await import("../lib/select/cost.ts");
  const { seededRandom } = await import("../lib/stats/random.ts");
  const rules = { delta, epsilon: 0.1, better: "lower", effect: "ratio", budget: 10_000 } as const;
  const plan = { delta, power: 0.95, races: Math.min(races, 1000), most: 400 };
  const round = (requests: number) => Math.round(10 * requests) / 10;
  return [...new Set([0, slow])].flatMap((slowShare) => {
    // A fixed design has to be planned for the smallest gap that matters: 10 %.
    const smallest = { gaps: [0, 0.1, 0.3, 0.6], noise, slowShare };
    const fixed = fixedDesign(smallest, plan, seededRandom(`fixed/${seed}/${slowShare}`));
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

async function print(rows: Awaited<ReturnType<typeof measure>>, options: Options): Promise<void> {
  const { default: Table } = await import("cli-table3");
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const table = new Table({
    head: [
      "rivals slower by",
      "3× slow",
      "race: mean",
      "p95",
      "wrong",
      "tie",
      "target",
      "fixed",
      "plain pick",
      "bound",
    ],
    style: { head: [], border: [] },
  });
  for (const { gaps, slow_share, race, target, fixed_design, plain_pick, information_bound } of rows) {
    table.push([
      gaps.map((gap) => Math.round(100 * gap)).join(" / ") + " %",
      percent(slow_share),
      race.requestsMean.toFixed(1),
      race.requestsP95,
      percent(race.wrong),
      percent(race.tie),
      target,
      fixed_design ?? "> 1600",
      plain_pick ?? "> 1600",
      information_bound.toFixed(1),
    ]);
  }
  console.log(
    `Requests until a verdict: 4 candidates, delta ${options.delta}, ${percent(options.noise)} noise, ` +
      `${options.races} simulated races a row, seed ${options.seed}\n${table}`,
  );
}

if (import.meta.main) {
  const command = bareCommand("bench:race", "What a verdict costs in requests, in simulation.")
    .addOption(
      new Option("--races <n>", "simulated races a row").default(2000).argParser(wholeNumber(10, 1e6)),
    )
    .addOption(
      new Option("--noise <sd>", "standard deviation of a latency's logarithm").default(0.1).argParser(
        decimal({ above: 0, max: 2 }),
      ),
    )
    .addOption(
      new Option("--slow <share>", "share of requests three times slower").default(0.05).argParser(
        decimal({ min: 0, max: 0.5 }),
      ),
    )
    .addOption(
      new Option("--delta <d>", "accepted probability of error").default(0.05).argParser(
        decimal({ above: 0, max: 0.5 }),
      ),
    )
    .addOption(seedOption())
    .addOption(jsonOption());
  await runCli(async () => {
    const options = command.parse().opts<Options>();
    const rows = await measure(options);
    if (options.json) printJson({ ...options, rows });
    else await print(rows, options);
    return 0;
  });
}
