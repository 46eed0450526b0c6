/** Measurements of this machine, kept in a file next to the models: the basis of every prediction. */
import { join } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { readIfThere, writeFresh } from "./files.ts";
import type { MachineDescription } from "./machine.ts";
import type { SpeedSample } from "./speed_terms.ts";
import { CALIBRATION_FILE, type Store } from "./store.ts";

const positive = z.number().positive();
const amounts = z.record(z.string(), z.number().nonnegative());

const speedSample = z.object({
  model: z.string(),
  kind: z.enum(["decode", "prefill"]),
  device: z.string(),
  threads: z.int().positive(),
  tokens: positive,
  seconds: positive,
  /** `probe`, or the id of a run. */
  source: z.string(),
  /** When it was measured, in ISO 8601. */
  at: z.string(),
  features: z.object({
    readBytes: amounts,
    promptValues: amounts,
    layers: z.number().nonnegative(),
    vocabulary: z.number().nonnegative(),
    attention: z.object({ full: z.number(), windowed: z.number(), window: z.number() }),
    approximate: z.boolean(),
  }),
});
/** A measured time, where it comes from and when. */
export type RecordedSpeed = z.infer<typeof speedSample>;

const machineCalibration = z.object({
  cpu: z.string(),
  cores: z.int().positive(),
  gpu: z.array(z.string()),
  samples: z.array(speedSample),
});

const calibrationFile = z.object({ schema_version: z.literal(1), machines: z.array(machineCalibration) });
type CalibrationFile = z.infer<typeof calibrationFile>;

/** The latest measurements that are kept per model, kind, device, number of threads and length. */
const KEPT = 5;

/**
 * The measurements of this machine; empty without a file.
 *
 * @throws {UserError} for a file that is damaged
 *
 * ```ts
 * const machine = { cpu: "x", cores: 2, ram_gb: 8, gpu: [], os: "x", arch: "x86_64" };
 * const samples = await readCalibration({ dir: "no/such/folder", unreachable: new Set() }, machine);
 * if (samples.length !== 0) throw new Error("nothing was measured");
 * ```
 */
export async function readCalibration(store: Store, machine: MachineDescription): Promise<RecordedSpeed[]> {
  const { machines } = await readAll(store);
  return machines.find((one) => isSame(one, machine))?.samples ?? [];
}

/** Adds measurements of this machine to the file. */
export async function addToCalibration(
  store: Store,
  machine: MachineDescription,
  samples: readonly RecordedSpeed[],
): Promise<void> {
  const { machines } = await readAll(store);
  const before = machines.find((one) => isSame(one, machine))?.samples ?? [];
  const { cpu, cores, gpu } = machine;
  const own = { cpu, cores, gpu, samples: latest([...before, ...samples]) };
  const file: CalibrationFile = {
    schema_version: 1,
    machines: [...machines.filter((one) => !isSame(one, machine)), own],
  };
  const path = join(store.dir, CALIBRATION_FILE);
  await writeFresh(`${path}.new`, `${JSON.stringify(file)}\n`);
  await Deno.rename(`${path}.new`, path);
}

async function readAll(store: Store): Promise<CalibrationFile> {
  const path = join(store.dir, CALIBRATION_FILE);
  const text = await readIfThere(path);
  if (text === null) return { schema_version: 1, machines: [] };
  try {
    return calibrationFile.parse(JSON.parse(text));
  } catch (error) {
    throw new UserError(
      `${path} is damaged (${reasonOf(error).slice(0, 80)}): delete it and run deno task fit --probe again`,
    );
  }
}

type SameMachine = Pick<MachineDescription, "cpu" | "cores" | "gpu">;
const isSame = (a: SameMachine, b: SameMachine) =>
  a.cpu === b.cpu && a.cores === b.cores && a.gpu.join() === b.gpu.join();

const settingKey = ({ model, kind, device, threads, tokens }: RecordedSpeed) =>
  [model, kind, device, threads, Math.round(Math.log2(tokens))].join(" ");

function latest(samples: readonly RecordedSpeed[]): RecordedSpeed[] {
  const groups = Map.groupBy(samples, settingKey);
  return [...groups.values()].flatMap((group) =>
    group.toSorted((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0).slice(-KEPT)
  );
}

/**
 * One measurement of each model, kind, device, number of threads and length: the fastest one, since whatever
 * else runs can only slow a model down. Where there is a probe, runs of the same model don't count: they may
 * be older than the engine.
 */
export function leastDisturbed(samples: readonly RecordedSpeed[]): SpeedSample[] {
  const settings = Map.groupBy(
    samples,
    ({ model, kind, device, threads }) => [model, kind, device, threads].join(" "),
  );
  return [...settings.values()].flatMap((group) => {
    const probed = group.filter(({ source }) => source === "probe");
    return [...Map.groupBy(probed.length > 0 ? probed : group, settingKey).values()].map((same) =>
      same.reduce((best, one) => perToken(one) < perToken(best) ? one : best)
    );
  });
}

const perToken = ({ kind, seconds, tokens }: RecordedSpeed) => kind === "decode" ? seconds : seconds / tokens;
