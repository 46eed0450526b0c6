/** Starts engine processes, knows when they are ready, and always ends them. */
import { ChildProgram, lastLine, type ProcessExit, type ProgramCommand } from "../child_program.ts";
import { type Environment, plainEnvironment, TextLineStream } from "../program.ts";
import { basename } from "node:path";
import type { Clock, Fetch } from "../clock.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { ChatTemplateKind } from "./chat_template.ts";
import { isFile } from "../text_file.ts";
import { engineStats, type LoadedModel } from "../openai/model_server.ts";
import { type EngineOptions, type EngineReport, engineReport } from "./options.ts";

/** How to start an engine. */
export interface StartOptions extends EngineOptions {
  /** The Deno that runs the engine: `Deno.execPath()`. */
  readonly denoPath: string;
  /** The deno.json to run it with; default: the one that Deno finds for this module. */
  readonly configPath?: string;
  /** `Deno.env`; the engine gets what it needs of it (`plainEnvironment`), and no keys or tokens. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly fetch?: Fetch;
  /** Aborting it ends the engine, also while it is loading. */
  readonly signal?: AbortSignal;
}

/** How long loading took, in milliseconds. */
export interface LoadTimes {
  /** From starting the process until the model can answer. */
  readonly totalMs: number;
  /** The model file alone: from opening it until its weights are in place. */
  readonly modelMs: number;
  /** Opening llama.cpp and the devices. */
  readonly runtimeMs: number;
  /** Making the context, with a first evaluation. */
  readonly contextMs: number;
}

/** A model that answers: in an engine process, or through a custom model's adapter. */
export interface RunningModel {
  /** Its address, with the API key that it requires; the key is never written anywhere. */
  readonly endpoint: Endpoint;
  /** The process that runs it now. */
  readonly pid: number;
  readonly loadMs: Pick<LoadTimes, "totalMs">;
  /** The device that runs the model: `cpu`, or `vulkan: NAME`. */
  readonly device: string;
  /** Why that is not the requested device; null where there is no note. */
  readonly deviceNote: string | null;
  readonly chatTemplate: ChatTemplateKind;
  /** Why the chat template in the model's file is not used; null where there is no note. */
  readonly chatTemplateNote: string | null;
  /** Null for an adapter whose registry entry does not say. */
  readonly contextTokens: number | null;
  /** Resident memory in megabytes (10^6 bytes), and processor seconds since the process began. */
  stats(): Promise<{ residentMb: number; cpuS: number }>;
  /** Ends the process; resolves when it has ended. It may be called twice. */
  stop(): Promise<void>;
  /** Resolves when the model will answer no more, whatever the reason. */
  readonly exited: Promise<ProcessExit>;
}

/** A model in an engine process. */
export interface RunningEngine
  extends
    RunningModel,
    Pick<LoadedModel, "contextTokens" | "threads" | "direct" | "directNote" | "settings"> {
  readonly loadMs: LoadTimes;
  readonly contextTokens: number;
}

/**
 * Starts a process that serves one GGUF model over the OpenAI protocol on this machine, and waits until it
 * can answer. Requests must carry `endpoint.apiKey`.
 *
 * @throws {UserError} in one line, where the file, the device or the memory does not allow it
 *
 * ```ts ignore
 * const engine = await startEngine({
 *   modelPath: "model.gguf", modelId: "smollm2", gpu: "auto",
 *   denoPath: Deno.execPath(), env: Deno.env, clock: () => performance.now(),
 * });
 * console.log(engine.endpoint.baseUrl, engine.device, engine.loadMs.totalMs);
 * await engine.stop();
 * ```
 */
export async function startEngine(options: StartOptions): Promise<RunningEngine> {
  const { denoPath, configPath, env, clock, fetch = globalThis.fetch, signal, ...engineOptions } = options;
  signal?.throwIfAborted();
  await checkModelFile(options.modelPath);
  const startedAt = clock();
  const engine = new ChildProgram(engineCommand(ENGINE_PROGRAM, { denoPath, configPath, env }));
  const onAbort = () => void engine.stop();
  signal?.addEventListener("abort", onAbort, { once: true });
  void engine.exited.then(() => signal?.removeEventListener("abort", onAbort));
  const token = newToken();
  try {
    await engine.write({ ...engineOptions, token });
    const report = await firstReport(engine) ?? endWithoutReport(await engine.exited, await engine.errors);
    signal?.throwIfAborted();
    if (report.state === "failed") throw loadFailure(options.modelId, options.modelPath, report);
    return running(engine, { report, options, token, totalMs: clock() - startedAt, fetch });
  } catch (error) {
    await engine.stop();
    throw signal?.aborted ? signal.reason : error;
  }
}

const ENGINE_PROGRAM = new URL("./engine_program.ts", import.meta.url).href;

/** Native code is outside Deno's sandbox, so that the other flags add little. */
const PERMISSIONS = "--allow-ffi --allow-read --allow-env --allow-sys --allow-run --allow-net=127.0.0.1"
  .split(" ");

/** The command of a program that calls llama.cpp. */
export function engineCommand(
  program: string,
  { denoPath, configPath, env }: {
    readonly denoPath: string;
    readonly configPath?: string | undefined;
    readonly env: Environment;
  },
): ProgramCommand {
  const config = configPath === undefined ? [] : ["--config", configPath];
  const args = ["run", "--quiet", "--no-prompt", ...config, ...PERMISSIONS, program];
  return { denoPath, args, env: plainEnvironment(env) };
}

type FailedReport = Extract<EngineReport, { state: "failed" }>;

