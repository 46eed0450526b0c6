/** This machine, and which models fit into it. Nothing here names the host, its user or a folder. */
import { cpus, release } from "node:os";
import type { Model, Registry, Variant } from "./model.ts";

/** GB in which memory is counted: 2^30 bytes. */
export const GB = 2 ** 30;

/** The description of a machine in reports; sizes in GB of 2^30 bytes. */
export interface MachineDescription {
  readonly cpu: string;
  readonly cores: number;
  readonly ram_gb: number;
  readonly gpu: string[];
  readonly os: string;
  readonly arch: string;
}

/** `MachineDescription` and what is free at this moment. */
export interface Machine extends MachineDescription {
  /** Memory that a new program can have without swapping, in GB. */
  readonly freeRamGb: number;
  /** Memory of the largest graphics card that has its own, in GB; left out where none is known. */
  readonly vramGb?: number;
}

const tenth = (value: number) => Math.round(value * 10) / 10;

/**
 * Describes this machine. The GPU and the system's full name need `--allow-run`, since they come from the
 * system's own programs; without it `gpu` is empty and `os` is the kernel's name.
 *
 * ```ts ignore
 * const machine = await describeMachine();
 * console.log(machine.cores, machine.ram_gb, machine.freeRamGb);
 * ```
 */
export async function describeMachine(): Promise<Machine> {
  const memory = Deno.systemMemoryInfo();
  const processors = cpus();
  const { gpu, os, vramGb } = await systemNames();
  return {
    cpu: processors[0]?.model.replaceAll(/\s+/g, " ").trim() || "unknown",
    cores: Math.max(1, processors.length),
    ram_gb: tenth(memory.total / GB),
    gpu,
    os,
    arch: Deno.build.arch,
    freeRamGb: tenth(memory.available / GB),
    ...(vramGb === null ? {} : { vramGb }),
  };
}

async function systemNames(): Promise<{ gpu: string[]; os: string; vramGb: number | null }> {
  const kernel = `${Deno.build.os} ${release()}`;
  // A task that may run some programs alone must not ask its user for each of the system's.
  const { state } = await Deno.permissions.query({ name: "run" });
  if (state !== "granted") return { gpu: [], os: kernel, vramGb: null };
  try {
    const { default: si } = await import("systeminformation");
    const [graphics, system] = await Promise.all([si.graphics(), si.osInfo()]);
    const gpu = graphics.controllers.map((card) =>
      `${card.vendor} ${card.model}`.replaceAll(/\s+/g, " ").trim()
    );
    const named = system.distro !== "" && system.distro !== "unknown";
    // In MB of 2^20 bytes; a card that borrows the machine's memory has none of its own.
    const own = graphics.controllers.map(({ vram, vramDynamic, memoryTotal }) =>
      memoryTotal ?? (vramDynamic ? 0 : vram ?? 0)
    );
    const most = Math.max(0, ...own);
    return {
      vramGb: most >= 1024 ? tenth(most / 1024) : null,
      gpu: gpu.filter((name) => name !== ""),
      os: named ? `${system.distro} ${system.release}`.trim() : kernel,
    };
  } catch {
    // No information, or no permission: a report without the GPU's name is still a report.
    return { gpu: [], os: kernel, vramGb: null };
  }
}

/** Firmware and built-in graphics keep some memory, so a machine sold with 16 GB reports 14.8 to 15.9. */
const SOLD_RAM_SHARE = 0.92;
/** Memory of the engine's process besides weights and context: 0.35 GB with a model of 98 MB. */
const ENGINE_GB = 0.35;
/** Memory left free for other programs, in GB. */
export const RESERVE_GB = 0.5;
const DEFAULT_CONTEXT_TOKENS = 4096;

/** The conditions of the fit; every field has a default. */
export interface FitOptions {
  /** Default: the first variant. */
  readonly variant?: Variant;
  /** Tokens of context to hold; default 4,096, or the model's own limit where that is lower. */
  readonly contextTokens?: number | undefined;
  /** Answers at once, each with a context of its own. @default 1 */
  readonly parallel?: number | undefined;
  /** From the file's own metadata; default: the registry's figure, else 64 KiB · √(billions of parameters). */
  readonly kvBytesPerToken?: number | null;
  /** Free bytes on the model folder's disk; give it for a model that is still to be downloaded. */
  readonly freeDiskBytes?: number;
}

export type Fit = { readonly ok: true; readonly neededGb: number | null } | {
  readonly ok: false;
  readonly neededGb: number | null;
  readonly reasons: readonly string[];
};

