/**
 * A hub must keep up with a room, and with hundreds of devices. This starts the shipped hub as a process,
 * joins simulated devices over the real NATS server, and measures how fast samples come through, what memory
 * that takes, and how long after the last request everything is merged and checked.
 *
 *   deno task bench:fleet                          20 devices × 200 requests, then 500 devices × 40
 *   deno task bench:fleet --devices 100 --requests 100
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readFleet } from "../lib/fleet/fleet_folder.ts";
import { freePort, runProgram } from "../lib/program.ts";
import { seededRandom } from "../lib/stats/random.ts";
import { bareCommand, printJson, realSleep, runTask } from "../scripts/cli.ts";
import { option, type Shared, shared, wholeNumber } from "../scripts/options.ts";
import { sendPlanTo, type SimulatedDevice, simulatedDevice } from "./fleet_devices.ts";
import { hubProcess } from "./fleet_faults.ts";

/** What one size of fleet took. */
export interface FleetFigures {
  readonly devices: number;
  readonly requests_per_device: number;
  /** Samples at the hub, warm-ups and readings of the machine included. */
  readonly samples: number;
  /** Until the last device had joined, 20 at a time, in s. */
  readonly all_joined_s: number;
  /** Of the time from the plan's sending until the last run was merged. */
  readonly samples_per_s: number;
  /** From the end of the last request until every run was merged and checked, in s. */
  readonly merged_after_s: number;
  /** From then until the merged fleet was read, in s. */
  readonly read_s: number;
  /** Largest resident memory, in MB; null where the system doesn't say. */
  readonly hub_mb: number | null;
  readonly server_mb: number | null;
  readonly complete: number;
}

const PROMPTS = 5;
const AT_ONCE = 20;
const namesIn = (folder: string) => Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
const MODELS = ["fast", "slow"];

/**
 * Measures one size.
 *
 * @param requestMs mean time of a request
 */
async function measureFleet(devices: number, requests: number, requestMs: number): Promise<FleetFigures> {
  const home = await Deno.makeTempDir({ prefix: "podium-fleet-" });
  const folder = join(home, "fleet", "bench");
  const hub = await hubProcess({ folder, port: freePort(), admit: devices, log: join(home, "hub.log") });
  const over = new AbortController();
  const memory = watchMemory([hub.pid, hub.serverPid], over.signal);
  try {
    const all = await simulatedDevices(join(home, "devices"), devices, requestMs);
    const joiningMs = performance.now();
    const serving = await joinAll(all, hub.line, join(folder, "devices"), over.signal);
    const joinedMs = performance.now();
    const rounds = Math.max(1, Math.round(requests / PROMPTS / MODELS.length));
    const ids = all.map(({ statement }) => statement.id);
    await sendPlanTo(folder, ids, { home, prompts: PROMPTS, models: MODELS, rounds });
    await Promise.all(serving);
    const mergedMs = performance.now();
    const fleet = await readFleet(folder);
    const readMs = performance.now();
    const complete = fleet.runs.filter(({ status }) => status === "complete");
    const samples = await countLines(complete.map(({ folder }) => join(folder, "samples.jsonl")));
    over.abort();
    const [hubMb = null, serverMb = null] = await memory;
    const lastMs = Math.max(...all.map((device) => device.lastEndMs()));
    const seconds = (ms: number) => Math.round(ms) / 1000;
    return {
      devices,
      requests_per_device: rounds * PROMPTS * MODELS.length,
      samples,
      all_joined_s: seconds(joinedMs - joiningMs),
      samples_per_s: Math.round(samples / ((mergedMs - joinedMs) / 1000)),
      merged_after_s: seconds(mergedMs - lastMs),
      read_s: seconds(readMs - mergedMs),
      hub_mb: hubMb,
      server_mb: serverMb,
      complete: complete.length,
    };
  } finally {
    over.abort();
    await hub.stop();
    await Deno.remove(home, { recursive: true });
  }
}

