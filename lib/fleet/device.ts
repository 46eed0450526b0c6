/**
 * The documents that the parts of a fleet exchange and keep in its folder: devices, plans and progress.
 *
 * ```text
 * fleet/NAME/fleet.json                             name and address
 * fleet/NAME/hub/                                   keys and the server's own state: secret
 * fleet/NAME/plans/PLAN.json                        what was sent, to which devices; PLAN.stopped beside it: no more
 * fleet/NAME/devices/DEVICE/device.json             what the device states about itself
 * fleet/NAME/devices/DEVICE/state.json              how far it is
 * fleet/NAME/devices/DEVICE/PLAN.json               the outcome of a plan there
 * fleet/NAME/devices/DEVICE/RUN/                    its run: run.json, samples.jsonl, answers.jsonl, prompts.json
 * fleet/NAME/devices/DEVICE/RUN/received.json       whether that run is whole
 * fleet/NAME/devices/DEVICE/capacity-RUN/           capacity.json, samples.jsonl, received.json
 * fleet/NAME/devices/DEVICE/fidelity-RUN/           fidelity.json, received.json
 * ```
 */
import { z } from "zod";
import { machineInfo } from "../bench/records.ts";

/** The newest version of the documents of a fleet. */
export const FLEET_SCHEMA = 1;

/** A document as it lies in a fleet's folder. */
export const documentText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const version = z.literal(FLEET_SCHEMA);
const word = z.string().regex(/^[\w.-]{1,40}$/, "up to 40 letters, digits, _, - or .");

/** The name of a run, which is the name of its folder. */
export const runId = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[0-9a-z]{4}$/, "the name of a run");
/** The name of a plan's result on a device: a run, or a folder with a document, named after its kind. */
export const resultId = z.string().regex(
  /^((capacity|fidelity)-)?\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[0-9a-z]{4}$/,
  "the name of a run or a document",
);
/** `d-` and the first characters of the SHA-256 of the device's public key. */
export const deviceId = z.string().regex(/^d-[0-9a-f]{10}$/, "the id of a device");
export const planId = z.string().regex(/^p-[0-9a-z]{8,20}$/, "the id of a plan");

/** The device that measured. Nothing here names a host, a user or a folder. */
export const deviceDescription = z.object({
  id: deviceId,
  /** What its owner calls it; null where they gave no name. */
  name: word.nullable(),
  /**
   * Tags by which plans choose devices: given ones, and those that follow from the machine (`linux`,
   * `x86_64`, `ram8`).
   */
  tags: z.array(word).max(30),
  machine: machineInfo,
  versions: z.record(z.string().max(60), z.string().max(60)),
});
export type DeviceDescription = z.infer<typeof deviceDescription>;

/** What a plan may do. */
export const planKinds = ["bench", "race", "quality", "capacity", "fidelity"] as const;
/** The kinds of plan whose result is one document instead of a run. */
const documentKinds = ["capacity", "fidelity"] as const;
export type DocumentKind = typeof documentKinds[number];

/** Whether the result of such a plan is a document. */
export const isDocumentKind = (kind: typeof planKinds[number]): kind is DocumentKind =>
  documentKinds.some((one) => one === kind);

/** What the device's owner allows a plan; the device refuses anything beyond that. */
const deviceLimits = z.object({
  kinds: z.array(z.enum(planKinds)),
  /** Whether a plan may make the device download a model of its registry. */
  downloads: z.boolean(),
  max_requests: z.number().int().positive(),
  max_tokens: z.number().int().positive(),
  max_minutes: z.number().positive(),
});
export type DeviceLimits = z.infer<typeof deviceLimits>;

/** device.json: what a device states when it joins, and each time it connects. */
export const deviceStatement = deviceDescription.extend({
  schema_version: version,
  free_ram_gb: z.number().nonnegative(),
  /** Models of its registry that can run here, and whether their files are downloaded. */
  models: z.array(z.object({ alias: z.string().max(200), variant: z.string().max(200), here: z.boolean() }))
    .max(1000),
  limits: deviceLimits,
});
export type DeviceStatement = z.infer<typeof deviceStatement>;

const count = z.number().int().nonnegative();

/** state.json: a device's progress, which it reports every few seconds. */
export const deviceState = z.object({
  /** `refused`: the plan goes beyond its limits; `failed`: nothing could be measured. `note` says why. */
  doing: z.enum(["waiting", "running", "sending", "refused", "failed"]),
  plan: planId.nullable(),
  /** Requests of the plan: finished, and in all. */
  done: count,
  total: count,
  /** A note for people: why it refused, what failed. */
  note: z.string().max(500).nullable(),
  /** When the hub received it, by the hub's clock. */
  heard_at: z.string(),
  /** The device's clock minus the hub's, in seconds. */
  clock_off_s: z.number(),
});
export type DeviceState = z.infer<typeof deviceState>;

/** A device that sends nothing for this long counts as away. */
export const AWAY_MS = 20_000;

