/**
 * A classroom with bad Wi-Fi. One folder holds Deno, every package, JupyterLab's wheels, the models and the
 * project; a learner copies it and starts a task.
 *
 *   deno task pack podium-pack                         the default models
 *   deno task pack podium-pack --models phi-4-mini     others
 *   deno task pack verify podium-pack                  is the copy whole?
 *
 * Files that are there already are not fetched again, so the same command finishes a pack that was
 * interrupted.
 */
import type { Command } from "commander";
import { bareCommand, printJson, runTask } from "./cli.ts";
import { commaList, option, pathValue, type Shared, shared } from "./options.ts";
import type { PackOptions } from "./pack/make.ts";

const program = bareCommand("pack")
  .usage("DIR [options]")
  .argument("<dir>", "folder to fill", pathValue)
  .addOptions([
    option(
      "--models <names>",
      "models of the registry, separated by commas (default: the registry's default models)",
      commaList,
    ),
    option(
      "--runs <names>",
      "further runs to pack, separated by commas: folders, or names below reports",
      commaList,
    ),
    option("--no-jupyter", "leave JupyterLab's wheels out"),
    ...shared("registry", "store", "json"),
  ])
  .does(async (dir: string, options: PackOptions) => {
    const { makePack } = await import("./pack/make.ts");
    const made = await makePack(dir, options);
    if (options.json) printJson(made);
    else {
      const size = `${made.files} files, ${(made.bytes / 1e6).toFixed(0)} MB`;
      console.log(`${made.dir}: ${size}, for ${made.platform}`);
      console.log(`manifest sha256 ${made.manifest_sha256}`);
      console.log(`check a copy with deno task pack verify ${dir}; start it with its start.sh or start.ps1`);
    }
    return 0;
  });

program.command("verify").description("check every file of a pack; exit code 1 if one has changed")
  .argument("<dir>", "the pack", pathValue)
  .addOptions(shared("json"))
  .does(async (dir: string, _own: unknown, command: Command) => {
    const { verifyPack } = await import("./pack/manifest.ts");
    const { files, faults } = await verifyPack(dir);
    if (command.optsWithGlobals<Shared<"json">>().json) printJson({ dir, files, faults });
    else {
      for (const fault of faults) console.log(fault);
      console.log(
        faults.length === 0
          ? `whole: ${files} files`
          : `${faults.length} of ${files} files are not as packed`,
      );
    }
    return faults.length === 0 ? 0 : 1;
  });

await runTask(program);
