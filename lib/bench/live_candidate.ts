/** Candidates that a run can open: a model in an engine process, an adapter, or a model behind an endpoint. */
import { type Machine, neededRamGb } from "../catalog/machine.ts";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { holdFoundryModel } from "../services/foundry_hold.ts";
import { isLoopback } from "../endpoint/loopback.ts";
import type { RefusableField } from "../endpoint/generation_request.ts";
import { probe, type ProbeSettings } from "../endpoint/probe.ts";
import { timedRequest } from "../endpoint/timed_request.ts";
import type { PostJson } from "../endpoint/timed_client.ts";
import type { Endpoint, GenerationRequest, Trace } from "../endpoint/trace.ts";
import type { ProcessExit } from "../child_program.ts";
import { engineKey, SharedEngines } from "./shared_engines.ts";
import { type StartedModel, startModel } from "./start_model.ts";
import type { Environment, RunProgram } from "../program.ts";
import type { CandidateInfo, CandidateProtocol, LlamaCpp } from "./records.ts";
import type { NamedCandidate } from "./named_candidate.ts";

/** Options of one request: when it is due, how long it may take, and its signal. */
export interface SendOptions {
  /** When the request was due on the run's clock, in ms; left out in a closed loop. */
  readonly dueMs?: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Receives the answer's text piece by piece, for live display; a measurement leaves it out. */
  readonly onText?: (text: string) => void;
}

/** A candidate that is loaded and answers. */
export interface OpenCandidate {
  /** Its address and key, which any other client can use too. */
  readonly endpoint?: Endpoint;
  /** Sends one request. A fault of the endpoint gives a failed trace; only an abort throws. */
  request(request: GenerationRequest, terms: SendOptions): Promise<Trace>;
  /** Load time in a fresh process, in ms; null where a service does not report it. */
  readonly loadMs: number | null;
  /** The device, as the engine reports it. */
  readonly device: string | null;
  /** Which way the embedded engine calls llama.cpp; left out where another program runs the model. */
  readonly llamaCpp?: LlamaCpp;
  /** How requests differ from the caller's; left out where they don't. */
  readonly protocol?: CandidateProtocol;
  /** What the endpoint lacks or refuses, one sentence per entry; left out for a fully able endpoint. */
  readonly notes?: readonly string[];
  /** Threads that evaluate the model, and the process that does; left out where unknown. */
  readonly threads?: number;
  readonly pid?: number;
  /** Resident memory of the process that holds the model. */
  residentMb(): Promise<number | null>;
  /**
   * Processor time that the candidate used on this machine so far, in seconds: 0 where it runs elsewhere,
   * null where it runs on this machine and does not report it.
   */
  cpuS(): Promise<number | null>;
  close(): Promise<void>;
}

/** A candidate at the start of a run: named, not yet loaded. */
export interface LiveCandidate {
  readonly info: CandidateInfo;
  /** What `open` starts: a fresh process whose load can be measured, or nothing where a service runs already. */
  readonly start: "fresh process" | "running service";
  /** State of the file cache when `open` loads the model. */
  readonly fileCache: "cold" | "warm" | "unknown";
  /** @throws {Error} when it can't be loaded or reached; the message becomes the candidate's reason */
  open(signal: AbortSignal): Promise<OpenCandidate>;
}

/** The resources that live candidates need. */
export interface LiveCandidateOptions {
  readonly clock: Clock;
  readonly sleep: Sleep;
  /** Carries what is not timed. */
  readonly fetch: Fetch;
  /** Sends timed requests: `timedClient(…).post`. */
  readonly post: PostJson;
  readonly denoPath: string;
  readonly env: Environment;
  /** Receives notes for people about an opened candidate, one line each. */
  readonly note?: ((line: string) => void) | undefined;
  readonly timeoutMs: number;
  /** False asks for whole answers: no TTFT, no TPOT, no ITL. */
  readonly stream: boolean;
  /** What the probe of an endpoint sends: the plan's settings. @default temperature 0 */
  readonly settings?: ProbeSettings;
  /** Fields of the request that the endpoint must take: a candidate without them is unsupported. @default none */
  readonly needs?: readonly RefusableField[];
  /** Reads a service's memory from the system; left out, it stays unknown. */
  readonly run?: RunProgram;
  /** Engines that serve several candidates; left out: each candidate has one of its own. */
  readonly engines?: SharedEngines;
}

/**
 * A candidate that the embedded engine runs from a model file, or its adapter.
 *
 * @param modelPath a verified GGUF file, or an adapter's module: what `locate` or `pull` gave
 */
