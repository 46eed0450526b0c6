/**
 * The noise guard: it records who used the processor during a stretch. A stretch in which another program was
 * busy is disturbed and left out of the headline for all its candidates together: never a single sample,
 * since slow models are hit more often.
 */
import os from "node:os";
import process from "node:process";
import { sumOf } from "../stats/mean.ts";
import type { Clock, Sleep } from "../clock.ts";
import type { BusyProgram, FindBusiest } from "./busiest_program.ts";
import type { MachineRecord } from "./records.ts";

/** Processor time used so far, in seconds, and what else the system reports. Null where it reports nothing. */
export interface MachineReading {
  readonly atMs: number;
  readonly ownS: number;
  /** All programs together, ours included. */
  readonly busyS: number;
  readonly stealS: number | null;
  readonly frequencyMhz: number | null;
  readonly temperatureC: number | null;
  /** Processors, as the system counts them; left out where unknown. */
  readonly cores?: number;
  /** Joules of the processor packages since some start; null or left out where no counter can be read. */
  readonly energyJ?: number | null;
}

export type ReadMachine = () => Promise<MachineReading>;

/** The processor's use between two readings. */
export interface MachineUse {
  readonly wallMs: number;
  readonly ownS: number;
  readonly enginesS: number | null;
  readonly othersS: number | null;
  readonly stealS: number | null;
}

/**
 * A stretch is disturbed when other programs, beyond the processors that Podium and its candidates leave
 * free, or the hypervisor took more than this share of one core: about ten percent slower where every
 * processor is in use. The documentation of the bench shows how the figure was found.
 */
const DISTURBED_CORES = 0.1;
/** … and more than this in total: the system counts in steps of 10 ms, so a short stretch shows nothing. */
const DISTURBED_SECONDS = 0.05;

/**
 * Where a service on this machine doesn't report its processor time, other programs are looked for in a pause
 * after each block, in which no request is sent. Such a short pause covers few of the system's steps: more
 * than this share of a core is needed to speak of a disturbance.
 */
const PAUSE_MS = 250;
const DISTURBED_CORES_IN_PAUSE = 0.25;

/**
 * The use between two readings.
 *
 * @param enginesS processor seconds the candidates used in between; null where one
 * of them doesn't report them,
 *   and then what others used isn't known either
 *
 * ```ts
 * const quiet = { atMs: 0, ownS: 0, busyS: 0, stealS: null, frequencyMhz: null, temperatureC: null };
 * const later = { ...quiet, atMs: 1000, ownS: 0.1, busyS: 1.5 };
 * const use = machineUse(quiet, later, 1);
 * if (use.othersS === null || Math.abs(use.othersS - 0.4) > 1e-9) throw new Error("1.5 − 0.1 − 1");
 * ```
 */
export function machineUse(
  before: MachineReading,
  after: MachineReading,
  enginesS: number | null,
): MachineUse {
  const ownS = Math.max(0, after.ownS - before.ownS);
  const busyS = after.busyS - before.busyS;
  return {
    wallMs: after.atMs - before.atMs,
    ownS,
    enginesS,
    othersS: enginesS === null ? null : Math.max(0, busyS - ownS - enginesS),
    stealS: before.stealS === null || after.stealS === null
      ? null
      : Math.max(0, after.stealS - before.stealS),
  };
}

/**
 * The use of a stretch whose candidates don't report theirs: what others used in the pause after it, if that
 * is more than the pause can show by chance, stands for the whole block.
 *
 * ```ts
 * const block = { wallMs: 2000, ownS: 0.1, enginesS: null, othersS: null, stealS: 0 };
 * const pause = { wallMs: 250, ownS: 0, enginesS: 0, othersS: 0.2, stealS: 0 };
 * if (disturbance(withPause(block, pause)) !== "other programs used 0.80 cores") throw new Error("seen in the pause");
 * if (withPause(block, { ...pause, othersS: 0.03 }).othersS !== 0) throw new Error("too little to tell");
 * ```
 */
export function withPause(block: MachineUse, pause: MachineUse): MachineUse {
  if (pause.othersS === null || pause.wallMs <= 0) return block;
  const cores = pause.othersS / (pause.wallMs / 1000);
  const seen = cores > DISTURBED_CORES_IN_PAUSE ? cores : 0;
  return { ...block, othersS: seen * (block.wallMs / 1000) };
}

/**
 * Why a stretch is disturbed; null for a quiet one, and where nothing is known.
 *
 * @param freeCores processors that Podium and its candidates left free: other programs may use them
 *
 * ```ts
 * const use = { wallMs: 2000, ownS: 0.1, enginesS: 2, othersS: 1, stealS: 0 };
 * if (disturbance(use) !== "other programs used 0.50 cores") throw new Error(String(disturbance(use)));
 * if (disturbance({ ...use, othersS: 0.02 }) !== null) throw new Error("20 ms are the system's own");
 * if (disturbance(use, { freeCores: 2 }) !== null) throw new Error("a browser on a free core disturbs nothing");
 * ```
 */
