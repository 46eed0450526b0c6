/** Reads a run's records once, line by line, and keeps only the figures of each request that a summary needs. */
import type { BusyProgram } from "./busiest_program.ts";
import {
  byMetric,
  gapsMs,
  type Limits,
  meetsLimits,
  metrics,
  queueS,
  type RequestMetric,
  requestMetrics,
  secondsPerToken,
} from "./metrics.ts";
import type {
  CandidateInfo,
  LoadRecord,
  MachineRecord,
  RequestRecord,
  SampleRecord,
  TokenSource,
} from "./records.ts";

/** A timed request, good or not. */
export interface CollectedRequest {
  readonly block: number;
  /** Runs of schema 1 recorded no stretches: the whole run counts as one. */
  readonly stretch: number;
  /** Index into the plan's prompts. */
  readonly prompt: number;
  /** When it was due, sent and over, in ms since the run began. */
  readonly dueMs: number;
  readonly sentMs: number;
  readonly endMs: number;
  /** Why it failed; null for a good one. */
  readonly failure: string | null;
  /** Whether it succeeded and met the limits of --slo. */
  readonly met: boolean;
}

/** A timed request that succeeded, with its metrics. */
export interface GoodRequest extends CollectedRequest, Readonly<Record<RequestMetric, number | null>> {
  /** Every gap between its chunks. */
  readonly itl_s: Float32Array;
  readonly outputTokens: number;
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly tokenSource: TokenSource;
  readonly streamed: boolean;
  /** Whether it reached the token limit. */
  readonly cut: boolean;
  /** Waiting in the client's own queue. */
  readonly queueS: number;
  /** Podium's decode time over the server's, minus 1; null where the server reports none. */
  readonly serverDecodeError: number | null;
}

/** The records of one candidate. */
export interface Collected {
  readonly info: CandidateInfo;
  readonly timed: CollectedRequest[];
  /** The good ones among `timed`. */
  readonly good: GoodRequest[];
  left: { readonly status: "failed" | "skipped"; readonly reason: string } | null;
  load: LoadRecord | null;
  /** Seconds per token of the warm-ups that were answered. */
  readonly warmups: number[];
  memoryMb: number | null;
  /** The first good answer's id. */
  sampleId: string | null;
}

/** The records of a run. */
export interface CollectedRun {
  readonly candidates: ReadonlyMap<string, Collected>;
  /** Numbers of the disturbed blocks, with the reason. */
  readonly disturbed: ReadonlyMap<number, string>;
  /** The program that was busiest, for each disturbed block after which it was looked for. */
  readonly busiest: readonly BusyProgram[];
  readonly blocks: ReadonlySet<number>;
  /** Processor seconds of Podium's own process, and wall seconds, over all blocks. */
  readonly ownCpuS: number;
  readonly wallS: number;
  /** Temperature and frequency at the end of each block; only where the machine reports one of them. */
  readonly machine: readonly Pick<MachineRecord, "at_ms" | "temperature_c" | "frequency_mhz">[];
  /** Blocks in which a service on this machine did not report its processor time. */
  readonly unknownNoise: number;
  readonly torn: boolean;
}

export interface CollectOptions {
  readonly candidates: readonly CandidateInfo[];
  readonly promptIds: readonly string[];
  readonly slo: Limits | null;
  /** Receives every record as it is read, which saves a second pass over a long run. */
  readonly watch?: (record: SampleRecord) => void;
}

/** Collects records from a file or from memory. */
export async function collectRecords(
  records: AsyncIterable<SampleRecord> | Iterable<SampleRecord>,
  { candidates, promptIds, slo, watch }: CollectOptions,
): Promise<CollectedRun> {
  const run = emptyRun(candidates);
  const gaps = new GapStore();
  const prompts = new Map(promptIds.map((id, index) => [id, index]));
  for await (const record of records) {
    watch?.(record);
    if (record.kind === "machine") {
      addMachine(run, record);
      continue;
    }
    const candidate = run.candidates.get(record.candidate);
    if (candidate === undefined) continue;
    switch (record.kind) {
      case "load":
        candidate.load = record;
        break;
      case "candidate":
        candidate.left = { status: record.status, reason: record.reason };
        break;
      case "memory":
        candidate.memoryMb = Math.max(candidate.memoryMb ?? 0, record.resident_mb);
        break;
      case "request":
        if (record.phase === "warmup" && record.round === 0) addWarmup(candidate, record);
        if (record.phase === "timed") {
          run.blocks.add(record.block);
          addTimed(
            candidate,
            record,
            collectedRequest(record, prompts.get(record.prompt_id) ?? -1, slo),
            gaps,
          );
        }
    }
  }
  return run;
}