/** Devices of four sizes, each as fast as chance has it. */
function simulatedDevices(home: string, devices: number, requestMs: number): Promise<SimulatedDevice[]> {
  const random = seededRandom("fleet");
  return Promise.all(Array.from({ length: devices }, (_, at) => {
    const factor = 0.7 + 0.6 * random();
    return simulatedDevice({
      home: join(home, `d${at}`),
      name: `device-${at}`,
      cores: 2 + 2 * (at % 4),
      ramGb: [3.8, 7.6, 15.5, 31][at % 4] ?? 8,
      requestMs: (candidate) => requestMs * factor * (candidate === 0 ? 0.8 : 1.2),
    });
  }));
}

/** People join a room one after the other; `AT_ONCE` join at the same moment. Returns what ends with each device's plan. */
async function joinAll(
  devices: readonly SimulatedDevice[],
  line: string,
  joined: string,
  signal: AbortSignal,
): Promise<Promise<void>[]> {
  const serving: Promise<void>[] = [];
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const allIn = async () => {
    while ((await namesIn(joined)).length < serving.length) await realSleep(20);
  };
  for (let from = 0; from < devices.length; from += AT_ONCE) {
    for (const device of devices.slice(from, from + AT_ONCE)) {
      const served = device.serve(line, signal);
      served.catch(failed.reject);
      serving.push(served);
    }
    await Promise.race([allIn(), failed.promise]);
  }
  return serving;
}

async function countLines(paths: readonly string[]): Promise<number> {
  let lines = 0;
  for (const path of paths) lines += (await Deno.readTextFile(path)).split("\n").length - 1;
  return lines;
}

/** The largest resident memory of some processes until the signal, in MB, as `ps` sees it four times a second. */
async function watchMemory(pids: readonly number[], signal: AbortSignal): Promise<(number | null)[]> {
  const largest: (number | null)[] = pids.map(() => null);
  while (!signal.aborted) {
    for (const [at, pid] of pids.entries()) {
      const end = await runProgram(["ps", "-o", "rss=", "-p", String(pid)]);
      const kb = Number(end?.stdout.trim());
      if (end?.code === 0 && kb > 0) largest[at] = Math.max(largest[at] ?? 0, Math.round(kb / 1024));
    }
    await realSleep(250);
  }
  return largest;
}

const root = fileURLToPath(new URL("..", import.meta.url));

if (import.meta.main) {
  const command = bareCommand("bench:fleet")
    .addOptions([
      option("--devices <n>", "measure one fleet of this many devices", wholeNumber(1, 2000)),
      option("--requests <n>", "requests per device", wholeNumber(10, 10_000), 40),
      option("--request-ms <n>", "mean time of a request", wholeNumber(1, 60_000), 100),
      ...shared("json"),
    ]);
  interface Options extends Shared<"json"> {
    readonly devices?: number;
    readonly requests: number;
    readonly requestMs: number;
  }
  await runTask(command, async ({ devices, requests, requestMs, json }: Options) => {
    Deno.chdir(root);
    const sizes = devices === undefined ? [[20, 200], [500, 40]] as const : [[devices, requests]] as const;
    const figures: FleetFigures[] = [];
    for (const [count, each] of sizes) {
      const found = await measureFleet(count, each, requestMs);
      figures.push(found);
      if (json) continue;
      console.log(
        `${count} devices × ${found.requests_per_device} requests: ${found.samples_per_s} samples/s ` +
          `(${found.samples} in all), all joined after ${found.all_joined_s} s, merged and checked ` +
          `${found.merged_after_s} s after the last request, read in ${found.read_s} s; hub ${found.hub_mb} MB, ` +
          `server ${found.server_mb} MB; ${found.complete} of ${count} whole.`,
      );
    }
    if (json) printJson(figures);
    return figures.every(({ complete, devices }) => complete === devices) ? 0 : 1;
  });
}
