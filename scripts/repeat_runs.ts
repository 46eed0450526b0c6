/** Repeats a run, since a gate can detect a change only where the spread between equal runs was measured. */
import { basename, join } from "node:path";
import { readComparableRun } from "../lib/bench/compare_runs.ts";
import { requireRun } from "../lib/bench/find_run.ts";
import { readRunInfo } from "../lib/bench/read_run.ts";
import { type RunSpread, type RunToRun, runToRunOf, writeRunToRun } from "../lib/bench/run_to_run.ts";
import { repeatRun } from "../lib/bench/session.ts";
import { printJson } from "./cli.ts";
import { type Shared } from "./options.ts";
import { sessionResources } from "./session_resources.ts";

/** The flags of `selfcheck --aa`. */
export interface RepeatFlags extends Shared<"endpoint" | "out" | "registry" | "store" | "json"> {
  readonly aa: string;
  readonly repeats: number;
}

/** Repeats a run, keeps the repeats in its folder, and writes the spread between all that are there. */
export async function repeatRuns(flags: RepeatFlags): Promise<number> {
  const folder = await requireRun(flags.aa, flags.out, "--aa");
  const info = await readRunInfo(folder);
  const resources = await sessionResources(flags);
  const out = join(folder, "repeats");
  for (let at = 1; at <= flags.repeats; at++) {
    console.error(`Repeat ${at} of ${flags.repeats} of ${info.run_id}`);
    const { status } = await repeatRun(info, flags.endpoint, resources, {
      out,
      now: new Date(),
      random: Math.random,
    });
    if (status === "interrupted") return 130;
  }
  const names = [...Deno.readDirSync(out)].filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  const read = await Promise.all(names.sort().map((name) => readComparableRun(join(out, name), name)));
  const complete = read.filter(({ info }) => info.status === "completed");
  const found = runToRunOf(await readComparableRun(folder, basename(folder)), complete);
  const path = await writeRunToRun(folder, found);
  if (flags.json) printJson(found);
  else console.log(spreadText(found));
  console.error(`saved for gates against this run: ${path}`);
  return 0;
}

/** One line per candidate. The figures are standard deviations of logarithms: 0.03 is about 3 %. */
function spreadText({ repeats, candidates }: RunToRun): string {
  const show = (spread: RunSpread | null) => spread === null ? "–" : spread.sd.toFixed(4);
  return [
    `Spread between ${repeats.length} runs of the same thing (standard deviation of the logarithm of a run's level; ` +
    "0.03 is about 3 %)",
    ...candidates.map((one) =>
      `  ${one.candidate}: latency ${show(one.latency_s)}, TTFT ${show(one.ttft_s)}, time per token ${
        show(one.decode_tokens_per_s)
      }`
    ),
  ].join("\n");
}
