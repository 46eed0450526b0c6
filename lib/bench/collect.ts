/** Reads a run's records once, line by line, and keeps only the numbers of each request that a summary needs. */
import type { BusyProgram } from "./busiest_program.ts";
import { gapsMs, metricOf, queueS, secondsPerToken } from "./metrics.ts";
import type {
  CandidateInfo,
  LoadRecord,
  MachineRecord,
  RequestRecord,
  SampleRecord,
  TokenSource,
} from "./records.ts";
import type { MetricName } from "./summary_schema.ts";

export type RequestMetric = Exclude<MetricName, "itl_s">;

export const requestMetrics: readonly RequestMetric[] = [
  "latency_s",
  "ttft_s",
  "ttfo_s",
  "tpot_s",
  "output_tokens_per_s",
  "decode_tokens_per_s",
  "output_chars_per_s",
  "prefill_tokens_per_s",
];

/** The good timed requests of a candidate, one array per figure, one value per request; NaN where a value is null. */
export interface Requests {
  readonly block: GrowableArray;
  /** Due times in ms since the run began. */
  readonly due: GrowableArray;
  /** NaN in runs of schema 1. */
  readonly stretch: GrowableArray;
  /** Index into the plan's prompts. */
  readonly prompt: GrowableArray;
  readonly metrics: Readonly<Record<RequestMetric, GrowableArray>>;
  readonly outputTokens: GrowableArray;
  readonly promptTokens: GrowableArray;
  readonly cachedTokens: GrowableArray;
  readonly queueS: GrowableArray;
  /** Relative disagreement of our decode time with the server's: ours / server's − 1. */
  readonly serverDecode: GrowableArray;
  /** All gaps of all requests, in seconds, and how many belong to each request. */
  readonly gapsS: GrowableArray;
  readonly gapCount: GrowableArray;
}

/** Every timed request, good or not: when it was due, sent and over, in ms. */
export interface Timeline {
  readonly block: GrowableArray;
  /** Index into the plan's prompts. */
  readonly prompt: GrowableArray;
  readonly due: GrowableArray;
  readonly sent: GrowableArray;
  readonly end: GrowableArray;
  /** 1 where it succeeded and met the limits of --slo. */
  readonly met: GrowableArray;
}

export interface Collected {
  readonly info: CandidateInfo;
  readonly good: Requests;
  readonly timeline: Timeline;
  ok: number;
  failed: number;
  /** The first failure's reason. */
  firstReason: string | null;
  /** Blocks in which it failed. */
  readonly failedBlocks: Set<number>;
  left: { readonly status: "failed" | "skipped"; readonly reason: string } | null;
  load: LoadRecord | null;
  /** Seconds per token of the warm-ups that were answered. */
  readonly warmups: number[];
  memoryMb: number | null;
  source: TokenSource | null;
  stop: number;
  length: number;
  notStreamed: number;
  /** The first good answer's id. */
  sampleId: string | null;
}

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
  /** Temperature and frequency at the end of each block; null where the machine doesn't report them. */
  readonly machine: readonly Pick<MachineRecord, "at_ms" | "temperature_c" | "frequency_mhz">[];
  /** Blocks in which a service on this machine did not report its processor time. */
  readonly unknownNoise: number;
  readonly torn: boolean;
}

export interface CollectOptions {
  readonly candidates: readonly CandidateInfo[];
  readonly promptIds: readonly string[];
  readonly slo: { readonly ttft_s: number | null; readonly e2e_s: number | null } | null;
  /** Receives every record as it is read, which saves a second pass over a long run. */
  readonly watch?: (record: SampleRecord) => void;
}

/** Collects records from a file or from memory. */
export async function collectRecords(
  records: AsyncIterable<SampleRecord> | Iterable<SampleRecord>,
  options: CollectOptions,
): Promise<CollectedRun> {
  const candidates = new Map(options.candidates.map((info) => [info.id, emptyCandidate(info)]));
  const prompts = new Map(options.promptIds.map((id, index) => [id, index]));
  const blocks = new Set<number>();
  const disturbed = new Map<number, string>();
  const noise = {
    ownCpuS: 0,
    wallS: 0,
    unknownNoise: 0,
    busiest: [] as BusyProgram[],
    machine: [] as MachineRecord[],
  };
  for await (const record of records) {
    options.watch?.(record);
    if (record.kind === "machine") {
      addMachine(record, blocks, disturbed, noise);
      continue;
    }
    const candidate = candidates.get(record.candidate);
    if (candidate === undefined) continue;
    if (record.kind === "load") candidate.load = record;
    if (record.kind === "candidate") candidate.left = { status: record.status, reason: record.reason };
    if (record.kind === "memory") {
      candidate.memoryMb = Math.max(candidate.memoryMb ?? 0, record.resident_mb);
    }
    if (record.kind === "request" && record.phase === "warmup" && record.round === 0) {
      const seconds = secondsPerToken(record);
      if (seconds !== null) candidate.warmups.push(seconds);
    }
    if (record.kind === "request" && record.phase === "timed") {
      blocks.add(record.block);
      addRequest(candidate, record, prompts.get(record.prompt_id) ?? -1, options.slo);
    }
  }
  return { candidates, disturbed, blocks, ...noise, torn: false };
}

