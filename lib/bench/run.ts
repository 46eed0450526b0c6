/**
 * Carries out a plan: loads, warm-ups, then block after block, each watched; every request becomes a record
 * the moment it ends. A candidate that fails becomes a row with a reason, and the others continue. Nothing
 * here reads the environment or writes to the terminal or the disk.
 */
import type { Clock } from "../clock.ts";
import { UserError } from "../errors.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { LiveCandidate } from "./live_candidate.ts";
import type { OwedBlock, Resumed, RunSink } from "./folder.ts";
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
  const run = new PlanInProgress(options);
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

class PlanInProgress {
  /** Whether a timed request succeeded. */
  measured: boolean;
  readonly #options: RunBenchOptions;
  readonly #plan: RunInfo["plan"];
  readonly #sessions: ReadonlyMap<string, CandidateSession>;
  readonly #context: RunContext;
  /** Stretches that make up for disturbed ones, the number of their next block, and how many blocks may follow. */
  readonly #makeUps: Stretch[] = [];
  #nextBlock: number;
  #repeatsLeft: number;
  #flushedMs = -Infinity;

  constructor(options: RunBenchOptions) {
    const { info, candidates, clock, resumed, onEvent, sink, signal } = options;
    const originMs = clock() - (resumed?.lastMs ?? 0);
    this.#options = options;
    this.#plan = info.plan;
    this.measured = resumed?.measured ?? false;
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
    const planned = info.plan.rounds * info.plan.prompt_set.prompts.length;
    const last = Math.max(planned, resumed?.lastBlock ?? 0);
    this.#nextBlock = last + 1;
    // At most half as many blocks as planned are repeated: on a busy machine a run must end too.
    this.#repeatsLeft = Math.ceil(planned / 2) - (last - planned);
    for (const block of resumed?.owed ?? []) this.#oweBlock(block);
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

  /** The planned stretches, then those that make up for disturbed ones. A run for a time ends with its time. */
  async runStretches(): Promise<void> {
    const { prompt_set, for_s } = this.#plan;
    const sessions = [...this.#sessions.values()];
    if (for_s !== undefined) await this.#openOnly(sessions);
    const endMs = this.#context.nowMs() + 1000 * (for_s ?? Infinity);
    const shape = { ...this.#plan, prompts: prompt_set.prompts.length };
    for (const stretch of schedule(shape, [...this.#sessions.keys()])) {
      if (this.#context.nowMs() >= endMs || sessions.every(({ left }) => left)) break;
      await this.#runStretch(stretch);
    }
    for (let next = this.#makeUps.shift(); next !== undefined; next = this.#makeUps.shift()) {
      await this.#runStretch(next);
    }
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
  }

  /** Runs what is still to do of a stretch, watches the machine, and makes up for the stretch if it was disturbed. */
  async #runStretch(stretch: Stretch): Promise<void> {
    const work = stretch.order.map((id) => this.#stillToDo(id, stretch.blocks))
      .filter(({ requests }) => requests.length > 0);
    if (work.length === 0) return;
    const sessions = work.map(({ session }) => session);
    await this.#openOnly(sessions);
    const before = await readUse(this.#options.readMachine, sessions);
    for (const { session, requests } of work) await this.#sendAll(session, requests);
    const after = await readUse(this.#options.readMachine, sessions);
    for (const session of sessions) await session.recordMemory();
    const reason = await this.#recordMachine(stretch, before, after);
    if (reason === null) return;
    const live = stretch.order.filter((id) => this.#sessions.get(id)?.left === false).length;
    const repeated = this.#makeUp(stretch) ? live * stretch.blocks.length : 0;
    this.#context.onEvent({ kind: "disturbed", reason, repeated });
  }

  #stillToDo(
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

  /** Opens and warms up candidates. By model, the candidate of the turn before is closed first. */
  async #openOnly(sessions: readonly CandidateSession[]): Promise<void> {
    if (this.#plan.order === "by model") {
      for (const session of this.#sessions.values()) if (!sessions.includes(session)) await session.close();
    }
    for (const session of sessions) await session.openAndWarmUp();
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

  /** @returns why the stretch was disturbed, or null */
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

  /**
   * Queues a repetition of a stretch; false where there is none. By model, the others' turn at a block is
   * over or still to come: it can't be repeated together. Where answers are collected, a busy machine makes
   * them late, not different.
   */
  #makeUp(stretch: Stretch): boolean {
    const { order, prefix, for_s, repeat_disturbed } = this.#plan;
    if (order === "by model" || prefix === "as is" || for_s !== undefined) return false;
    if (repeat_disturbed === false || this.#repeatsLeft < stretch.blocks.length) return false;
    this.#makeUps.push(makeUpFor(stretch, this.#nextBlock));
    this.#nextBlock += stretch.blocks.length;
    this.#repeatsLeft -= stretch.blocks.length;
    return true;
  }

  /** A disturbed block that the process before this one had no time to make up for. */
  #oweBlock({ promptId, round, attempt }: OwedBlock): void {
    const prompt = this.#plan.prompt_set.prompts.findIndex(({ id }) => id === promptId);
    const block = { number: 0, stretch: 0, prompt, round, attempt };
    if (prompt >= 0) this.#makeUp({ order: [...this.#sessions.keys()], blocks: [block] });
  }
}
