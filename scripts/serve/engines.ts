/** The models of the registry that this machine runs itself. */
import { EMBEDDED } from "../../lib/bench/candidate_name.ts";
import { type NamedCandidate, resolveCandidates } from "../../lib/bench/named_candidate.ts";
import { neededRamGb } from "../../lib/catalog/machine.ts";
import type { Registry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, type Store } from "../../lib/catalog/store.ts";
import { ApiError } from "../../lib/openai/api_error.ts";
import { UserError } from "../../lib/errors.ts";
import type { ServedModel } from "../../lib/serve/served_models.ts";
import { EnginePool, type PooledEngine, type PoolEvent } from "../../lib/serve/pool.ts";
import type { Metrics } from "../../lib/serve/metrics.ts";
import { realClock } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";
import type { ServeSettings } from "./settings.ts";

type Embedded = Extract<NamedCandidate, { kind: "embedded" }>;

export interface Engines {
  readonly models: readonly ServedModel[];
  stop(): Promise<void>;
}

export interface EnginesTools {
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Memory left to the machine without --memory, in MB. */
const RESERVE_MB = 512;
const MB = 1e6;

/** @throws {UserError} for a name that the registry doesn't know, or a model that can't be had */
export async function openEngines(
  names: readonly string[],
  settings: ServeSettings,
  tools: EnginesTools,
): Promise<Engines> {
  const { registry, signal } = tools;
  const store = await openStore(settings.store ?? defaultStore(Deno.env, Deno.build.os));
  const asked = names.length > 0 ? names : defaults(registry.models);
  const choices = resolveCandidates(asked.map(embeddedName), {
    registry,
    services: [],
    engine: optionsOf(settings),
  });
  const freeMb = () => Deno.systemMemoryInfo().available / MB;
  const pool = new EnginePool({
    limitMb: settings.memory === undefined ? Math.max(0, freeMb() - RESERVE_MB) : settings.memory * 1000,
    freeMb,
    clock: realClock,
    onEvent: (event) => tell(event, tools),
  });
  const embedded = choices.filter((choice) => choice.kind === "embedded");
  const models: ServedModel[] = [];
  try {
    for (const choice of embedded) models.push(pool.add(await modelOf(choice, embedded, store, signal)));
    if (settings.preload) await preload(models, signal);
  } catch (error) {
    await pool.stop();
    throw error;
  }
  return { models, stop: () => pool.stop() };
}

const embeddedName = (name: string) => name.endsWith(`@${EMBEDDED}`) ? name : `${name}@${EMBEDDED}`;

function defaults(models: readonly { alias: string; default: unknown }[]): string[] {
  const aliases = models.filter((entry) => entry.default === "always").map(({ alias }) => alias);
  if (aliases.length > 0) return aliases;
  throw new UserError("no model of the registry is marked as default: name the models to serve");
}

function optionsOf({ threads, context, gpu }: ServeSettings) {
  return {
    gpu,
    ...(threads === undefined ? {} : { threads }),
    ...(context === undefined ? {} : { contextTokens: context }),
  };
}

async function modelOf(choice: Embedded, all: readonly Embedded[], store: Store, signal: AbortSignal) {
  const { model: entry, variant, engine, info } = choice;
  const modelPath = await pullShown(store, entry, variant, { signal });
  // The short names belong to a model's first variant here; the full one is always its own.
  const first = all.find((other) => other.model === entry) === choice;
  const short = [
    entry.alias,
    ...entry.otherNames,
    ...(entry.foundryAlias === null ? [] : [entry.foundryAlias]),
  ];
  const context = engine.contextTokens === undefined ? {} : { contextTokens: engine.contextTokens };
  return {
    id: first ? entry.alias : info.id,
    names: first ? [info.id, ...short] : [info.id],
    candidate: info.id,
    capabilities: entry.capabilities,
    modelId: info.id,
    neededMb: variant.adapter?.memoryMb ??
      (neededRamGb(entry, { variant, ...context }) ?? 1) * (2 ** 30 / MB),
    about: { variant: info.variant, license: info.license },
    start: async (stop: AbortSignal): Promise<PooledEngine> => {
      const { startModel } = await import("../../lib/bench/start_model.ts");
      const denoPath = Deno.execPath();
      if (variant.adapter === null) {
        const { prepareEngine } = await import("../../lib/engine/supervisor.ts");
        await prepareEngine({ denoPath });
      }
      return await startModel({
        modelId: info.id,
        path: modelPath,
        adapter: variant.adapter,
        engine,
        contextTokens: entry.contextTokens,
      }, { denoPath, env: Deno.env, clock: realClock, signal: stop });
    },
  };
}

/** Loads them in order; where they don't fit together, the last ones stay loaded. */
async function preload(models: readonly ServedModel[], signal: AbortSignal): Promise<void> {
  try {
    for (const model of models) (await model.lease(signal)).release();
  } catch (error) {
    if (error instanceof ApiError) throw new UserError(error.message, 1, { cause: error });
    throw error;
  }
}

function tell(event: PoolEvent, { note, metrics }: EnginesTools): void {
  const labels = { model: event.id };
  switch (event.kind) {
    case "loaded": {
      metrics.count("podium_loads_total", { ...labels, outcome: "loaded" });
      const { device, contextTokens } = event.engine;
      const details = [
        ...(device === undefined ? [] : [` on ${device}`]),
        ...(typeof contextTokens === "number" ? [`, ${contextTokens} tokens`] : []),
      ].join("");
      return note(`${event.id}: loaded in ${(event.ms / 1000).toFixed(1)} s${details}`);
    }
    case "failed":
      metrics.count("podium_loads_total", { ...labels, outcome: "failed" });
      return note(`${event.id}: can't be loaded: ${event.reason}`);
    case "evicted":
      metrics.count("podium_evictions_total", labels);
      return note(`${event.id}: unloaded to free memory for ${event.for}`);
    case "ended":
      return note(`${event.id}: ${event.reason}; the next request loads it again`);
  }
}
