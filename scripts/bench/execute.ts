/** Runs what was prepared, shows how far it is, and writes summary and reports. */
import { dirname, join } from "node:path";
import { machineReader } from "../../lib/bench/noise.ts";
import { runBench } from "../../lib/bench/run.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { defaultStore } from "../../lib/catalog/store.ts";
import { lastSelfcheck, saveSelfcheck } from "../../lib/selfcheck/selfcheck.ts";
import { terminalSummary } from "../../lib/report/terminal_summary.ts";
import { reportRun } from "../../lib/report/write.ts";
import { interruptSignal, realClock, realSleep } from "../cli.ts";
import type { BenchSettings } from "./options.ts";
import type { Prepared } from "./prepare.ts";
import { runProgress } from "./progress.ts";

export interface Executed {
  readonly summary: Summary;
  readonly folder: string;
  readonly interrupted: boolean;
}

/** @throws {UserError} exit code 1 when the disk is full; what was measured is kept */
export async function execute(prepared: Prepared, { out }: BenchSettings): Promise<Executed> {
  const { info, folder, candidates, resumed, transport } = prepared;
  const progress = runProgress(info, resumed?.done ?? new Set());
  let status: "completed" | "interrupted" | "failed" = "failed";
  try {
    status = await runBench({
      info,
      candidates,
      sink: folder,
      clock: realClock,
      sleep: realSleep,
      readMachine: machineReader(realClock),
      signal: interruptSignal(),
      onEvent: progress.event,
      ...(resumed === null ? {} : { resumed }),
    });
    await folder.writeInfo({ ...info, status });
  } finally {
    progress.stop();
    transport.close();
    folder.close();
  }
  const interrupted = status === "interrupted";
  if (interrupted) {
    const run = resumeFlag(folder.path, out);
    console.error(`Interrupted; everything up to here is kept. Go on with: deno task bench --resume ${run}`);
  }
  await keepSelfcheck(folder.path);
  const { summary } = await reportRun(folder.path);
  return { summary, folder: folder.path, interrupted };
}

/** The last self-check of this machine goes with the run, so that its report can be made again anywhere. */
async function keepSelfcheck(folder: string): Promise<void> {
  const check = await lastSelfcheck(dirname(defaultStore(Deno.env, Deno.build.os)));
  if (check !== null) await saveSelfcheck(folder, check);
}

function resumeFlag(path: string, out: string): string {
  return out === "reports" ? path.replace(/^reports[\\/]/, "") : path;
}

/** The table, and where the rest is. */
export function show(summary: Summary, folder: string): void {
  const terminal = Deno.stdout.isTerminal();
  console.log(terminalSummary(summary, {
    columns: terminal ? Deno.consoleSize().columns : 110,
    color: terminal && !Deno.noColor,
  }));
  console.log(`\nReport: ${join(folder, "report.html")}`);
}
