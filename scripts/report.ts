/**
 * Raw records are kept, everything else is derived; this task derives it again: after an update of the
 * project, after a copy from another machine, or with the machine's watts stated for the energy estimate.
 *
 *   deno task report                                     the latest run below reports/
 *   deno task report 2026-11-21T04-55                    a run by the start of its id
 *   deno task report some/folder --watts 15              any run folder, with energy
 *   deno task report RUN --json                          the summary itself
 */
import type { Command } from "commander";
import { join } from "node:path";
import {
  bareCommand,
  decimal,
  jsonOption,
  openOption,
  outOption,
  printJson,
  runCli,
  showPage,
} from "./cli.ts";

interface Options {
  readonly out: string;
  readonly watts?: number;
  readonly open?: boolean;
  readonly json?: boolean;
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
    const terminal = Deno.stdout.isTerminal();
    const columns = terminal ? Deno.consoleSize().columns : 80;
    console.log(terminalSummary(summary, { columns, color: terminal && !Deno.noColor, quality }));
  }
  for (const path of written) console.error(`wrote ${path}`);
  if (!options.json) await showPage("Report", join(folder, "report.html"), options.open);
  return 0;
}

const command: Command = bareCommand("report")
  .usage("[RUN] [options]")
  .argument("[run]", "folder of a run, its id below --out, or the start of that (default: the latest run)")
  .addOption(outOption())
  .option(
    "--watts <w>",
    "power of the machine under load, for an energy estimate (stated, not measured)",
    decimal({ above: 0, max: 100_000 }),
  )
  .addOption(openOption())
  .addOption(jsonOption());

await runCli(async () => {
  let code = 0;
  command.action(async (run: string | undefined, options: Options) => {
    code = await report(run, options);
  });
  await command.parseAsync(Deno.args, { from: "user" });
  return code;
});
