/**
 * Carries out a plan: loads, warm-ups, then block after block, each watched; every request becomes a record
 * the moment it ends. A candidate that fails becomes a row with a reason, and the others continue. Nothing here reads
 * the environment or writes to the terminal or the disk.
 */
import type { Clock } from "../clock.ts";
import { UserError } from "../errors.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { LiveCandidate } from "./live_candidate.ts";
import type { Resumed, RunSink } from "./folder.ts";
import { closedLoop, constantRate } from "./pacing.ts";
import { type MachineWatch, type Reading, readUse, watchedUse } from "./noise.ts";
import { makeUpFor, type PlannedBlock, schedule, type Stretch } from "./plan.ts";
import type { RunInfo } from "./records.ts";
import {
  CandidateSession,
  ownPids,
  type PlannedRequest,
  type RunContext,
  type RunEvent,
} from "./candidate_session.ts";

export type { RunEvent } from "./candidate_session.ts";

export interface RunBenchOptions extends MachineWatch {
  readonly info: RunInfo;
  readonly candidates: readonly LiveCandidate[];
  readonly sink: RunSink;
  readonly clock: Clock;
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
export async function runBench(options: RunBenchOptions): Promise<RunEnd> {
  const run = new Run(options);
  try {
    await run.measureLoads();
    await run.runStretches();
    return run.measured ? "completed" : "failed";
  } catch (error) {
    if (error instanceof UserError || !options.signal.aborted) throw error;
    return "interrupted";
  } finally {
    await run.closeAll();
  }
}

/** Between two flushes of the records to the disk, in ms. */
const FLUSH_EVERY_MS = 1000;

class Run {
  /** Whether a timed request succeeded. */
  measured: boolean;
  readonly #options: RunBenchOptions;
  readonly #plan: RunInfo["plan"];
  readonly #sessions: ReadonlyMap<string, CandidateSession>;
  readonly #context: RunContext;
  #nextBlock: number;
  #flushedMs = -Infinity;

  constructor(options: RunBenchOptions) {
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
    this.#sessions = new Map(candidates.map((candidate) => {
      const left = resumed?.left.has(candidate.info.id) ?? false;
      return [candidate.info.id, new CandidateSession(candidate, this.#context, left)];
    }));
  }

  /** Each model alone, in a fresh process, before anything else is loaded. */
  async measureLoads(): Promise<void> {
    const { resumed } = this.#options;
    const fresh = [...this.#sessions.values()].filter((session) =>
      session.loads && !session.left && !resumed?.loaded.has(session.id)
    );
    for (const session of shuffle(fresh, seededRandom(`${this.#plan.seed} loads`))) {
      await session.measureLoad();
    }
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
  }

