/**
 * A fixed number of rounds is too many for a clear case and too few for a close one. A race measures until
 * the evidence decides, stops, and states its confidence.
 *
 * deno task race --models phi-4-mini,qwen2.5-0.5b        by latency; --by ttft, throughput, checks, utility
 * deno task race --models smollm2:threads=1,smollm2:threads=2 --delta 0.01
 * deno task race --prompts prompts/meeting_notes.json --min-score 0.5   constraints, quality gate, race, decision
 * deno task race --replay RUN [--by ttft]                the same race again over its samples, or another one
 * deno task race --simulate --gaps 0.05,0.2              made-up models: what would a verdict take?
 */
import { join } from "node:path";
import type { Command } from "commander";
import { printJson, runNamed, runTask, sayNext, showPage } from "./cli.ts";
import { raceCommand, raceSettings } from "./race/options.ts";

await runTask(raceCommand(), async (_given: unknown, command: Command) => {
  const settings = raceSettings(command);
  const { verdictText } = await import("../lib/select/race/race_report.ts");
  const { replay, simulate, race } = await import("./race/execute.ts");
  const { report, folder, code } = settings.simulate
    ? await simulate(settings)
    : settings.replay !== undefined
    ? await replay(settings, settings.replay)
    : await race(settings);
  if (settings.json) printJson(report);
  else {
    const { say } = await import("./terminal.ts");
    say(verdictText(report));
    if (folder !== null) {
      console.log();
      await showPage("Decision", join(folder, "decision.html"), settings.open);
      const run = await runNamed(folder);
      sayNext(
        `deno task report${run} --open shows every figure`,
        `deno task select${run} decides with other limits`,
      );
    }
  }
  return code;
});
