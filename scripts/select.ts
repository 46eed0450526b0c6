/**
 * A table of latencies is not a choice. This takes what was measured and scored, says which model to use on
 * this kind of machine, how sure that is, and what would change it; or that the evidence is too thin.
 *
 * deno task select [RUN]                        a run whose answers were scored (quality capture), or a race
 * deno task select RUN --quality RUN2           times of one run, answers of another
 * deno task select RUN --min-pass 0.5 --licenses open --max-latency 2
 * deno task select RUN --weights checks=1,latency=0.2 --watts 15 --price 0.3
 * deno task select FLEET                        the folder of a fleet: one decision per class of machine
 * deno task select --policy course --task chat  the course's rule: first of the task whose RAM fits
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { printJson, runTask, showPage } from "./cli.ts";
import { type Shared } from "./options.ts";
import { selectCommand, selectSettings } from "./select/options.ts";

await runTask(
  selectCommand(),
  async ([fleet, ...more]: string[], given: Shared<"maxDrop" | "json">, command: Command) => {
    if (fleet !== undefined && more.length === 0 && existsSync(join(fleet, "fleet.json"))) {
      const { decideCommand } = await import("./fleet/decide.ts");
      return await decideCommand([
        fleet,
        "--max-drop",
        `${given.maxDrop}`,
        ...(given.json ? ["--json"] : []),
      ]);
    }
    const settings = selectSettings(command);
    const { select } = await import("./select/execute.ts");
    const { decision, markdown, written } = await select(settings);
    if (settings.json) printJson(decision);
    else {
      const { terminalMarkdown } = await import("../lib/report/markdown_terminal.ts");
      const { painter } = await import("../lib/report/terminal_layout.ts");
      // A pipe gets Markdown, for a comment or a file.
      const columns = Deno.stdout.isTerminal() ? Math.min(Deno.consoleSize().columns, 110) : null;
      console.log(
        columns === null ? markdown.trimEnd() : terminalMarkdown(markdown, columns, painter(!Deno.noColor)),
      );
      if (written !== null) {
        console.log();
        await showPage("Decision", join(written, "decision.html"), settings.open);
      }
    }
    return 0;
  },
);
