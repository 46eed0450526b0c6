/** Keeps a Foundry Local model in memory for as long as it is needed. */
import type { Clock, Fetch } from "../clock.ts";
import { UserError } from "../errors.ts";
import type { RunProgram } from "../program.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { isLoopback } from "../endpoint/loopback.ts";
import {
  type LoadedFoundryModel,
  loadFoundryModel,
  resolveFoundryModel,
  unloadFoundryModel,
} from "./foundry_load.ts";
import {
  type FoundryModel,
  foundryModels,
  type FoundryService,
  recognizeFoundry,
} from "./foundry_service.ts";

/** How a model is loaded and kept. */
interface HoldOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** For loading; a large model takes minutes. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Reads the memory of a service on this machine; without it, memory is unknown. */
  readonly run?: RunProgram;
}

/** A model that is in memory, and a way to unload it. */
interface HeldFoundryModel {
  readonly service: FoundryService;
  readonly model: FoundryModel;
  /** How long loading took, in ms; null where the model was in memory already. */
  readonly loadMs: number | null;
  /** What runs it: `cpu (CPUExecutionProvider)`, with a note where another device was requested. */
  readonly device: string;
  readonly note: string | null;
  /** Resident memory of the whole service, in MB of 10^6 bytes; null where it is unknown. */
  residentMb(): Promise<number | null>;
  /** Unloads the model, unless it was in memory before. */
  release(): Promise<void>;
}

/** For every call except loading. */
const CALL_TIMEOUT_MS = 8000;

/**
 * Loads a model where the endpoint is Foundry Local; null where the endpoint is another service,
 * which loads models by itself.
 *
 * @throws {UserError} where the service can't load the model, or loads a variant for another device
 *
 * ```ts ignore
 * const held = await holdFoundryModel(endpoint, "phi-4-mini", { fetch, clock, timeoutMs: 120_000 });
 * console.log(held?.device, held?.loadMs);
 * await held?.release();
 * ```
 */
export async function holdFoundryModel(
  endpoint: Endpoint,
  name: string,
  { fetch, clock, timeoutMs, signal, run }: HoldOptions,
): Promise<HeldFoundryModel | null> {
  const call = { fetch, timeoutMs: CALL_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  const service = await recognizeFoundry(endpoint, call);
  if (service === null) return null;
  const wanted = resolveFoundryModel(await foundryModels(service, call), name);
  const { model, loadMs, note } = await loadFoundryModel(service, wanted, { ...call, clock, timeoutMs });
  const release = async () => {
    if (loadMs !== null) await unloadPatiently(service, model, { fetch, timeoutMs: CALL_TIMEOUT_MS });
  };
  if (model.chatId !== wanted.chatId) {
    await release();
    throw new UserError(note ?? `${wanted.id} was requested, but ${model.id} runs`, 1);
  }
  return {
    service,
    model,
    loadMs,
    device: deviceOf({ model, note, loadMs }),
    note,
    residentMb: () => residentMbOf(service, run),
    release,
  };
}

/** Right after an answer, or an interrupted one, the service still uses the model. */
const UNLOAD_PAUSES_MS = [100, 200, 400, 800, 1600];

async function unloadPatiently(
  service: FoundryService,
  model: FoundryModel,
  options: { fetch: Fetch; timeoutMs: number },
): Promise<void> {
  for (const pauseMs of UNLOAD_PAUSES_MS) {
    try {
      return await unloadFoundryModel(service, model, options);
    } catch (error) {
      // The model may stay in memory, or the service may be gone: the measurement is done either way.
      if (!(error instanceof UserError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * Describes what runs a loaded model.
 *
 * ```ts ignore
 * console.log(deviceOf(await loadFoundryModel(service, model, options))); // cpu (CPUExecutionProvider)
 * ```
 */
export function deviceOf({ model, note }: LoadedFoundryModel): string {
  const provider = model.executionProvider === null ? "" : ` (${model.executionProvider})`;
  return `${model.device ?? "unknown"}${provider}${note === null ? "" : `; ${note}`}`;
}

/** The service reports its process id; the system's own program reports the memory of that process. */
async function residentMbOf({ endpoint, pid }: FoundryService, run?: RunProgram): Promise<number | null> {
  if (pid === null || run === undefined || !isLoopback(new URL(endpoint.baseUrl))) return null;
  const windows = Deno.build.os === "windows";
  const command = windows
    ? ["powershell", "-NoProfile", "-Command", `(Get-Process -Id ${pid}).WorkingSet64`]
    : ["ps", "-o", "rss=", "-p", String(pid)];
  const end = await run(command, { timeoutMs: 3000 });
  const number = Number.parseInt(end?.stdout ?? "", 10);
  if (end?.code !== 0 || !(number > 0)) return null;
  return number * (windows ? 1 : 1024) / 1e6;
}
