/** Reads a plan from a file, matches it with devices and sends it. */
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { reasonOf, UserError } from "../errors.ts";
import { loadPromptSet, promptSetJson } from "../prompts/prompts.ts";
import { readTextFile } from "../text_file.ts";
import { carriedJobProblem } from "./carried_job.ts";
import {
  type DeviceStatement,
  documentText,
  FLEET_SCHEMA,
  type FleetPlan,
  planFile,
  type SentPlan,
} from "./device.ts";
import type { Fleet } from "./fleet_folder.ts";
import { planProblem } from "./document_terms.ts";
import { subjects } from "./wire.ts";

/** Largest job in a plan. */
const MAX_JOB_BYTES = 4 * 2 ** 20;

/**
 * Reads a plan's file and the job next to it.
 *
 * @throws {UserError} naming what is wrong, and what is accepted
 *
 * ```ts ignore
 * const plan = await readPlan("plan.json", new Date(), Math.random);
 * ```
 */
export async function readPlan(path: string, now: Date, random: () => number): Promise<FleetPlan> {
  let json: unknown;
  try {
    json = JSON.parse(await readTextFile(path, "the plan"));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`the plan ${path} is not JSON: ${reasonOf(error)}`);
  }
  const parsed = planFile.safeParse(json);
  if (!parsed.success) throw new UserError(`the plan ${path}: ${reasonOf(z.prettifyError(parsed.error))}`);
  const { job, ...settings } = parsed.data;
  const unfit = planProblem(settings);
  if (unfit !== null) throw new UserError(`the plan ${path}: ${unfit}`);
  const { name, text } = settings.kind === "fidelity"
    ? { name: basename(job), text: await readTextFile(join(dirname(path), job), "the text") }
    : await carriedJob(path, job);
  if (text.length > MAX_JOB_BYTES) {
    throw new UserError(
      `the job ${job} has ${text.length} characters: a plan carries ${MAX_JOB_BYTES} at most`,
    );
  }
  const letters = Array.from({ length: 4 }, () => Math.floor(random() * 36).toString(36)).join("");
  return {
    schema_version: FLEET_SCHEMA,
    id: `p-${now.toISOString().slice(2, 19).replaceAll(/\D/g, "")}${letters}`,
    created_at: now.toISOString(),
    ...settings,
    job: {
      name: name.replaceAll(/[^\w.-]/g, "_").slice(0, 40),
      sha256: createHash("sha256").update(text).digest("hex"),
      text,
    },
  };
}

async function carriedJob(path: string, job: string): Promise<{ name: string; text: string }> {
  // The text that is sent holds the files that the job names.
  const set = await loadPromptSet(join(dirname(path), job));
  const text = promptSetJson(set);
  const problem = carriedJobProblem(text);
  if (problem !== null) throw new UserError(`the job ${job} can't be sent: ${problem}`);
  return { name: set.name, text };
}

/** The devices with a tag, a name or an id; `all` selects every one. */
export function devicesOn(devices: Fleet["devices"], on: string): DeviceStatement[] {
  return devices.map(({ statement }) => statement).filter(({ id, name, tags }) =>
    on === "all" || on === id || on === name || tags.includes(on)
  );
}

/**
 * Sends a plan to devices: writes it to the fleet's folder, then hands it to the server, which keeps it for
 * devices that are away.
 */
export async function sendPlan(
  connection: NatsConnection,
  folder: string,
  { plan, on, devices }: SentPlan,
): Promise<void> {
  const sent: SentPlan = { plan, on, devices };
  await replaceFile(join(folder, "plans", `${plan.id}.json`), documentText(sent));
  const stream = jetstream(connection);
  for (const device of devices) {
    await stream.publish(subjects.plan(device), JSON.stringify(plan), { msgID: `${plan.id}.${device}` });
  }
}
