/** The embedded engine and llama-bench in turns on one file, and grammars against free text. */
import { z } from "zod";
import { EMBEDDED } from "../lib/bench/candidate_name.ts";
import { resolveCandidates } from "../lib/bench/named_candidate.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../lib/catalog/store.ts";
import { timedRequest } from "../lib/endpoint/timed_request.ts";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { prepareEngine, type RunningEngine, startEngine } from "../lib/engine/supervisor.ts";
import { UserError } from "../lib/errors.ts";
import { quantile } from "../lib/stats/quantile.ts";
import { interruptSignal, realClock } from "../scripts/cli.ts";
import { pullShown } from "../scripts/pull_progress.ts";

/** The flags of `deno task bench:engine`. */
export interface EngineBenchSettings {
  readonly model: string;
  readonly constrained?: boolean;
  readonly llamaBench?: string;
  readonly rounds: number;
  readonly tokens: number;
  readonly threads?: number;
  readonly benchThreads?: number;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal";
  readonly registry: string;
  readonly store?: string;
  readonly json?: boolean;
}

/** One answer of each, one right after the other. */
export interface EngineBenchRound {
  /** The engine's decode speed through HTTP, in tokens per second, as the client saw it. */
  readonly ours: number;
  /** The same by the engine's own clock. */
  readonly ours_inside: number;
  /** Processor seconds per token, all threads of the engine. */
  readonly ours_cpu_s_per_token: number;
  /** Length of the prompt before the answer, for both. */
  readonly prompt_tokens: number;
  /** llama-bench's decode speed in tokens per second; null without `--llama-bench`. */
  readonly llama_bench: number | null;
  /** Milliseconds per token of an answer that a JSON schema constrains; null without `--constrained`. */
  readonly constrained_ms_per_token: number | null;
}

/** What `deno task bench:engine` measured. */
export interface EngineBench {
  readonly model: string;
  readonly device: string;
  readonly threads: number;
  /** Why llama.cpp is not called directly; null where it is. */
  readonly direct_note: string | null;
  readonly tokens: number;
  readonly rounds: readonly EngineBenchRound[];
  readonly median_ours: number;
  readonly median_llama_bench: number | null;
  /** Median over the rounds of the engine's speed / llama-bench's. */
  readonly median_ratio: number | null;
  /** Null without `--constrained`, as the next one. */
  readonly median_constrained_ms_per_token: number | null;
  /** Median over the rounds of the time per constrained token / the time per free token. */
  readonly median_constrained_ratio: number | null;
}

/** @throws {UserError} for a model that can't be had, or a llama-bench that can't be run */
export async function measureEngine(settings: EngineBenchSettings): Promise<EngineBench> {
  const { modelPath, modelId } = await modelFile(settings);
  await prepareEngine({ denoPath: Deno.execPath() });
  const signal = interruptSignal();
  const engine = await startEngine({
    modelPath,
    modelId,
    gpu: settings.gpu ?? "auto",
    ...(settings.threads === undefined ? {} : { threads: settings.threads }),
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: realClock,
    signal,
  });
  try {
    await decode(engine, modelId, settings.tokens);
    if (settings.constrained) await constrained(engine, modelId, settings.tokens);
    const rounds: EngineBenchRound[] = [];
    for (let round = 0; round < settings.rounds; round++) {
      signal.throwIfAborted();
      const found = await measureRound(engine, modelId, modelPath, settings);
      rounds.push(found);
      const { ours, llama_bench: bench, constrained_ms_per_token: held } = found;
      console.error(
        `round ${round + 1}: engine ${ours.toFixed(1)} tokens/s` +
          (bench === null ? "" : `, llama-bench ${bench.toFixed(1)}`) +
          (held === null ? "" : `, constrained ${held.toFixed(1)} ms per token`),
      );
    }
    return {
      model: modelId,
      device: engine.device,
      threads: engine.threads,
      direct_note: engine.directNote,
      tokens: settings.tokens,
      ...medians(rounds),
    };
  } finally {
    await engine.stop();
  }
}

async function measureRound(
  engine: RunningEngine,
  modelId: string,
  modelPath: string,
  { tokens, llamaBench: program, benchThreads, constrained: isConstrained }: EngineBenchSettings,
): Promise<EngineBenchRound> {
  const own = await decode(engine, modelId, tokens);
  const threads = benchThreads ?? engine.threads;
  const depth = own.prompt_tokens;
  return {
    ...own,
    llama_bench: program === undefined
      ? null
      : await llamaBench(program, modelPath, { depth, tokens, threads }),
    constrained_ms_per_token: isConstrained ? await constrained(engine, modelId, tokens) : null,
  };
}

