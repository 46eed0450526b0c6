/**
 * A CI job needs one answer: is the new run worse than the baseline by more than is accepted? Noise must not
 * fail it, and a measurement that is too weak must not pass.
 *
 *   deno task gate RUN --against BASELINE                  run ids below reports/, folders, or git revisions
 *   deno task gate RUN --against main:reports/ID --markdown comment.md --junit gate.xml
 *   deno task gate RUN --against BASELINE --max-slowdown 0.2 --max-drop 0.05 --max-failures 0
 *   deno task selfcheck --aa BASELINE                      measures the spread between runs, which the gate then includes
 *   deno task gate RUN --against BASELINE --control smollm2-135m     an unchanged candidate takes the machine out
 */
import type { RunScores } from "../lib/bench/gate.ts";
import type { RunToRun } from "../lib/bench/run_to_run.ts";
import type { ComparableRun } from "../lib/bench/compare_runs.ts";
import { UserError } from "../lib/errors.ts";
import { bareCommand, printJson, runTask } from "./cli.ts";
import { decimal, option, pathValue, type Shared, shared } from "./options.ts";
import { latestAgainst, withRun } from "./open_run.ts";

interface Options extends Shared<"out" | "json" | "maxDrop"> {
  readonly against: string;
  readonly control?: string;
  readonly maxSlowdown: number;
  readonly maxFailures: number;
  readonly runSd?: number;
  readonly markdown?: string;
  readonly junit?: string;
}

interface Gated {
  readonly run: ComparableRun;
  /** Null where its answers were not scored. */
  readonly scores: RunScores | null;
  /** Null where it was never repeated. */
  readonly repeats: RunToRun | null;
}

async function readGated(folder: string, name: string): Promise<Gated> {
  const [{ readComparableRun }, { readRunToRun }, { readQuality }, { scoresByCase }] = await Promise.all([
    import("../lib/bench/compare_runs.ts"),
    import("../lib/bench/run_to_run.ts"),
    import("../lib/select/decide/facts.ts"),
    import("../lib/select/decide/scored_answers.ts"),
  ]);
  const run = await readComparableRun(folder, name);
  const quality = await readQuality(folder);
  const repeats = await readRunToRun(folder);
  return { run, repeats, scores: quality === null ? null : scoresByCase(quality, run.info) };
}

async function gate(named: string | undefined, options: Options): Promise<number> {
  const [{ gateRuns, gateExitCode }, text, { seededRandom }] = await Promise.all([
    import("../lib/bench/gate.ts"),
    import("../lib/report/gate_text.ts"),
    import("../lib/stats/random.ts"),
  ]);
  const name = named ?? await latestAgainst(options.against, options.out);
  const after = await withRun(name, options.out, readGated);
  const before = await withRun(options.against, options.out, readGated);
  const scored = after.scores !== null || before.scores !== null;
  const scores = scored ? { before: before.scores ?? new Map(), after: after.scores ?? new Map() } : null;
  const { maxSlowdown, maxDrop, maxFailures, control, runSd } = options;
  const report = gateRuns(before.run, after.run, scores, {
    maxSlowdown,
    maxDrop,
    maxFailures,
    runSd: runSd ?? null,
    repeats: before.repeats,
    random: () => seededRandom(1),
    ...(control === undefined ? {} : { control }),
  });
  if (options.markdown !== undefined) await writeOutput(options.markdown, text.gateMarkdown(report));
  if (options.junit !== undefined) await writeOutput(options.junit, text.gateJUnit(report));
  if (options.json) printJson(report);
  else {
    const { say } = await import("./terminal.ts");
    say(text.gateText(report), "  ");
  }
  return gateExitCode(report.verdict);
}

async function writeOutput(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text).catch((error) => {
    throw new UserError(`can't write ${path}: ${error instanceof Error ? error.message : error}`, 1, {
      cause: error,
    });
  });
}

const command = bareCommand("gate")
  .usage("[RUN] --against BASELINE [options]")
  .argument("[run]", "the new run: a folder, a run id, or a git revision (default: the latest run)")
  .addOptions([
    option("--against <run>", "the baseline: a folder, a run id, or a git revision", pathValue)
      .makeOptionMandatory(),
    option(
      "--max-slowdown <share>",
      "largest growth of times that is accepted",
      decimal({ above: 0, max: 10 }),
      0.1,
    ),
    ...shared("maxDrop"),
    option(
      "--max-failures <points>",
      "largest growth of the share of failed requests that is accepted",
      decimal({ min: 0, max: 1 }),
      0.05,
    ),
    option("--control <candidate>", "an unchanged candidate of both runs (id or alias)", pathValue),
    option(
      "--run-sd <sd>",
      "spread between repeated runs: standard deviation of a run's log level (default: measured by selfcheck --aa)",
      decimal({ min: 0, max: 2 }),
    ),
    option("--markdown <file>", "also write Markdown, for a pull request", pathValue),
    option("--junit <file>", "also write JUnit XML", pathValue),
    ...shared("out", "json"),
  ])
  .addHelpText("after", "\nExit codes: 0 pass, 1 fail, 3 can't tell, 2 wrong usage or input.");

await runTask(command, gate);
