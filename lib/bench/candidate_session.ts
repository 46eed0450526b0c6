/** One candidate in a run: it is opened and warmed up, gets its requests, and leaves when it fails too often. */
import type { ChatMessage, Trace } from "../endpoint/trace.ts";
import { reasonOf } from "../errors.ts";
import { caseOf, messagesFor, requestFor } from "./case_request.ts";
import type { LiveCandidate, OpenCandidate } from "./live_candidate.ts";
import type { RunSink } from "./folder.ts";
import { redactPaths } from "./redact_paths.ts";
import { type PlannedBlock, requestId, turnId, withColdPrefix } from "./plan.ts";
import { type RequestPosition, toAnswerRecord, toRequestRecord } from "./record_request.ts";
import type { CandidateProtocol, LlamaCpp, RequestRecord, RunInfo } from "./records.ts";
import { secondsPerToken } from "./metrics.ts";
import { isStable } from "./stationarity.ts";

/** Failures in a row after which a candidate leaves the run. */
const FAILURES_IN_A_ROW = 3;

/** The events of a run, for a progress display. */
export type RunEvent =
  | { readonly kind: "load" | "warmup"; readonly candidate: string }
  /**
   * The candidate is ready; `llamaCpp` where the embedded engine runs it, `protocol` where it takes requests
   * otherwise.
   */
  | {
    readonly kind: "opened";
    readonly candidate: string;
    readonly llamaCpp: LlamaCpp | null;
    readonly protocol: CandidateProtocol | null;
  }
  | {
    readonly kind: "request";
    readonly candidate: string;
    readonly phase: RequestRecord["phase"];
    readonly status: Trace["status"];
  }
  | { readonly kind: "left"; readonly candidate: string; readonly reason: string }
  /** `repeated`: how many requests are added to make up for the block. */
  | { readonly kind: "disturbed"; readonly reason: string; readonly repeated: number };

/** The shared state of a run's candidates. */
export interface RunContext {
  readonly info: RunInfo;
  readonly sink: RunSink;
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunEvent) => void;
  /** Requests that an earlier process completed. */
  readonly done: ReadonlySet<string>;
  /** The run's start on the clock of traces. */
  readonly originMs: number;
  readonly nowMs: () => number;
}

type PlannedPrompt = RunInfo["plan"]["prompt_set"]["prompts"][number];

/** One request of the plan, with the prompt it sends. */
export interface PlannedRequest {
  readonly position: RequestPosition;
  readonly prompt: PlannedPrompt;
}

export class CandidateSession {
  readonly #candidate: LiveCandidate;
  readonly #context: RunContext;
  #open: OpenCandidate | null = null;
  #left: boolean;
  #failuresInARow = 0;
  #warmups = 0;

  /** @param left whether it left the run in an earlier process */
  constructor(candidate: LiveCandidate, context: RunContext, left: boolean) {
    this.#candidate = candidate;
    this.#context = context;
    this.#left = left;
  }

  get id(): string {
    return this.#candidate.info.id;
  }

  /** Out of the run, for good. */
  get left(): boolean {
    return this.#left;
  }

  /** Opening it loads the model into a process of Podium. */
  get loads(): boolean {
    return this.#candidate.start === "fresh process";
  }