/** Settings of a plan. What is left out has the session's default. */
const planSettings = z.object({
  rounds: z.number().int().min(1).max(100_000).optional(),
  warmup: z.number().int().min(0).max(1000).optional(),
  max_tokens: z.number().int().min(1).max(1_000_000).optional(),
  temperature: z.number().min(0).max(2).optional(),
  seed: z.number().int().min(0).optional(),
  sampling_seed: z.number().int().min(0).optional(),
  prefix: z.enum(["cold", "warm", "as is"]).optional(),
  concurrency: z.number().int().min(1).max(4096).optional(),
  timeout_s: z.number().positive().max(86_400).optional(),
  /** For a race only. A race by checks would have to score answers on the device. */
  by: z.enum(["latency", "ttft", "throughput"]).optional(),
  delta: z.number().positive().max(0.5).optional(),
  epsilon: z.number().positive().max(0.99).optional(),
  budget: z.number().int().min(1).max(1_000_000).optional(),
  /** For capacity only: limits of a request, the share that must meet them, and how far the search goes. */
  slo: z.object({
    ttft_s: z.number().positive().nullable().default(null),
    e2e_s: z.number().positive().nullable().default(null),
  }).strict().optional(),
  within: z.number().positive().max(0.99).optional(),
  think_s: z.number().min(0).max(3600).optional(),
  search: z.enum(["users", "rate", "both"]).optional(),
  max_users: z.number().int().min(1).max(4096).optional(),
  requests: z.number().int().min(1).max(1_000_000).optional(),
  /** For fidelity only: tokens per block, and most tokens of the text that are read. */
  block: z.number().int().min(32).max(8192).optional(),
  tokens: z.number().int().min(64).max(10_000_000).optional(),
});

/** A plan as written by people: the file that `fleet run` takes. */
export const planFile = planSettings.extend({
  kind: z.enum(planKinds),
  /** Candidate names, resolved in each device's own registry. */
  models: z.array(z.string().min(1).max(200)).min(1).max(50),
  /** The job, a file next to the plan's; for fidelity, the text that both candidates read. */
  job: z.string().min(1),
}).strict();

/** A plan with its job, as a device receives it and as the fleet's folder holds it. */
export const fleetPlan = planFile.omit({ job: true }).extend({
  schema_version: version,
  id: planId,
  created_at: z.string(),
  /** The text of the job's file, and its SHA-256 in lower-case hex. */
  job: z.object({ name: word, sha256: z.string().regex(/^[0-9a-f]{64}$/), text: z.string() }),
}).strict();
export type FleetPlan = z.infer<typeof fleetPlan>;

/** plans/PLAN.json. */
export const sentPlan = z.object({
  plan: fleetPlan,
  /** The tag by which the devices were chosen. */
  on: z.string(),
  devices: z.array(deviceId),
});
export type SentPlan = z.infer<typeof sentPlan>;

/** DEVICE/PLAN.json in a fleet's folder: the outcome of a plan on a device. */
export const planOutcome = z.object({
  plan: planId,
  device: deviceId,
  status: z.enum(["complete", "refused", "failed", "stopped"]),
  reasons: z.array(z.string()),
  run: resultId.nullable(),
  at: z.string(),
});
export type PlanOutcome = z.infer<typeof planOutcome>;

/** A file of a run on its device. */
export const fileHash = z.object({
  name: z.enum(["run.json", "samples.jsonl", "answers.jsonl", "prompts.json"]),
  bytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** A file of a plan's result: of a run, or a document. */
export const resultFile = fileHash.extend({
  name: z.enum([...fileHash.shape.name.options, "capacity.json", "fidelity.json"]),
});

/** received.json: whether the hub has a device's whole run, and what is wrong with it. */
export const receivedRun = z.object({
  schema_version: version,
  plan: planId,
  /** `arriving` until every byte has come; `refused` where the run is implausible: `reasons` says why. */
  status: z.enum(["arriving", "complete", "refused"]),
  reasons: z.array(z.string()),
  first_at: z.string(),
  last_at: z.string(),
  files: z.array(resultFile),
});
export type ReceivedRun = z.infer<typeof receivedRun>;

/**
 * Tags that follow from a machine: its system, processor, graphics, and the memory that it was sold with.
 *
 * ```ts
 * const machine = { cpu: "x", cores: 4, ram_gb: 7.6, gpu: [], os: "Debian 12", arch: "x86_64" };
 * if (machineTags(machine, "linux").join() !== "linux,x86_64,ram8,no-gpu") throw new Error("7.6 GB were sold as 8");
 * ```
 */
export function machineTags(
  { arch, gpu, ram_gb }: DeviceDescription["machine"],
  os: string,
): string[] {
  return [os, arch, `ram${soldMemoryGb(ram_gb)}`, gpu.length === 0 ? "no-gpu" : "gpu"];
}

/**
 * The memory that a machine was sold with, in GB: firmware and graphics keep up to 8 % of it.
 *
 * ```ts
 * if (soldMemoryGb(15.4) !== 16 || soldMemoryGb(3.8) !== 4 || soldMemoryGb(23.5) !== 24) throw new Error();
 * ```
 */
export function soldMemoryGb(ramGb: number): number {
  const sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
  return sizes.find((size) => ramGb <= size * 1.01) ?? Math.round(ramGb);
}
