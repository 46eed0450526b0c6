/**
 * Gathers the data for a report's figures in one pass over a run's records. The numbers of the tables come
 * from summary.json.
 */
import { decodeTokensPerS, latencyS, ttftS } from "../bench/metrics.ts";
import type { LoadRecord, MachineRecord, RequestRecord, SampleRecord } from "../bench/records.ts";
import type { Summary } from "../bench/summary_schema.ts";
import { quantile } from "../stats/quantile.ts";

/** The successful timed requests of one candidate on one prompt, quiet blocks only. */
export interface PromptTimes {
  readonly candidate: string;
  readonly prompt: string;
  /** Seconds, one value per request. */
  readonly latency: readonly number[];
  /** Seconds, one value per request that streamed its answer. */
  readonly ttft: readonly number[];
}

/** A block that the summary leaves out. */
export interface DisturbedBlock {
  readonly block: number;
  readonly reason: string;
}

/** One request whose chunks are drawn. */
export interface DrawnRequest {
  readonly candidate: string;
  readonly prompt: string;
  readonly round: number;
  readonly block: number;
  /** Seconds since the request was due, one value per chunk. */
  readonly chunks: readonly number[];
  /** The longest gap between two chunks, in seconds. */
  readonly longestGap: number;
}

/** What the server reported about its work, next to what the client saw: medians over n successful timed requests. */
export interface ServerTimes {
  readonly candidate: string;
  readonly n: number;
  /** Reading the prompt by the server's clock, and the client's time to first token; seconds. */
  readonly promptS: number | null;
  readonly ttftS: number | null;
  /** Writing the answer by the server's clock, and the client's first to last chunk; seconds. */
  readonly decodeS: number | null;
  readonly streamS: number | null;
  /** Prompt tokens that the server took from its cache. */
  readonly cachedTokens: number | null;
}

/** Everything in samples.jsonl that a report shows in addition to the summary. */
export interface RunData {
  readonly times: readonly PromptTimes[];
  /** Blocks spread over the run and those with the longest gaps, every candidate's request of each, in order. */
  readonly drawn: readonly DrawnRequest[];
  /** The number of blocks from which `drawn` was chosen. */
  readonly drawable: number;
  readonly disturbed: readonly DisturbedBlock[];
  /** By candidate: decode tokens/s of each successful timed request, with when it was due, in seconds of the run. */
  readonly speeds: ReadonlyMap<string, readonly { readonly atS: number; readonly perS: number }[]>;
  /** At the end of each block; null where the machine doesn't report it. */
  readonly machine: readonly {
    readonly atS: number;
    readonly temperatureC: number | null;
    readonly frequencyMhz: number | null;
  }[];
  readonly loads: ReadonlyMap<string, readonly LoadRecord[]>;
  /** Candidates whose service reports its own times or cached tokens. */
  readonly server: readonly ServerTimes[];
  /** Why a timed request failed or broke off, by request id; at most `MAX_FAILURES` are kept. */
  readonly failures: ReadonlyMap<string, string>;
}

const MAX_FAILURES = 10_000;
/** The timeline draws up to this many blocks spread over the run, and as many with the longest gaps. */
const DRAWN_EACH = 4;

/**
 * Takes the records of a run one by one and keeps what a report shows: one pass, and five numbers per
 * request.
 *
 * ```ts
 * const gatherer = new RunGatherer();
 * if (gatherer.result("none").times.length !== 0) throw new Error("no record, no times");
 * ```
 */
export class RunGatherer {
  readonly #times = new Map<string, TimesOfPrompt>();
  readonly #timelines = new TimelineSample();
  readonly #servers = new Map<string, ServerFigures>();
  readonly #disturbed = new Map<number, string>();
  readonly #loads = new Map<string, LoadRecord[]>();
  readonly #failures = new Map<string, string>();
  readonly #speeds = new Map<string, { atS: number; perS: number }[]>();
  readonly #machine: RunData["machine"][number][] = [];

  add(record: SampleRecord): void {
    if (record.kind === "machine") this.#addMachine(record);
    if (record.kind === "load") getOr(this.#loads, record.candidate, () => []).push(record);
    if (record.kind === "request" && record.phase === "timed") this.#addRequest(record);
  }

  #addMachine({ block, disturbed, at_ms, temperature_c, frequency_mhz }: MachineRecord): void {
    if (disturbed !== null) this.#disturbed.set(block, disturbed);
    if ((temperature_c ?? frequency_mhz) === null) return;
    this.#machine.push({ atS: at_ms / 1000, temperatureC: temperature_c, frequencyMhz: frequency_mhz });
  }

