/** The runs of many devices in one shape, from the folder of a fleet or of imported bundles. */
import { join } from "node:path";
import { z } from "zod";
import { readRunInfo } from "../bench/read_run.ts";
import type { RunInfo } from "../bench/records.ts";
import { parseDocument } from "../text_file.ts";
import { importedManifests } from "./bundle.ts";
import {
  type DeviceDescription,
  type DeviceState,
  deviceState,
  type DeviceStatement,
  deviceStatement,
  FLEET_SCHEMA,
  planId,
  type PlanOutcome,
  planOutcome,
  type ReceivedRun,
  receivedRun,
  runId,
  type SentPlan,
  sentPlan,
} from "./device.ts";

/** A run of a device. A complete one has passed every check; the records of an arriving one may be read meanwhile. */
export interface DeviceRun {
  readonly device: DeviceDescription;
  /** A run folder, with run.json and samples.jsonl. */
  readonly folder: string;
  readonly info: RunInfo;
  readonly status: ReceivedRun["status"];
  /** Why it was refused. */
  readonly reasons: readonly string[];
  /** The plan that it carries out; null for a bundle. */
  readonly plan: string | null;
}

/** A device of a fleet, and its progress. */
export interface FleetDevice {
  readonly statement: DeviceStatement;
  /** Null until its first report. */
  readonly state: DeviceState | null;
}

/** A plan that was sent, and its outcome per device. */
export interface FleetPlanState extends SentPlan {
  readonly stopped: boolean;
  /** Of the devices that have finished it. */
  readonly outcomes: readonly PlanOutcome[];
}

/** Everything in a fleet's folder. */
export interface Fleet {
  readonly name: string;
  readonly devices: readonly FleetDevice[];
  readonly plans: readonly FleetPlanState[];
  readonly runs: readonly DeviceRun[];
}

/** fleet.json. */
const fleetFile = z.object({ schema_version: z.literal(FLEET_SCHEMA), name: z.string() });

/**
 * Reads a fleet's folder, while its hub runs or afterwards.
 *
 * @throws {UserError} where a document in it is damaged
 *
 * ```ts ignore
 * const { devices, runs } = await readFleet("fleet/class");
 * const complete = runs.filter(({ status }) => status === "complete");
 * ```
 */
export async function readFleet(folder: string): Promise<Fleet> {
  const file = await document(join(folder, "fleet.json"), fleetFile);
  const devices: FleetDevice[] = [];
  const runs: DeviceRun[] = [];
  const outcomes: PlanOutcome[] = [];
  for (const id of await namesIn(join(folder, "devices"))) {
    const home = join(folder, "devices", id);
    const statement = await document(join(home, "device.json"), deviceStatement);
    if (statement === null) continue;
    devices.push({ statement, state: await document(join(home, "state.json"), deviceState) });
    for (const name of await namesIn(home)) {
      if (planId.safeParse(name.replace(/\.json$/, "")).success) {
        const outcome = await document(join(home, name), planOutcome);
        if (outcome !== null) outcomes.push(outcome);
      }
      if (!runId.safeParse(name).success) continue;
      const received = await document(join(home, name, "received.json"), receivedRun);
      if (received === null || !await exists(join(home, name, "run.json"))) continue;
      const { status, reasons, plan } = received;
      const info = await readRunInfo(join(home, name));
      runs.push({ device: statement, folder: join(home, name), info, status, reasons, plan });
    }
  }
  const plans: FleetPlanState[] = [];
  for (const name of await namesIn(join(folder, "plans"))) {
    const sent = name.endsWith(".json") ? await document(join(folder, "plans", name), sentPlan) : null;
    if (sent === null) continue;
    const stopped = await exists(join(folder, "plans", `${sent.plan.id}.stopped`));
    plans.push({ ...sent, stopped, outcomes: outcomes.filter(({ plan }) => plan === sent.plan.id) });
  }
  return { name: file?.name ?? "", devices, plans, runs };
}

/**
 * The runs of imported bundles, as those of a fleet.
 *
 * @param imports `reports/imports`
 */
export async function readImports(imports: string): Promise<DeviceRun[]> {
  const manifests = await importedManifests(imports);
  return await Promise.all(manifests.map(async ({ run_id, sender }): Promise<DeviceRun> => {
    const folder = join(imports, `${run_id}-${sender.id}`);
    const info = await readRunInfo(folder);
    return { device: sender, folder, info, status: "complete", reasons: [], plan: null };
  }));
}

/** A document, checked against its schema; null where there is none. */
async function document<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return parseDocument(await Deno.readTextFile(path), { schema, newest: FLEET_SCHEMA, name: path });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