function addMachine(
  record: MachineRecord,
  blocks: Set<number>,
  disturbed: Map<number, string>,
  noise: {
    ownCpuS: number;
    wallS: number;
    unknownNoise: number;
    busiest: BusyProgram[];
    machine: MachineRecord[];
  },
): void {
  if (record.temperature_c !== null || record.frequency_mhz !== null) noise.machine.push(record);
  blocks.add(record.block);
  if (record.busiest) noise.busiest.push(record.busiest);
  if (record.disturbed !== null) disturbed.set(record.block, record.disturbed);
  noise.ownCpuS += record.own_cpu_s;
  noise.wallS += record.wall_ms / 1000;
  if (record.engines_cpu_s === null) noise.unknownNoise++;
}

/** Numbers in a typed array that doubles when it is full: eight (or four) bytes per value, whatever a run's length. */
class GrowableArray {
  #values: Float64Array | Float32Array;
  #length = 0;

  /** @param precision `single` where memory counts more than the eighth digit */
  constructor(precision: "double" | "single" = "double") {
    this.#values = precision === "double" ? new Float64Array(256) : new Float32Array(256);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = this.#values instanceof Float64Array
        ? new Float64Array(this.#length * 2)
        : new Float32Array(this.#length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length++] = value;
  }

  /** The values so far; shares memory with the array. */
  view(): Float64Array | Float32Array {
    return this.#values.subarray(0, this.#length);
  }
}

function emptyCandidate(info: CandidateInfo): Collected {
  const doubles = () => new GrowableArray();
  return {
    info,
    good: {
      block: doubles(),
      due: doubles(),
      stretch: doubles(),
      prompt: doubles(),
      metrics: {
        latency_s: doubles(),
        ttft_s: doubles(),
        ttfo_s: doubles(),
        tpot_s: doubles(),
        output_tokens_per_s: doubles(),
        decode_tokens_per_s: doubles(),
        output_chars_per_s: doubles(),
        prefill_tokens_per_s: doubles(),
      },
      outputTokens: doubles(),
      promptTokens: doubles(),
      cachedTokens: doubles(),
      queueS: doubles(),
      serverDecode: doubles(),
      gapsS: new GrowableArray("single"),
      gapCount: doubles(),
    },
    timeline: {
      block: doubles(),
      prompt: doubles(),
      due: doubles(),
      sent: doubles(),
      end: doubles(),
      met: doubles(),
    },
    ok: 0,
    failed: 0,
    firstReason: null,
    failedBlocks: new Set(),
    left: null,
    load: null,
    warmups: [],
    memoryMb: null,
    source: null,
    stop: 0,
    length: 0,
    notStreamed: 0,
    sampleId: null,
  };
}

function addRequest(
  candidate: Collected,
  record: RequestRecord,
  prompt: number,
  slo: CollectOptions["slo"],
): void {
  const { timeline } = candidate;
  timeline.block.push(record.block);
  timeline.prompt.push(prompt);
  timeline.due.push(record.due_ms);
  timeline.sent.push(record.sent_ms);
  timeline.end.push(record.end_ms);
  timeline.met.push(record.status === "ok" && meets(record, slo) ? 1 : 0);
  if (record.status === "ok") {
    candidate.ok++;
    addGood(candidate, record, prompt);
  } else {
    candidate.failed++;
    candidate.failedBlocks.add(record.block);
    candidate.firstReason ??= record.reason;
  }
}

function addGood(candidate: Collected, record: RequestRecord, prompt: number): void {
  const { good } = candidate;
  good.block.push(record.block);
  good.due.push(record.due_ms);
  good.stretch.push(record.stretch ?? NaN);
  good.prompt.push(prompt);
  for (const name of requestMetrics) good.metrics[name].push(metricOf[name](record) ?? NaN);
  good.outputTokens.push(record.output_tokens);
  good.promptTokens.push(record.prompt_tokens ?? NaN);
  good.cachedTokens.push(record.cached_tokens ?? NaN);
  good.queueS.push(queueS(record));
  good.serverDecode.push(serverDecodeError(record) ?? NaN);
  const gaps = gapsMs(record);
  for (const gap of gaps) good.gapsS.push(gap / 1000);
  good.gapCount.push(gaps.length);
  candidate.source = weaker(candidate.source, record.token_source);
  if (record.finish_reason === "length") candidate.length++;
  else candidate.stop++;
  if (!record.streamed) candidate.notStreamed++;
  candidate.sampleId ??= record.id;
}

/** Podium's decode time over the server's, minus 1, from first to last token; null where the server reports none. */
function serverDecodeError(record: RequestRecord): number | null {
  const theirs = record.server?.decode_ms ?? null;
  const [first, last] = [record.chunk_ms[0], record.chunk_ms.at(-1)];
  if (theirs === null || theirs <= 0 || !record.streamed || first === undefined || last === undefined) {
    return null;
  }
  return (last - first) / theirs - 1;
}

/** Whether a request met the stated limits; a limit on a figure that is not known is not met. */
function meets(record: RequestRecord, slo: CollectOptions["slo"]): boolean {
  const within = (value: number | null, limit: number | null) =>
    limit === null || (value !== null && value <= limit);
  return slo === null ||
    (within(metricOf.ttft_s(record), slo.ttft_s) && within(metricOf.latency_s(record), slo.e2e_s));
}

const strength: readonly TokenSource[] = ["usage", "chunks", "chars/4"];

function weaker(a: TokenSource | null, b: TokenSource): TokenSource {
  return a === null || strength.indexOf(b) > strength.indexOf(a) ? b : a;
}