export function embeddedCandidate(
  { info, engine, model, variant }: Extract<NamedCandidate, { kind: "embedded" }>,
  modelPath: string,
  options: LiveCandidateOptions,
): LiveCandidate {
  const { clock, denoPath, env, note, engines = new SharedEngines() } = options;
  const toStart = {
    modelId: info.model_id,
    alias: info.alias,
    path: modelPath,
    adapter: variant.adapter,
    engine,
    contextTokens: model.contextTokens,
  };
  let isNoted = false;
  return {
    info,
    start: "fresh process",
    fileCache: "warm",
    async open(signal): Promise<OpenCandidate> {
      if (variant.adapter === null) await readThrough(modelPath, signal);
      const start = () => startModel(toStart, { denoPath, env, clock, signal });
      const running = await engines.take(engineKey(info), start);
      await checkEngine(running, info, options, signal);
      if (running.chatTemplateNote !== null && !isNoted) note?.(`${info.id}: ${running.chatTemplateNote}`);
      isNoted = true;
      return openedModel(running, options);
    },
  };
}

function openedModel(
  running: StartedModel,
  { clock, post, stream }: LiveCandidateOptions,
): OpenCandidate {
  const { endpoint, engine, chatTemplateNote } = running;
  return {
    endpoint,
    loadMs: running.loadMs.totalMs,
    device: running.device,
    pid: running.pid,
    ...(engine === null ? {} : { threads: engine.threads, llamaCpp: llamaCppOf(engine, chatTemplateNote) }),
    request: async (request, terms) => {
      const trace = await timedRequest(endpoint, request, { clock, post, stream, ...terms });
      return await withEngineEnd(trace, running.exited);
    },
    residentMb: async () => (await running.stats()).residentMb,
    cpuS: async () => (await running.stats()).cpuS,
    close: () => running.stop(),
  };
}

function llamaCppOf(
  { direct, directNote, threads, contextTokens, settings }: NonNullable<StartedModel["engine"]>,
  chatTemplateNote: string | null,
): LlamaCpp {
  return {
    way: direct ? "direct" : "node-llama-cpp",
    note: directNote,
    settings: {
      threads,
      context_tokens: contextTokens,
      kv_cache: settings.kvCache,
      batch_tokens: settings.batchTokens,
      mmap: settings.mmap,
      parallel: settings.parallel,
    },
    ...(chatTemplateNote === null ? {} : { chat_template_note: chatTemplateNote }),
  };
}

/**
 * Sends a request of one token where the job needs something that not every chat
 * template or adapter supports.
 *
 * @throws {Error} with the engine's reason for refusing it
 */
async function checkEngine(
  { endpoint, stop }: Pick<StartedModel, "endpoint" | "stop">,
  { model_id: model }: CandidateInfo,
  { clock, post, timeoutMs, settings = {}, needs = [] }: LiveCandidateOptions,
  signal: AbortSignal,
): Promise<void> {
  if (needs.length === 0 && settings.thinking === undefined) return;
  const messages = [{ role: "user" as const, content: "Hello" }];
  const request = { ...settings, model, messages, maxTokens: 1, temperature: 0 };
  const trace = await timedRequest(endpoint, request, { clock, post, timeoutMs, signal });
  if (trace.httpStatus === null || trace.httpStatus < 400) return;
  await stop();
  throw new Error(`unsupported: ${trace.reason}`);
}

/** Longest time between an engine's broken connections and the news of its end, in ms. */
const END_KNOWN_MS = 250;

/**
 * Names the engine's end as the reason of a failed trace; the connection alone only shows that it broke.
 *
 * ```ts ignore
 * const trace = await withEngineEnd(await timedRequest(engine.endpoint, request, options), engine.exited);
 * ```
 */
export async function withEngineEnd(trace: Trace, exited: Promise<ProcessExit>): Promise<Trace> {
  // An engine that answered with an error still runs.
  const broke = trace.status === "partial" || trace.status === "failed" && trace.httpStatus === null;
  if (!broke) return trace;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const notYet = new Promise<null>((resolve) => timer = setTimeout(resolve, END_KNOWN_MS, null));
  const end = await Promise.race([exited, notYet]);
  clearTimeout(timer);
  if (end === null) return trace;
  const how = end.signal === "SIGKILL"
    ? "SIGKILL, which the system sends where memory runs out"
    : end.signal ?? `exit code ${end.code}`;
  return { ...trace, reason: `the engine's process ended (${how}): ${trace.reason}` };
}

