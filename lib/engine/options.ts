/** What an engine process is told, and what it answers when it is ready: both cross a process border. */
import { z } from "zod";

export const gpuChoice = z.enum(["auto", "off", "vulkan", "cuda", "metal"]);
export type GpuChoice = z.infer<typeof gpuChoice>;

/** The one line that the engine process reads from its standard input. */
export const engineOptions = z.object({
  modelPath: z.string().min(1),
  modelId: z.string().min(1),
  alias: z.string().min(1).optional(),
  /** Compute threads; left out: all cores for mathematics but one. */
  threads: z.int().min(1).max(1024).optional(),
  /** Longest prompt and answer together; left out: what the model was trained for, at most 4096. */
  contextTokens: z.int().min(16).optional(),
  flashAttention: z.boolean().optional(),
  gpu: gpuChoice,
  /** False takes node-llama-cpp's own way also on a processor, where llama.cpp would be called directly. */
  direct: z.boolean().optional(),
});
export type EngineOptions = z.infer<typeof engineOptions>;

/** The options, and the token that requests must carry. */
export const engineOrder = engineOptions.extend({ token: z.string().min(16) });

/** What kept a model from loading: each has another remedy. `engine` is a fault of ours. */
export const loadFault = z.enum(["device", "file", "memory", "options", "engine"]);
export type LoadFault = z.infer<typeof loadFault>;

/** Thrown inside the engine process where a model can't be loaded, for a reason that its user can mend. */
export class LoadError extends Error {
  override readonly name = "LoadError";

  constructor(readonly fault: LoadFault, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

const ms = z.number().nonnegative();

/** The one line that the engine process writes to its standard output. */
export const engineReport = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("ready"),
    port: z.int().positive(),
    model: z.object({
      modelId: z.string(),
      alias: z.string().nullable(),
      device: z.string(),
      deviceNote: z.string().nullable(),
      chatTemplate: z.enum(["own", "plain"]),
      contextTokens: z.int(),
      threads: z.int(),
      direct: z.boolean(),
      runtimeMs: ms,
      modelMs: ms,
      contextMs: ms,
    }),
  }),
  z.object({ state: z.literal("failed"), fault: loadFault, reason: z.string() }),
]);
export type EngineReport = z.infer<typeof engineReport>;
