/**
 * What does choosing while serving lose against always knowing the best model, and is it less than simpler
 * rules lose? Prints the regret of every policy in simulated worlds whose truth is known.
 *
 *   deno task bench:router                     the table of docs/routing.md (about 20 s)
 *   deno task bench:router --plot docs/images  and its figures
 *   deno task bench:router --json              one JSON document
 */
import { join } from "node:path";
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { option, pathValue, shared, wholeNumber } from "../scripts/options.ts";

interface Options {
  readonly simulations: number;
  readonly seed: number;
  readonly plot?: string;
  readonly json?: boolean;
}

/** Worlds that docs/routing.md shows as figures, and the files' names. */
const FIGURES: Readonly<Record<string, string>> = {
  "specialists": "regret-specialists.svg",
  "the best model degrades": "regret-degrades.svg",
  "drift and failures": "regret-failures.svg",
  "one model is best for everything": "regret-one-best.svg",
};
const DRAWN = [
  "uniform",
  "epsilon-greedy",
  "best constant in hindsight",
  "adaptive",
  "by intent",
  "by intent, discounted",
] as const;

async function measure({ simulations, seed }: Options) {
  const { learningAllowance, meanRegret, policies, WITHOUT_HINDSIGHT, worlds } = await import(
    "./router_simulation.ts"
  );
  const { seededRandom } = await import("../lib/stats/random.ts");
  return Object.entries(worlds).map(([name, world]) => {
    const curves = new Map(
      Object.entries(policies).map(([policy, make]) => [
        policy,
        meanRegret(world, make, simulations, (n) => seededRandom(`${name}/${policy}/${n}/${seed}`)),
      ]),
    );
    const regret = Object.fromEntries([...curves].map(([policy, curve]) => [policy, curve.at(-1) ?? 0]));
    const rivals = WITHOUT_HINDSIGHT.map((policy) => ({ policy, regret: regret[policy] ?? Infinity }));
    const [best] = rivals.sort((a, b) => a.regret - b.regret);
    const allowance = learningAllowance(world);
    const allowed = 1.3 * (best?.regret ?? 0) + allowance;
    return { name, world, curves, regret, best: best?.policy ?? "", allowance, allowed };
  });
}
type Row = Awaited<ReturnType<typeof measure>>[number];

async function print(rows: readonly Row[], { simulations, seed }: Options): Promise<void> {
  const { default: Table } = await import("cli-table3");
  const names = Object.keys(rows[0]?.regret ?? {}).filter((name) => name !== "oracle");
  const table = new Table({
    head: ["successes lost", ...rows.map(({ name, world }) => `${name} (${world.requests})`)],
    colWidths: [28, ...rows.map(() => 15)],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const name of names) {
    table.push([name, ...rows.map(({ regret }) => (regret[name] ?? 0).toFixed(1))]);
  }
  table.push(["allowance for learning", ...rows.map(({ allowance }) => allowance.toFixed(1))]);
  table.push(["allowed", ...rows.map(({ allowed }) => allowed.toFixed(1))]);
  table.push([
    "kept by intent, discounted",
    ...rows.map(({ regret, allowed }) =>
      (regret["by intent, discounted"] ?? Infinity) <= allowed ? "yes" : "NO"
    ),
  ]);
  console.log(
    `Mean regret against an oracle, ${simulations} simulations per figure, seed ${seed}. Allowed: 1.3 times the best of ` +
      `uniform, epsilon-greedy, greedy and constant, plus the allowance.\n${table}`,
  );
}

async function plot(rows: readonly Row[], { plot: folder, simulations }: Options): Promise<void> {
  if (folder === undefined) return;
  const [{ regretPlot }, { svgFile }] = await Promise.all([
    import("../lib/plot/simulations.ts"),
    import("../lib/plot/figure.ts"),
  ]);
  for (const { name, world, curves } of rows) {
    const file = FIGURES[name];
    if (file === undefined) continue;
    const lines = DRAWN.map((policy) => ({ name: policy, values: curves.get(policy) ?? [] }));
    const changes = "changes" in world
      ? world.changes.flatMap((change) => "to" in change ? [change.from, change.to] : [change.from])
      : [];
    const caption =
      `Line: mean cumulative regret, n = ${simulations} simulations; dashed upright: the world changes.`;
    const figure = regretPlot(lines, { title: `Regret: ${name}`, caption, changes });
    await Deno.writeTextFile(join(folder, file), svgFile(figure));
  }
}

if (import.meta.main) {
  const command = bareCommand("bench:router")
    .addOptions([
      option("--simulations <n>", "simulations per figure", wholeNumber(1, 1e5), 100),
      option("--plot <folder>", "folder for the figures", pathValue),
      ...shared("seed", "json"),
    ]);
  await runTask(command, async (options: Options) => {
    const rows = await measure(options);
    await plot(rows, options);
    if (options.json) {
      printJson({
        ...options,
        worlds: rows.map(({ name, world, regret, best, allowance, allowed }) => ({
          world: name,
          requests: world.requests,
          regret,
          best_without_hindsight: best,
          allowance,
          allowed,
        })),
      });
    } else await print(rows, options);
    return 0;
  });
}
