/**
 * Raw records are kept, everything else is derived; this task derives it again: after an update of the
 * project, after a copy from another machine, or with the machine's watts stated for the energy estimate.
 *
 *   deno task report                                     the latest run below reports/
 *   deno task report 2026-11-21T04-55                    a run by the start of its id
 *   deno task report some/folder --watts 15              any run folder, with energy
 *   deno task report RUN --json                          the summary itself
 */
import { join } from "node:path";
import { bareCommand, printJson, runTask, showPage } from "./cli.ts";
import { decimal, option, RUN_ARGUMENT, type Shared, shared } from "./options.ts";

interface Options extends Shared<"out" | "open" | "json"> {
  readonly watts?: number;
}

async function report(run: string | undefined, options: Options): Promise<number> {
  const [{ requireRun }, { reportRun }, { terminalSummary }] = await Promise.all([
    import("../lib/bench/find_run.ts"),
    import("../lib/report/write.ts"),
    import("../lib/report/terminal_summary.ts"),
  ]);
  const folder = await requireRun(run, options.out);
  const { summary, quality, written } = await reportRun(
    folder,
    options.watts === undefined ? {} : { watts: options.watts },
  );
  if (options.json) printJson(summary);
  else {
    const { stdoutStyle } = await import("./terminal.ts");
    console.log(terminalSummary(summary, { ...stdoutStyle(80), quality }));
  }
  for (const path of written) console.error(`wrote ${path}`);
  if (!options.json) await showPage("Report", join(folder, "report.html"), options.open);
  return 0;
}

const command = bareCommand("report")
  .usage("[RUN] [options]")
  .argument("[run]", RUN_ARGUMENT)
  .addOptions([
    ...shared("out"),
    option(
      "--watts <w>",
      "power of the machine under load, for an energy estimate (stated, not measured)",
      decimal({ above: 0, max: 100_000 }),
    ),
    ...shared("open", "json"),
  ]);

await runTask(command, report);