const emptyRun = (candidates: readonly CandidateInfo[]) => ({
  candidates: new Map(candidates.map((info) => [info.id, emptyCandidate(info)])),
  disturbed: new Map<number, string>(),
  busiest: new Array<BusyProgram>(),
  blocks: new Set<number>(),
  ownCpuS: 0,
  wallS: 0,
  machine: new Array<MachineRecord>(),
  unknownNoise: 0,
  torn: false,
});

const emptyCandidate = (info: CandidateInfo): Collected => ({
  info,
  timed: [],
  good: [],
  left: null,
  load: null,
  warmups: [],
  memoryMb: null,
  sampleId: null,
});

function addMachine(run: ReturnType<typeof emptyRun>, record: MachineRecord): void {
  run.blocks.add(record.block);
  run.ownCpuS += record.own_cpu_s;
  run.wallS += record.wall_ms / 1000;
  if (record.temperature_c !== null || record.frequency_mhz !== null) run.machine.push(record);
  if (record.busiest) run.busiest.push(record.busiest);
  if (record.disturbed !== null) run.disturbed.set(record.block, record.disturbed);
  if (record.engines_cpu_s === null) run.unknownNoise++;
}

function addWarmup(candidate: Collected, record: RequestRecord): void {
  const seconds = secondsPerToken(record);
  if (seconds !== null) candidate.warmups.push(seconds);
}

function addTimed(
  candidate: Collected,
  record: RequestRecord,
  timed: CollectedRequest,
  gaps: GapStore,
): void {
  const good = timed.failure === null ? goodRequest(record, timed, gaps) : null;
  candidate.timed.push(good ?? timed);
  if (good === null) return;
  candidate.good.push(good);
  candidate.sampleId ??= record.id;
}

function collectedRequest(record: RequestRecord, prompt: number, slo: Limits | null): CollectedRequest {
  const isGood = record.status === "ok";
  return {
    block: record.block,
    stretch: record.stretch ?? 0,
    prompt,
    dueMs: record.due_ms,
    sentMs: record.sent_ms,
    endMs: record.end_ms,
    failure: isGood ? null : record.reason ?? record.status,
    met: slo === null ? isGood : meetsLimits(record, slo),
  };
}

function goodRequest(record: RequestRecord, timed: CollectedRequest, gaps: GapStore): GoodRequest {
  return {
    ...timed,
    ...byMetric(requestMetrics, (name) => metrics[name].of(record)),
    itl_s: gaps.keep(gapsMs(record).map((gap) => gap / 1000)),
    outputTokens: record.output_tokens,
    promptTokens: record.prompt_tokens,
    cachedTokens: record.cached_tokens,
    tokenSource: record.token_source,
    streamed: record.streamed,
    cut: record.finish_reason === "length",
    queueS: queueS(record),
    serverDecodeError: serverDecodeError(record),
  };
}

function serverDecodeError({ server, streamed, chunk_ms }: RequestRecord): number | null {
  const theirs = server?.decode_ms ?? null;
  const [first, last] = [chunk_ms[0], chunk_ms.at(-1)];
  if (theirs === null || theirs <= 0 || !streamed || first === undefined || last === undefined) return null;
  return (last - first) / theirs - 1;
}

/**
 * Keeps gaps in single precision, in pieces of large arrays: a long run has millions of gaps, and an array
 * for each request would cost more than the gaps in it.
 */
class GapStore {
  #free = new Float32Array(0);

  keep(gaps: readonly number[]): Float32Array {
    if (gaps.length > this.#free.length) this.#free = new Float32Array(Math.max(1 << 16, gaps.length));
    const kept = this.#free.subarray(0, gaps.length);
    kept.set(gaps);
    this.#free = this.#free.subarray(gaps.length);
    return kept;
  }
}
