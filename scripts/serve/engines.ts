/** The models of the registry that this machine runs itself. */
import { EMBEDDED } from "../../lib/bench/candidate_name.ts";
import type { NamedCandidate } from "../../lib/bench/named_candidate.ts";
import { candidateFile, chooseCandidates, type SessionResources } from "../../lib/bench/session.ts";
import { neededRamGb } from "../../lib/catalog/machine.ts";
import { ApiError } from "../../lib/openai/api_error.ts";
import { UserError } from "../../lib/errors.ts";
import type { GatewayModel } from "../../lib/serve/served_models.ts";
import { EnginePool, type PooledEngine, type PoolEvent } from "../../lib/serve/pool.ts";
import type { GatewayMetrics } from "../../lib/serve/gateway_metrics.ts";
import { realClock } from "../cli.ts";
import type { ServeSettings } from "./settings.ts";

type Embedded = Extract<NamedCandidate, { kind: "embedded" }>;

export interface Engines {
  readonly models: readonly GatewayModel[];
  stop(): Promise<void>;
}

export interface EnginesTools {
  readonly resources: SessionResources;
  readonly metrics: GatewayMetrics;
}

/** Memory left to the machine without --memory, in MB. */
const RESERVE_MB = 512;
const MB = 1e6;

/**
 * Without names: the models that the session takes where no service is found.
 *
 * @throws {UserError} for an unknown name, or a model that doesn't fit this machine or can't be had
 */
export async function openEngines(
  names: readonly string[],
  settings: ServeSettings,
  { resources, metrics }: EnginesTools,
): Promise<Engines> {
  const chosen = await chooseCandidates({
    names: names.length > 0 ? names.map(embeddedName) : null,
    services: [],
    engine: engineOptionsOf(settings),
  }, resources);
  chosen.client.close();
  const freeMb = () => Deno.systemMemoryInfo().available / MB;
  const pool = new EnginePool({
    limitMb: settings.memory === undefined ? Math.max(0, freeMb() - RESERVE_MB) : settings.memory * 1000,
    freeMb,
    clock: realClock,
    onEvent: (event) => reportPoolEvent(event, { metrics, note: resources.note ?? (() => {}) }),
  });
  const embedded = chosen.named.filter((named) => named.kind === "embedded");
  for (const { info } of embedded.filter(({ info }) => info.request !== undefined)) {
    resources.note?.(
      `${info.id}: settings of requests are not applied here: clients send them with each request`,
    );
  }
  const models: GatewayModel[] = [];
  try {
    for (const named of embedded) {
      const path = await candidateFile(named, chosen, resources).catch((error) => {
        throw error instanceof UserError ? new UserError(`${named.info.id}: ${error.message}`, 1) : error;
      });
      models.push(pool.add(modelOf(named, embedded, path)));
    }
    if (settings.preload) await preload(models, resources.signal);
  } catch (error) {
    await pool.stop();
    throw error;
  }
  return { models, stop: () => pool.stop() };
}

const embeddedName = (name: string) => name.endsWith(`@${EMBEDDED}`) ? name : `${name}@${EMBEDDED}`;

function engineOptionsOf({ threads, context, gpu }: ServeSettings) {
  return {
    gpu,
    ...(threads === undefined ? {} : { threads }),
    ...(context === undefined ? {} : { contextTokens: context }),
  };
}

function modelOf(named: Embedded, all: readonly Embedded[], path: string) {
  const { model, variant, engine, info } = named;
  // The short names belong to a model's first variant here; the full one is always its own.
  const first = all.find((other) => other.model === model) === named;
  const short = [
    model.alias,
    ...model.otherNames,
    ...(model.foundryAlias === null ? [] : [model.foundryAlias]),
  ];
  return {
    id: first ? model.alias : info.id,
    names: first ? [info.id, ...short] : [info.id],
    candidate: info.id,
    capabilities: model.capabilities,
    modelId: info.id,
    neededMb: variant.adapter?.memoryMb ??
      (neededRamGb(model, { variant, contextTokens: engine.contextTokens, parallel: engine.parallel }) ?? 1) *
        (2 ** 30 / MB),
    ...(engine.parallel === undefined ? {} : { parallel: engine.parallel }),
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
        path,
        adapter: variant.adapter,
        engine,
        contextTokens: model.contextTokens,
      }, { denoPath, env: Deno.env, clock: realClock, signal: stop });
    },
  };
}

/** Loads them in order; where they don't fit together, the last ones stay loaded. */
async function preload(models: readonly GatewayModel[], signal: AbortSignal): Promise<void> {
  try {
    for (const model of models) (await model.lease(signal)).release();
  } catch (error) {
    if (error instanceof ApiError) throw new UserError(error.message, 1, { cause: error });
    throw error;
  }
}

function reportPoolEvent(
  event: PoolEvent,
  { note, metrics }: { readonly note: (line: string) => void; readonly metrics: GatewayMetrics },
): void {
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