  /** Only loads the model and unloads it again. */
  async measureLoad(): Promise<void> {
    this.#context.onEvent({ kind: "load", candidate: this.id });
    if (!await this.#tryOpen()) return;
    await this.#recordLoad(null);
    await this.close();
  }

  /**
   * Opens the candidate where needed and warms it up until its time per token is stable, with at most
   * `warmup` requests.
   */
  async openAndWarmUp(): Promise<void> {
    if (this.#open !== null || this.#left || !await this.#tryOpen()) return;
    // A service that loads a model reports how long it took and the device; for a fresh
    // process it is known already.
    if (!this.loads && (this.#opened?.device || this.#opened?.loadMs)) await this.#recordLoad(null);
    const { warmup, prompt_set } = this.#context.info.plan;
    if (warmup > 0) this.#context.onEvent({ kind: "warmup", candidate: this.id });
    const times: number[] = [];
    for (let count = 0; count < warmup && !this.#left && !isStable(times); count++) {
      const prompt = prompt_set.prompts[count % prompt_set.prompts.length];
      if (prompt === undefined) return;
      const record = await this.send(this.#warmupRequest(prompt, { round: 0, number: 0 }));
      const seconds = record === null ? null : secondsPerToken(record);
      if (seconds !== null) times.push(seconds);
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    await open?.close();
  }

  /** The request's position in the run, or null where it is done. */
  request(
    prompt: PlannedPrompt,
    block: Omit<PlannedBlock, "prompt" | "stretch"> & Partial<Pick<PlannedBlock, "stretch">>,
  ): PlannedRequest | null {
    const id = requestId("timed", block.round, prompt.id, this.id, block.attempt);
    return this.#context.done.has(id)
      ? null
      : { prompt, position: this.#position(id, prompt.id, "timed", block) };
  }

  /** Sends the same prompt right before, so that the server has it in its cache. */
  async prime({ position, prompt }: PlannedRequest): Promise<void> {
    await this.send(
      this.#warmupRequest(prompt, {
        round: position.round,
        number: position.block,
        stretch: position.stretch ?? position.block,
      }),
    );
  }

  /** Sends one request and records the result. Does nothing, and returns null, once the candidate has left. */
  async send({ position, prompt }: PlannedRequest, dueMs?: number): Promise<RequestRecord | null> {
    const { info: { plan }, signal } = this.#context;
    if (this.#open === null || this.#left) return null;
    const { info } = this.#candidate;
    const { turns, ...planned } = caseOf(prompt);
    let said = this.#opening(messagesFor(planned, info.request), position);
    const answers: string[] = [];
    // Only the first request of a conversation is due at a time; each other one is sent
    // after the answer before it.
    const terms = { timeoutMs: plan.timeout_s * 1000, signal };
    const due = dueMs === undefined ? terms : { ...terms, dueMs };
    const further = position.phase === "timed" ? turns : [];
    for (;;) {
      const trace = await this.#open.request(
        requestFor(prompt, said, plan, info),
        answers.length === 0 ? due : terms,
      );
      // An engine that the same Ctrl-C ended gave no usable answer: the request stays open.
      signal.throwIfAborted();
      const next = further[answers.length];
      if (next === undefined) return await this.#record(position, trace, answers);
      const turn = answers.length + 1;
      if (trace.status !== "ok") {
        const reason = `turn ${turn} of ${further.length + 1}: ${trace.reason}`;
        return await this.#record(position, { ...trace, reason }, answers);
      }
      await this.#record({ ...position, id: turnId(position, turn), phase: "turn" }, trace, answers);
      answers.push(trace.content);
      said = [...said, { role: "assistant", content: trace.content }, { role: "user", content: next }];
    }
  }

  /**
   * All candidates of a block meet the same text; a warm-up meets one of its own. Candidates that differ in
   * what they request may share an engine, and the text that one of them sent is warm for the next.
   */
  #opening(messages: readonly ChatMessage[], position: RequestPosition): readonly ChatMessage[] {
    if (position.prefix !== "cold") return messages;
    const { plan: { seed }, run_id } = this.#context.info;
    const { request } = this.#candidate.info;
    const own = request === undefined ? "" : ` ${JSON.stringify(request)}`;
    const purpose = position.phase === "timed" ? `block ${position.block}` : position.id;
    return withColdPrefix(messages, `${seed} ${run_id} ${purpose}${own}`);
  }

  /** @param turns the model's answers earlier in the conversation */
  async #record(
    position: RequestPosition,
    trace: Trace,
    turns: readonly string[] = [],
  ): Promise<RequestRecord> {
    const { sink, onEvent, originMs } = this.#context;
    await sink.answer({
      ...toAnswerRecord(position, trace),
      ...(turns.length === 0 ? {} : { turns: [...turns] }),
    });
    const record = toRequestRecord(position, trace, originMs);
    await sink.sample(record);
    if (position.phase === "turn") return record;
    onEvent({ kind: "request", candidate: this.id, phase: position.phase, status: trace.status });
    await this.#countFailures(trace);
    return record;
  }

  /** Processor seconds it used so far on this machine; null where it is not reported. */
  cpuS(): Promise<number | null> {
    return quietly(this.#open?.cpuS());
  }

  /** Threads that evaluate the model; null where unknown. */
  get threads(): number | null {
    return this.#open?.threads ?? null;
  }

  /** The process that holds the model; null where Podium did not start it. */
  get pid(): number | null {
    return this.#open?.pid ?? null;
  }

  async recordMemory(): Promise<void> {
    const residentMb = await quietly(this.#open?.residentMb());
    if (residentMb === null) return;
    await this.#context.sink.sample({
      kind: "memory",
      candidate: this.id,
      at_ms: this.#context.nowMs(),
      resident_mb: residentMb,
      source: this.loads ? "engine" : "service",
    });
  }

  /** False when it can't be opened: then it has left the run, and its record says why. */
  async #tryOpen(): Promise<boolean> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    try {
      this.#open = await this.#candidate.open(signal);
      this.#context.onEvent({
        kind: "opened",
        candidate: this.id,
        llamaCpp: this.#open.llamaCpp ?? null,
        protocol: this.#open.protocol ?? null,
      });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      const reason = redactPaths(reasonOf(error));
      if (this.loads) await this.#recordLoad(reason);
      await this.#leave("failed", reason);
      return false;
    }
  }

  /** The compiler doesn't see that `#tryOpen` sets it. */
  get #opened(): OpenCandidate | null {
    return this.#open;
  }

  async #recordLoad(reason: string | null): Promise<void> {
    const loadMs = this.#open?.loadMs ?? null;
    await this.#context.sink.sample({
      kind: "load",
      candidate: this.id,
      at_ms: this.#context.nowMs(),
      status: reason === null ? "ok" : "failed",
      reason,
      load_s: loadMs === null ? null : loadMs / 1000,
      file_cache: this.#candidate.fileCache,
      device: this.#open?.device ?? null,
    });
  }

  async #leave(status: "failed" | "skipped", reason: string): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    const { sink, nowMs, onEvent } = this.#context;
    onEvent({ kind: "left", candidate: this.id, reason });
    await sink.sample({ kind: "candidate", candidate: this.id, at_ms: nowMs(), status, reason });
    await this.close();
  }

  async #countFailures(trace: Trace): Promise<void> {
    this.#failuresInARow = trace.status === "ok" ? 0 : this.#failuresInARow + 1;
    if (this.#failuresInARow < FAILURES_IN_A_ROW) return;
    const reason = `left the run after ${FAILURES_IN_A_ROW} failures in a row, the last: ${trace.reason}`;
    await this.#leave("skipped", reason);
  }

  #warmupRequest(
    prompt: PlannedPrompt,
    block: { round: number; number: number; stretch?: number },
  ): PlannedRequest {
    const name = () => requestId("warmup", block.round, prompt.id, this.id, this.#warmups);
    do this.#warmups++; while (this.#context.done.has(name()));
    return { prompt, position: this.#position(name(), prompt.id, "warmup", block) };
  }

  #position(
    id: string,
    promptId: string,
    phase: "warmup" | "timed",
    { round, number, stretch = number }: { round: number; number: number; stretch?: number },
  ): RequestPosition {
    const { prefix } = this.#context.info.plan;
    return { id, candidate: this.id, prompt_id: promptId, phase, round, block: number, stretch, prefix };
  }
}

/** A figure of a process that may just have ended, which its requests will show. */
async function quietly(figure: Promise<number | null> | undefined): Promise<number | null> {
  return await figure?.catch(() => null) ?? null;
}

/** Processes that belong to a run: this one, and those that hold the models. */
export function ownPids(sessions: Iterable<CandidateSession>): number[] {
  return [Deno.pid, ...[...sessions].flatMap(({ pid }) => pid ?? [])];
}
