/** deno task fleet decide: one decision per class of machine, from what devices measured. */
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import type { FleetMetric } from "../../lib/fleet/fleet_evidence.ts";
import { bareCommand, printJson, sayNext, subcommand } from "../cli.ts";
import { option, pathValue, type Shared, shared } from "../options.ts";
import { say, stdoutStyle } from "../terminal.ts";

const METRICS = {
  latency: "latency_s",
  ttft: "ttft_s",
  tpot: "tpot_s",
} as const satisfies Record<string, FleetMetric>;

interface DecideSettings extends Shared<"maxDrop" | "out" | "json"> {
  readonly by: keyof typeof METRICS;
  readonly write?: string;
}

export const decideCommand = subcommand(
  bareCommand("fleet decide", "Choose a model for each class of machine, and one for all")
    .argument("[fleet]", "folder of a fleet (default: the imported bundles)")
    .addOptions([
      option("--by <metric>", "metric to compare by", ["latency", "ttft", "tpot"], "latency"),
      ...shared("maxDrop", "out"),
      option("--write <folder>", "folder for decision and figures (default: the fleet's folder)", pathValue),
      ...shared("json"),
    ]),
  async (fleet: string | undefined, { by, maxDrop, out, write, json }: DecideSettings) => {
    const { readFleet, readImports } = await import("../../lib/fleet/fleet_folder.ts");
    const { gatherDevices } = await import("../../lib/fleet/gather_devices.ts");
    const { decideForFleet } = await import("../../lib/fleet/fleet_decision.ts");
    const { fleetText, forestPlot } = await import("../../lib/report/fleet_text.ts");
    const imports = join(out, "imports");
    const runs = fleet === undefined ? await readImports(imports) : (await readFleet(fleet)).runs;
    const { evidence, unused } = await gatherDevices(runs);
    if (evidence.length === 0) {
      throw new UserError(
        fleet === undefined
          ? `no imported run below ${imports}: deno task fleet import FILE… files them`
          : `${fleet} has no complete run: deno task fleet status shows how far its devices are`,
      );
    }
    for (const { run, why } of unused) console.error(`Not used: ${run}: ${why}`);
    const decision = decideForFleet(evidence, { metric: METRICS[by], maxDrop });
    const folder = write ?? fleet ?? imports;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(join(folder, "fleet_decision.json"), `${JSON.stringify(decision, null, 2)}\n`);
    for (const [at, comparison] of decision.comparisons.entries()) {
      if (comparison.all === null) continue;
      await Deno.writeTextFile(join(folder, `forest-${at + 1}.svg`), forestPlot(comparison).svg);
    }
    if (json) printJson(decision);
    else {
      say(fleetText(decision, stdoutStyle(100).columns), "  ");
      console.log(`\nWritten: ${join(folder, "fleet_decision.json")}, and a forest plot for each comparison`);
      sayNext("deno task fleet status shows the devices and their runs");
    }
    return 0;
  },
);