  #addRequest(record: RequestRecord): void {
    const { candidate, prompt_id: prompt } = record;
    if (record.status !== "ok") {
      if (this.#failures.size < MAX_FAILURES) this.#failures.set(record.id, record.reason ?? record.status);
      return;
    }
    const key = JSON.stringify([candidate, prompt]);
    getOr(this.#times, key, () => new TimesOfPrompt(candidate, prompt)).add(record);
    const perS = decodeTokensPerS(record);
    if (perS !== null) getOr(this.#speeds, candidate, () => []).push({ atS: record.due_ms / 1000, perS });
    this.#timelines.add(record);
    getOr(this.#servers, candidate, () => new ServerFigures()).add(record);
  }

  /** @param treatment what the summary did with disturbed blocks; the figures do the same */
  result(treatment: Summary["blocks"]["treatment"]): RunData {
    const left = treatment === "left out" ? this.#disturbed : new Map<number, string>();
    return {
      times: [...this.#times.values()].map((one) => one.without(left)),
      drawn: this.#timelines.chosen(),
      drawable: this.#timelines.blocks,
      disturbed: [...this.#disturbed].map(([block, reason]) => ({ block, reason }))
        .sort((a, b) => a.block - b.block),
      loads: this.#loads,
      speeds: this.#speeds,
      machine: this.#machine,
      server: [...this.#servers].flatMap(([candidate, figures]) => figures.medians(candidate) ?? []),
      failures: this.#failures,
    };
  }
}

function getOr<K, T>(map: Map<K, T>, key: K, make: () => T): T {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}

/** Times with their blocks, since a block is known to be disturbed only at its end. */
class TimesOfPrompt {
  readonly #blocks: number[] = [];
  readonly #latency: (number | null)[] = [];
  readonly #ttft: (number | null)[] = [];

  constructor(readonly candidate: string, readonly prompt: string) {}

  add(record: RequestRecord): void {
    this.#blocks.push(record.block);
    this.#latency.push(latencyS(record));
    this.#ttft.push(ttftS(record));
  }

  without(disturbed: ReadonlyMap<number, string>): PromptTimes {
    const kept = (values: readonly (number | null)[]) =>
      values.filter((value, i): value is number =>
        value !== null && !disturbed.has(this.#blocks[i] ?? Number.NaN)
      );
    return {
      candidate: this.candidate,
      prompt: this.prompt,
      latency: kept(this.#latency),
      ttft: kept(this.#ttft),
    };
  }
}

/** How many of the last requests are searched for those of the block before a long gap. */
const RECENT = 64;

/**
 * Keeps a few blocks out of any number, with the requests of all candidates: every stride-th block, and those
 * with the longest gaps. Candidates are then seen on the same prompts.
 */
class TimelineSample {
  readonly #seen = new Set<number>();
  #stride = 1;
  readonly #spread = new Map<number, DrawnRequest[]>();
  readonly #stalled = new Map<number, DrawnRequest[]>();
  readonly #recent: DrawnRequest[] = [];

  get blocks(): number {
    return this.#seen.size;
  }

  add(record: RequestRecord): void {
    if (!record.streamed) return;
    const request: DrawnRequest = {
      candidate: record.candidate,
      prompt: record.prompt_id,
      round: record.round,
      block: record.block,
      chunks: record.chunk_ms.map((ms) => ms / 1000),
      longestGap: longestGapS(record.chunk_ms),
    };
    const { block } = request;
    this.#seen.add(block);
    if (block % this.#stride === 0) getOr(this.#spread, block, () => []).push(request);
    while (this.#spread.size > 2 * DRAWN_EACH) {
      this.#stride *= 2;
      for (const kept of this.#spread.keys()) if (kept % this.#stride !== 0) this.#spread.delete(kept);
    }
    this.#addStalled(request);
    this.#recent.push(request);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  #addStalled(request: DrawnRequest): void {
    const { block, longestGap } = request;
    const own = this.#stalled.get(block);
    if (own !== undefined) return void own.push(request);
    const [least] = [...this.#stalled].map(([kept, requests]) => ({ kept, gap: longestOf(requests) }))
      .sort((a, b) => a.gap - b.gap);
    if (least !== undefined && this.#stalled.size >= DRAWN_EACH) {
      if (longestGap <= least.gap) return;
      this.#stalled.delete(least.kept);
    }
    this.#stalled.set(block, [...this.#recent.filter((one) => one.block === block), request]);
  }

  chosen(): DrawnRequest[] {
    const spread = [...this.#spread].slice(0, DRAWN_EACH);
    return [...new Map([...spread, ...this.#stalled])].sort(([a], [b]) => a - b)
      .flatMap(([, requests]) => requests);
  }
}

const longestOf = (requests: readonly DrawnRequest[]) => Math.max(...requests.map((one) => one.longestGap));

function longestGapS(chunkMs: readonly number[]): number {
  let longest = 0;
  for (let i = 1; i < chunkMs.length; i++) {
    longest = Math.max(longest, (chunkMs[i] ?? 0) - (chunkMs[i - 1] ?? 0));
  }
  return longest / 1000;
}

/** The server's figures of one candidate, each with the client's figure for the same request. */
class ServerFigures {
  readonly #prompt: number[] = [];
  readonly #ttft: number[] = [];
  readonly #decode: number[] = [];
  readonly #stream: number[] = [];
  readonly #cached: number[] = [];
  #n = 0;

  add(record: RequestRecord): void {
    const { server, chunk_ms: chunks } = record;
    const cached = record.cached_tokens ?? server?.cached_tokens ?? null;
    if (server === null && cached === null) return;
    this.#n++;
    if (cached !== null) this.#cached.push(cached);
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (server === null || !record.streamed || first === undefined || last === undefined) return;
    if (server.prompt_ms !== null) {
      this.#prompt.push(server.prompt_ms / 1000);
      this.#ttft.push(first / 1000);
    }
    if (server.decode_ms !== null) {
      this.#decode.push(server.decode_ms / 1000);
      this.#stream.push((last - first) / 1000);
    }
  }

  medians(candidate: string): ServerTimes | null {
    if (this.#n === 0) return null;
    const median = (values: readonly number[]) => values.length === 0 ? null : quantile(values, 0.5);
    return {
      candidate,
      n: this.#n,
      promptS: median(this.#prompt),
      ttftS: median(this.#ttft),
      decodeS: median(this.#decode),
      streamS: median(this.#stream),
      cachedTokens: median(this.#cached),
    };
  }
}
