/** Times and resident sizes of GGUF files, each beside what the others predict. */
import { basename, join } from "node:path";
import { z } from "zod";
import { type ProbeResources, probeSpeed } from "../lib/bench/speed_probe.ts";
import { leastDisturbed, type RecordedSpeed } from "../lib/catalog/calibration.ts";
import { type GgufLayout, readGgufLayout } from "../lib/catalog/gguf_layout.ts";
import { type ContextUse, ENGINE_USE, memoryParts, residentBytes } from "../lib/catalog/memory.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { SpeedModel } from "../lib/catalog/speed.ts";
import type { SpeedSample } from "../lib/catalog/speed_terms.ts";
import { defaultStore, locate, openStore } from "../lib/catalog/store.ts";
import { prepareEngine, startEngine } from "../lib/engine/supervisor.ts";
import { UserError } from "../lib/errors.ts";
import { rateInterval } from "../lib/stats/beta.ts";
import { quantile } from "../lib/stats/quantile.ts";
import { seededRandom, shuffle } from "../lib/stats/random.ts";
import { interruptSignal, realClock } from "../scripts/cli.ts";
import { simulateFit } from "./fit_simulation.ts";

/** The flags of `deno task bench:fit`. */
export interface FitBenchSettings {
  readonly models?: string;
  readonly threads: readonly number[];
  readonly lengths: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
  readonly keep?: string;
  readonly again?: string;
  readonly speed: boolean;
  readonly memory: boolean;
  readonly registry: string;
  readonly store?: string;
  readonly json?: boolean;
}

/** One measured time beside its prediction from the other files. */
interface TimeRow {
  readonly model: string;
  readonly kind: SpeedSample["kind"];
  readonly threads: number;
  readonly tokens: number;
  readonly measured_ms: number;
  readonly predicted_ms: number;
  readonly ci90_ms: readonly [number, number];
}

interface SizeRow {
  readonly model: string;
  readonly context: number;
  readonly kv_cache: ContextUse["kvCache"];
  readonly batch: number;
  readonly mmap: boolean;
  readonly measured_mb: number;
  readonly predicted_mb: number;
}

/** Times of one kind, over all files. */
interface Summary {
  readonly models: number;
  readonly comparisons: number;
  readonly median_error: number;
  readonly p90_error: number;
  /** Share of measured times inside the 90 % interval, and a 90 % interval of that share with files as the units. */
  readonly coverage: number;
  readonly coverage_ci90: readonly [number, number];
}

/** What `deno task bench:fit` prints. */
export interface FitBench {
  readonly times: readonly TimeRow[];
  readonly decode: Summary | null;
  readonly ttft: Summary | null;
  /** The same without the shipped costs of formats: what measuring alone gives. */
  readonly decode_flat: Summary | null;
  readonly ttft_flat: Summary | null;
  /** Lowest share of its processor time that an engine got; null where the times were read. */
  readonly quiet: number | null;
  readonly simulated: readonly ReturnType<typeof simulateFit>[];
  readonly sizes: readonly SizeRow[];
  readonly size_median_error: number | null;
  readonly size_worst_error: number | null;
}

const random = seededRandom("bench:fit");
const resources = (): ProbeResources => ({
  denoPath: Deno.execPath(),
  env: Deno.env,
  clock: realClock,
  fetch,
  random,
  signal: interruptSignal(),
});

/** @throws {UserError} where there are no files */
export async function benchFit(settings: FitBenchSettings): Promise<FitBench> {
  const files = settings.again !== undefined && !settings.memory ? [] : await filesOf(settings);
  await prepareEngine({ denoPath: Deno.execPath() });
  const { samples, quiet } = !settings.speed
    ? { samples: [], quiet: null }
    : settings.again === undefined
    ? await measureTimes(files, settings)
    : { samples: await readTimes(settings.again), quiet: null };
  if (settings.keep !== undefined) await Deno.writeTextFile(settings.keep, JSON.stringify(samples));
  const least = leastDisturbed(samples);
  const compared = new SpeedModel(least).leftOut();
  const flat = new SpeedModel(least, {}).leftOut();
  const sizes = settings.memory && settings.again === undefined ? await measureSizes(files) : [];
  const sizeErrors = sizes.map(({ measured_mb, predicted_mb }) => Math.abs(predicted_mb / measured_mb - 1));
  return {
    times: compared.flatMap(({ sample, predicted }) =>
      predicted === null ? [] : [{
        model: sample.model,
        kind: sample.kind,
        threads: sample.threads,
        tokens: sample.tokens,
        measured_ms: sample.seconds * 1000,
        predicted_ms: predicted.seconds * 1000,
        ci90_ms: [predicted.low * 1000, predicted.high * 1000] as const,
      }]
    ),
    decode: summaryOf(compared, "decode"),
    ttft: summaryOf(compared, "prefill"),
    decode_flat: summaryOf(flat, "decode"),
    ttft_flat: summaryOf(flat, "prefill"),
    quiet,
    simulated: [2, 4, 8].map((measured) => simulateFit(measured, 500, seededRandom(`simulated ${measured}`))),
    sizes,
    size_median_error: sizeErrors.length === 0 ? null : quantile(sizeErrors, 0.5),
    size_worst_error: sizeErrors.length === 0 ? null : Math.max(...sizeErrors),
  };
}

