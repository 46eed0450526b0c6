/** deno task fleet decide: one decision per class of machine, from what devices measured. */
import { join } from "node:path";
import { Option } from "commander";
import { UserError } from "../../lib/errors.ts";
import type { FleetMetric } from "../../lib/fleet/fleet_evidence.ts";
import { bareCommand, jsonOption, maxDropOption, outOption, pathValue, printJson, sayNext } from "../cli.ts";
import { fitTerminal } from "../terminal.ts";

export async function decideCommand(args: readonly string[]): Promise<number> {
  const parsed = bareCommand(
    "fleet decide",
    "Choose a model for each class of machine, and one for all",
  )
    .argument("[fleet]", "folder of a fleet (default: the imported bundles)")
    .addOption(
      new Option("--by <metric>", "metric to compare by").choices(["latency", "ttft", "tpot"])
        .default("latency"),
    )
    .addOption(maxDropOption())
    .addOption(outOption())
    .addOption(
      new Option("--write <folder>", "folder for decision and figures (default: the fleet's folder)")
        .argParser(
          pathValue,
        ),
    )
    .addOption(jsonOption().default(false));
  await parsed.parseAsync([...args], { from: "user" });
  const { by, maxDrop, out, write, json } = parsed.opts<
    { by: keyof typeof METRICS; maxDrop: number; out: string; write?: string; json: boolean }
  >();
  const { readFleet, readImports } = await import("../../lib/fleet/fleet_folder.ts");
  const { gatherDevices } = await import("../../lib/fleet/gather_devices.ts");
  const { decideForFleet } = await import("../../lib/fleet/fleet_decision.ts");
  const { fleetText, forestPlot } = await import("../../lib/report/fleet_text.ts");
  const [fleet] = parsed.args;
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
    const columns = Deno.stdout.isTerminal() ? Deno.consoleSize().columns : 100;
    console.log(fitTerminal(fleetText(decision, columns), Deno.stdout, "  "));
    console.log(`\nWritten: ${join(folder, "fleet_decision.json")}, and a forest plot for each comparison`);
    sayNext("deno task fleet status shows the devices and their runs");
  }
  return 0;
}

const METRICS = {
  latency: "latency_s",
  ttft: "ttft_s",
  tpot: "tpot_s",
} as const satisfies Record<string, FleetMetric>;
