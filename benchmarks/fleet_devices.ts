/**
 * Simulated devices: the shipped join, limits, run, records and sending; only the model is made up, and the machine is
 * described, not there. So hundreds of them fit on two cores.
 */
import { join } from "node:path";
import type { Machine } from "../lib/catalog/machine.ts";
import type { LiveCandidate } from "../lib/bench/live_candidate.ts";
import { createRunFolder, resumeRunFolder } from "../lib/bench/folder.ts";
import { runBench } from "../lib/bench/run.ts";
import { newRunInfo, planInfo } from "../lib/bench/run_info.ts";
import { type DeviceLimits, type DeviceStatement, FLEET_SCHEMA, machineTags } from "../lib/fleet/device.ts";
import { credentialsFor } from "../lib/fleet/join.ts";
import { type CarryOut, serveDevice } from "../lib/fleet/serve_device.ts";
import { idOfKey, newKey, signingKey } from "../lib/fleet/keys.ts";
import { sessionPlan } from "../lib/fleet/session_plan.ts";
import { connectFleet } from "../lib/fleet/open_hub.ts";
import { readPlan, sendPlan } from "../lib/fleet/plans.ts";
import { parseJoinLine } from "../lib/fleet/wire.ts";
import { realClock, realSleep } from "../scripts/cli.ts";
import { answeredTrace, idleReading, simulatedCandidate } from "./simulated.ts";

export const LIMITS: DeviceLimits = {
  kinds: ["bench", "race", "quality"],
  downloads: false,
  max_requests: 100_000,
  max_tokens: 4096,
  max_minutes: 60,
};

/** What a simulated device is, and how its models behave. */
export interface SimulatedTerms {
  /** Folder of its key and its runs. */
  readonly home: string;
  readonly name: string;
  readonly cores: number;
  readonly ramGb: number;
  /** Time of one request of the n-th candidate, in ms. */
  readonly requestMs: (candidate: number) => number;
  readonly limits?: DeviceLimits;
  /** Its clock is off by so much. */
  readonly clockOffMs?: number;
  /** What it does instead of the simulation. */
  readonly carryOut?: CarryOut;
}

/** A device that has said what it is, and can join. */
export interface SimulatedDevice {
  readonly statement: DeviceStatement;
  /** When its last request ended, on `performance.now()`. */
  readonly lastEndMs: () => number;
  /** Joins, carries out one plan (or the given number), and leaves. */
  serve(line: string, signal: AbortSignal, plans?: number): Promise<void>;
}

export async function simulatedDevice(terms: SimulatedTerms): Promise<SimulatedDevice> {
  const { home, name, cores, ramGb, limits = LIMITS, clockOffMs = 0 } = terms;
  const key = await signingKey(await newKey());
  const cpu = `simulated ${cores}`;
  const machine = { cpu, cores, ram_gb: ramGb, gpu: [], os: "simulated", arch: "x86_64" };
  const statement: DeviceStatement = {
    schema_version: FLEET_SCHEMA,
    id: await idOfKey(key.publicKey),
    name,
    tags: machineTags(machine, "linux"),
    machine,
    versions: { podium: "0.1.0" },
    free_ram_gb: ramGb / 2,
    models: [],
    limits,
  };
  let lastEndMs = 0;
  const simulate: CarryOut = async (task) => {
    const carried = await carryOutSimulated(task, terms, { ...machine, freeRamGb: ramGb / 2 });
    lastEndMs = carried.endMs;
    return carried;
  };
  return {
    statement,
    lastEndMs: () => lastEndMs,
    async serve(line, signal, plans = 1) {
      const credentials = await credentialsFor(parseJoinLine(line), { state: home, key, statement });
      await serveDevice({
        credentials,
        state: home,
        statement: () => Promise.resolve(statement),
        carryOut: terms.carryOut ?? simulate,
        sleep: realSleep,
        now: () => Date.now() + clockOffMs,
        note: () => {},
        signal,
        plans,
      });
    },
  };
}

/** Runs a plan on candidates that only wait, into a run folder of the device. */
async function carryOutSimulated(
  { plan, prompts, resume, signal, onFolder, onEvent }: Parameters<CarryOut>[0],
  { home, requestMs, clockOffMs = 0 }: SimulatedTerms,
  machine: Machine,
) {
  const candidates = plan.models.map((id, at) => slowCandidate(id, requestMs(at)));
  const resumed = resume === null ? null : await resumeRunFolder(resume);
  const info = resumed?.info ?? newRunInfo({
    plan: planInfo(sessionPlan(plan, prompts), "interleaved"),
    machine,
    candidates: candidates.map((candidate) => candidate.info),
    now: new Date(Date.now() + clockOffMs),
    random: Math.random,
  });
  const folder = resumed?.folder ?? await createRunFolder(join(home, "reports"), info);
  try {
    await onFolder(folder.path);
    onEvent({ kind: "begin", info, done: resumed?.done ?? new Set() });
    const status = await runBench({
      info,
      candidates,
      sink: folder,
      clock: realClock,
      sleep: realSleep,
      signal,
      readMachine: () => Promise.resolve(idleReading(realClock())),
      onEvent,
      ...(resumed === null ? {} : { resumed }),
    });
    const endMs = realClock();
    await folder.writeInfo({ ...info, status });
    return { folder: folder.path, status, endMs };
  } finally {
    folder.close();
  }
}

const TOKENS = 16;

/** Answers of 16 tokens, evenly spaced, after a fifth of the time. */
const slowCandidate = (id: string, requestMs: number): LiveCandidate =>
  simulatedCandidate(id, async (_, { dueMs, signal }) => {
    const sentMs = realClock();
    await realSleep(requestMs, signal);
    const endMs = realClock();
    const firstMs = 0.2 * (endMs - sentMs);
    const stepMs = (endMs - sentMs - firstMs) / TOKENS;
    const chunksAtMs = Array.from({ length: TOKENS }, (_, at) => sentMs + firstMs + at * stepMs);
    return { ...answeredTrace(sentMs, chunksAtMs, endMs), dueMs: dueMs ?? sentMs };
  });

/**
 * Sends a plan to devices, with a job of so many questions, which is written to `home`.
 *
 * @returns the plan's id
 */
export async function sendPlanTo(
  fleet: string,
  devices: readonly string[],
  { home, prompts, ...plan }: { readonly home: string; readonly prompts: number } & Record<string, unknown>,
): Promise<string> {
  const job = Array.from({ length: prompts }, (_, at) => `Question ${at}?`);
  await Deno.writeTextFile(join(home, "job.json"), JSON.stringify(job));
  const path = join(home, "plan.json");
  await Deno.writeTextFile(path, JSON.stringify({ kind: "bench", job: "job.json", warmup: 1, ...plan }));
  const read = await readPlan(path, new Date(), Math.random);
  const connection = await connectFleet(fleet);
  await sendPlan(connection, fleet, { plan: read, on: "all", devices: [...devices] });
  await connection.close();
  return read.id;
}