/**
 * GB of RAM that a model needs while it runs: weights + context + the engine's own. Null where the size of
 * the weights is unknown. The context is `tokens × 2 × layers × KV heads × head size × 2 bytes` (keys and
 * values in 16 bits), stated in models.json or read from the file as `kv_bytes_per_token`; where neither is
 * known, 64 KiB · √(billions of parameters) per token is assumed, which is close to the course's models
 * (0.135 B: 24 KiB, 3.2 B: 115 KiB, 14 B: 240 KiB) and too low for models without grouped heads.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const [model] = parseRegistry('{"a": {"size_mb": 2147.5, "kv_bytes_per_token": 131072}}', "x").models;
 * if (model === undefined || neededRamGb(model)?.toFixed(2) !== "2.85") throw new Error("2 + 0.5 + 0.35 GB");
 * ```
 */
export function neededRamGb(model: Model, options: FitOptions = {}): number | null {
  const variant = options.variant ?? model.variants[0];
  const sizeMb = variant?.sizeMb ?? model.sizeMb;
  const bytes = variant?.sizeBytes ?? (sizeMb === null ? null : sizeMb * 1e6);
  if (bytes === null) return null;
  const limit = model.contextTokens ?? Infinity;
  const tokens = Math.min(
    options.contextTokens ?? variant?.engine.contextTokens ?? DEFAULT_CONTEXT_TOKENS,
    limit,
  );
  const guess = 65536 * Math.sqrt(model.parametersB ?? bytes / 0.6e9);
  const perToken = options.kvBytesPerToken ?? model.kvBytesPerToken ?? guess;
  const contexts = options.parallel ?? variant?.engine.parallel ?? 1;
  return (bytes + contexts * tokens * perToken) / GB + ENGINE_GB;
}

/** The course's rule, as a list of no or one reason: the machine's total RAM against `min_ram_gb`. */
export function asksForMore(model: Model, machine: MachineDescription): string[] {
  return machine.ram_gb < model.minRamGb * SOLD_RAM_SHARE
    ? [`it asks for ${model.minRamGb} GB of RAM, this machine has ${machine.ram_gb} GB`]
    : [];
}

/**
 * Whether this machine can run a model now: its total RAM against `min_ram_gb`, as the course has it (a
 * machine sold with 16 GB reports up to 8 % less, which is forgiven), and its free RAM against weights,
 * context and a reserve of 0.5 GB. Every no has its reason, with what would help.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const [model] = parseRegistry('[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8}]', "x").models;
 * const machine = { cpu: "x", cores: 2, ram_gb: 4, gpu: [], os: "x", arch: "x86_64", freeRamGb: 2 };
 * const fit = model === undefined ? undefined : fits(model, machine);
 * if (fit === undefined || fit.ok) throw new Error("8 GB do not go into 4");
 * if (!fit.reasons[0]?.includes("asks for 8 GB")) throw new Error(fit.reasons[0]);
 * ```
 */
export function fits(model: Model, machine: Machine, options: FitOptions = {}): Fit {
  const reasons = asksForMore(model, machine);
  const neededGb = neededRamGb(model, options);
  if (neededGb !== null && machine.freeRamGb < neededGb + RESERVE_GB) {
    reasons.push(
      `it needs ${neededGb.toFixed(1)} GB of free RAM and ${RESERVE_GB} GB in reserve, ` +
        `${machine.freeRamGb} GB are free: ` +
        "stop other programs or models, or take a smaller variant",
    );
  }
  const bytes = (options.variant ?? model.variants[0])?.sizeBytes ?? null;
  const { freeDiskBytes = Infinity } = options;
  if (bytes !== null && freeDiskBytes < bytes) {
    const gb = (value: number) => `${(value / 1e9).toFixed(1)} GB`;
    reasons.push(`its file takes ${gb(bytes)}, the disk has ${gb(freeDiskBytes)} free`);
  }
  return reasons.length === 0 ? { ok: true, neededGb } : { ok: false, neededGb, reasons };
}

/**
 * The registry's first model of a task whose `min_ram_gb` the machine's total RAM meets. Free memory is not
 * considered: `fits` says whether it can run right now.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry(
 *   '[{"name": "large", "task": "chat", "min_ram_gb": 32}, {"name": "small", "task": "chat", "min_ram_gb": 4}]',
 *   "x",
 * );
 * const machine = { cpu: "x", cores: 2, ram_gb: 8, gpu: [], os: "x", arch: "x86_64", freeRamGb: 1 };
 * if (firstViable(registry, "chat", machine)?.alias !== "small") throw new Error("32 GB do not go into 8");
 * if (firstViable(registry, "poetry", machine) !== undefined) throw new Error("no model is for poetry");
 * ```
 */
export function firstViable(registry: Registry, task: string, machine: Machine): Model | undefined {
  const roomy = { ...machine, freeRamGb: Infinity };
  return registry.models.find((model) => model.task.includes(task) && fits(model, roomy).ok);
}
