/**
 * Chat clients, notebooks and editors want one address. This task puts one in front of local models, services
 * and adapters, chooses among them for model "auto", and learns from the outcome.
 *
 * deno task serve                                        the models marked as default in models.json
 * deno task serve smollm2 gemma-3-270m                   these, each loaded with its first request
 * deno task serve --endpoint http://127.0.0.1:5273/v1    the models of a service
 * deno task serve smollm2:threads=2 --endpoint lab=http://192.0.2.7:8000/v1 --port 8080
 *
 *   curl http://127.0.0.1:8000/v1/chat/completions -d '{"model":"auto","messages":[{"role":"user","content":"Hi"}]}'
 */
import { Option } from "commander";
import {
  bareCommand,
  collect,
  decimal,
  endpointOption,
  gpuOption,
  jsonOption,
  pathValue,
  registryOption,
  runCli,
  storeOption,
  wholeNumber,
} from "./cli.ts";
import type { ServeSettings } from "./serve/settings.ts";

const seconds = (flag: string, description: string, value: number) =>
  new Option(flag, description).default(value).argParser(decimal({ above: 0, max: 86_400 }));

const count = (flag: string, description: string, value: number, min = 1, max = 1_000_000) =>
  new Option(flag, description).default(value).argParser(wholeNumber(min, max));

function addServing(command: ReturnType<typeof bareCommand>) {
  return command
    .addOption(new Option("--host <address>", "address to listen on").env("PODIUM_HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <n>", "port to listen on; 0 takes any free port").env("PODIUM_PORT").default(8000)
        .argParser(wholeNumber(0, 65_535)),
    )
    .addOption(
      new Option("--api-key <key>", "key that clients must send; required unless --host is this machine")
        .env("PODIUM_API_KEY"),
    )
    .addOption(
      new Option("--cors <origin>", "web page that may use the server, e.g. https://chat.example; repeatable")
        .argParser(collect(pathValue)),
    )
    .addOption(endpointOption());
}

function addModels(command: ReturnType<typeof bareCommand>) {
  return command
    .addOption(
      new Option("--threads <n>", "compute threads of each embedded model (default: all cores but one)")
        .argParser(wholeNumber(1, 1024)),
    )
    .addOption(
      new Option(
        "--context <tokens>",
        "tokens of prompt and answer together (default: 4096, or the model's limit)",
      )
        .argParser(wholeNumber(16, 9_999_999)),
    )
    .addOption(gpuOption())
    .addOption(
      new Option(
        "--memory <gb>",
        "RAM for all embedded models together (default: the free RAM at the start, less 0.5)",
      )
        .argParser(decimal({ above: 0 })),
    )
    .addOption(new Option("--preload", "load embedded models before listening, as many as --memory allows"))
    .addOption(
      new Option("--keep-warm <seconds>", "send a used model a one-token request after this long without any")
        .argParser(decimal({ min: 1, max: 86_400 })),
    );
}

function addLimits(command: ReturnType<typeof bareCommand>) {
  return command
    .addOption(
      seconds("--timeout <seconds>", "longest time for one request, including waiting and loading", 600),
    )
    .addOption(seconds("--first-byte <seconds>", "longest wait for the first byte of a stream", 120))
    .addOption(seconds("--gap <seconds>", "longest pause within a stream", 60))
    .addOption(
      new Option(
        "--slo <limits>",
        "limits within which an answer of auto counts as a success, e.g. ttft=500ms,e2e=3s",
      ),
    )
    .addOption(count("--attempts <n>", "models to try per request", 3))
    .addOption(
      new Option("--retry-budget <share>", "retries per request, in the long run").default(0.2)
        .argParser(decimal({ min: 0, max: 10 })),
    )
    .addOption(count("--failures <n>", "failures in a row after which a model is skipped", 3))
    .addOption(seconds("--open-for <seconds>", "seconds a failing model is skipped", 10))
    .addOption(count("--slots <n>", "requests that a model of a service gets at the same time", 256))
    .addOption(count("--queue <n>", "waiting requests per model; more get HTTP 429", 512, 0))
    .addOption(count("--max-body <mb>", "largest request body", 16, 1, 1024))
    .addOption(count("--connections <n>", "maximum number of connected clients", 2048));
}

function addRouting(command: ReturnType<typeof bareCommand>) {
  return command
    .addOption(
      new Option("--routing <file>", "routing plan for auto, written by deno task route audit").argParser(
        pathValue,
      ),
    )
    .addOption(
      new Option("--decision <file>", "decision.json of a run: auto uses its choice").argParser(pathValue),
    )
    .addOption(
      new Option(
        "--state <file>",
        "file for what auto learns (default: podium/router.json in the user's cache folder)",
      )
        .argParser(pathValue),
    )
    .addOption(
      new Option("--log <form>", "one line per request on stderr").choices(["json", "off"]).default(
        "json",
      ),
    )
    .addOption(new Option("--log-prompts", "log the text of requests too"))
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(jsonOption());
}

const serveCommand = () =>
  addRouting(addLimits(addModels(addServing(
    bareCommand("serve")
      .argument(
        "[model...]",
        "NAME or NAME:VARIANT of the registry; with settings: smollm2:threads=2+context=2048",
      ),
  )))).addHelpText(
    "after",
    `
Model "auto" chooses; every answer names its model (x-podium-model) and the reason (x-podium-reason).
Missing models are downloaded first. Ctrl-C ends the server and its models.
With --json, one document on stdout gives the address and the models as soon as they can be used.
API keys of services come from API_KEY, or API_KEY_NAME for the service called NAME.
Exit codes: 0 ended, 1 a model is not available or no service answers, 2 wrong usage or input, 130 interrupted.`,
  );

await runCli(async () => {
  const command = serveCommand();
  await command.parseAsync(Deno.args, { from: "user" });
  const { serve } = await import("./serve/run.ts");
  return await serve(command.args, command.opts<ServeSettings>());
});
