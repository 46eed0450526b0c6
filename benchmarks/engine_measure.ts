/** Our engine and llama.cpp's bench tool in turns on one file. */
import { z } from "zod";
import { chooseCandidates, EMBEDDED } from "../lib/bench/choose.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../lib/catalog/store.ts";
import { timedRequest } from "../lib/endpoint/timed_request.ts";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { prepareEngine, type RunningEngine, startEngine } from "../lib/engine/supervisor.ts";
import { UserError } from "../lib/errors.ts";
import { quantile } from "../lib/stats/quantile.ts";
import type { EngineBenchSettings } from "./engine.ts";
import { interruptSignal, realClock } from "../scripts/cli.ts";
import { pullShown } from "../scripts/pull_progress.ts";

export interface EngineBenchRound {
  /** Decode tokens a second through our HTTP face, as the client saw them. */
  readonly ours: number;
  /** The same by the engine's own clock. */
  readonly ours_inside: number;
  /** Processor seconds a token, all threads of our engine. */
  readonly ours_cpu_s_per_token: number;
  /** Length of the prompt before the answer, for both. */
  readonly prompt_tokens: number;
  /** Null without the tool. */
  readonly llama_bench: number | null;
}

export interface EngineBench {
  readonly model: string;
  readonly device: string;
  readonly threads: number;
  readonly tokens: number;
  readonly rounds: readonly EngineBenchRound[];
  readonly median_ours: number;
  readonly median_llama_bench: number | null;
  /** Median over the rounds of ours / the tool's: each pair was measured one right after the other. */
  readonly median_ratio: number | null;
}

/** @throws {UserError} for a model that can't be had, or a tool that can't be run */
export async function measureEngine(settings: EngineBenchSettings): Promise<EngineBench> {
  const { modelPath, modelId } = await modelFile(settings);
  await prepareEngine({ denoPath: Deno.execPath() });
  const signal = interruptSignal();
  const engine = await startEngine({
    modelPath,
    modelId,
    gpu: settings.gpu,
    ...(settings.threads === undefined ? {} : { threads: settings.threads }),
    denoPath: Deno.execPath(),
    clock: realClock,
    signal,
  });
  try {
    await ours(engine, modelId, settings.tokens);
    const rounds: EngineBenchRound[] = [];
    for (let round = 0; round < settings.rounds; round++) {
      signal.throwIfAborted();
      const own = await ours(engine, modelId, settings.tokens);
      const tool = settings.llamaBench === undefined ? null : await theirs(settings.llamaBench, modelPath, {
        depth: own.prompt_tokens,
        tokens: settings.tokens,
        threads: settings.benchThreads ?? engine.threads,
      });
      rounds.push({ ...own, llama_bench: tool });
      console.error(
        `round ${round + 1}: ours ${own.ours.toFixed(1)}${tool === null ? "" : `, tool ${tool.toFixed(1)}`}`,
      );
    }
    return {
      model: modelId,
      device: engine.device,
      threads: engine.threads,
      tokens: settings.tokens,
      ...medians(rounds),
    };
  } finally {
    await engine.stop();
  }
}

async function modelFile({ model, registry, store, gpu }: EngineBenchSettings) {
  const known = await loadRegistry(registry);
  const [choice] = chooseCandidates([`${model}@${EMBEDDED}`], {
    registry: known,
    services: [],
    engine: { gpu },
  });
  if (choice?.kind !== "embedded") throw new UserError(`--model ${model}: give a model that has a GGUF file`);
  const opened = await openStore(store ?? defaultStore(Deno.env, Deno.build.os));
  return { modelPath: await pullShown(opened, choice.entry, choice.variant), modelId: choice.info.id };
}

async function ours(
  engine: RunningEngine,
  model: string,
  tokens: number,
): Promise<Omit<EngineBenchRound, "llama_bench">> {
  const before = await engine.stats();
  const request = {
    model,
    messages: [{ role: "user" as const, content: "Tell a long story." }],
    maxTokens: tokens,
    temperature: 0,
    fixedOutput: true,
  };
  // Not fetch: the client's own work would take its share of the cores that the engine computes on.
  const transport = timedClient({ clock: realClock, fetch });
  const timing = { clock: realClock, post: transport.post, timeoutMs: 600_000 };
  const trace = await timedRequest(engine.endpoint, request, timing);
  transport.close();
  const after = await engine.stats();
  const [first, last, server] = [trace.chunks.at(0), trace.chunks.at(-1), trace.server];
  const outputTokens = trace.usage?.outputTokens;
  if (!first || !last || !server?.decodeMs || outputTokens !== tokens) {
    throw new Error(`the engine's answer is not whole: ${trace.reason ?? `${outputTokens} tokens`}`);
  }
  return {
    ours: (tokens - 1) / (last.atMs - first.atMs) * 1000,
    ours_inside: (tokens - 1) / server.decodeMs * 1000,
    ours_cpu_s_per_token: (after.cpuS - before.cpuS) / tokens,
    prompt_tokens: trace.usage?.promptTokens ?? 0,
  };
}

const toolOutput = z.array(z.looseObject({ avg_ts: z.number().positive() })).min(1);

async function theirs(
  path: string,
  modelPath: string,
  { depth, tokens, threads }: { depth: number; tokens: number; threads: number },
): Promise<number> {
  const args = [
    "-m",
    modelPath,
    "-p",
    "0",
    "-n",
    String(tokens),
    // As deep in the context as ours: every token looks back at all before it.
    "-d",
    String(depth),
    "-r",
    "1",
    "-ngl",
    "0",
    "-t",
    String(threads),
    "-o",
    "json",
  ];
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(path, { args, stdout: "piped", stderr: "piped" }).output();
  } catch (error) {
    throw new UserError(
      `--llama-bench ${path} can't be run (${error instanceof Error ? error.message : error})`,
    );
  }
  const text = new TextDecoder().decode(output.stdout);
  const parsed = output.success ? toolOutput.safeParse(JSON.parse(text)) : null;
  const [result] = parsed?.data ?? [];
  if (result === undefined) {
    throw new UserError(`--llama-bench ${path} did not measure: give llama.cpp's llama-bench`);
  }
  return result.avg_ts;
}

function medians(rounds: readonly EngineBenchRound[]) {
  const median = (values: readonly number[]) => values.length === 0 ? null : quantile(values, 0.5);
  const pairs = rounds.flatMap(({ ours, llama_bench }) =>
    llama_bench === null ? [] : [{ ours, tool: llama_bench }]
  );
  return {
    rounds,
    median_ours: median(rounds.map(({ ours }) => ours)) ?? NaN,
    median_llama_bench: median(pairs.map(({ tool }) => tool)),
    median_ratio: median(pairs.map(({ ours, tool }) => ours / tool)),
  };
}

/** The result for people. */
export function table(result: EngineBench): string {
  const lines = [
    `${result.model} on ${result.device}, ${result.threads} threads, ${result.tokens} tokens, ${result.rounds.length} rounds`,
    `ours, through HTTP   ${result.median_ours.toFixed(1)} tokens/s (median)`,
  ];
  if (result.median_llama_bench !== null && result.median_ratio !== null) {
    lines.push(`llama-bench          ${result.median_llama_bench.toFixed(1)} tokens/s (median)`);
    lines.push(`ratio                ${result.median_ratio.toFixed(3)} (median of the rounds' own ratios)`);
  }
  return lines.join("\n");
}
