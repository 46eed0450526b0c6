/**
 * One way to start whatever a registry entry names: a GGUF file in an engine process, or an adapter. What
 * comes back is the same for both, so that measuring and serving treat both alike.
 */
import type { AdapterSpec, EngineSettings } from "../catalog/model.ts";
import type { Clock } from "../clock.ts";
import type { Environment } from "../program.ts";
import { adapterCommand } from "../adapter/adapter_host.ts";
import { AdapterCore } from "../adapter/adapter_core.ts";
import type { ProcessExit } from "../child_program.ts";
import { modelServer } from "../openai/model_server.ts";
import { serveHttp } from "../openai/server.ts";
import { newToken, type RunningEngine, type RunningModel, startEngine } from "../engine/supervisor.ts";

/** What to start, and by what names it answers. */
export interface ModelToStart {
  readonly modelId: string;
  readonly alias?: string;
  /**
   * The model's file, which a store's `locate` or `pull` gave. For an adapter they give its module's path,
   * which is not needed here: `adapter` holds it.
   */
  readonly path: string;
  /** `variant.adapter` of the registry; null for a model file. */
  readonly adapter: AdapterSpec | null;
  /** Options of the embedded engine; an adapter has none. */
  readonly engine?: EngineSettings;
  /** The entry's `contextTokens`, for an adapter, which doesn't report it; null where it is unknown. */
  readonly contextTokens?: number | null;
}

/** A started model; `engine` says how llama.cpp runs it, and is null for an adapter. */
export interface StartedModel extends RunningModel {
  readonly engine:
    | Pick<RunningEngine, "direct" | "directNote" | "threads" | "contextTokens" | "settings">
    | null;
}

export interface StartModelOptions {
  readonly denoPath: string;
  /** `Deno.env`; a child process gets no keys or tokens of it. */
  readonly env: Environment;
  readonly clock: Clock;
  /** Ends the model, also one that is still loading. */
  readonly signal?: AbortSignal;
}

/**
 * Starts a model of the registry and waits until it can answer, at `endpoint`, for callers that have its key.
 *
 * A GGUF model's `exited` resolves when its process ends. An adapter's process is started again when it has
 * ended and a request comes, so its `exited` resolves when it was stopped.
 *
 * @throws {UserError} in one line, where the file, the module, the device or the memory does not allow it
 *
 * ```ts ignore
 * const path = await locate(store, entry, variant) ?? await pull(store, entry, variant, options);
 * const model = await startModel(
 *   { modelId: `${entry.alias}:${variant.name}`, alias: entry.alias, path, adapter: variant.adapter,
 *     engine: variant.engine, contextTokens: entry.contextTokens },
 *   { denoPath: Deno.execPath(), env: Deno.env, clock: () => performance.now() },
 * );
 * console.log(model.endpoint.baseUrl, model.device, model.loadMs.totalMs);
 * await model.stop();
 * ```
 */
export async function startModel(model: ModelToStart, options: StartModelOptions): Promise<StartedModel> {
  if (model.adapter !== null) return await startAdapter({ ...model, adapter: model.adapter }, options);
  const { gpu = "auto", ...settings } = model.engine ?? {};
  const stated = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const engine = await startEngine({
    ...options,
    modelPath: model.path,
    modelId: model.modelId,
    ...(model.alias === undefined ? {} : { alias: model.alias }),
    gpu,
    ...stated,
  });
  return { ...engine, engine };
}

async function startAdapter(
  { modelId, alias, adapter, contextTokens = null }: ModelToStart & { readonly adapter: AdapterSpec },
  { clock, signal, ...deno }: StartModelOptions,
): Promise<StartedModel> {
  const startedAt = clock();
  const command = await adapterCommand(modelId, adapter, deno);
  signal?.throwIfAborted();
  const model = { modelId, alias: alias ?? null, device: "cpu", chatTemplate: "own", contextTokens } as const;
  const core = new AdapterCore(model, command, adapter, clock);
  const token = newToken();
  const exit = Promise.withResolvers<ProcessExit>();
  let server: Awaited<ReturnType<typeof serveProtocol>> | undefined;
  const stop = async () => {
    await Promise.all([core.stop(), server?.close()]);
    signal?.removeEventListener("abort", onAbort);
    exit.resolve({ code: 0, signal: null });
  };
  const onAbort = () => void stop();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    server = await serveProtocol(core, token, clock);
    signal?.throwIfAborted();
  } catch (error) {
    await stop();
    throw signal?.aborted ? signal.reason : error;
  }
  return {
    endpoint: { name: "embedded", baseUrl: `http://127.0.0.1:${server.port}/v1`, apiKey: token },
    get pid() {
      return core.pid;
    },
    loadMs: { totalMs: clock() - startedAt },
    device: model.device,
    deviceNote: null,
    engine: null,
    chatTemplate: model.chatTemplate,
    chatTemplateNote: null,
    contextTokens,
    stats: () => useOf(core),
    stop,
    exited: exit.promise,
  };
}

/** The protocol is spoken in this process; the adapter's own has nothing but its pipes. */
async function serveProtocol(core: AdapterCore, token: string, clock: Clock) {
  const { at } = await core.start();
  const readyAt = clock();
  const handler = modelServer(core, {
    token,
    clock,
    now: () => at + Math.floor((clock() - readyAt) / 1000),
    randomId: () => newToken().slice(0, 24),
    processUse: async () => {
      const { residentMb, cpuS } = await useOf(core);
      return { resident_mb: residentMb, cpu_s: cpuS };
    },
  });
  return await serveHttp(handler, { hostname: "127.0.0.1", port: 0, clock, onFault: () => {} });
}

/** Between a process's end and the next request there is none that uses anything. */
const useOf = (core: AdapterCore) => core.host?.use() ?? Promise.resolve({ residentMb: 0, cpuS: 0 });
