/**
 * Which models there are, which of them fit this machine, and which of them are on its disk.
 *
 *   deno task models list                      the registry
 *   deno task models fit --task chat           which of them can run here, and why the others can't
 *   deno task models pull qwen2.5-0.5b         download one, checked
 *   deno task models cache                     the files in the model folder: size, last use, version
 *   deno task models verify                    hash everything again
 *   deno task models remove NAME --yes         remove one;  clean --yes: whatever the registry doesn't name
 *   deno task models move FOLDER --yes         keep the models elsewhere
 *   deno task models compile smollm2-135m      a GGUF file or Hugging Face folder -> a model for Foundry Local
 *   deno task models service                   what running services list, have and hold in memory
 *   deno task models load NAME                 and unload, download: in Foundry Local
 *   deno task models diff FILE                 what a fresher list has that the registry lacks
 *   deno task models learn RUN --yes           write what a run showed into the registry; --merge a teammate's
 */
import { type Command, Option } from "commander";
import {
  bareCommand,
  decimal,
  endpointOption,
  jsonOption,
  outOption,
  pathValue,
  registryOption,
  runCli,
  storeOption,
} from "./cli.ts";
import { fitOptions, type FitSettings } from "./fit/options.ts";
import type { CompileSettings } from "./models/compile.ts";
import type { ServiceOptions } from "./models/service.ts";
import type { Options } from "./models/catalog.ts";
import type { LearnOptions } from "./models/learn.ts";

const list = () => import("./models/list.ts");
const change = () => import("./models/change.ts");
const service = () => import("./models/service.ts");

/** A subcommand with the options that all of them share. */
const command = (program: Command, usage: string, description: string): Command =>
  program.command(usage).description(description).addOption(registryOption()).addOption(storeOption())
    .addOption(jsonOption());

/** `done` receives the exit code of the named command. */
function commandLine(done: (code: number) => void): Command {
  const program = bareCommand("models")
    .usage("<command> [options]");
  const filtered = (usage: string, description: string) =>
    command(program, usage, description).option("--task <task>", "only models for this task")
      .option("--capability <tag>", "only models with this tag");
  const yes = "make the change; otherwise it is only shown";
  filtered("list", "list the models of the registry")
    .action(async (options: Options) => done(await (await list()).list(options)));
  fitOptions(
    program.command("fit [names...]").description(
      "predict which models fit and how fast they are: deno task fit",
    ),
  )
    .action(async (names: string[], settings: FitSettings) =>
      done(await (await import("./fit/execute.ts")).fit(names, settings))
    );
  command(
    program,
    "pull [names...]",
    "download models (ALIAS, ALIAS:VARIANT or hf:OWNER/REPO:QUANT; the default ones if none is named)",
  )
    .option("--yes", "accept the terms of models whose licence is not open")
    .action(async (names: string[], options: Options) => done(await (await change()).pull(names, options)));
  command(program, "cache", "list the files in the model folder: size, last use, version")
    .action(async (options: Options) => done(await (await list()).cache(options)));
  command(program, "verify [names...]", "check the hash of every file; exit code 1 if one has changed")
    .action(async (names: string[], options: Options) => done(await (await list()).verify(names, options)));
  command(program, "remove <names...>", "remove models (ALIAS, ALIAS:VARIANT or a file that `cache` lists)")
    .option("--yes", yes)
    .action(async (names: string[], options: Options) => done(await (await change()).remove(names, options)));
  command(program, "clean", "remove the files that the registry doesn't name").option("--yes", yes)
    .action(async (options: Options) => done(await (await change()).clean(options)));
  command(program, "move <folder>", "move the models to another folder").option("--yes", yes)
    .action(async (folder: string, options: Options) => done(await (await change()).move(folder, options)));
  program.command("learn [runs...]").description("write the figures of runs into the registry").addOption(
    registryOption(),
  )
    .addOption(outOption()).addOption(jsonOption()).option("--yes", yes)
    .option("--merge <file>", "copy figures and missing models from another registry")
    .action(async (runs: string[], options: LearnOptions) =>
      done(await (await import("./models/learn.ts")).learnRuns(runs, options))
    );
  command(
    program,
    "diff <list>",
    "show what a fresher list of models (a file or URL) has that the registry lacks",
  )
    .action(async (source: string, options: Options) =>
      done(await (await import("./models/diff.ts")).diff(source, options))
    );
  command(
    program,
    "compile <source>",
    "compile a GGUF file or a Hugging Face folder into a model for Foundry Local",
  )
    .option("--name <alias>", "the model's alias in the service (default: from the file's name)")
    .addOption(
      new Option("--precision <kind>", "how the weights are stored").default("int4-mixed")
        .choices(["int4-mixed", "int4", "int8", "fp32"]),
    )
    .addOption(
      new Option("--cache-folder <folder>", "the service's cache (default: the running service's)").argParser(
        pathValue,
      ),
    )
    .addOption(
      new Option("--work <folder>", "where the build environment and intermediate files are kept").argParser(
        pathValue,
      ),
    )
    .addOption(
      new Option(
        "--agreement <share>",
        "minimum share of the original's tokens that the compiled model must also choose",
      )
        .default(0.8).argParser(decimal({ min: 0, max: 1 })),
    )
    .option("--replace", "replace a model of the same name in the cache")
    .action(async (source: string, options: CompileSettings) =>
      done(await (await import("./models/compile.ts")).compile(source, options))
    );
  const ofService = (usage: string, description: string) =>
    command(program, usage, description).addOption(endpointOption());
  ofService("service", "show what running services offer, have downloaded and hold in memory")
    .option("--all", "also list models that are not downloaded")
    .action(async (options: ServiceOptions) => done(await (await service()).show(options)));
  ofService("load <name>", "load a model into Foundry Local's memory")
    .action(async (name: string, options: ServiceOptions) =>
      done(await (await service()).load(name, options))
    );
  ofService("unload <name>", "remove a model from Foundry Local's memory")
    .action(async (name: string, options: ServiceOptions) =>
      done(await (await service()).unload(name, options))
    );
  ofService(
    "move-service <folder>",
    "copy Foundry Local's cache to another folder and switch the service to it",
  )
    .option("--yes", yes)
    .action(async (folder: string, options: ServiceOptions) =>
      done(await (await service()).moveCache(folder, options))
    );
  ofService("download <name>", "download a model from Foundry Local's catalogue into its cache")
    .action(async (name: string, options: ServiceOptions) =>
      done(await (await service()).download(name, options))
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
