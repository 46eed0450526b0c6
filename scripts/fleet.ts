/**
 * A default model is chosen for many machines. This brings runs from other machines here, by file or by
 * network, checks them, and sends plans to devices.
 *
 *   deno task fleet hub --host 0.0.0.0 --admit 20    on one machine: prints the line that the others join with
 *   deno task fleet join wss://…                     on each device: waits for plans
 *   deno task fleet run plan.json --on all           measure on all of them;  status: how far they are;  stop: enough
 *   deno task fleet decide                           one decision per class of machine, and one that holds for all
 *   deno task fleet pack-run RUN                     without a network: a run in one signed file
 *   deno task fleet import FILE…                     check such files, and file their runs under reports/imports
 */
import { runSubcommand } from "./cli.ts";

const help = `Usage: deno task fleet <hub|join|run|status|stop|decide|pack-run|import> [options]

  hub                  let devices join, send them plans, bring their runs together
  join ADDRESS         make this machine a device: wait for plans, carry them out, send the results
  run PLAN --on TAG    send a plan to the devices that have a tag, a name or an id, or to all
  status               show the devices, and how far the plans are
  stop [PLAN]          stop a plan; devices keep what they have
  pack-run [RUN]       write a run into one signed file
  import FILE...       check such files and file their runs under imports/, apart from your own
  decide [FLEET]       choose a model for each class of machine, and one for all

deno task fleet <command> --help lists all options.`;

const bundles = () => import("./fleet/bundles.ts");
const plans = () => import("./fleet/plans.ts");

await runSubcommand("fleet", help, {
  hub: async (args) => await (await import("./fleet/hub.ts")).hubCommand(args),
  join: async (args) => await (await import("./fleet/join.ts")).joinCommand(args),
  run: async (args) => await (await plans()).runCommand(args),
  status: async (args) => await (await plans()).statusCommand(args),
  stop: async (args) => await (await plans()).stopCommand(args),
  "pack-run": async (args) => await (await bundles()).packRunCommand(args),
  decide: async (args) => await (await import("./fleet/decide.ts")).decideCommand(args),
  import: async (args) => await (await bundles()).importCommand(args),
});
