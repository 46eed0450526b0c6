/** Candidates with known timings on a virtual clock: an hour of measuring takes a moment, and is exact. */
import {
  answeredTrace,
  failedTrace,
  idleReading,
  RecordList,
  simulatedInfo,
  simulatedPlan,
  VirtualTime,
} from "../../benchmarks/simulated.ts";
import { runBench, type RunBenchOptions, type RunEvent } from "../../lib/bench/run.ts";
import { type OpenedEvent, withOpened } from "../../lib/bench/run_info.ts";
import { type SummarizedRun, summarizeRecords } from "../../lib/bench/summary.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import type { LiveCandidate } from "../../lib/bench/live_candidate.ts";
import type { MachineReading, ReadMachine } from "../../lib/bench/noise.ts";
import type {
  CandidateInfo,
  LlamaCpp,
  PlanInfo,
  RequestRecord,
  RunInfo,
  SampleRecord,
} from "../../lib/bench/records.ts";
import type { GenerationRequest, Trace } from "../../lib/endpoint/trace.ts";

export { VirtualTime } from "../../benchmarks/simulated.ts";

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

export const info = (id: string): CandidateInfo => simulatedInfo(id, { endpoint: "fake" });

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
          if (reason !== null) {
            await time.sleep(5, terms.signal);
            return { ...failedTrace(sentMs, time.clock(), reason), dueMs };
          }
          await time.sleep(ttftMs + itlMs * (tokens - 1), terms.signal);
          const chunksAtMs = Array.from({ length: tokens }, (_, at) => sentMs + ttftMs + at * itlMs);
          return {
            ...answeredTrace(sentMs, chunksAtMs, time.clock()),
            dueMs,
            toolCalls: behaviour.toolCalls?.(request) ?? [],
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
      ...idleReading(time.clock()),
      busyS: othersS(time.clock()),
      temperatureC: temperatureC(time.clock()),
    });
}

export function plan(changes: Partial<PlanInfo> = {}): PlanInfo {
  const prompts = ["p1", "p2", "p3"].map((id) => ({
    id,
    sha256: "0".repeat(64),
    messages: [{ role: "user" as const, content: `Prompt ${id}` }],
  }));
  return simulatedPlan(
    { name: "test", sha256: "0".repeat(64), prompts },
    { rounds: 2, warmup: 1, ...changes },
  );
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

/** The record of a good timed request: two tokens, after 10 and 20 ms. */
export function requestRecord(changes: Partial<RequestRecord> = {}): RequestRecord {
  const { candidate = "a", prompt_id = "p1", round = 1 } = changes;
  return {
    kind: "request",
    id: `timed/${round}/${prompt_id}/${candidate}`,
    candidate,
    prompt_id,
    phase: "timed",
    round,
    block: 1,
    prefix: "cold",
    status: "ok",
    reason: null,
    http_status: 200,
    route: "chat",
    streamed: true,
    due_ms: 0,
    sent_ms: 0,
    headers_ms: 1,
    end_ms: 30,
    chunk_ms: [10, 20],
    chunk_chars: [2, 2],
    first_content_chunk: 0,
    content_chars: 4,
    reasoning_chars: 0,
    prompt_tokens: 12,
    output_tokens: 2,
    cached_tokens: null,
    reasoning_tokens: null,
    token_source: "usage",
    finish_reason: "stop",
    server: null,
    ...changes,
  };
}

/** A run of candidates with known timings that is ready to begin: in virtual time, with its records in memory. */
export function fakeRun(
  behaviours: Readonly<Record<string, FakeBehaviour>>,
  changes: Partial<PlanInfo> = {},
  options: (time: VirtualTime) => Partial<RunBenchOptions> = () => ({}),
) {
  const time = new VirtualTime();
  const candidates = Object.entries(behaviours).map(([id, behaviour]) => fakeCandidate(id, time, behaviour));
  const sink = new MemorySink();
  const all: RunBenchOptions = {
    info: runInfoOf(candidates, changes),
    candidates,
    sink,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: fakeMachine(time),
    signal: new AbortController().signal,
    ...options(time),
  };
  return { time, sink, options: all };
}

/** Carries out a run and summarises it, without a folder. */
export async function summarized(
  { sink, options }: Pick<ReturnType<typeof fakeRun>, "sink" | "options">,
  watch?: (record: SampleRecord) => void,
): Promise<SummarizedRun> {
  const opened = new Map<string, OpenedEvent>();
  const onEvent = (event: RunEvent) => void (event.kind === "opened" && opened.set(event.candidate, event));
  const status = await runBench({ ...options, onEvent });
  const info = { ...withOpened(options.info, opened), status };
  return await summarizeRecords({ info, samples: sink.samples, answers: sink.answers }, watch);
}

/** The summary of a run over candidates with known timings. */
export async function fakeSummary(...run: Parameters<typeof fakeRun>): Promise<Summary> {
  return (await summarized(fakeRun(...run))).summary;
}
