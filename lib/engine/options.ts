/** The options of an engine process and its report: JSON between two processes. */
import { z } from "zod";
import { loadedModel } from "../openai/model_server.ts";

const gpu = z.enum(["auto", "off", "vulkan", "cuda", "metal"]);

const kvCache = z.enum(["f16", "q8_0", "q4_0"]);

/** How a model is loaded and run. */
export const engineOptions = z.object({
  modelPath: z.string().min(1),
  modelId: z.string().min(1),
  alias: z.string().min(1).optional(),
  /** Compute threads; default: `defaultThreads`. */
  threads: z.int().min(1).max(1024).optional(),
  /** Most tokens of prompt and answer together; default: the model's own limit, at most 4096. */
  contextTokens: z.int().min(16).optional(),
  /** Default: llama.cpp decides. */
  flashAttention: z.boolean().optional(),
  /** Number format of the keys and values in the context; below f16 it needs flash attention. */
  kvCache: kvCache.optional(),
  /** Prompt tokens per call of llama.cpp; between two calls the engine notices that a client has left. */
  batchTokens: z.int().min(32).max(8192).optional(),
  /** False reads the weights into memory instead of mapping the file. */
  mmap: z.boolean().optional(),
  /** Answers that are made at once, each with its own context; more requests wait. Default: 1. */
  parallel: z.int().min(1).max(64).optional(),
  gpu,
  /** False evaluates by way of node-llama-cpp, also where llama.cpp could be called directly. */
  direct: z.boolean().optional(),
});
/** How a model is loaded and run. */
export type EngineOptions = z.infer<typeof engineOptions>;

/**
 * How many compute threads a context gets by default: one core stays free for the event loop that sends the
 * tokens. A decode step waits for its slowest thread, so one thread that shares its core stalls them all.
 * `mathCores` is the number of cores that are useful for mathematics.
 *
 * ```ts
 * if (defaultThreads(8) !== 7 || defaultThreads(1) !== 1) throw new Error("one core stays free");
 * ```
 */
export function defaultThreads(mathCores: number): number {
  return Math.max(1, mathCores - 1);
}

/** The one line that an engine process reads: the options, and the API key that requests must carry. */
export const engineOrder = engineOptions.extend({ token: z.string().min(16) });

/** Why a model can't be loaded; each kind has its own remedy. `engine` is a fault of the engine itself. */
export const loadFault = z.enum(["device", "file", "memory", "options", "engine"]);
/** Why a model can't be loaded. */
export type LoadFault = z.infer<typeof loadFault>;

/** Thrown inside the engine process where a model can't be loaded, for a reason that its user can fix. */
export class LoadError extends Error {
  override readonly name = "LoadError";

  constructor(readonly fault: LoadFault, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The one line that an engine process writes to its standard output. */
export const engineReport = z.discriminatedUnion("state", [
  z.object({ state: z.literal("ready"), port: z.int().positive(), model: loadedModel }),
  z.object({ state: z.literal("failed"), fault: loadFault, reason: z.string() }),
]);
/** The report of an engine process. */
export type EngineReport = z.infer<typeof engineReport>;
