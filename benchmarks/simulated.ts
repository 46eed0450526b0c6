/** Simulated candidates on a clock of their own, and the traces of their requests: for proofs, benchmarks and tests. */
import { setImmediate } from "node:timers";
import type { RunFolder } from "../lib/bench/folder.ts";
import type { LiveCandidate, OpenCandidate } from "../lib/bench/live_candidate.ts";
import type { MachineReading } from "../lib/bench/noise.ts";
import type { AnswerRecord, CandidateInfo, PlanInfo, SampleRecord } from "../lib/bench/records.ts";
import type { Clock, Sleep } from "../lib/clock.ts";
import type { Trace } from "../lib/endpoint/trace.ts";

/** Time that passes only when everybody waits: an hour in a moment, and exact. */
export class VirtualTime {
  nowMs = 1000;
  readonly #timers: { readonly atMs: number; readonly wake: () => void }[] = [];
  #pumping = false;
  /** Work that takes real time: until it is done, none passes here. */
  #real = 0;

  readonly clock: Clock = () => this.nowMs;

  /** Of sleeps that overlap, the one with the earliest end is woken first, once nothing else is left to do. */
  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#timers.push({ atMs: this.nowMs + ms, wake: resolve });
      this.#pump();
    });

  /** A machine on which nothing else runs. */
  readonly readMachine = (): Promise<MachineReading> => Promise.resolve(idleReading(this.nowMs));

  /** A folder whose writing takes no time, however busy the real disk is. */
  holding(folder: RunFolder): Pick<RunFolder, "sample" | "answer" | "writeInfo"> {
    return {
      sample: (record) => this.#during(folder.sample(record)),
      answer: (record) => this.#during(folder.answer(record)),
      writeInfo: (info) => this.#during(folder.writeInfo(info)),
    };
  }

  async #during(work: Promise<void>): Promise<void> {
    this.#real++;
    try {
      await work;
    } finally {
      this.#real--;
    }
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // setTimeout would take a real millisecond for each of these.
    setImmediate(() => {
      this.#pumping = false;
      if (this.#real > 0) return this.#pump();
      const next = this.#timers.sort((a, b) => a.atMs - b.atMs).shift();
      if (next === undefined) return;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.wake();
      this.#pump();
    });
  }
}

export const idleReading = (atMs: number): MachineReading => ({
  atMs,
  ownS: 0,
  busyS: 0,
  stealS: null,
  frequencyMhz: null,
  temperatureC: null,
});

/** Keeps the records of a run in memory. */
export class RecordList {
  readonly samples: SampleRecord[] = [];
  readonly answers: AnswerRecord[] = [];

  sample(record: SampleRecord): Promise<void> {
    this.samples.push(record);
    return Promise.resolve();
  }

  answer(record: AnswerRecord): Promise<void> {
    this.answers.push(record);
    return Promise.resolve();
  }

  writeInfo(): Promise<void> {
    return Promise.resolve();
  }
}

export const simulatedInfo = (id: string, change: Partial<CandidateInfo> = {}): CandidateInfo => ({
  id,
  alias: id,
  variant: null,
  endpoint: "simulated",
  model_id: id,
  device: null,
  size_mb: 100,
  license: "Apache-2.0",
  chat_template: "own",
  ...change,
});

/** A candidate of a service that runs already and takes no processor time. */
export const simulatedCandidate = (id: string, request: OpenCandidate["request"]): LiveCandidate => ({
  info: simulatedInfo(id),
  start: "running service",
  fileCache: "unknown",
  open: () =>
    Promise.resolve({
      request,
      loadMs: null,
      device: null,
      residentMb: () => Promise.resolve(null),
      cpuS: () => Promise.resolve(0),
      close: () => Promise.resolve(),
    }),
});

/** An answer of one token per chunk, which came at these times. */
export function answeredTrace(sentMs: number, chunksAtMs: readonly number[], endMs: number): Trace {
  const outputTokens = chunksAtMs.length;
  return {
    ...failedTrace(sentMs, endMs),
    status: "ok",
    reason: null,
    httpStatus: 200,
    chunks: chunksAtMs.map((atMs) => ({ atMs, contentChars: 4, reasoningChars: 0 })),
    content: "word".repeat(outputTokens),
    finishReason: "stop",
    usage: { promptTokens: 12, outputTokens, cachedTokens: null, reasoningTokens: null },
  };
}

/** A request that the endpoint refused. */
export const failedTrace = (sentMs: number, endMs: number, reason = "simulated"): Trace => ({
  status: "failed",
  reason,
  httpStatus: 500,
  dueMs: sentMs,
  sentMs,
  headersMs: sentMs,
  endMs,
  streamed: true,
  route: "chat",
  chunks: [],
  content: "",
  reasoning: "",
  toolCalls: [],
  finishReason: null,
  usage: null,
  server: null,
});

/** A plan over these prompts: one round, one request at a time, no warm-up. */
export const simulatedPlan = (
  prompt_set: PlanInfo["prompt_set"],
  change: Partial<PlanInfo> = {},
): PlanInfo => ({
  mode: "bench",
  prompt_set,
  rounds: 1,
  warmup: 0,
  max_tokens: 64,
  temperature: 0,
  seed: 1,
  sampling_seed: null,
  prefix: "cold",
  concurrency: 1,
  rate: null,
  timeout_s: 60,
  slo: null,
  order: "interleaved",
  ...change,
});