/** Resolves with the report of an engine process, or null where its output ends without one. */
function firstReport(engine: ChildProgram): Promise<EngineReport | null> {
  const { promise, resolve } = Promise.withResolvers<EngineReport | null>();
  const read = async () => {
    for await (const line of engine.lines()) if (line.startsWith('{"state":')) resolve(readReport(line));
    resolve(null);
  };
  void read();
  return promise;
}

function readReport(line: string): EngineReport {
  try {
    return engineReport.parse(JSON.parse(line));
  } catch (error) {
    return { state: "failed", fault: "engine", reason: `its report can't be read: ${reasonOf(error)}` };
  }
}

function endWithoutReport({ code, signal }: ProcessExit, errors: string): FailedReport {
  if (signal === "SIGKILL") {
    return { state: "failed", fault: "memory", reason: "the system ended the engine while it loaded" };
  }
  const how = signal ?? `exit code ${code}`;
  const reason = `it ended while it loaded (${how})${errors === "" ? "" : `: ${lastLine(errors)}`}`;
  return { state: "failed", fault: "engine", reason };
}

/**
 * Downloads what an engine process imports, llama.cpp's prebuilt binaries included, so that the first
 * measured load contains no download. It is quick where everything is already there.
 *
 * @throws {UserError} where that fails, with the last line of the reason
 *
 * ```ts ignore
 * await prepareEngine({ denoPath: Deno.execPath(), onProgress: (line) => console.error(line) });
 * ```
 */
export async function prepareEngine(
  options: { denoPath: string; configPath?: string; onProgress?: (line: string) => void },
): Promise<void> {
  const config = options.configPath === undefined ? [] : ["--config", options.configPath];
  const child = new Deno.Command(options.denoPath, {
    args: ["cache", ...config, ENGINE_PROGRAM],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let last = "";
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) {
    last = line.trim() === "" ? last : line.trim();
    options.onProgress?.(line);
  }
  const { success } = await child.status;
  if (!success) throw new UserError(`installing the embedded engine failed: ${last}`, 1);
}

/** A random API key of 48 hexadecimal digits. */
export function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(24)).toHex();
}

const ggufMagic = "GGUF";

const remedy = "pull the model again, or give the path of a GGUF file";

/** A model that is split over several files is loaded from its first one. */
async function checkShards(path: string): Promise<void> {
  const [, stem = "", number = "", total = ""] = /^(.*-)(\d{5})-of-(\d{5})\.gguf$/i.exec(path) ?? [];
  if (total === "") return;
  const shard = (index: number) => `${stem}${String(index).padStart(5, "0")}-of-${total}.gguf`;
  if (Number(number) !== 1) {
    throw new UserError(
      `${path} is part ${Number(number)} of a split model: give its first part, ${shard(1)}`,
    );
  }
  const missing: string[] = [];
  for (let index = 1; index <= Number(total); index++) {
    if (!await isFile(shard(index))) missing.push(basename(shard(index)));
  }
  if (missing.length === 0) return;
  const named = missing.length <= 3 ? missing.join(", ") : `${missing.slice(0, 3).join(", ")} and more`;
  throw new UserError(
    `${missing.length} of the ${Number(total)} parts of the split model ${path} ` +
      `${missing.length === 1 ? "is" : "are"} missing (${named}): pull the model again`,
  );
}

async function checkModelFile(path: string): Promise<void> {
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(ggufMagic.length);
    await file.read(head);
    if (new TextDecoder().decode(head) === ggufMagic) return await checkShards(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Deno.errors.NotFound) throw new UserError(`no model file at ${path}: ${remedy}`);
    throw new UserError(`the model file ${path} can't be read (${reasonOf(error)}): ${remedy}`);
  }
  throw new UserError(`${path} is not a GGUF file (it does not begin with GGUF): ${remedy}`);
}

function loadFailure(modelId: string, path: string, { fault, reason }: FailedReport): Error {
  switch (fault) {
    case "device":
      return new UserError(reason);
    case "file":
      return new UserError(`${modelId} can't be loaded from ${path}: ${reason}; pull the model again`, 1);
    case "memory":
      return new UserError(
        `${modelId} does not fit into this machine's memory: ${reason}; ` +
          "close other programs, take a smaller variant, or set a shorter context",
        1,
      );
    case "options":
      return new UserError(`${modelId} can't be run with these options: ${reason}`);
    case "engine":
      return new UserError(`the engine for ${modelId} failed: ${reason}`, 1);
  }
}

interface Started {
  readonly report: Extract<EngineReport, { state: "ready" }>;
  readonly options: StartOptions;
  readonly token: string;
  readonly totalMs: number;
  readonly fetch: Fetch;
}

function running(engine: ChildProgram, started: Started): RunningEngine {
  const { port, model: { modelId: _, alias: __, modelMs, runtimeMs, contextMs, ...model } } = started.report;
  const origin = `http://127.0.0.1:${port}`;
  return {
    ...model,
    endpoint: { name: "embedded", baseUrl: `${origin}/v1`, apiKey: started.token },
    pid: engine.pid,
    loadMs: { totalMs: started.totalMs, modelMs, runtimeMs, contextMs },
    stats: async () => {
      const headers = { authorization: `Bearer ${started.token}` };
      const response = await started.fetch(`${origin}/podium/stats`, { headers });
      const { resident_mb, cpu_s } = engineStats.parse(await response.json());
      return { residentMb: resident_mb, cpuS: cpu_s };
    },
    stop: () => engine.stop(),
    exited: engine.exited,
  };
}
