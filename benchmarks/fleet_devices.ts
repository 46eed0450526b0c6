/**
 * Simulated devices: the shipped join, limits, run, records and sending; only the model is made up, and the machine is
 * described, not there. So hundreds of them fit on two cores.
 */
import { join } from "node:path";
import type { LiveCandidate } from "../lib/bench/live_candidate.ts";
import { createRunFolder, resumeRunFolder } from "../lib/bench/folder.ts";
import type { MachineReading } from "../lib/bench/noise.ts";
import { runBench } from "../lib/bench/run.ts";
import { newRunInfo, planInfo } from "../lib/bench/run_info.ts";
import { type DeviceLimits, type DeviceStatement, FLEET_SCHEMA, machineTags } from "../lib/fleet/device.ts";
import { credentialsFor } from "../lib/fleet/join.ts";
import { type CarryOut, serveDevice } from "../lib/fleet/serve_device.ts";
import { idOfKey, newKey, signingKey } from "../lib/fleet/keys.ts";
import { sessionPlan } from "../lib/fleet/session_plan.ts";
import { parseJoinLine } from "../lib/fleet/wire.ts";
import { realClock, realSleep } from "../scripts/cli.ts";

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
  const machine = {
    cpu: `simulated ${cores}`,
    cores,
    ram_gb: ramGb,
    gpu: [],
    os: "simulated",
    arch: "x86_64",
  };
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
  const simulate: CarryOut = async ({ plan, prompts, resume, signal, onFolder, onEvent }) => {
    const candidates = plan.models.map((id, at) => simulatedCandidate(id, terms.requestMs(at)));
    const resumed = resume === null ? null : await resumeRunFolder(resume);
    const info = resumed?.info ?? newRunInfo({
      plan: planInfo(sessionPlan(plan, prompts), "interleaved"),
      machine: { ...machine, freeRamGb: ramGb / 2 },
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
        sink: { sample: folder.sample.bind(folder), answer: folder.answer.bind(folder) },
        clock: realClock,
        sleep: realSleep,
        signal,
        readMachine: () => Promise.resolve(idle()),
        onEvent,
        ...(resumed === null ? {} : { resumed }),
      });
      lastEndMs = realClock();
      await folder.writeInfo({ ...info, status });
      return { folder: folder.path, status };
    } finally {
      folder.close();
    }
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

const idle = (): MachineReading => ({
  atMs: realClock(),
  ownS: 0,
  busyS: 0,
  stealS: null,
  frequencyMhz: null,
  temperatureC: null,
});

const TOKENS = 16;

/** Answers of 16 tokens, evenly spaced, after a fifth of the time. */
function simulatedCandidate(id: string, requestMs: number): LiveCandidate {
  return {
    info: {
      id,
      alias: id,
      variant: null,
      endpoint: "simulated",
      model_id: id,
      device: null,
      size_mb: null,
      license: null,
      chat_template: "own",
    },
    start: "running service",
    fileCache: "unknown",
    open: () =>
      Promise.resolve({
        loadMs: null,
        device: null,
        residentMb: () => Promise.resolve(null),
        cpuS: () => Promise.resolve(0),
        close: () => Promise.resolve(),
        async request(_, { dueMs, signal }) {
          const sentMs = realClock();
          await realSleep(requestMs, signal);
          const endMs = realClock();
          const first = 0.2 * (endMs - sentMs);
          const step = (endMs - sentMs - first) / TOKENS;
          return {
            status: "ok",
            reason: null,
            httpStatus: 200,
            dueMs: dueMs ?? sentMs,
            sentMs,
            headersMs: sentMs,
            endMs,
            streamed: true,
            route: "chat",
            chunks: Array.from({ length: TOKENS }, (_, at) => ({
              atMs: sentMs + first + at * step,
              contentChars: 4,
              reasoningChars: 0,
            })),
            content: "word".repeat(TOKENS),
            reasoning: "",
            toolCalls: [],
            finishReason: "stop",
            usage: { promptTokens: 12, outputTokens: TOKENS, cachedTokens: null, reasoningTokens: null },
            server: null,
          };
        },
      }),
  };
}