export function disturbance(
  use: MachineUse,
  { freeCores = 0, busiest = null }: {
    readonly freeCores?: number;
    readonly busiest?: BusyProgram | null;
  } = {},
): string | null {
  const seconds = use.wallMs / 1000;
  const cores = (usedS: number | null, free: number) =>
    usedS !== null && usedS - free * seconds > DISTURBED_SECONDS && usedS / seconds - free > DISTURBED_CORES
      ? usedS / seconds
      : null;
  const others = cores(use.othersS, freeCores);
  if (others !== null) {
    const beyond = freeCores === 0 ? "" : `, ${(others - freeCores).toFixed(2)} more than were free`;
    const used = `other programs used ${others.toFixed(2)} cores${beyond}`;
    // The name comes first: a narrow screen cuts the end.
    return busiest === null
      ? used
      : `${busiest.program} and ${used} (${busiest.program}: ${busiest.cores.toFixed(2)})`;
  }
  const steal = cores(use.stealS, 0);
  return steal === null ? null : `the hypervisor took ${steal.toFixed(2)} cores`;
}

/**
 * Reads this machine: processor times everywhere; on Linux also steal, frequency and temperature, through
 * `cat`, since Deno may not read /proc and /sys without full permission.
 */
export function machineReader(clock: Clock): ReadMachine {
  let details = os.platform() === "linux" ? linuxDetails : noDetails;
  let energy = os.platform() === "linux" ? raplJoules : noEnergy;
  return async () => {
    const told = await details();
    const energyJ = await energy();
    if (energyJ === null) energy = noEnergy;
    if (told === noLinux) details = noDetails;
    const own = process.cpuUsage();
    return {
      atMs: clock(),
      ownS: (own.user + own.system) / 1e6,
      busyS: os.cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) /
        1000,
      ...told,
      cores: os.cpus().length,
      energyJ,
    };
  };
}

const noEnergy = () => Promise.resolve(null);

/** Intel's and AMD's running average power limit, one counter per socket; most systems let only root read it. */
const raplJoules = async () =>
  parseRapl(
    await textOf(
      "/sys/class/powercap/intel-rapl:0/energy_uj",
      "/sys/class/powercap/intel-rapl:1/energy_uj",
    ) ?? "",
  );

/**
 * Joules, from one line of microjoules per socket; null where there is none.
 *
 * ```ts
 * if (parseRapl("2500000\n500000\n") !== 3 || parseRapl("") !== null) throw new Error();
 * ```
 */
export function parseRapl(text: string): number | null {
  const counters = [...text.matchAll(/^(\d+)$/gm)].map((match) => Number(match[1]));
  return counters.length === 0 ? null : sumOf(counters) / 1e6;
}

type Details = Pick<MachineReading, "stealS" | "frequencyMhz" | "temperatureC">;

const noLinux: Details = { stealS: null, frequencyMhz: null, temperatureC: null };
const noDetails = () => Promise.resolve(noLinux);

async function linuxDetails(): Promise<Details> {
  const text = await textOf(
    "/proc/stat",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    "/sys/class/thermal/thermal_zone0/temp",
  );
  return text === null ? noLinux : parseLinuxDetails(text);
}

