import { RecordList } from "../../benchmarks/proof_worlds.ts";
import { setImmediate } from "node:timers";
/** Candidates with known timings on a virtual clock: an hour of measuring takes a moment, and is exact. */
import type { Clock, Sleep } from "../../lib/clock.ts";
import { runBench } from "../../lib/bench/run.ts";
import { summarizeRecords } from "../../lib/bench/summary.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import type { LiveCandidate } from "../../lib/bench/live_candidate.ts";
import type { RunFolder } from "../../lib/bench/folder.ts";
import type { MachineReading, ReadMachine } from "../../lib/bench/noise.ts";
import type { CandidateInfo, LlamaCpp, PlanInfo, RunInfo, SampleRecord } from "../../lib/bench/records.ts";
import type { GenerationRequest, Trace } from "../../lib/endpoint/trace.ts";

/** Time that passes only while everybody sleeps. */
export class VirtualTime {
  #nowMs = 1000;
  readonly #timers: { readonly atMs: number; readonly wake: () => void }[] = [];
  #pumping = false;
  /** Work that takes real time: until it is done, none passes here. */
  #real = 0;

  readonly clock: Clock = () => this.#nowMs;

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#timers.push({ atMs: this.#nowMs + ms, wake: resolve });
      this.#pump();
    });

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
      this.#timers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#timers.shift();
      if (next === undefined) return;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      this.#pump();
    });
  }
}

export interface FakeBehaviour {
  readonly ttftMs?: number;
  readonly itlMs?: number;
  readonly tokens?: number;
  /** Every word of the prompt is a token, and takes so long to read. @default 12 tokens that take no time */
  readonly msPerPromptToken?: number;
  readonly loadMs?: number;
  /** What the candidate tells of its processor time. @default 0 */
  readonly cpuS?: number | null;
  /** Factor on all delays of a request that begins at this time. */
  readonly slowdown?: (atMs: number) => number;
  /** Says of the n-th request (from 1) why it fails, or null. */
  readonly fails?: (nth: number) => string | null;
  /** Why it can't be opened. */
  readonly broken?: string;
  /** The calls that it makes beside its words. */
  readonly toolCalls?: (request: GenerationRequest) => Trace["toolCalls"];
  readonly onRequest?: (request: GenerationRequest) => void;
  readonly onOpen?: (open: boolean) => void;
  readonly llamaCpp?: LlamaCpp;
}

export function info(id: string): CandidateInfo {
  return {
    id,
    alias: id,
    variant: null,
    endpoint: "fake",
    model_id: id,
    device: null,
    size_mb: 100,
    license: "Apache-2.0",
    chat_template: "own",
  };
}

const words = ({ messages }: GenerationRequest) =>
  messages.reduce(
    (sum, { content }) => sum + (content ?? "").split(/\s+/).filter((word) => word !== "").length,
    0,
  );

