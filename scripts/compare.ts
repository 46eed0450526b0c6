/**
 * WHY: yesterday's figures beside today's, with the honesty that two runs share no clock.
 *
 *   deno task compare RUN_A RUN_B                          run ids below reports/, or folders
 *   deno task compare A B C D                              any number, each against the first
 *   deno task compare main:reports/ID reports/ID           a run that is committed, against a new one
 *   deno task compare v1 HEAD                              revisions that hold one run each
 *   deno task compare A B --control smollm2-135m           an unchanged candidate takes the machine out
 *   deno task compare A B --fail-on-regression             exit code 1 when anything got slower or fails
 */
import { basename } from "node:path";
import type { RunsComparison } from "../lib/bench/compare.ts";
import type { ComparableRun } from "../lib/bench/compare_runs.ts";
import { reasonOf, UserError } from "../lib/errors.ts";
import { bareCommand, epsilonOption, jsonOption, outOption, pathValue, printJson, runCli } from "./cli.ts";

interface Options {
  readonly out: string;
  readonly control?: string;
  readonly epsilon: number;
  readonly failOnRegression?: boolean;
  readonly failOnChangedAnswers?: boolean;
  readonly json?: boolean;
}

/** A run by folder, by id, or out of version control. */
async function openRun(name: string, root: string): Promise<ComparableRun> {
  const { findRun, findCommittedRun, extractCommittedRun } = await import("../lib/bench/find_run.ts");
  const { readComparableRun } = await import("../lib/bench/compare_runs.ts");
  const folder = await findRun(name, root);
  if (folder !== null) return await readComparableRun(folder, basename(name));
  const committed = await findCommittedRun(name);
  if (committed === null) {
    throw new UserError(
      `no run ${name}: give a folder with a run.json, the id of a run below ${root}, or a git revision ` +
        `that holds one (REVISION:reports/ID)`,
    );
  }
  const target = await scratchFolder();
  try {
    await extractCommittedRun(committed, target);
    return await readComparableRun(target, name);
  } finally {
    await Deno.remove(target, { recursive: true });
  }
}

/** Below reports/, the one place that this task may write to. */
async function scratchFolder(): Promise<string> {
  try {
    await Deno.mkdir("reports", { recursive: true });
    return await Deno.makeTempDir({ dir: "reports", prefix: ".revision-" });
  } catch (error) {
    throw new UserError(
      `can't unpack a committed run below reports/: ${reasonOf(error)}; make that folder writable`,
      1,
      { cause: error },
    );
  }
}

async function compare(names: readonly string[], options: Options): Promise<number> {
  const [{ compareAllRuns }, { seededRandom }, { comparisonText }] = await Promise.all([
    import("../lib/bench/compare.ts"),
    import("../lib/stats/random.ts"),
    import("../lib/report/comparison_text.ts"),
  ]);
  const runs: ComparableRun[] = [];
  for (const name of names) runs.push(await openRun(name, options.out));
  const comparison = compareAllRuns(runs, {
    epsilon: options.epsilon,
    random: () => seededRandom(1),
    ...(options.control === undefined ? {} : { control: options.control }),
  });
  if (options.json) printJson(comparison);
  else {
    const terminal = Deno.stdout.isTerminal();
    const columns = terminal ? Deno.consoleSize().columns : 80;
    console.log(comparisonText(comparison, { columns, color: terminal && !Deno.noColor }));
  }
  return gates(comparison, options);
}

async function gates(comparison: RunsComparison, options: Options): Promise<number> {
  const { answersGate, speedGate } = await import("../lib/bench/gate.ts");
  const regressions = options.failOnRegression ? speedGate(comparison) : [];
  const changed = options.failOnChangedAnswers ? answersGate(comparison) : 0;
  for (const regression of regressions) console.error(`regression: ${regression}`);
  if (changed > 0) console.error(`${changed} answers changed`);
  return regressions.length > 0 || changed > 0 ? 1 : 0;
}

const command = bareCommand("compare")
  .usage("BASELINE RUN… [options]")
  .argument("<runs...>", "folders, run ids, or git revisions (REVISION:FOLDER, or REVISION with one run)")
  .addOption(outOption())
  .option("--control <candidate>", "an unchanged candidate of all runs (id or alias)", pathValue)
  .addOption(epsilonOption(0.1))
  .option("--fail-on-regression", "exit code 1 when a candidate got slower or fails now")
  .option("--fail-on-changed-answers", "exit code 1 when an answer at temperature 0 changed")
  .addOption(jsonOption());

await runCli(async () => {
  let code = 0;
  command.action(async (runs: string[], options: Options) => {
    code = await compare(runs, options);
  });
  await command.parseAsync(Deno.args, { from: "user" });
  return code;
});
