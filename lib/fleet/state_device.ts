/** What this machine states about itself as a device. */
import config from "../../deno.json" with { type: "json" };
import { describeMachine } from "../catalog/machine.ts";
import { locate } from "../catalog/store.ts";
import type { SessionResources } from "../bench/session.ts";
import { type DeviceLimits, type DeviceStatement, FLEET_SCHEMA, machineTags } from "./device.ts";

/** What the device's owner decides. */
export interface DeviceTerms {
  readonly id: string;
  readonly name: string | null;
  readonly tags: readonly string[];
  readonly limits: DeviceLimits;
  /** `Deno.build.os` */
  readonly os: string;
}

/**
 * States machine, models, versions and limits, and nothing that names the host, its user or a folder.
 *
 * ```ts ignore
 * const statement = await stateDevice({ id, name: null, tags: [], limits, os: Deno.build.os }, resources);
 * ```
 */
export async function stateDevice(
  { id, name, tags, limits, os }: DeviceTerms,
  { registry, store }: Pick<SessionResources, "registry" | "store">,
): Promise<DeviceStatement> {
  const { freeRamGb, ...machine } = await describeMachine();
  const models: DeviceStatement["models"] = [];
  for (const model of registry.models) {
    for (const variant of model.variants) {
      const here = await locate(store, model, variant).catch(() => null) !== null;
      models.push({ alias: model.alias, variant: variant.name, here });
    }
  }
  return {
    schema_version: FLEET_SCHEMA,
    id,
    name,
    tags: [...new Set([...machineTags(machine, os), ...tags])].slice(0, 30),
    machine,
    versions: { podium: config.version, deno: Deno.version.deno },
    free_ram_gb: freeRamGb,
    models: models.slice(0, 1000),
    limits,
  };
}