interface ModelFile {
  readonly name: string;
  readonly path: string;
}

async function filesOf({ models, registry, store }: FitBenchSettings): Promise<ModelFile[]> {
  const found: ModelFile[] = [];
  const opened = await openStore(store ?? defaultStore(Deno.env, Deno.build.os));
  for (const model of (await loadRegistry(registry)).models) {
    for (const variant of model.variants.filter(({ format }) => format === "gguf")) {
      const path = await locate(opened, model, variant);
      if (path !== null) found.push({ name: `${model.alias}:${variant.name}`, path });
    }
  }
  if (models !== undefined) {
    for await (const { name, isFile } of Deno.readDir(models)) {
      if (isFile && /\.gguf$/i.test(name)) {
        found.push({ name: basename(name, ".gguf"), path: join(models, name) });
      }
    }
  }
  if (found.length > 1) return found.sort((a, b) => a.name < b.name ? -1 : 1);
  throw new UserError("two models at least are needed: deno task models pull, or --models FOLDER");
}

async function readTimes(path: string): Promise<RecordedSpeed[]> {
  const kept = z.array(z.custom<RecordedSpeed>((value) => typeof value === "object" && value !== null));
  return kept.parse(JSON.parse(await Deno.readTextFile(path)));
}

async function measureTimes(files: readonly ModelFile[], settings: FitBenchSettings) {
  const samples: RecordedSpeed[] = [];
  let quiet = 1;
  const all = files.flatMap((file) => settings.threads.map((threads) => ({ file, threads })));
  for (let round = 0; round < settings.rounds; round++) {
    for (const { file, threads } of shuffle(all, random)) {
      const found = await probeSpeed({
        model: file.name,
        path: file.path,
        threads,
        lengths: settings.lengths,
        budgetMs: settings.seconds * 1000,
        at: new Date().toISOString(),
      }, resources());
      samples.push(...found.samples);
      quiet = Math.min(quiet, found.quiet);
      const decode = found.samples.find(({ kind }) => kind === "decode");
      console.error(
        `${file.name}, ${threads} threads: ${(1 / (decode?.seconds ?? NaN)).toFixed(1)} tokens/s, ` +
          `${(found.quiet * 100).toFixed(0)} % of its processor time`,
      );
    }
  }
  return { samples, quiet };
}

function summaryOf(compared: ReturnType<SpeedModel["leftOut"]>, kind: SpeedSample["kind"]): Summary | null {
  const own = compared.flatMap(({ sample, predicted }) =>
    predicted === null || sample.kind !== kind ? [] : [{
      model: sample.model,
      error: Math.abs(predicted.seconds / sample.seconds - 1),
      held: predicted.low <= sample.seconds && sample.seconds <= predicted.high,
    }]
  );
  if (own.length === 0) return null;
  const errors = own.map(({ error }) => error);
  // The times of one file go together, so a file counts as one observation, with the share of its times that held.
  const shares = [...Map.groupBy(own, ({ model }) => model).values()].map((rows) =>
    rows.filter(({ held }) => held).length / rows.length
  );
  const [n, k] = [shares.length, shares.reduce((sum, share) => sum + share, 0)];
  return {
    models: n,
    comparisons: own.length,
    median_error: quantile(errors, 0.5),
    p90_error: quantile(errors, 0.9),
    coverage: k / n,
    coverage_ci90: rateInterval(k, n, 0.05),
  };
}