async function modelFile({ model, registry, store, gpu }: EngineBenchSettings) {
  const known = await loadRegistry(registry);
  const [choice] = resolveCandidates([`${model}@${EMBEDDED}`], {
    registry: known,
    services: [],
    engine: { gpu },
  });
  if (choice?.kind !== "embedded") throw new UserError(`--model ${model}: give a model that has a GGUF file`);
  const opened = await openStore(store ?? defaultStore(Deno.env, Deno.build.os));
  return { modelPath: await pullShown(opened, choice.model, choice.variant), modelId: choice.info.id };
}

async function decode(
  engine: RunningEngine,
  model: string,
  tokens: number,
): Promise<Omit<EngineBenchRound, "llama_bench" | "constrained_ms_per_token">> {
  const before = await engine.stats();
  const request = {
    model,
    messages: [{ role: "user" as const, content: "Tell a long story." }],
    maxTokens: tokens,
    temperature: 0,
    fixedOutput: true,
  };
  // Not fetch: a client that works more takes more of the cores that the engine computes on.
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

const people = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 16 },
    age: { type: "integer" },
    tags: { type: "array", items: { enum: ["tall", "kind", "old", "quick"] }, maxItems: 3 },
    story: { type: "string", maxLength: 120 },
  },
  required: ["name", "age", "tags", "story"],
  additionalProperties: false,
};
const timedAnswer = z.object({
  timings: z.object({ predicted_n: z.int().min(2), predicted_ms: z.number() }),
});

/** Milliseconds per token, by the engine's own clock, of an answer that a JSON schema constrains. */
async function constrained(engine: RunningEngine, model: string, tokens: number): Promise<number> {
  const response = await fetch(`${engine.endpoint.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${engine.endpoint.apiKey}` },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content: "Invent twenty people, as a JSON list." }],
      max_tokens: tokens,
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: { name: "people", schema: { type: "array", items: people, minItems: 20 } },
      },
    }),
  });
  const { timings } = timedAnswer.parse(await response.json());
  return timings.predicted_ms / (timings.predicted_n - 1);
}

const toolOutput = z.array(z.looseObject({ avg_ts: z.number().positive() })).min(1);

/** Decode speed by llama-bench, in tokens per second. */
async function llamaBench(
  path: string,
  modelPath: string,
  { depth, tokens, threads }: { depth: number; tokens: number; threads: number },
): Promise<number> {
  // As deep in the context as the engine's answer: every token attends to all tokens before it.
  const settings = `-p 0 -n ${tokens} -d ${depth} -r 1 -ngl 0 -t ${threads} -o json`.split(" ");
  const args = ["-m", modelPath, ...settings];
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
    throw new UserError(
      `--llama-bench ${path} printed no measurement: give the path of llama.cpp's llama-bench`,
    );
  }
  return result.avg_ts;
}

function medians(rounds: readonly EngineBenchRound[]) {
  const median = (pick: (round: EngineBenchRound) => number | null) => {
    const values = rounds.map(pick).filter((value) => value !== null);
    return values.length === 0 ? null : quantile(values, 0.5);
  };
  return {
    rounds,
    median_ours: median(({ ours }) => ours) ?? NaN,
    median_llama_bench: median(({ llama_bench }) => llama_bench),
    median_ratio: median(({ ours, llama_bench }) => llama_bench === null ? null : ours / llama_bench),
    median_constrained_ms_per_token: median((round) => round.constrained_ms_per_token),
    median_constrained_ratio: median(({ ours_inside, constrained_ms_per_token }) =>
      constrained_ms_per_token === null ? null : constrained_ms_per_token * ours_inside / 1000
    ),
  };
}

/** The result as text for a terminal. */
export function engineBenchText(result: EngineBench): string {
  const { median_llama_bench: bench, median_ratio: ratio } = result;
  const { median_constrained_ms_per_token: constrainedMs, median_constrained_ratio: times } = result;
  const { model, device, threads, tokens, rounds, direct_note } = result;
  return [
    `${model} on ${device}, ${threads} threads, ${tokens} tokens, ${rounds.length} rounds`,
    direct_note === null ? "llama.cpp called directly" : `by way of node-llama-cpp: ${direct_note}`,
    `engine, through HTTP ${result.median_ours.toFixed(1)} tokens/s (median)`,
    ...(bench === null || ratio === null ? [] : [
      `llama-bench          ${bench.toFixed(1)} tokens/s (median)`,
      `ratio                ${ratio.toFixed(3)} (median of the rounds' own ratios)`,
    ]),
    ...(constrainedMs === null || times === null ? [] : [
      `with a JSON schema   ${constrainedMs.toFixed(1)} ms per token (median)`,
      `                     ${times.toFixed(2)} times a free token (median of the rounds)`,
    ]),
  ].join("\n");
}
