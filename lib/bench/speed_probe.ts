/** A few requests to a model that is present, which tell how fast this machine reads weights and multiplies them. */
import { z } from "zod";
import type { RecordedSpeed } from "../catalog/calibration.ts";
import { readGgufLayout } from "../catalog/gguf_layout.ts";
import { speedFeatures } from "../catalog/speed_terms.ts";
import type { Clock, Fetch } from "../clock.ts";
import { type RunningEngine, startEngine } from "../engine/supervisor.ts";
import type { Environment } from "../program.ts";
import { sumOf } from "../stats/mean.ts";
import type { Random } from "../stats/random.ts";

/** What a probe needs. */
export interface ProbeResources {
  readonly denoPath: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Which model is probed, how, and for how long. */
export interface ProbeRequest {
  /** `ALIAS:VARIANT`. */
  readonly model: string;
  readonly path: string;
  /** Default: the engine's own. */
  readonly threads?: number;
  /** Prompt lengths in tokens; those that the time left can't hold are left out, never the first. */
  readonly lengths: readonly number[];
  /** Longest time, in milliseconds, not counting the start of the engine. */
  readonly budgetMs: number;
  /** When it is, in ISO 8601. */
  readonly at: string;
}

/** What a probe found. */
export interface ProbeResult {
  readonly samples: readonly RecordedSpeed[];
  readonly threads: number;
  readonly residentMb: number;
  /** Share of the wanted processor time that the engine got; below 0.85 something else was busy. */
  readonly quiet: number;
}

const DECODE_TOKENS = 24;
/** Repeats of the same prompt: its tokens are in the cache, so only decoding is repeated. */
const REPEATS = 2;

/**
 * Measures one model in a process of its own. Each prompt is new to the engine, and asked again so that the
 * fastest of three decodes counts.
 *
 * @throws {UserError} where the engine can't be started
 *
 * ```ts ignore
 * const { samples, quiet } = await probeSpeed(
 *   { model: "smollm2-135m:q4_1", path, lengths: [64, 448], budgetMs: 10_000, at: new Date().toISOString() },
 *   { denoPath: Deno.execPath(), env: Deno.env, clock, fetch, random: Math.random, signal },
 * );
 * ```
 */
export async function probeSpeed(request: ProbeRequest, resources: ProbeResources): Promise<ProbeResult> {
  const { denoPath, env, clock, fetch, signal } = resources;
  const { path, model, threads, lengths, budgetMs, at } = request;
  const layout = await readGgufLayout(path);
  const longest = Math.max(...lengths) + DECODE_TOKENS + 8;
  const engine = await startEngine({
    modelPath: path,
    modelId: model,
    gpu: "off",
    contextTokens: Math.min(Math.ceil(longest / 256) * 256, layout.contextTokens ?? Infinity),
    ...(threads === undefined ? {} : { threads }),
    denoPath,
    env,
    clock,
    fetch,
    signal,
  });
  try {
    const startedAt = clock();
    const before = await engine.stats();
    const found: Timings[][] = [];
    for (const length of lengths) {
      const first = found.at(-1)?.[0];
      const expectedMs = first === undefined ? 0 : first.prompt_ms / first.prompt_n * length;
      if (first !== undefined && clock() - startedAt + expectedMs > budgetMs) break;
      found.push(await askRepeatedly(engine, { model, length }, resources));
    }
    const after = await engine.stats();
    const busyS = sumOf(found.flat().map(({ prompt_ms, predicted_ms }) => prompt_ms + predicted_ms)) / 1000;
    const { device, threads: used } = engine;
    const common = { model, features: speedFeatures(layout), device, threads: used, source: "probe", at };
    return {
      samples: found.flatMap((timings) => samplesOf(timings).map((sample) => ({ ...common, ...sample }))),
      threads: used,
      residentMb: after.residentMb,
      quiet: Math.min(1, (after.cpuS - before.cpuS) / (busyS * used)),
    };
  } finally {
    await engine.stop();
  }
}

const timings = z.object({
  prompt_n: z.int().nonnegative(),
  cache_n: z.int().nonnegative(),
  prompt_ms: z.number(),
  predicted_n: z.int(),
  predicted_ms: z.number(),
});
type Timings = z.infer<typeof timings>;

async function askRepeatedly(
  engine: RunningEngine,
  { model, length }: { readonly model: string; readonly length: number },
  { fetch, random, signal }: ProbeResources,
): Promise<Timings[]> {
  const letter = () => " " + String.fromCharCode(97 + Math.floor(random() * 26));
  const prompt = Array.from({ length }, letter).join("");
  const all: Timings[] = [];
  for (let turn = 0; turn <= REPEATS; turn++) {
    const response = await fetch(`${engine.endpoint.baseUrl}/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${engine.endpoint.apiKey}` },
      body: JSON.stringify({
        model,
        prompt,
        max_tokens: DECODE_TOKENS + 1,
        temperature: 0,
        ignore_eos: true,
      }),
      signal,
    });
    const body: unknown = await response.json();
    all.push(z.object({ timings }).parse(body).timings);
  }
  return all;
}

function samplesOf(all: readonly Timings[]): Pick<RecordedSpeed, "kind" | "tokens" | "seconds">[] {
  const [first] = all;
  if (first === undefined) return [];
  const tokens = first.prompt_n + first.cache_n;
  const decodes = all.filter(({ predicted_n }) => predicted_n > 1)
    .map(({ predicted_ms, predicted_n }) => predicted_ms / (predicted_n - 1) / 1000);
  return [
    { kind: "prefill", tokens, seconds: first.prompt_ms / 1000 },
    ...(decodes.length === 0
      ? []
      : [{ kind: "decode" as const, tokens: tokens + DECODE_TOKENS / 2, seconds: Math.min(...decodes) }]),
  ];
}

/** Which models are probed, and for how long. */
export interface ModelsProbe {
  /** Smallest first: they say most per second. */
  readonly models: readonly { readonly name: string; readonly path: string }[];
  readonly threads?: number;
  readonly seconds: number;
  readonly at: string;
  readonly note: (line: string) => void;
}

const LENGTHS = [64, 448] as const;
/** Share of its processor time that the engine got, below which the machine counts as busy. */
const QUIET = 0.85;
/** The start of an engine alone takes a second or two. */
const LEAST_MS = 3000;

/** Probes one model after the other until the time is spent; the first one always. */
export async function probeModels(
  { models, threads, seconds, at, note }: ModelsProbe,
  resources: ProbeResources,
): Promise<RecordedSpeed[]> {
  const endAt = resources.clock() + seconds * 1000;
  const samples: RecordedSpeed[] = [];
  for (const [index, { name, path }] of models.entries()) {
    const leftMs = endAt - resources.clock();
    if (index > 0 && leftMs < LEAST_MS) break;
    note(`measuring ${name} …`);
    const found = await probeSpeed({
      model: name,
      path,
      ...(threads === undefined ? {} : { threads }),
      lengths: LENGTHS,
      budgetMs: leftMs / (models.length - index),
      at,
    }, resources);
    const decode = found.samples.find(({ kind }) => kind === "decode");
    const rate = decode === undefined ? "" : `${(1 / decode.seconds).toFixed(1)} tokens/s with `;
    note(`${name}: ${rate}${found.threads} ${found.threads === 1 ? "thread" : "threads"}`);
    if (found.quiet < QUIET) {
      const percent = (found.quiet * 100).toFixed(0);
      note(
        `the machine was busy: the engine got ${percent} % of the processor time that it wanted, so the predictions ` +
          "will be too low; close other programs and probe again",
      );
    }
    samples.push(...found.samples);
  }
  return samples;
}