/** Reads a model file once, so that every load finds the same warm file cache. */
async function readThrough(path: string, signal: AbortSignal): Promise<void> {
  using file = await Deno.open(path);
  const piece = new Uint8Array(1 << 20);
  while (await file.read(piece) !== null) signal.throwIfAborted();
}

/**
 * A candidate behind an endpoint. A probe finds out which requests it takes when it is opened; Foundry Local
 * first loads its model, and unloads it afterwards.
 */
export function endpointCandidate(
  { info, endpoint }: Extract<NamedCandidate, { kind: "endpoint" }>,
  options: LiveCandidateOptions,
): LiveCandidate {
  const { clock, sleep, timeoutMs, post, settings = {}, needs = [] } = options;
  return {
    info,
    start: "running service",
    fileCache: "unknown",
    async open(signal): Promise<OpenCandidate> {
      const held = await holdFoundryModel(endpoint, info.model_id, { ...options, signal });
      try {
        const tools = { clock, sleep, post, timeoutMs, signal, settings };
        const found = await probe(endpoint, info.model_id, tools);
        if (!found.ok) throw new Error(`it did not answer a probe: ${found.reason}`);
        checkNeeds(needs, found);
        const { abilities, notes, loadingMs } = found;
        const protocol = protocolOf(abilities, settings.thinking !== undefined);
        const stream = options.stream && abilities.stream;
        return {
          endpoint,
          ...(protocol === null ? {} : { protocol }),
          notes,
          loadMs: held?.loadMs ?? loadingMs,
          device: held?.device ?? null,
          // A service elsewhere takes none of this machine's processors.
          ...(isHere(endpoint) ? {} : { threads: 0 }),
          request: (request, terms) =>
            timedRequest(endpoint, request, { ...abilities, clock, post, stream, ...terms }),
          residentMb: () => held?.residentMb() ?? Promise.resolve(null),
          cpuS: () => Promise.resolve(isHere(endpoint) ? null : 0),
          close: async () => await held?.release(),
        };
      } catch (error) {
        await held?.release();
        throw error;
      }
    },
  };
}

type Probed = Extract<Awaited<ReturnType<typeof probe>>, { ok: true }>;

/** How requests to the endpoint differ from the plan's; null where they don't. */
function protocolOf(
  { foldSystem, systemMessage, leaveOut, thinkingField }: Probed["abilities"],
  thinks: boolean,
): CandidateProtocol | null {
  if (!foldSystem && leaveOut.length === 0 && !thinks) return null;
  return {
    system_message: systemMessage,
    left_out: [...leaveOut],
    ...(thinks ? { thinking_field: thinkingField } : {}),
  };
}

/** @throws {Error} where the endpoint refuses a field that the job needs */
function checkNeeds(
  needs: readonly RefusableField[],
  { abilities: { route, leaveOut }, refusals }: Probed,
): void {
  if (route === "completions" && needs.length > 0) {
    throw new Error(`unsupported: it has no chat route, which ${needs.join(" and ")} need`);
  }
  const missing = needs.find((field) => leaveOut.includes(field));
  if (missing === undefined) return;
  throw new Error(`unsupported: it refuses ${missing} (${refusals.get(missing) ?? "without a reason"})`);
}

const isHere = ({ baseUrl }: Endpoint) => isLoopback(new URL(baseUrl));

/** A candidate that can't be opened, and why: it becomes a row, and the others continue. */
export function brokenCandidate({ info, kind }: NamedCandidate, reason: string): LiveCandidate {
  return {
    info,
    start: kind === "embedded" ? "fresh process" : "running service",
    fileCache: "unknown",
    open: () => Promise.reject(new Error(reason)),
  };
}

/** Memory left free for everything else, in GB. */
const RESERVE_GB = 0.5;

/**
 * Whether the candidates' models fit in memory together, so that they can take turns block by block. Models
 * of a service, and models of unknown size, don't count: their memory is not known.
 */
export function orderThatFits(
  candidates: readonly NamedCandidate[],
  machine: Pick<Machine, "freeRamGb">,
): "interleaved" | "by model" {
  const counted = new Set<string>();
  const neededGb = candidates.reduce((sum, candidate) => {
    if (candidate.kind !== "embedded" || counted.has(engineKey(candidate.info))) return sum;
    counted.add(engineKey(candidate.info));
    const { model, variant, engine: { contextTokens, parallel } } = candidate;
    return sum + (neededRamGb(model, { variant, contextTokens, parallel }) ?? 0);
  }, 0);
  return neededGb + RESERVE_GB <= machine.freeRamGb ? "interleaved" : "by model";
}
