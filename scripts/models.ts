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
import type { Option } from "commander";
import { bareCommand, runTask } from "./cli.ts";
import { decimal, option, pathValue, shared } from "./options.ts";
import { fitOptions, type FitSettings } from "./fit/options.ts";
import type { CompileSettings } from "./models/compile.ts";
import type { ServiceOptions } from "./models/service.ts";
import type { Options } from "./models/catalog.ts";
import type { LearnOptions } from "./models/learn.ts";

const list = () => import("./models/list.ts");
const change = () => import("./models/change.ts");
const service = () => import("./models/service.ts");

const program = bareCommand("models").usage("<command> [options]");

function add<Given extends unknown[]>(
  usage: string,
  description: string,
  options: readonly Option[],
  action: (...given: Given) => Promise<number>,
): void {
  program.command(usage).description(description).addOptions(options).does(action);
}

const inStore = () => shared("registry", "store", "json");
const changing = () => [...inStore(), option("--yes", "make the change; otherwise it is only shown")];
const ofService = () => [...inStore(), ...shared("endpoint")];

add(
  "list",
  "list the models of the registry",
  [
    ...inStore(),
    option("--task <task>", "only models for this task"),
    option("--capability <tag>", "only models with this tag"),
  ],
  async (options: Options) => (await list()).list(options),
);
add(
  "fit [names...]",
  "predict which models fit and how fast they are: deno task fit",
  fitOptions(),
  async (names: string[], settings: FitSettings) => (await import("./fit/execute.ts")).fit(names, settings),
);
add(
  "pull [names...]",
  "download models (ALIAS, ALIAS:VARIANT or hf:OWNER/REPO:QUANT; the default ones if none is named)",
  [...inStore(), option("--yes", "accept the terms of models whose licence is not open")],
  async (names: string[], options: Options) => (await change()).pull(names, options),
);
add(
  "cache",
  "list the files in the model folder: size, last use, version",
  inStore(),
  async (options: Options) => (await list()).cache(options),
);
add(
  "verify [names...]",
  "check the hash of every file; exit code 1 if one has changed",
  inStore(),
  async (names: string[], options: Options) => (await list()).verify(names, options),
);
add(
  "remove <names...>",
  "remove models (ALIAS, ALIAS:VARIANT or a file that `cache` lists)",
  changing(),
  async (names: string[], options: Options) => (await change()).remove(names, options),
);
add(
  "clean",
  "remove the files that the registry doesn't name",
  changing(),
  async (options: Options) => (await change()).clean(options),
);
add(
  "move <folder>",
  "move the models to another folder",
  changing(),
  async (folder: string, options: Options) => (await change()).move(folder, options),
);
add(
  "learn [runs...]",
  "write the figures of runs into the registry",
  [
    ...shared("registry", "out", "json"),
    option("--yes", "make the change; otherwise it is only shown"),
    option("--merge <file>", "copy figures and missing models from another registry"),
  ],
  async (runs: string[], options: LearnOptions) =>
    (await import("./models/learn.ts")).learnRuns(runs, options),
);
add(
  "diff <list>",
  "show what a fresher list of models (a file or URL) has that the registry lacks",
  inStore(),
  async (source: string, options: Options) => (await import("./models/diff.ts")).diff(source, options),
);
add(
  "compile <source>",
  "compile a GGUF file or a Hugging Face folder into a model for Foundry Local",
  [
    ...inStore(),
    option("--name <alias>", "the model's alias in the service (default: from the file's name)"),
    option(
      "--precision <kind>",
      "how the weights are stored",
      "int4-mixed int4 int8 fp32".split(" "),
      "int4-mixed",
    ),
    option("--cache-folder <folder>", "the service's cache (default: the running service's)", pathValue),
    option("--work <folder>", "where the build environment and intermediate files are kept", pathValue),
    option(
      "--agreement <share>",
      "minimum share of the original's tokens that the compiled model must also choose",
      decimal({ min: 0, max: 1 }),
      0.8,
    ),
    option("--replace", "replace a model of the same name in the cache"),
  ],
  async (source: string, options: CompileSettings) =>
    (await import("./models/compile.ts")).compile(source, options),
);
add(
  "service",
  "show what running services offer, have downloaded and hold in memory",
  [...ofService(), option("--all", "also list models that are not downloaded")],
  async (options: ServiceOptions) => (await service()).show(options),
);
add(
  "load <name>",
  "load a model into Foundry Local's memory",
  ofService(),
  async (name: string, options: ServiceOptions) => (await service()).load(name, options),
);
add(
  "unload <name>",
  "remove a model from Foundry Local's memory",
  ofService(),
  async (name: string, options: ServiceOptions) => (await service()).unload(name, options),
);
add(
  "move-service <folder>",
  "copy Foundry Local's cache to another folder and switch the service to it",
  [...ofService(), option("--yes", "make the change; otherwise it is only shown")],
  async (folder: string, options: ServiceOptions) => (await service()).moveCache(folder, options),
);
add(
  "download <name>",
  "download a model from Foundry Local's catalogue into its cache",
  ofService(),
  async (name: string, options: ServiceOptions) => (await service()).download(name, options),
);

await runTask(program);