export function fakeCandidate(id: string, time: VirtualTime, behaviour: FakeBehaviour = {}): LiveCandidate {
  const { tokens = 8, loadMs = 400, fails = () => null, slowdown = () => 1 } = behaviour;
  let count = 0;
  return {
    info: info(id),
    start: "fresh process",
    fileCache: "warm",
    open() {
      if (behaviour.broken !== undefined) return Promise.reject(new Error(behaviour.broken));
      behaviour.onOpen?.(true);
      return Promise.resolve({
        loadMs,
        device: "cpu",
        ...(behaviour.llamaCpp === undefined ? {} : { llamaCpp: behaviour.llamaCpp }),
        residentMb: () => Promise.resolve(321),
        cpuS: () => Promise.resolve(behaviour.cpuS === undefined ? 0 : behaviour.cpuS),
        close() {
          behaviour.onOpen?.(false);
          return Promise.resolve();
        },
        async request(request, terms): Promise<Trace> {
          behaviour.onRequest?.(request);
          const sentMs = time.clock();
          const { msPerPromptToken: readMs } = behaviour;
          const promptTokens = readMs === undefined ? 12 : words(request);
          const ttftMs = ((behaviour.ttftMs ?? 50) + promptTokens * (readMs ?? 0)) * slowdown(sentMs);
          const itlMs = (behaviour.itlMs ?? 10) * slowdown(sentMs);
          const dueMs = terms.dueMs ?? sentMs;
          const reason = fails(++count);
          const base = {
            dueMs,
            sentMs,
            headersMs: sentMs,
            route: "chat" as const,
            streamed: true,
            reasoning: "",
            toolCalls: [],
            server: null,
          };
          if (reason !== null) {
            await time.sleep(5, terms.signal);
            return {
              ...base,
              status: "failed",
              reason,
              httpStatus: 500,
              endMs: time.clock(),
              chunks: [],
              content: "",
              finishReason: null,
              usage: null,
            };
          }
          await time.sleep(ttftMs + itlMs * (tokens - 1), terms.signal);
          const chunks = Array.from({ length: tokens }, (_, at) => ({
            atMs: sentMs + ttftMs + at * itlMs,
            contentChars: 4,
            reasoningChars: 0,
          }));
          return {
            ...base,
            status: "ok",
            reason: null,
            httpStatus: 200,
            endMs: time.clock(),
            chunks,
            content: "word".repeat(tokens),
            toolCalls: behaviour.toolCalls?.(request) ?? [],
            finishReason: "stop",
            usage: { promptTokens, outputTokens: tokens, cachedTokens: null, reasoningTokens: null },
          };
        },
      });
    },
  };
}

/** A machine on which other programs use what `othersS` says, in processor seconds since the start. */
export function fakeMachine(
  time: VirtualTime,
  othersS: (atMs: number) => number = () => 0,
  temperatureC: (atMs: number) => number | null = () => null,
): ReadMachine {
  return (): Promise<MachineReading> =>
    Promise.resolve({
      atMs: time.clock(),
      ownS: 0,
      busyS: othersS(time.clock()),
      stealS: null,
      frequencyMhz: null,
      temperatureC: temperatureC(time.clock()),
    });
}

export function plan(changes: Partial<PlanInfo> = {}): PlanInfo {
  const prompts = ["p1", "p2", "p3"].map((id) => ({
    id,
    sha256: "0".repeat(64),
    messages: [{ role: "user" as const, content: `Prompt ${id}` }],
  }));
  return {
    mode: "bench",
    prompt_set: { name: "test", sha256: "0".repeat(64), prompts },
    rounds: 2,
    warmup: 1,
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
    ...changes,
  };
}

export function runInfoOf(candidates: readonly LiveCandidate[], changes: Partial<PlanInfo> = {}): RunInfo {
  return {
    schema_version: 2,
    run_id: "2026-11-21T04-55-07-test",
    created_at: "2026-11-21T04:55:07.000Z",
    status: "running",
    machine: { cpu: "a processor", cores: 2, ram_gb: 16, gpu: [], os: "an os", arch: "x64" },
    versions: { podium: "0.1.0" },
    plan: plan(changes),
    candidates: candidates.map((candidate) => candidate.info),
  };
}

/** Keeps the records of a run in memory. */
export class MemorySink extends RecordList {
  get requests() {
    return this.samples.filter((record) => record.kind === "request");
  }

  get timed() {
    return this.requests.filter(({ phase }) => phase === "timed");
  }
}

/** The summary of a run over candidates with known timings, without a folder. */
export async function fakeSummary(
  behaviours: Record<string, FakeBehaviour>,
  changes: Partial<PlanInfo> = {},
  temperatureC?: (atMs: number) => number | null,
  watch?: (record: SampleRecord) => void,
): Promise<Summary> {
  const time = new VirtualTime();
  const candidates = Object.entries(behaviours).map(([id, behaviour]) => fakeCandidate(id, time, behaviour));
  const info = runInfoOf(candidates, changes);
  const sink = new MemorySink();
  const status = await runBench({
    info,
    candidates,
    sink,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: fakeMachine(time, undefined, temperatureC),
    signal: new AbortController().signal,
  });
  const records = { info: { ...info, status }, samples: sink.samples, answers: sink.answers };
  return (await summarizeRecords(records, watch)).summary;
}
