/**
 * One command that measures local models side by side, honestly, and shows the result.
 *
 * deno task bench                                    what a found service has, else the embedded default
 * deno task bench --models phi-4-mini,qwen2.5-0.5b   these, in a service or in the embedded engine
 * deno task bench --models smollm2:threads=1,smollm2:threads=2
 * deno task bench --endpoint lab=http://192.0.2.7:5273/v1 --rounds 5
 * deno task bench --plan                             what a run can show, in how many cases and minutes
 * deno task bench --resume reports/2026-11-21T04-55-07-ab12
 */
import type { Command } from "commander";
import { benchCommand, benchSettings } from "./bench/options.ts";
import { printJson, runTask } from "./cli.ts";

await runTask(benchCommand(), async (_given: unknown, command: Command) => {
  const settings = benchSettings(command);
  // Everything heavy is imported after the flags: --help answers at once.
  if (settings.plan !== undefined) {
    const { plan, planText } = await import("./bench/plan.ts");
    const planned = await plan(settings);
    if (settings.json) printJson(planned);
    else console.log(planText(planned));
    return 0;
  }
  const { execute, show } = await import("./bench/execute.ts");
  const executed = await execute(settings);
  const { summary, interrupted } = executed;
  if (settings.json) printJson(summary);
  else await show(executed, settings.open);
  if (interrupted) return 130;
  return summary.candidates.some(({ requests }) => requests.ok > 0) ? 0 : 1;
});
