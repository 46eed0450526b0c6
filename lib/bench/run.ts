/**
 * Carries out a plan: loads, warm-ups, then block after block, each watched; every request becomes a record
 * the moment it ends. A candidate that fails becomes a row with a reason, and the others go on. Nothing here
 * knows of the environment, the terminal or the disk.
 */
import type { Clock, Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { Trace } from "../endpoint/trace.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { LiveCandidate, OpenCandidate } from "./candidate.ts";
import type { RunSink } from "./folder.ts";
import { closedLoop, constantRate } from "./load.ts";
import { disturbance, type MachineReading, machineUse, type ReadMachine } from "./noise.ts";
import { type Block, makeUpFor, requestId, schedule, type Unit, withColdPrefix } from "./plan.ts";
import { type RequestPlace, toAnswerRecord, toRequestRecord } from "./record_request.ts";
import type { MachineRecord, RunInfo } from "./records.ts";

/** After so many failures in a row a candidate leaves the run. */
export const FAILURES_IN_A_ROW = 3;

/** What happens, as it happens: for a progress display. */
export type RunEvent =
  | { readonly kind: "load" | "warmup"; readonly candidate: string }
  | {
    readonly kind: "request";
    readonly candidate: string;
    readonly phase: "warmup" | "timed";
    readonly status: Trace["status"];
  }
  | { readonly kind: "left"; readonly candidate: string; readonly reason: string }
  | { readonly kind: "disturbed"; readonly reason: string; readonly madeUp: boolean };

export interface RunOptions {
  readonly info: RunInfo;
  readonly candidates: readonly LiveCandidate[];
  readonly sink: RunSink;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly readMachine: ReadMachine;
  readonly signal: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
  /** What an earlier process already did of this plan. */
  readonly resumed?: {
    readonly done: ReadonlySet<string>;
    readonly left: ReadonlyMap<string, string>;
    readonly loaded: ReadonlySet<string>;
    readonly lastBlock: number;
    readonly lastMs: number;
    readonly measured: boolean;
  };
}

/** A candidate and what became of it so far. */
interface Seat {
  readonly candidate: LiveCandidate;
  open: OpenCandidate | null;
  failuresInARow: number;
  left: boolean;
  warmups: number;
}

/** One request of the plan, with the text it sends. */
interface Job {
  readonly place: RequestPlace;
  readonly prompt: RunInfo["plan"]["prompt_set"]["prompts"][number];
}

/**
 * Runs the plan of `info` to its end.
 *
 * @returns `completed`; `interrupted` when the signal was aborted; `failed` when no timed request succeeded
 * @throws {UserError} exit code 1 when a record can't be written; everything before it is kept
 */
export function runBench(options: RunOptions): Promise<"completed" | "interrupted" | "failed"> {
  return new Run(options).execute();
}

class Run {
  readonly #options: RunOptions;
  readonly #plan: RunInfo["plan"];
  readonly #originMs: number;
  readonly #seats: ReadonlyMap<string, Seat>;
  readonly #done: ReadonlySet<string>;
  #nextBlock: number;
  /** Whether one timed request succeeded. */
  #measured: boolean;

  constructor(options: RunOptions) {
    const { info, candidates, clock, resumed } = options;
    this.#options = options;
    this.#plan = info.plan;
    this.#originMs = clock() - (resumed?.lastMs ?? 0);
    this.#done = resumed?.done ?? new Set();
    this.#measured = resumed?.measured ?? false;
    const planned = info.plan.rounds * info.plan.prompt_set.prompts.length;
    this.#nextBlock = Math.max(planned, resumed?.lastBlock ?? 0) + 1;
    this.#seats = new Map(candidates.map((candidate) => [candidate.info.id, {
      candidate,
      open: null,
      failuresInARow: 0,
      left: resumed?.left.has(candidate.info.id) ?? false,
      warmups: 0,
    }]));
  }

  async execute(): Promise<"completed" | "interrupted" | "failed"> {
    try {
      await this.#measureLoads();
      await this.#runUnits();
      return this.#measured ? "completed" : "failed";
    } catch (error) {
      if (error instanceof UserError || !this.#options.signal.aborted) throw error;
      return "interrupted";
    } finally {
      await this.#closeAll();
    }
  }

  #live(): Seat[] {
    return [...this.#seats.values()].filter((seat) => !seat.left);
  }

  #nowMs(): number {
    return this.#options.clock() - this.#originMs;
  }

  /** Each model alone, in a fresh process, before anything else is loaded. */
  async #measureLoads(): Promise<void> {
    const fresh = this.#live().filter(({ candidate }) =>
      candidate.start === "fresh process" && !this.#options.resumed?.loaded.has(candidate.info.id)
    );
    for (const seat of shuffle(fresh, seededRandom(`${this.#plan.seed} loads`))) {
      this.#options.onEvent?.({ kind: "load", candidate: seat.candidate.info.id });
      if (await this.#open(seat)) {
        await this.#recordLoad(seat, null);
        await this.#close(seat);
      }
    }
  }

  async #recordLoad(seat: Seat, reason: string | null): Promise<void> {
    const loadMs = seat.open?.loadMs ?? null;
    await this.#options.sink.sample({
      kind: "load",
      candidate: seat.candidate.info.id,
      at_ms: this.#nowMs(),
      status: reason === null ? "ok" : "failed",
      reason,
      load_s: loadMs === null ? null : loadMs / 1000,
      file_cache: seat.candidate.fileCache,
      device: seat.open?.device ?? null,
    });
  }

  /** False when it can't be opened: then it has left the run, and its record says why. */
  async #open(seat: Seat): Promise<boolean> {
    this.#options.signal.throwIfAborted();
    try {
      seat.open = await seat.candidate.open(this.#options.signal);
      return true;
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (seat.candidate.start === "fresh process") await this.#recordLoad(seat, reasonOf(error));
      await this.#leave(seat, "failed", reasonOf(error));
      return false;
    }
  }

  async #leave(seat: Seat, status: "failed" | "skipped", reason: string): Promise<void> {
    if (seat.left) return;
    seat.left = true;
    const candidate = seat.candidate.info.id;
    this.#options.onEvent?.({ kind: "left", candidate, reason });
    await this.#options.sink.sample({ kind: "candidate", candidate, at_ms: this.#nowMs(), status, reason });
    await this.#close(seat);
  }

  async #close(seat: Seat): Promise<void> {
    const open = seat.open;
    seat.open = null;
    await open?.close();
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled([...this.#seats.values()].map((seat) => this.#close(seat)));
  }

  async #runUnits(): Promise<void> {
    const { rounds, seed, order, concurrency, rate, prompt_set } = this.#plan;
    const shape = { rounds, seed, order, concurrency, rate, prompts: prompt_set.prompts.length };
    const ids = [...this.#seats.keys()];
    const makeUps: Unit[] = [];
    // Blocks that may be made up for: half as many as planned, so that a busy machine can't keep us for ever.
    let allowed = Math.ceil((rounds * prompt_set.prompts.length) / 2);
    const run = async (unit: Unit) => {
      const disturbed = await this.#runUnit(unit);
      if (disturbed === null) return;
      // By model, the others' turn at this block is over or still to come: it can't be repeated together.
      // Where answers are collected, a busy machine makes them late, not different.
      const repeatable = order === "interleaved" && this.#plan.prefix !== "as is";
      const madeUp = repeatable && allowed >= unit.blocks.length;
      if (madeUp) {
        allowed -= unit.blocks.length;
        makeUps.push(makeUpFor(unit, this.#nextBlock));
        this.#nextBlock += unit.blocks.length;
      }
      this.#options.onEvent?.({ kind: "disturbed", reason: disturbed, madeUp });
    };
    for (const unit of schedule(shape, ids)) await run(unit);
    for (let unit = makeUps.shift(); unit !== undefined; unit = makeUps.shift()) await run(unit);
  }

  /** Runs what is still to do of a unit; says why it was disturbed, or null. */
  async #runUnit(unit: Unit): Promise<string | null> {
    const work = unit.order.map((id) => this.#pending(id, unit.blocks)).filter(({ jobs }) => jobs.length > 0);
    if (work.length === 0) return null;
    await this.#makeReady(work.map(({ seat }) => seat));
    const seats = work.map(({ seat }) => seat);
    const before = await this.#reading(seats);
    for (const { seat, jobs } of work) await this.#sendAll(seat, jobs);
    const after = await this.#reading(seats);
    await this.#recordMemory(seats);
    return await this.#recordMachine(unit, before, after);
  }

  #pending(id: string, blocks: readonly Block[]): { seat: Seat; jobs: Job[] } {
    const seat = this.#seats.get(id);
    if (seat === undefined) throw new RangeError(`the plan names ${id}, which is no candidate of the run`);
    if (seat.left) return { seat, jobs: [] };
    const jobs = blocks.flatMap((block) => {
      const prompt = this.#plan.prompt_set.prompts[block.prompt];
      if (prompt === undefined) throw new RangeError(`the plan names prompt ${block.prompt}, which is none`);
      const name = requestId("timed", block.round, prompt.id, id, block.attempt);
      return this.#done.has(name)
        ? []
        : [{ prompt, place: this.#place(name, id, prompt.id, "timed", block) }];
    });
    return { seat, jobs };
  }

  #place(
    id: string,
    candidate: string,
    promptId: string,
    phase: "warmup" | "timed",
    { round, number }: { round: number; number: number },
  ): RequestPlace {
    return {
      id,
      candidate,
      prompt_id: promptId,
      phase,
      round,
      block: number,
      prefix: this.#plan.prefix,
    };
  }

  /** Opens and warms up who is not yet; by model, whoever had the turn before is closed first. */
  async #makeReady(seats: readonly Seat[]): Promise<void> {
    if (this.#plan.order === "by model") {
      for (const seat of this.#seats.values()) if (!seats.includes(seat)) await this.#close(seat);
    }
    for (const seat of seats) {
      if (seat.open === null && !seat.left && await this.#open(seat)) await this.#warmUp(seat);
    }
  }

  async #warmUp(seat: Seat): Promise<void> {
    const { warmup, prompt_set } = this.#plan;
    const candidate = seat.candidate.info.id;
    if (warmup > 0) this.#options.onEvent?.({ kind: "warmup", candidate });
    for (let count = 0; count < warmup && !seat.left; count++) {
      const prompt = prompt_set.prompts[count % prompt_set.prompts.length];
      if (prompt !== undefined) {
        await this.#send(seat, this.#warmupJob(candidate, prompt, { round: 0, number: 0 }));
      }
    }
  }

  #warmupJob(candidate: string, prompt: Job["prompt"], block: { round: number; number: number }): Job {
    const name = (attempt: number) => requestId("warmup", block.round, prompt.id, candidate, attempt);
    const seat = this.#seats.get(candidate);
    let attempt = (seat?.warmups ?? 0) + 1;
    while (this.#done.has(name(attempt))) attempt++;
    if (seat !== undefined) seat.warmups = attempt;
    return { prompt, place: this.#place(name(attempt), candidate, prompt.id, "warmup", block) };
  }

  async #sendAll(seat: Seat, jobs: readonly Job[]): Promise<void> {
    const { concurrency, rate } = this.#plan;
    const { clock, sleep, signal } = this.#options;
    const send = async (job: Job, dueMs?: number) => {
      if (seat.left) return;
      if (this.#plan.prefix === "warm") await this.#prime(seat, job);
      await this.#send(seat, job, dueMs);
    };
    if (rate === null) await closedLoop(jobs, concurrency, send);
    else await constantRate(jobs, { rate, clients: concurrency, clock, sleep, signal }, send);
  }

  /** The same prompt right before, so that the server has it in its cache. */
  async #prime(seat: Seat, job: Job): Promise<void> {
    const { candidate, round, block } = job.place;
    await this.#send(seat, this.#warmupJob(candidate, job.prompt, { round, number: block }));
  }

  async #send(seat: Seat, job: Job, dueMs?: number): Promise<void> {
    const { info, signal, onEvent, sink } = this.#options;
    if (seat.open === null || seat.left) return;
    const { place, prompt } = job;
    // All candidates of a block meet the same text; a warm-up meets one of its own.
    const purpose = place.phase === "timed" ? `block ${place.block}` : place.id;
    const trace = await seat.open.request({
      model: seat.candidate.info.model_id,
      messages: place.prefix === "cold"
        ? withColdPrefix(prompt.messages, `${this.#plan.seed} ${info.run_id} ${purpose}`)
        : prompt.messages,
      maxTokens: this.#plan.max_tokens,
      temperature: this.#plan.temperature,
      ...(this.#plan.fixed_output === true ? { fixedOutput: true } : {}),
      ...(this.#plan.sampling_seed === null ? {} : { seed: this.#plan.sampling_seed }),
    }, { ...(dueMs === undefined ? {} : { dueMs }), timeoutMs: this.#plan.timeout_s * 1000, signal });
    // An engine that the same Ctrl-C ended gave no answer worth keeping: the request is still to do.
    signal.throwIfAborted();
    await sink.answer(toAnswerRecord(place, trace));
    await sink.sample(toRequestRecord(place, trace, this.#originMs));
    this.#measured ||= trace.status === "ok" && place.phase === "timed";
    onEvent?.({ kind: "request", candidate: place.candidate, phase: place.phase, status: trace.status });
    await this.#countFailures(seat, trace);
  }

  async #countFailures(seat: Seat, trace: Trace): Promise<void> {
    seat.failuresInARow = trace.status === "ok" ? 0 : seat.failuresInARow + 1;
    if (seat.failuresInARow < FAILURES_IN_A_ROW) return;
    await this.#leave(
      seat,
      "skipped",
      `left the run after ${FAILURES_IN_A_ROW} failures in a row, the last: ${trace.reason}`,
    );
  }

  async #reading(seats: readonly Seat[]): Promise<{ machine: MachineReading; enginesS: number | null }> {
    const machine = await this.#options.readMachine();
    const used = await Promise.all(
      seats.map(async ({ open }) => open === null ? null : await quietly(open.cpuS())),
    );
    const known = used.every((seconds) => seconds !== null);
    return {
      machine,
      enginesS: known ? used.reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0) : null,
    };
  }

  async #recordMachine(
    unit: Unit,
    before: { machine: MachineReading; enginesS: number | null },
    after: { machine: MachineReading; enginesS: number | null },
  ): Promise<string | null> {
    const enginesS = before.enginesS === null || after.enginesS === null
      ? null
      : after.enginesS - before.enginesS;
    const use = machineUse(before.machine, after.machine, enginesS);
    const disturbed = disturbance(use);
    const record: Omit<MachineRecord, "block"> = {
      kind: "machine",
      at_ms: this.#nowMs(),
      wall_ms: Math.max(0, use.wallMs),
      own_cpu_s: use.ownS,
      engines_cpu_s: use.enginesS === null ? null : Math.max(0, use.enginesS),
      others_cpu_s: use.othersS,
      steal_s: use.stealS,
      frequency_mhz: after.machine.frequencyMhz,
      temperature_c: after.machine.temperatureC,
      disturbed,
    };
    for (const block of unit.blocks) await this.#options.sink.sample({ ...record, block: block.number });
    return disturbed;
  }

  async #recordMemory(seats: readonly Seat[]): Promise<void> {
    for (const { candidate, open } of seats) {
      const residentMb = open === null ? null : await quietly(open.residentMb());
      if (residentMb === null) continue;
      await this.#options.sink.sample({
        kind: "memory",
        candidate: candidate.info.id,
        at_ms: this.#nowMs(),
        resident_mb: residentMb,
        source: candidate.start === "fresh process" ? "engine" : "service",
      });
    }
  }
}

/** A figure about a process that may just have died: its death shows in its requests. */
function quietly(figure: Promise<number | null>): Promise<number | null> {
  return figure.catch(() => null);
}