  async runStretches(): Promise<void> {
    const { rounds, seed, order, concurrency, rate, prompt_set } = this.#plan;
    const shape = { rounds, seed, order, concurrency, rate, prompts: prompt_set.prompts.length };
    const ids = [...this.#sessions.keys()];
    // At most half as many blocks as planned are repeated: on a busy machine a run must end too.
    let allowed = Math.ceil(this.#plannedBlocks() / 2) - (this.#nextBlock - 1 - this.#plannedBlocks());
    const makeUps = this.#owedMakeUps(ids).slice(0, Math.max(0, allowed));
    allowed -= makeUps.length;
    const run = async (stretch: Stretch) => {
      const reason = await this.#runStretch(stretch);
      if (reason === null) return;
      const madeUp = this.#repeatable && allowed >= stretch.blocks.length;
      if (madeUp) {
        allowed -= stretch.blocks.length;
        makeUps.push(this.#makeUp(stretch));
      }
      const live = stretch.order.filter((id) => this.#sessions.get(id)?.left === false).length;
      const repeated = madeUp ? live * stretch.blocks.length : 0;
      this.#context.onEvent({ kind: "disturbed", reason, repeated });
    };
    if (this.#plan.for_s !== undefined) await this.#makeReady([...this.#sessions.values()]);
    const startMs = this.#context.nowMs();
    const isOver = () => this.#context.nowMs() - startMs >= 1000 * (this.#plan.for_s ?? Infinity);
    for (const stretch of schedule(shape, ids)) {
      if (isOver() || [...this.#sessions.values()].every(({ left }) => left)) break;
      await run(stretch);
    }
    for (let stretch = makeUps.shift(); stretch !== undefined; stretch = makeUps.shift()) await run(stretch);
  }

  #plannedBlocks(): number {
    return this.#plan.rounds * this.#plan.prompt_set.prompts.length;
  }

  /**
   * By model, the others' turn at a block is over or still to come: it can't be repeated together. Where
   * answers are collected, a busy machine makes them late, not different. A run for a time ends with its time.
   */
  get #repeatable(): boolean {
    const { order, prefix, for_s, repeat_disturbed } = this.#plan;
    return order === "interleaved" && prefix !== "as is" && for_s === undefined && repeat_disturbed !== false;
  }

  #makeUp(stretch: Stretch): Stretch {
    const makeUp = makeUpFor(stretch, this.#nextBlock);
    this.#nextBlock += stretch.blocks.length;
    return makeUp;
  }

  /** Disturbed blocks that the process before this one had no time to make up for. */
  #owedMakeUps(order: readonly string[]): Stretch[] {
    const owed = this.#repeatable ? this.#options.resumed?.owed ?? [] : [];
    return owed.flatMap(({ promptId, round, attempt }) => {
      const prompt = this.#plan.prompt_set.prompts.findIndex(({ id }) => id === promptId);
      const block = { number: 0, stretch: 0, prompt, round, attempt };
      return prompt < 0 ? [] : [this.#makeUp({ order, blocks: [block] })];
    });
  }

  /** Runs what is still to do of a stretch; says why it was disturbed, or null. */
  async #runStretch(stretch: Stretch): Promise<string | null> {
    const work = stretch.order.map((id) => this.#pending(id, stretch.blocks)).filter(({ requests }) =>
      requests.length > 0
    );
    if (work.length === 0) return null;
    const sessions = work.map(({ session }) => session);
    await this.#makeReady(sessions);
    const before = await readUse(this.#options.readMachine, sessions);
    for (const { session, requests } of work) await this.#sendAll(session, requests);
    const after = await readUse(this.#options.readMachine, sessions);
    for (const session of sessions) await session.recordMemory();
    return await this.#recordMachine(stretch, before, after);
  }

  #pending(
    id: string,
    blocks: readonly PlannedBlock[],
  ): { session: CandidateSession; requests: PlannedRequest[] } {
    const session = this.#sessions.get(id);
    if (session === undefined) {
      throw new RangeError(`the plan names ${id}, which is not a candidate of the run`);
    }
    if (session.left) return { session, requests: [] };
    const requests = blocks.flatMap((block) => {
      const prompt = this.#plan.prompt_set.prompts[block.prompt];
      if (prompt === undefined) throw new RangeError(`the plan names prompt ${block.prompt}, which is none`);
      return session.request(prompt, block) ?? [];
    });
    return { session, requests };
  }

  /** By model: the candidate of the turn before is closed first. */
  async #makeReady(sessions: readonly CandidateSession[]): Promise<void> {
    if (this.#plan.order === "by model") {
      for (const session of this.#sessions.values()) if (!sessions.includes(session)) await session.close();
    }
    for (const session of sessions) await session.makeReady();
  }

  async #sendAll(session: CandidateSession, requests: readonly PlannedRequest[]): Promise<void> {
    const { concurrency, rate, prefix } = this.#plan;
    const { clock, sleep, signal } = this.#options;
    const send = async (request: PlannedRequest, dueMs?: number) => {
      if (prefix === "warm") await session.prime(request);
      await session.send(request, dueMs);
    };
    if (rate === null) await closedLoop(requests, concurrency, send);
    else await constantRate(requests, { rate, clients: concurrency, clock, sleep, signal }, send);
  }

  async #recordMachine(stretch: Stretch, before: Reading, after: Reading): Promise<string | null> {
    const { nowMs } = this.#context;
    const record = await watchedUse(before, after, {
      ...this.#options,
      nowMs,
      ownPids: ownPids(this.#sessions.values()),
    });
    for (const block of stretch.blocks) await this.#options.sink.sample({ ...record, block: block.number });
    await this.#flush();
    return record.disturbed;
  }

  /** A power failure then loses a second and the stretch that runs, at most. */
  async #flush(): Promise<void> {
    const { clock, sink } = this.#options;
    if (clock() - this.#flushedMs < FLUSH_EVERY_MS) return;
    await sink.flush?.();
    this.#flushedMs = clock();
  }
}
