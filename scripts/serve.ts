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
import { bareCommand, runTask } from "./cli.ts";
import { collect, decimal, option, parseSlo, pathValue, shared, wholeNumber } from "./options.ts";
import type { ServeSettings } from "./serve/settings.ts";

const seconds = (flag: string, description: string, value: number) =>
  option(flag, description, decimal({ above: 0, max: 86_400 }), value);

const count = (flag: string, description: string, value: number, min = 1, max = 1_000_000) =>
  option(flag, description, wholeNumber(min, max), value);

const serving = [
  option("--host <address>", "address to listen on").default("127.0.0.1").env("PODIUM_HOST"),
  option("--port <n>", "port to listen on; 0 takes any free port", wholeNumber(0, 65_535), 8000).env(
    "PODIUM_PORT",
  ),
  option("--api-key <key>", "key that clients must send; required unless --host is this machine").env(
    "PODIUM_API_KEY",
  ),
  option(
    "--cors <origin>",
    "web page that may use the server, e.g. https://chat.example; repeatable",
    collect(pathValue),
  ),
  ...shared("endpoint"),
];

const embeddedModels = [
  option(
    "--threads <n>",
    "compute threads of each embedded model (default: all cores but one)",
    wholeNumber(1, 1024),
  ),
  option(
    "--context <tokens>",
    "tokens of prompt and answer together (default: 4096, or the model's limit)",
    wholeNumber(16, 9_999_999),
  ),
  ...shared("gpu"),
  option(
    "--memory <gb>",
    "RAM for all embedded models together (default: the free RAM at the start, less 0.5)",
    decimal({ above: 0 }),
  ),
  option("--preload", "load embedded models before listening, as many as --memory allows"),
  option(
    "--keep-warm <seconds>",
    "send a used model a one-token request after this long without any",
    decimal({ min: 1, max: 86_400 }),
  ),
];

const limits = [
  seconds("--timeout <seconds>", "longest time for one request, including waiting and loading", 600),
  seconds("--first-byte <seconds>", "longest wait for the first byte of a stream", 120),
  seconds("--gap <seconds>", "longest pause within a stream", 60),
  option(
    "--slo <limits>",
    "limits within which an answer of auto counts as a success, e.g. ttft=500ms,e2e=3s",
    parseSlo,
  ),
  count("--attempts <n>", "models to try per request", 3),
  option(
    "--retry-budget <share>",
    "retries per request, in the long run",
    decimal({ min: 0, max: 10 }),
    0.2,
  ),
  count("--failures <n>", "failures in a row after which a model is skipped", 3),
  seconds("--open-for <seconds>", "seconds a failing model is skipped", 10),
  count("--slots <n>", "requests that a model of a service gets at the same time", 256),
  count("--queue <n>", "waiting requests per model; more get HTTP 429", 512, 0),
  count("--max-body <mb>", "largest request body", 16, 1, 1024),
  count("--connections <n>", "maximum number of connected clients", 2048),
];

const routing = [
  option("--routing <file>", "routing plan for auto, written by deno task route audit", pathValue),
  option("--decision <file>", "decision.json of a run: auto uses its choice", pathValue),
  option(
    "--state <file>",
    "file for what auto learns (default: podium/router.json in the user's cache folder)",
    pathValue,
  ),
  option("--log <form>", "one line per request on stderr", ["json", "off"], "json"),
  option("--log-prompts", "log the text of requests too"),
  ...shared("registry", "store", "json"),
];

const command = bareCommand("serve")
  .argument(
    "[model...]",
    "NAME or NAME:VARIANT of the registry; with settings: smollm2:threads=2+context=2048",
  )
  .addOptions([...serving, ...embeddedModels, ...limits, ...routing])
  .addHelpText(
    "after",
    `
Model "auto" chooses; every answer names its model (x-podium-model) and the reason (x-podium-reason).
Missing models are downloaded first. Ctrl-C ends the server and its models.
With --json, one document on stdout gives the address and the models as soon as they can be used.
API keys of services come from API_KEY, or API_KEY_NAME for the service called NAME.
Exit codes: 0 ended, 1 a model is not available or no service answers, 2 wrong usage or input, 130 interrupted.`,
  );

await runTask(
  command,
  async (names: string[], settings: ServeSettings) => (await import("./serve/run.ts")).serve(names, settings),
);
