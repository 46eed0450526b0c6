/**
 * Carries out a plan: loads, warm-ups, then block after block, each watched; every request becomes a record
 * the moment it ends. A candidate that fails becomes a row with a reason, and the others go on. Nothing here
 * knows of the environment, the terminal or the disk.
 */
import type { Clock, Sleep } from "../clock.ts";
import { UserError } from "../errors.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { LiveCandidate } from "./candidate.ts";
import type { Resumed, RunSink } from "./folder.ts";
import { closedLoop, constantRate } from "./load.ts";
import type { ReadMachine } from "./noise.ts";
import { type Block, makeUpFor, schedule, type Unit } from "./plan.ts";
import type { RunInfo } from "./records.ts";
import { type Job, type RunContext, type RunEvent, Seat } from "./seat.ts";
import { pauseUse, type Reading, readUse, useRecord } from "./watch.ts";

export type { RunEvent } from "./seat.ts";

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
  readonly resumed?: Omit<Resumed, "info" | "folder">;
}

/** How a run ended. */
export type RunEnd = "completed" | "interrupted" | "failed";

/**
 * Runs the plan of `info` to its end.
 *
 * @returns `completed`; `interrupted` when the signal was aborted; `failed` when no timed request succeeded
 * @throws {UserError} exit code 1 when a record can't be written; everything before it is kept
 */
export async function runBench(options: RunOptions): Promise<RunEnd> {
  const run = new Run(options);
  try {
    await run.measureLoads();
    await run.runUnits();
    return run.measured ? "completed" : "failed";
  } catch (error) {
    if (error instanceof UserError || !options.signal.aborted) throw error;
    return "interrupted";
  } finally {
    await run.closeAll();
  }
}

class Run {
  /** Whether a timed request succeeded. */
  measured: boolean;
  readonly #options: RunOptions;
  readonly #plan: RunInfo["plan"];
  readonly #seats: ReadonlyMap<string, Seat>;
  readonly #context: RunContext;
  #nextBlock: number;

