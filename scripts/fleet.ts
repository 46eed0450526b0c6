/**
 * WHY: a default model is chosen for many machines. This carries runs from other machines to here, by file or by
 * network, checks them, and sends plans to devices.
 *
 *   deno task fleet pack-run RUN               a run in one signed file, for a USB stick or a mail
 *   deno task fleet import FILE…               check such files, and file their runs under reports/imports
 *   deno task fleet decide [FLEET]             one decision per class of machine, and one that holds for all
 */
import { runSubcommand } from "./cli.ts";

const help = `Usage: deno task fleet <pack-run|import|decide> [options]

  pack-run [RUN]       write a run into one signed file
  import FILE...       check such files and file their runs under imports/, apart from your own
  decide [FLEET]       say which model each class of machine gets, and which one holds for all

deno task fleet <command> --help lists all options.`;

const bundles = () => import("./fleet/bundles.ts");

await runSubcommand("fleet", help, {
  "pack-run": async (args) => await (await bundles()).packRunCommand(args),
  decide: async (args) => await (await import("./fleet/decide.ts")).decideCommand(args),
  import: async (args) => await (await bundles()).importCommand(args),
});
