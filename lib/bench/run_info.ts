/** run.json of a run that begins: what every way to a run writes alike. */
import config from "../../deno.json" with { type: "json" };
import type { Machine } from "../catalog/machine.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import { newRunId } from "./folder.ts";
import type { PlanInfo, RunInfo } from "./records.ts";

/** The prompts as a plan carries them: what is sent, and hashes that tell whether two runs asked the same. */
export function promptSetInfo({ name, sha256, prompts }: PromptSet): PlanInfo["prompt_set"] {
  return {
    name,
    sha256,
    prompts: prompts.map(({ id, sha256, messages }) => ({
      id,
      sha256,
      messages: messages.map(({ role, content }) => ({ role, content })),
    })),
  };
}

/**
 * run.json of a run that begins at `now`; `random` makes its name unique.
 *
 * ```ts ignore
 * const info = newRunInfo({ plan, machine, candidates, now: new Date(), random: Math.random });
 * ```
 */
export function newRunInfo({ plan, machine, candidates, now, random }: {
  readonly plan: PlanInfo;
  readonly machine: Machine;
  readonly candidates: RunInfo["candidates"];
  readonly now: Date;
  readonly random: () => number;
}): RunInfo {
  const { cpu, cores, ram_gb, gpu, os, arch } = machine;
  return {
    schema_version: 1,
    run_id: newRunId(now, random),
    created_at: now.toISOString(),
    status: "running",
    machine: { cpu, cores, ram_gb, gpu: [...gpu], os, arch },
    versions: { podium: config.version, deno: Deno.version.deno, "node-llama-cpp": engineVersion() },
    plan,
    candidates,
  };
}

function engineVersion(): string {
  return /@([^@]+)$/.exec(config.imports["node-llama-cpp"])?.[1] ?? "unknown";
}