  constructor(options: RunOptions) {
    const { info, candidates, clock, resumed, onEvent, sink, signal } = options;
    const originMs = clock() - (resumed?.lastMs ?? 0);
    this.#options = options;
    this.#plan = info.plan;
    this.measured = resumed?.measured ?? false;
    this.#nextBlock = Math.max(this.#plannedBlocks(), resumed?.lastBlock ?? 0) + 1;
    this.#context = {
      info,
      sink,
      signal,
      done: resumed?.done ?? new Set(),
      originMs,
      nowMs: () => clock() - originMs,
      onEvent: (event) => {
        if (event.kind === "request" && event.phase === "timed" && event.status === "ok") {
          this.measured = true;
        }
        onEvent?.(event);
      },
    };
    this.#seats = new Map(candidates.map((candidate) => {
      const left = resumed?.left.has(candidate.info.id) ?? false;
      return [candidate.info.id, new Seat(candidate, this.#context, left)];
    }));
  }

  /** Each model alone, in a fresh process, before anything else is loaded. */
  async measureLoads(): Promise<void> {
    const { resumed } = this.#options;
    const fresh = [...this.#seats.values()].filter((seat) =>
      seat.loads && !seat.left && !resumed?.loaded.has(seat.id)
    );
    for (const seat of shuffle(fresh, seededRandom(`${this.#plan.seed} loads`))) await seat.measureLoad();
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.#seats.values()].map((seat) => seat.close()));
  }

  async runUnits(): Promise<void> {
    const { rounds, seed, order, concurrency, rate, prompt_set } = this.#plan;
    const shape = { rounds, seed, order, concurrency, rate, prompts: prompt_set.prompts.length };
    const ids = [...this.#seats.keys()];
    // Half as many blocks as planned may be made up for: a busy machine can't keep us for ever.
    let allowed = Math.ceil(this.#plannedBlocks() / 2) - (this.#nextBlock - 1 - this.#plannedBlocks());
    const makeUps = this.#owedMakeUps(ids).slice(0, Math.max(0, allowed));
    allowed -= makeUps.length;
    const run = async (unit: Unit) => {
      const reason = await this.#runUnit(unit);
      if (reason === null) return;
      const madeUp = this.#repeatable && allowed >= unit.blocks.length;
      if (madeUp) {
        allowed -= unit.blocks.length;
        makeUps.push(this.#makeUp(unit));
      }
      const live = unit.order.filter((id) => this.#seats.get(id)?.left === false).length;
      const repeated = madeUp ? live * unit.blocks.length : 0;
      this.#context.onEvent({ kind: "disturbed", reason, repeated });
    };
    for (const unit of schedule(shape, ids)) await run(unit);
    for (let unit = makeUps.shift(); unit !== undefined; unit = makeUps.shift()) await run(unit);
  }

  #plannedBlocks(): number {
    return this.#plan.rounds * this.#plan.prompt_set.prompts.length;
  }

  /**
   * By model, the others' turn at a block is over or still to come: it can't be repeated together. Where
   * answers are collected, a busy machine makes them late, not different.
   */
  get #repeatable(): boolean {
    return this.#plan.order === "interleaved" && this.#plan.prefix !== "as is";
  }

  #makeUp(unit: Unit): Unit {
    const makeUp = makeUpFor(unit, this.#nextBlock);
    this.#nextBlock += unit.blocks.length;
    return makeUp;
  }

  /** Disturbed blocks that the process before this one had no time to make up for. */
  #owedMakeUps(order: readonly string[]): Unit[] {
    const owed = this.#repeatable ? this.#options.resumed?.owed ?? [] : [];
    return owed.flatMap(({ promptId, round, attempt }) => {
      const prompt = this.#plan.prompt_set.prompts.findIndex(({ id }) => id === promptId);
      const block = { number: 0, prompt, round, attempt };
      return prompt < 0 ? [] : [this.#makeUp({ order, blocks: [block] })];
    });
  }

  /** Runs what is still to do of a unit; says why it was disturbed, or null. */
  async #runUnit(unit: Unit): Promise<string | null> {
    const work = unit.order.map((id) => this.#pending(id, unit.blocks)).filter(({ jobs }) => jobs.length > 0);
    if (work.length === 0) return null;
    const seats = work.map(({ seat }) => seat);
    await this.#makeReady(seats);
    const before = await readUse(this.#options.readMachine, seats);
    for (const { seat, jobs } of work) await this.#sendAll(seat, jobs);
    const after = await readUse(this.#options.readMachine, seats);
    for (const seat of seats) await seat.recordMemory();
    return await this.#recordMachine(unit, before, after);
  }

  #pending(id: string, blocks: readonly Block[]): { seat: Seat; jobs: Job[] } {
    const seat = this.#seats.get(id);
    if (seat === undefined) throw new RangeError(`the plan names ${id}, which is no candidate of the run`);
    if (seat.left) return { seat, jobs: [] };
    const jobs = blocks.flatMap((block) => {
      const prompt = this.#plan.prompt_set.prompts[block.prompt];
      if (prompt === undefined) throw new RangeError(`the plan names prompt ${block.prompt}, which is none`);
      return seat.job(prompt, block) ?? [];
    });
    return { seat, jobs };
  }

  /** By model, whoever had the turn before is closed first. */
  async #makeReady(seats: readonly Seat[]): Promise<void> {
    if (this.#plan.order === "by model") {
      for (const seat of this.#seats.values()) if (!seats.includes(seat)) await seat.close();
    }
    for (const seat of seats) await seat.makeReady();
  }

  async #sendAll(seat: Seat, jobs: readonly Job[]): Promise<void> {
    const { concurrency, rate, prefix } = this.#plan;
    const { clock, sleep, signal } = this.#options;
    const send = async (job: Job, dueMs?: number) => {
      if (prefix === "warm") await seat.prime(job);
      await seat.send(job, dueMs);
    };
    if (rate === null) await closedLoop(jobs, concurrency, send);
    else await constantRate(jobs, { rate, clients: concurrency, clock, sleep, signal }, send);
  }

  async #recordMachine(unit: Unit, before: Reading, after: Reading): Promise<string | null> {
    const pause = await pauseUse(after, this.#options);
    const record = useRecord(before, after, this.#context.nowMs(), pause);
    for (const block of unit.blocks) await this.#options.sink.sample({ ...record, block: block.number });
    return record.disturbed;
  }
}
