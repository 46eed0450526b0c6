/**
 * Mirror of Module08/samples/03/list_and_bench (.cmd and .sh): list the catalogue, list the cache, run phi-4-mini.
 *
 *   foundry model list                       -> the registry, and what running services list
 *   foundry cache list                       -> our model folder
 *   foundry model run phi-4-mini --verbose   -> load it and ask one question, with every time
 *
 * What the original got wrong, and what changed in the numbers: it is called a bench and measures nothing; the
 * learner is left with a stopwatch and an interactive prompt that a script can't end. Here the run is one
 * request in figures: load, first token, tokens per second, memory. One request is a look, not a
 * measurement: `workshop:benchmark_oss_models` measures. Where phi-4-mini can't be had, the lists are still
 * shown, and one line says what to run instead. The CLI of Foundry Local is not needed; a running service is used.
 *
 *   deno task workshop:list_and_bench
 *   deno task workshop:list_and_bench --model smollm2-135m
 */
import { printJson, runTask } from "../cli.ts";
import { option, shared } from "../options.ts";
import {
  isDefault,
  measureModels,
  type MeasuringOptions,
  mirrorCommand,
  onePrompt,
  SMALL_MODELS,
} from "./measuring.ts";
import { sessionResources } from "../session_resources.ts";

interface Options extends MeasuringOptions {
  readonly model: string;
  readonly prompt: string;
  readonly json?: boolean;
}

const command = mirrorCommand("list_and_bench")
  .addOptions([
    option("--model <name>", "model to run").default("phi-4-mini"),
    option("--prompt <text>", "prompt").default("Explain edge AI in one sentence."),
    ...shared("json"),
  ]);

await runTask(command, async (options: Options) => {
  const show = (line: string) => options.json ? console.error(line) : console.log(line);
  const lists = await showLists(options, show);
  const { prompt, prefix } = options;
  const plan = await onePrompt(prompt, { rounds: 1, warmup: 0, maxTokens: 120, temperature: 0.2, prefix });
  const { summary: { candidates: [row] }, names } = await measureModels([options.model], plan, options, {
    remedy: "run one that is downloaded: --model smollm2-135m",
    instead: isDefault(command, "model") ? SMALL_MODELS.slice(0, 1) : null,
  });
  const run = {
    model: names[0] ?? options.model,
    device: row?.device ?? null,
    load_s: row?.load_s ?? null,
    first_token_sec: row?.ttft_s.mean ?? null,
    latency_sec: row?.latency_s.mean ?? null,
    tokens_per_sec: row?.output_tokens_per_s.mean ?? null,
    memory_mb: row?.memory_mb ?? null,
    response: row?.sample_answer ?? null,
    status: row?.status === "ok" ? "success" : "error",
    error: row?.reason ?? null,
  };
  if (options.json) printJson({ ...lists, run });
  else {
    for (const [name, value] of Object.entries(run)) {
      if (name === "error" && value === null) continue;
      show(`${name.padEnd(16)} ${typeof value === "number" ? value.toFixed(3) : value ?? "not known"}`);
    }
  }
  return run.status === "success" ? 0 : 1;
});

/** Shows the registry, what services list and what is downloaded, and returns them for `--json`. */
async function showLists(options: Options, show: (line: string) => void) {
  const { findServices } = await import("../../lib/services/discovery.ts");
  const { listStored } = await import("../../lib/catalog/cache.ts");
  const { runProgram } = await import("../../lib/program.ts");
  const { registry, store } = await sessionResources(options);
  const services = await findServices({ fetch, env: Deno.env, run: runProgram });
  show(`Models of ${options.registry}:`);
  for (const { alias, task } of registry.models) show(`  ${alias}  (${task.join(", ")})`);
  for (const { kind, endpoint, models, problem } of services) {
    show(`Listed by ${kind} at ${endpoint.baseUrl}${problem === null ? "" : ` (${problem})`}:`);
    for (const { id } of models) show(`  ${id}`);
  }
  const cached = await listStored(store, registry);
  show(`Downloaded to ${store.dir}:`);
  for (const { path, state, sizeBytes } of cached) {
    show(`  ${path}  ${(sizeBytes / 1e6).toFixed(0)} MB, ${state}`);
  }
  if (cached.length === 0) show("  nothing yet");
  return {
    models: registry.models.map(({ alias, task }) => ({ alias, task })),
    services: services.map(({ kind, endpoint, models }) => ({ kind, url: endpoint.baseUrl, models })),
    cache: cached.map(({ path, state, sizeBytes }) => ({ path, state, size_bytes: sizeBytes })),
  };
}
