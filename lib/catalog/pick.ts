/** The course's way to pick a model: by task and by the machine's RAM. */
import { fits, type Machine } from "./machine.ts";
import type { Model, Registry } from "./types.ts";

/**
 * The registry's first entry of a task whose `min_ram_gb` the machine's total RAM meets. Free memory is not
 * asked for: `fits` tells whether it can run right now.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry(
 *   '[{"name": "large", "task": "chat", "min_ram_gb": 32}, {"name": "small", "task": "chat", "min_ram_gb": 4}]',
 *   "x",
 * );
 * const machine = { cpu: "x", cores: 2, ram_gb: 8, gpu: [], os: "x", arch: "x86_64", freeRamGb: 1 };
 * if (firstViable(registry, "chat", machine)?.alias !== "small") throw new Error("32 GB do not go into 8");
 * if (firstViable(registry, "poetry", machine) !== undefined) throw new Error("nobody does that");
 * ```
 */
export function firstViable(registry: Registry, task: string, machine: Machine): Model | undefined {
  const roomy = { ...machine, freeRamGb: Infinity };
  return registry.models.find((entry) => entry.task.includes(task) && fits(entry, roomy).ok);
}

/** Every task that some model of the registry is for, in the registry's order. */
export function tasksOf(registry: Registry): string[] {
  return [...new Set(registry.models.flatMap(({ task }) => task))];
}
