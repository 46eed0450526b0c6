/** Speed and memory of this machine's models from its earlier runs. */
import { join } from "node:path";
import type { RecordedSpeed } from "../catalog/calibration.ts";
import type { MachineDescription } from "../catalog/machine.ts";
import type { SpeedFeatures } from "../catalog/speed_terms.ts";
import { UserError } from "../errors.ts";
import { quantile } from "../stats/quantile.ts";
import { runIds } from "./find_run.ts";
import { readRunInfo, readSamples } from "./read_run.ts";
import type { CandidateInfo, RequestRecord } from "./records.ts";

/** Measurements of models whose files are on this machine. */
export interface RecordedMeasurements {
  readonly speeds: readonly RecordedSpeed[];
  /** Largest resident size in megabytes (10^6 bytes), by `ALIAS:VARIANT` without settings. */
  readonly residentMb: ReadonlyMap<string, number>;
}

/** How many of the latest runs are read. */
const MOST_RUNS = 20;

/**
 * The embedded candidates' times in the latest runs of this machine: per candidate and prompt, the median of
 * the quiet blocks. Runs that can't be read are left out.
 *
 * @param featuresOf the features of a model, by `ALIAS:VARIANT`; null where its file is not here
 *
 * ```ts ignore
 * const { speeds } = await recordedSpeeds("reports", machine, (model) => features.get(model) ?? null);
 * ```
 */
export async function recordedSpeeds(
  root: string,
  machine: MachineDescription,
  featuresOf: (model: string) => SpeedFeatures | null,
): Promise<RecordedMeasurements> {
  const speeds: RecordedSpeed[] = [];
  const residentMb = new Map<string, number>();
  for (const id of (await runIds(root)).slice(-MOST_RUNS)) {
    try {
      await readOne(join(root, id), { machine, featuresOf, speeds, residentMb });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  return { speeds, residentMb };
}

interface Reading {
  readonly machine: MachineDescription;
  readonly featuresOf: (model: string) => SpeedFeatures | null;
  readonly speeds: RecordedSpeed[];
  readonly residentMb: Map<string, number>;
}

async function readOne(folder: string, { machine, featuresOf, speeds, residentMb }: Reading): Promise<void> {
  const info = await readRunInfo(folder);
  if (info.machine.cpu !== machine.cpu || info.machine.cores !== machine.cores) return;
  const candidates = new Map(
    info.candidates.filter(({ endpoint, alias }) => endpoint === "embedded" && alias !== "")
      .map((candidate) => [candidate.id, candidate]),
  );
  const requests: RequestRecord[] = [];
  const disturbed = new Set<number>();
  const devices = new Map<string, string>();
  for await (const record of readSamples(folder)) {
    if (record.kind === "request") requests.push(record);
    if (record.kind === "machine" && record.disturbed !== null) disturbed.add(record.block);
    if (record.kind === "load" && record.device !== null) devices.set(record.candidate, record.device);
    if (record.kind === "memory") {
      const candidate = candidates.get(record.candidate);
      const key = candidate === undefined ? null : modelKey(candidate);
      if (key !== null) residentMb.set(key, Math.max(residentMb.get(key) ?? 0, record.resident_mb));
    }
  }
  const quiet = requests.filter((one) => one.status === "ok" && !disturbed.has(one.block));
  for (const group of Map.groupBy(quiet, (one) => `${one.candidate} ${one.prompt_id}`).values()) {
    const [first] = group;
    const candidate = first === undefined ? undefined : candidates.get(first.candidate);
    const model = candidate === undefined ? null : modelKey(candidate);
    const features = model === null ? null : featuresOf(model);
    const threads = candidate?.llama_cpp?.settings?.threads ?? threadsOf(candidate) ??
      Math.max(1, machine.cores - 1);
    if (first === undefined || model === null || features === null) continue;
    const common = {
      model,
      features,
      device: devices.get(first.candidate) ?? "cpu",
      threads,
      source: info.run_id,
      at: info.created_at,
    };
    for (const time of timesOf(group)) speeds.push({ ...common, ...time });
  }
}

/** `ALIAS:VARIANT`, without engine settings. */
const modelKey = ({ alias, variant }: CandidateInfo): string =>
  `${alias}:${(variant ?? "").split("+").filter((part) => !part.includes("=")).join("+")}`;

const threadsOf = (candidate: CandidateInfo | undefined): number | null => {
  const stated = /(?:^|\+)threads=(\d+)/.exec(candidate?.variant ?? "")?.[1];
  return stated === undefined ? null : Number(stated);
};

function timesOf(group: readonly RequestRecord[]): Pick<RecordedSpeed, "kind" | "tokens" | "seconds">[] {
  const decodes = group.flatMap(({ server, prompt_tokens, output_tokens }) =>
    server?.decode_ms && prompt_tokens !== null && output_tokens > 8
      ? [{
        seconds: server.decode_ms / (output_tokens - 1) / 1000,
        tokens: prompt_tokens + output_tokens / 2,
      }]
      : []
  );
  const prompts = group.flatMap(({ server, prompt_tokens, cached_tokens }) =>
    server?.prompt_ms && prompt_tokens !== null && (cached_tokens ?? 0) < prompt_tokens * 0.1
      ? [{ seconds: server.prompt_ms / 1000, tokens: prompt_tokens }]
      : []
  );
  const middle = (times: readonly { readonly seconds: number; readonly tokens: number }[]) => ({
    seconds: quantile(times.map(({ seconds }) => seconds), 0.5),
    tokens: quantile(times.map(({ tokens }) => tokens), 0.5),
  });
  return [
    ...(decodes.length === 0 ? [] : [{ kind: "decode" as const, ...middle(decodes) }]),
    ...(prompts.length === 0 ? [] : [{ kind: "prefill" as const, ...middle(prompts) }]),
  ];
}