/** Prompts are as long as a few calls: the buffers of a call have their size then. */
const PROMPT_TOKENS = 600;

async function measureSizes(files: readonly ModelFile[]): Promise<SizeRow[]> {
  const rows: SizeRow[] = [];
  const uses: Partial<ContextUse>[] = [
    ...[512, 4096].flatMap((contextTokens) =>
      (["f16", "q8_0", "q4_0"] as const).map((kvCache) => ({ contextTokens, kvCache }))
    ),
    { contextTokens: 2048, mmap: false },
    { contextTokens: 2048, batchTokens: 1024 },
  ];
  for (const file of files) {
    const layout = await readGgufLayout(file.path);
    for (const one of uses) rows.push(await measureSize(file, layout, { ...ENGINE_USE, ...one }));
  }
  return rows;
}

async function measureSize(
  { name, path }: ModelFile,
  layout: GgufLayout,
  use: ContextUse,
): Promise<SizeRow> {
  const engine = await startEngine({
    ...resources(),
    modelPath: path,
    modelId: name,
    gpu: "off",
    contextTokens: use.contextTokens,
    kvCache: use.kvCache,
    batchTokens: use.batchTokens,
    mmap: use.mmap,
  });
  try {
    const prompt = " a".repeat(Math.min(PROMPT_TOKENS, use.contextTokens - 64));
    const response = await fetch(`${engine.endpoint.baseUrl}/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${engine.endpoint.apiKey}` },
      body: JSON.stringify({ model: name, prompt, max_tokens: 16, temperature: 0, ignore_eos: true }),
      signal: interruptSignal(),
    });
    await response.body?.cancel();
    const { residentMb } = await engine.stats();
    const predicted = residentBytes(memoryParts(layout, use, Deno.build.arch), use) / 1e6;
    console.error(`${name}: ${residentMb.toFixed(0)} MB, predicted ${predicted.toFixed(0)}`);
    return {
      model: name,
      context: use.contextTokens,
      kv_cache: use.kvCache,
      batch: use.batchTokens,
      mmap: use.mmap,
      measured_mb: residentMb,
      predicted_mb: predicted,
    };
  } finally {
    await engine.stop();
  }
}

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** The result as text for a terminal. */
export function fitBenchText(result: FitBench): string {
  const line = (name: string, summary: Summary | null) =>
    summary === null ? [] : [
      `${name}: median error ${percent(summary.median_error)}, 90th percentile ${
        percent(summary.p90_error)
      }; the 90 % ` +
      `interval held ${percent(summary.coverage)} (${percent(summary.coverage_ci90[0])} to ` +
      `${percent(summary.coverage_ci90[1])}), ${summary.comparisons} times of ${summary.models} files`,
    ];
  const rows = result.times.map(({ model, kind, threads, tokens, measured_ms, predicted_ms, ci90_ms }) =>
    [
      model.padEnd(32),
      kind.padEnd(8),
      `${threads} threads`,
      `${Math.round(tokens)} tokens`.padStart(12),
      `${measured_ms.toFixed(1)} ms`.padStart(12),
      `predicted ${predicted_ms.toFixed(1)}`.padStart(18),
      `(${ci90_ms[0].toFixed(1)}–${ci90_ms[1].toFixed(1)})`,
    ].join("  ")
  );
  return [
    ...rows,
    "Each file predicted from the others:",
    ...line("decode speed", result.decode),
    ...line("first token", result.ttft),
    ...line("decode speed, all formats equal at the start", result.decode_flat),
    ...line("first token, all formats equal at the start", result.ttft_flat),
    ...(result.quiet === null || result.times.length === 0
      ? []
      : [`the engine that was disturbed most got ${percent(result.quiet)} of its processor time`]),
    ...result.simulated.map(({ measured, machines, coverage, medianError }) =>
      `simulated, ${measured} measured models on each of ${machines} machines: the interval held ${
        percent(coverage)
      }, ` +
      `median error ${percent(medianError)}`
    ),
    ...(result.size_median_error === null || result.size_worst_error === null ? [] : [
      `resident size: median error ${percent(result.size_median_error)}, worst ${
        percent(result.size_worst_error)
      }, ` +
      `${result.sizes.length} settings of ${new Set(result.sizes.map(({ model }) => model)).size} files`,
    ]),
  ].join("\n");
}
