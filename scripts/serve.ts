/**
 * WHY: chat clients, notebooks and editors want one address; this loads models and puts one before them.
 *
 * deno task serve                              the models marked as default in models.json
 * deno task serve smollm2 gemma-3-270m         these, each in a process of its own
 * deno task serve smollm2:threads=2 --port 8000
 *
 *   curl http://127.0.0.1:8000/v1/models
 *   curl http://127.0.0.1:8000/v1/chat/completions -d '{"model":"smollm2","messages":[{"role":"user","content":"Hi"}]}'
 */
import { Option } from "commander";
import {
  bareCommand,
  gpuOption,
  jsonOption,
  registryOption,
  runCli,
  storeOption,
  wholeNumber,
} from "./cli.ts";

export interface ServeSettings {
  readonly host: string;
  readonly port: number;
  readonly threads?: number;
  readonly context?: number;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal";
  readonly registry: string;
  readonly store?: string;
  readonly json?: boolean;
}

const serveCommand = () =>
  bareCommand("serve", "Puts one OpenAI-compatible address before local models.")
    .usage("[options] [model...]")
    .argument(
      "[model...]",
      "NAME or NAME:VARIANT of the registry; options as in smollm2:threads=2+context=2048",
    )
    .addOption(new Option("--host <address>", "address to listen on").env("PODIUM_HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <n>", "port to listen on; 0 takes any that is free").env("PODIUM_PORT").default(8000)
        .argParser(wholeNumber(0, 65_535)),
    )
    .addOption(
      new Option("--threads <n>", "compute threads of each model (default: cores but one)").argParser(
        wholeNumber(1, 1024),
      ),
    )
    .addOption(
      new Option(
        "--context <tokens>",
        "longest prompt and answer together (default: 4096 or what the model takes)",
      )
        .argParser(wholeNumber(16, 9_999_999)),
    )
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Answers to this machine only, unless --host says otherwise: then everybody who reaches it may use it.
Models are downloaded first where they are not on this disk. Ctrl-C ends all of it.
With --json one document on stdout tells the address and the models as soon as they can answer.
Exit codes: 0 ended, 1 a model can't be had or ended, 2 wrong usage or input, 130 interrupted.`,
    );

await runCli(async () => {
  const command = serveCommand();
  await command.parseAsync(Deno.args, { from: "user" });
  const { serve } = await import("./serve/run.ts");
  return await serve(command.args, command.opts<ServeSettings>());
});
