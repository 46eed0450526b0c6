/**
 * WHY: which models there are, which of them fit this machine, and what of them lies on its disk.
 *
 *   deno task models list                      the registry
 *   deno task models fit --task chat           which of them can run here, and why the others can't
 *   deno task models pull qwen2.5-0.5b         download one, checked
 *   deno task models cache                     what lies where, how big, last used, which version
 *   deno task models verify                    hash everything again
 *   deno task models remove NAME --yes         remove one;  clean --yes: whatever the registry doesn't name
 *   deno task models move FOLDER --yes         keep the models elsewhere
 *   deno task models learn RUN --yes           write what a run showed into the registry; --merge a teammate's
 */
import type { Command } from "commander";
import { bareCommand, jsonOption, outOption, registryOption, runCli, storeOption } from "./cli.ts";
import type { Options } from "./models/shared.ts";
import type { LearnOptions } from "./models_learn.ts";

const look = () => import("./models/look.ts");
const change = () => import("./models/change.ts");

/** A subcommand with the options that all of them share. */
const command = (program: Command, usage: string, description: string): Command =>
  program.command(usage).description(description).addOption(registryOption()).addOption(storeOption())
    .addOption(jsonOption());

/** `done` gets the exit code of the command that was named. */
function commandLine(done: (code: number) => void): Command {
  const program = bareCommand(
    "models",
    "Which models there are, which fit this machine, and what lies on its disk.",
  )
    .usage("<command> [options]");
  const filtered = (usage: string, description: string) =>
    command(program, usage, description).option("--task <task>", "only models for this task")
      .option("--capability <tag>", "only models with this tag");
  const yes = "do it; without this it is only shown";
  filtered("list", "the models of the registry")
    .action(async (options: Options) => done(await (await look()).list(options)));
  filtered("fit", "which models this machine can run now, and why not the others")
    .action(async (options: Options) => done(await (await look()).fit(options)));
  command(
    program,
    "pull [names...]",
    "download models (ALIAS or ALIAS:VARIANT; the default ones if none is named)",
  )
    .option("--yes", "accept the terms of models that are not under an open licence")
    .action(async (names: string[], options: Options) => done(await (await change()).pull(names, options)));
  command(program, "cache", "what lies in the model folder: how big, last used, which version")
    .action(async (options: Options) => done(await (await look()).cache(options)));
  command(program, "verify [names...]", "hash the files again; exit code 1 if one has changed")
    .action(async (names: string[], options: Options) => done(await (await look()).verify(names, options)));
  command(program, "remove <names...>", "remove models (ALIAS, ALIAS:VARIANT or a file that cache shows)")
    .option("--yes", yes)
    .action(async (names: string[], options: Options) => done(await (await change()).remove(names, options)));
  command(program, "clean", "remove what no registry entry names").option("--yes", yes)
    .action(async (options: Options) => done(await (await change()).clean(options)));
  command(program, "move <folder>", "keep the models in another folder").option("--yes", yes)
    .action(async (folder: string, options: Options) => done(await (await change()).move(folder, options)));
  program.command("learn [runs...]").description("write what runs showed into the registry").addOption(
    registryOption(),
  )
    .addOption(outOption()).addOption(jsonOption()).option("--yes", yes)
    .option("--merge <file>", "take over a teammate's registry: figures, and models that ours lacks")
    .action(async (runs: string[], options: LearnOptions) =>
      done(await (await import("./models_learn.ts")).learnRuns(runs, options))
    );
  return program;
}

if (import.meta.main) {
  await runCli(async () => {
    let code = 0;
    await commandLine((value) => code = value).parseAsync(Deno.args, { from: "user" });
    return code;
  });
}
