/**
 * A prediction is worth what it was off by. This measures every GGUF file of a folder, predicts each
 * file from the others alone, and counts: how far off the times were, how often the 90 % interval
 * held, and how far off the predicted resident size was, over number formats of the KV cache,
 * contexts, batch sizes and mapping.
 *
 *   deno task bench:fit                                        the models of the model folder
 *   deno task bench:fit --models FOLDER --keep times.json      every .gguf file of a folder, measured times kept
 *   deno task bench:fit --again times.json                     from kept times, without measuring
 *   deno task bench:fit --models FOLDER --no-speed             the resident size alone
 *
 * Times need a machine that does nothing else: the fastest of --rounds counts, and the share of processor
 * time that the engines got is printed. The resident size does not depend on that.
 */
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { commaList, option, pathValue, shared, wholeNumber } from "../scripts/options.ts";
import type { FitBenchSettings } from "./fit_measure.ts";

const numbers = (text: string) => commaList(text).map(wholeNumber(1, 1_000_000));

await runTask(
  bareCommand("bench:fit")
    .addOptions([
      option("--models <folder>", "folder of .gguf files (default: the registry's that are here)", pathValue),
      option("--threads <list>", "numbers of threads", numbers).default([1, 2], "1,2"),
      option("--lengths <list>", "prompt lengths in tokens", numbers).default(
        [64, 448, 960, 1900, 3900],
        "64,448,960,1900,3900",
      ),
      option(
        "--seconds <n>",
        "longest time per engine; longer prompts are left out then",
        wholeNumber(2, 3600),
        20,
      ),
      option("--rounds <n>", "each measures everything once, in random order", wholeNumber(1, 100), 1),
      option("--keep <file>", "write the measured times", pathValue),
      option("--again <file>", "read measured times instead of measuring", pathValue),
      option("--no-speed", "leave out the times"),
      option("--no-memory", "leave out the resident size"),
      ...shared("registry", "store", "json"),
    ]),
  async (settings: FitBenchSettings) => {
    const { benchFit, fitBenchText } = await import("./fit_measure.ts");
    const result = await benchFit(settings);
    if (settings.json) printJson(result);
    else console.log(fitBenchText(result));
    return 0;
  },
);
