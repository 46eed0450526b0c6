/**
 * Which model fits this machine, at which quantisation and context, and how fast will it be? Predicted before
 * the download, with an interval that comes from how far such predictions were off here.
 *
 *   deno task fit --probe                        measure 20 seconds with the models that are here, then predict the rest
 *   deno task fit                                every model of the registry, and which one to take
 *   deno task fit qwen3-4b ./my.gguf             some models, or files
 *   deno task fit hf:OWNER/REPO                  a repository's files: one header is read, nothing is downloaded
 *   deno task fit --ram 4 --context 8192         what if 4 GB were free, with a longer context
 *   deno task fit --vram 24 --bandwidth 1000     what if there were a graphics card
 *   deno task fit --users 4                      four users at once
 *
 * docs/fit.md says how each figure comes about.
 */
import { bareCommand, runTask } from "./cli.ts";
import { fitOptions, type FitSettings } from "./fit/options.ts";

const command = bareCommand("fit").usage("[names...] [options]").argument(
  "[names...]",
  "candidates as in --models of bench: ALIAS[:VARIANT], a .gguf file, hf:OWNER/REPO[:QUANT] (default: the registry)",
).addOptions(fitOptions());

await runTask(
  command,
  async (names: string[], settings: FitSettings) =>
    await (await import("./fit/execute.ts")).fit(names, settings),
);
