/** What the engine's HTTP face needs of whatever generates the text behind it. */
import { z } from "zod";
import type { Generated } from "./reply.ts";
import type { Job } from "./request.ts";

/** Runs one prepared job. `emit` is called with every piece of text as soon as it is readable. */
export type Generation = (emit: (text: string) => void, signal: AbortSignal) => Promise<Generated>;

/** What is known about a loaded model. Times are milliseconds. */
export interface LoadedModel {
  readonly modelId: string;
  /** Other names that requests may use. */
  readonly alias: string | null;
  /** What really runs it: `cpu`, or `vulkan: NAME`. */
  readonly device: string;
  /** Why the device is another one than asked for; null where nothing needs saying. */
  readonly deviceNote: string | null;
  /** The model's own chat template, or the plain one where it has none. */
  readonly chatTemplate: "own" | "plain";
  /** Why the file's template is not used; null where nothing needs saying. */
  readonly chatTemplateNote: string | null;
  readonly contextTokens: number;
  readonly threads: number;
  /** Whether llama.cpp is called directly, or by way of node-llama-cpp. */
  readonly direct: boolean;
  /** Why llama.cpp is not called directly; null where it is. */
  readonly directNote: string | null;
  /** Bringing in llama.cpp itself and finding the devices. */
  readonly runtimeMs: number;
  /** The model file alone: from opening it until its weights are in place. */
  readonly modelMs: number;
  /** Making the context, and the first evaluation, which pulls the weights into memory. */
  readonly contextMs: number;
}

/** A loaded model that takes jobs. */
export interface EngineCore {
  readonly model: LoadedModel;
  /**
   * Checks and tokenizes a job.
   * @throws {ApiError} 400 where it can't be done
   */
  prepare(job: Job): Promise<Generation>;
}

/** What `GET /podium/stats` answers. */
export const engineStats = z.object({
  resident_mb: z.number().nonnegative(),
  /** Processor time of the whole process since it began, all threads. */
  cpu_s: z.number().nonnegative(),
  waiting: z.int().nonnegative(),
  answered: z.int().nonnegative(),
});
export type EngineStats = z.infer<typeof engineStats>;