/** The texts of the files that exist, one after the other; null where `cat` can't be run. */
async function textOf(...files: string[]): Promise<string | null> {
  try {
    const { stdout } = await new Deno.Command("cat", { args: files, stdout: "piped", stderr: "null" })
      .output();
    return new TextDecoder().decode(stdout);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}

/**
 * /proc/stat, then the frequency in kHz (six digits or more) and the temperature in thousandths of a degree,
 * each only where the system has it. Steal is the eighth figure of the `cpu` line, in hundredths of a second.
 *
 * ```ts
 * const told = parseLinuxDetails("cpu  5 0 1 9 0 0 0 250 0 0\nbtime 1\nprocesses 2\n2400000\n46000\n");
 * if (told.stealS !== 2.5 || told.frequencyMhz !== 2400 || told.temperatureC !== 46) throw new Error();
 * ```
 */
export function parseLinuxDetails(text: string): Details {
  const steal = /^cpu\s+(?:\d+\s+){7}(\d+)/m.exec(text)?.[1];
  const alone = [...text.matchAll(/^(\d+)$/gm)].map((match) => Number(match[1]));
  const frequency = alone.find((value) => value >= 200_000);
  const temperature = alone.find((value) => value < 200_000);
  return {
    stealS: steal === undefined ? null : Number(steal) / 100,
    frequencyMhz: frequency === undefined ? null : frequency / 1000,
    temperatureC: temperature === undefined ? null : temperature / 1000,
  };
}

/** The noise guard's view of a candidate: its processor time so far, and its threads. */
export interface ProcessorUser {
  /** Seconds; null where it runs here and its service doesn't report it. */
  cpuS(): Promise<number | null>;
  /** Null where unknown. */
  readonly threads: number | null;
  /** The process that holds the model, which several candidates may share; null where unknown. */
  readonly pid?: number | null;
}

/** The machine's reading, and the candidates' processor time so far; null where one of them doesn't report it. */
export interface Reading {
  readonly machine: MachineReading;
  readonly enginesS: number | null;
  /** Processors that the candidates leave free while one of them works; 0 where that is unknown. */
  readonly freeCores: number;
}

/** Reads the machine and the candidates that will work, or worked. */
export async function readUse(
  readMachine: ReadMachine,
  candidates: readonly ProcessorUser[],
): Promise<Reading> {
  const machine = await readMachine();
  const pids = candidates.map(({ pid }) => pid ?? null);
  const distinct = candidates.filter((_, at) => pids[at] === null || pids.indexOf(pids[at] ?? null) === at);
  const used = await Promise.all(distinct.map((candidate) => candidate.cpuS()));
  const enginesS = used.reduce<number | null>(
    (sum, seconds) => sum === null || seconds === null ? null : sum + seconds,
    0,
  );
  const threads = candidates.map((candidate) => candidate.threads ?? Infinity);
  const freeCores = machine.cores === undefined ? 0 : Math.max(0, machine.cores - Math.max(0, ...threads));
  return { machine, enginesS, freeCores };
}

/**
 * What other programs use in a pause after a stretch, where the candidates don't report their own use; null,
 * and no pause, where they do. No candidate may have a request meanwhile.
 */
async function pauseUse(
  { enginesS, machine }: Reading,
  { readMachine, sleep, signal }: { readMachine: ReadMachine; sleep: Sleep; signal: AbortSignal },
): Promise<MachineUse | null> {
  if (enginesS !== null) return null;
  await sleep(PAUSE_MS, signal);
  return machineUse(machine, await readMachine(), 0);
}

/** Observations of a stretch besides the readings at both ends. */
export interface SeenBesides {
  readonly pause?: MachineUse | null;
  readonly busiest?: BusyProgram | null;
}

/** The use of a stretch from the readings at both ends and the other observations. */
export function useRecord(
  before: Reading,
  after: Reading,
  atMs: number,
  { pause = null, busiest = null }: SeenBesides = {},
): Omit<MachineRecord, "block"> {
  const known = before.enginesS !== null && after.enginesS !== null;
  const enginesS = known ? Math.max(0, (after.enginesS ?? 0) - (before.enginesS ?? 0)) : null;
  const told = machineUse(before.machine, after.machine, enginesS);
  const use = pause === null ? told : withPause(told, pause);
  const own = use.wallMs > 0 ? use.ownS / (use.wallMs / 1000) : 0;
  const disturbed = disturbance(use, { freeCores: Math.max(0, after.freeCores - own), busiest });
  return {
    kind: "machine",
    at_ms: atMs,
    wall_ms: Math.max(0, use.wallMs),
    own_cpu_s: use.ownS,
    engines_cpu_s: use.enginesS,
    others_cpu_s: use.othersS,
    steal_s: use.stealS,
    frequency_mhz: after.machine.frequencyMhz,
    temperature_c: after.machine.temperatureC,
    ...(disturbed === null || busiest === null ? {} : { busiest }),
    ...packageEnergy(before.machine, after.machine),
    disturbed,
  };
}

/** The resources for watching the machine while a bench or a race runs. */
export interface MachineWatch {
  readonly readMachine: ReadMachine;
  readonly sleep: Sleep;
  /** Names the program that was busy during a disturbed stretch; left out: no name. */
  readonly findBusiest?: FindBusiest;
  readonly signal: AbortSignal;
}

/**
 * The record of the stretch between two readings, taken right after it: where the candidates don't report
 * their use, after a pause; where the stretch was disturbed, with the program that was busiest.
 *
 * @param nowMs milliseconds since the run began
 * @param ownPids processes that belong to the run: Podium's own, and those that hold the models
 */
export async function watchedUse(
  before: Reading,
  after: Reading,
  { nowMs, ownPids, ...watch }: MachineWatch & {
    readonly nowMs: () => number;
    readonly ownPids: readonly number[];
  },
): Promise<Omit<MachineRecord, "block">> {
  const pause = await pauseUse(after, watch);
  const atMs = nowMs();
  const record = useRecord(before, after, atMs, { pause });
  if (record.disturbed === null || watch.findBusiest === undefined) return record;
  return useRecord(before, after, atMs, { pause, busiest: await watch.findBusiest(ownPids) });
}

/** A counter that was reset in between gives nothing. */
function packageEnergy(before: MachineReading, after: MachineReading): Pick<MachineRecord, "package_j"> {
  const [from, to] = [before.energyJ ?? null, after.energyJ ?? null];
  return from === null || to === null || to < from ? {} : { package_j: to - from };
}
