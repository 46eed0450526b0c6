/**
 * A classroom with bad Wi-Fi. One folder holds Deno, every package, JupyterLab's wheels, the models and the
 * project; a learner copies it and starts a task.
 *
 *   deno task pack podium-pack                         the default models
 *   deno task pack podium-pack --models phi-4-mini     others
 *   deno task pack verify podium-pack                  is the copy whole?
 *
 * Files that are there already are not fetched again, so the same command finishes
 * a pack that was interrupted.
 */
import {
  bareCommand,
  commaList,
  jsonOption,
  pathValue,
  printJson,
  registryOption,
  runCli,
  storeOption,
} from "./cli.ts";
import type { PackOptions } from "./pack/make.ts";

await runCli(async () => {
  let code = 0;
  const program = bareCommand("pack")
    .usage("DIR [options]")
    .argument("<dir>", "folder to fill", pathValue)
    .option(
      "--models <names>",
      "models of the registry, separated by commas (default: the registry's default models)",
      commaList,
    )
    .option(
      "--runs <names>",
      "further runs to pack, separated by commas: folders, or names below reports",
      commaList,
    )
    .option("--no-jupyter", "leave JupyterLab's wheels out")
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(jsonOption())
    .action(async (dir: string, options: PackOptions) => {
      const { makePack } = await import("./pack/make.ts");
      const made = await makePack(dir, options);
      if (options.json) printJson(made);
      else {
        console.log(
          `${made.dir}: ${made.files} files, ${(made.bytes / 1e6).toFixed(0)} MB, for ${made.platform}`,
        );
        console.log(`manifest sha256 ${made.manifest_sha256}`);
        console.log(
          `check a copy with deno task pack verify ${dir}; start it with its start.sh or start.ps1`,
        );
      }
    });
  program.command("verify").exitOverride().description(
    "check every file of a pack; exit code 1 if one has changed",
  )
    .argument("<dir>", "the pack", pathValue)
    .addOption(jsonOption())
    .action(async (dir: string, _options: unknown, command: { optsWithGlobals(): { json?: boolean } }) => {
      const { verifyPack } = await import("./pack/manifest.ts");
      const { files, faults } = await verifyPack(dir);
      code = faults.length === 0 ? 0 : 1;
      if (command.optsWithGlobals().json) return printJson({ dir, files, faults });
      for (const fault of faults) console.log(fault);
      console.log(
        faults.length === 0
          ? `whole: ${files} files`
          : `${faults.length} of ${files} files are not as packed`,
      );
    });
  await program.parseAsync(Deno.args, { from: "user" });
  return code;
});
