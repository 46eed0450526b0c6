/** Watches who uses the processor while a block runs. */
import { disturbance, type MachineReading, machineUse, type ReadMachine } from "./noise.ts";
import type { MachineRecord } from "./records.ts";
import type { Seat } from "./seat.ts";

/** The machine, and what the candidates on it used so far; null where one of them doesn't tell. */
export interface Reading {
  readonly machine: MachineReading;
  readonly enginesS: number | null;
}

export async function readUse(readMachine: ReadMachine, seats: readonly Seat[]): Promise<Reading> {
  const machine = await readMachine();
  const used = await Promise.all(seats.map((seat) => seat.cpuS()));
  const enginesS = used.reduce<number | null>(
    (sum, seconds) => sum === null || seconds === null ? null : sum + seconds,
    0,
  );
  return { machine, enginesS };
}

/** What two readings say about the block between them. */
export function useRecord(before: Reading, after: Reading, atMs: number): Omit<MachineRecord, "block"> {
  const known = before.enginesS !== null && after.enginesS !== null;
  const enginesS = known ? Math.max(0, (after.enginesS ?? 0) - (before.enginesS ?? 0)) : null;
  const use = machineUse(before.machine, after.machine, enginesS);
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
    disturbed: disturbance(use),
  };
}
