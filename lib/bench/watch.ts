/** Watches who uses the processor while a block runs. */
import type { Sleep } from "../clock.ts";
import {
  disturbance,
  type MachineReading,
  type MachineUse,
  machineUse,
  PAUSE_MS,
  type ReadMachine,
  withPause,
} from "./noise.ts";
import type { MachineRecord } from "./records.ts";
import type { CandidateSession } from "./candidate_session.ts";

/** The machine, and what the candidates on it used so far; null where one of them doesn't tell. */
export interface Reading {
  readonly machine: MachineReading;
  readonly enginesS: number | null;
}

export async function readUse(
  readMachine: ReadMachine,
  sessions: readonly CandidateSession[],
): Promise<Reading> {
  const machine = await readMachine();
  const used = await Promise.all(sessions.map((session) => session.cpuS()));
  const enginesS = used.reduce<number | null>(
    (sum, seconds) => sum === null || seconds === null ? null : sum + seconds,
    0,
  );
  return { machine, enginesS };
}

/**
 * What other programs use in a pause after a block, where the candidates don't tell their own use; null, and
 * no pause, where they do. Nobody may be asked anything meanwhile.
 */
export async function pauseUse(
  { enginesS, machine }: Reading,
  { readMachine, sleep, signal }: { readMachine: ReadMachine; sleep: Sleep; signal: AbortSignal },
): Promise<MachineUse | null> {
  if (enginesS !== null) return null;
  await sleep(PAUSE_MS, signal);
  return machineUse(machine, await readMachine(), 0);
}

/** What two readings, and the pause after them if there was one, say about the block between them. */
export function useRecord(
  before: Reading,
  after: Reading,
  atMs: number,
  pause: MachineUse | null = null,
): Omit<MachineRecord, "block"> {
  const known = before.enginesS !== null && after.enginesS !== null;
  const enginesS = known ? Math.max(0, (after.enginesS ?? 0) - (before.enginesS ?? 0)) : null;
  const told = machineUse(before.machine, after.machine, enginesS);
  const use = pause === null ? told : withPause(told, pause);
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
    ...energy(before.machine, after.machine),
    disturbed: disturbance(use),
  };
}

/** A counter that started again in between tells nothing. */
function energy(before: MachineReading, after: MachineReading): Pick<MachineRecord, "package_j"> {
  const [from, to] = [before.energyJ ?? null, after.energyJ ?? null];
  return from === null || to === null || to < from ? {} : { package_j: to - from };
}
