/** Runs a race on real candidates, and records it like any other run. */
import type { LiveCandidate } from "../../bench/live_candidate.ts";
import type { RunSink } from "../../bench/folder.ts";
import { type MachineWatch, type Reading, readUse, watchedUse } from "../../bench/noise.ts";
import type { RaceTerms, RequestRecord, RunInfo } from "../../bench/records.ts";
import { type OpenedEvent, withOpened } from "../../bench/run_info.ts";
import { CandidateSession, ownPids, type RunContext, type RunEvent } from "../../bench/candidate_session.ts";
import type { Clock } from "../../clock.ts";
import { UserError } from "../../errors.ts";
import { seededRandom, shuffle } from "../../stats/random.ts";
import { outcomeOf, rulesOf } from "./criterion.ts";
import type { CaseOutcome } from "./pairing.ts";
import type { RaceState } from "./race_state.ts";
import { DEFAULT_TERMS, racingCandidates, type Score } from "./recorded_race.ts";
import { runRace } from "./run_race.ts";

export interface LiveRace extends MachineWatch {
  /** Its plan holds the race's terms; `excluded` may grow by candidates that can't be loaded. */
  readonly info: RunInfo;
  /** Those that no constraint excluded. */
  readonly candidates: readonly LiveCandidate[];
  readonly sink: RunSink & { writeInfo(info: RunInfo): Promise<void> };
  readonly clock: Clock;
  readonly score: Score;
  readonly onEvent?: (event: RunEvent) => void;
  readonly onBlock?: (state: RaceState) => void;
}

/**
 * Runs the race to its verdict. Every candidate is loaded alone once, to time it, then all are opened and
 * take turns. One that can't be opened is excluded; one that fails three times in a row leaves, and blocks
 * after that count for nothing.
 *
 * @returns how the run ended, and its run.json as it stands now
 * @throws {UserError} exit code 1 when a record can't be written; everything before it is kept
 *
 * ```ts ignore
 * const { info } = await raceLive({ info, candidates, sink: folder, clock, sleep, readMachine, signal, score });
 * ```
 */
export async function raceLive(options: LiveRace): Promise<RunInfo> {
  const { sink, signal } = options;
  const race = new RunningRace(options);
  let info = options.info;
  try {
    info = await race.open();
    await sink.writeInfo(info);
    const state = await race.run(info);
    info = {
      ...info,
      status: state.verdict?.verdict === "none" && state.blocks > 0 ? "failed" : "completed",
    };
  } catch (error) {
    if (error instanceof UserError || !signal.aborted) throw error;
    info = { ...info, status: "interrupted" };
  } finally {
    await race.close();
  }
  await sink.writeInfo(info);
  return info;
}

/** Sends the cases, and records each block and its machine use. */
class RunningRace {
  readonly #options: LiveRace;
  readonly #terms: RaceTerms;
  readonly #context: RunContext;
  readonly #sessions: ReadonlyMap<string, CandidateSession>;
  /** Why a candidate left. */
  readonly #left = new Map<string, string>();
  readonly #opened = new Map<string, OpenedEvent>();
  /** What the sessions recorded last. */
  #request: RequestRecord | null = null;
  #answer: Parameters<Score>[1] = { content: "" };
  #sentPrompt: string | null = null;
  #blocks = 0;
  /** How often each case comes: 1 with its first block. */
  readonly #rounds = new Map<string, number>();
  /** Who runs the block at hand, and the reading before it. */
  #running: readonly CandidateSession[] = [];
  #before: Reading | null = null;

  constructor(options: LiveRace) {
    const { info, candidates, clock, signal, sink } = options;
    const terms = info.plan.race;
    if (terms === undefined) throw new TypeError("Cannot race: the plan has no race terms");
    const originMs = clock();
    this.#options = options;
    this.#terms = terms;
    this.#context = {
      info,
      signal,
      done: new Set(),
      originMs,
      nowMs: () => clock() - originMs,
      onEvent: (event) => {
        if (event.kind === "opened") this.#opened.set(event.candidate, event);
        if (event.kind === "left") this.#left.set(event.candidate, event.reason);
        options.onEvent?.(event);
      },
      sink: {
        sample: async (record) => {
          await sink.sample(record);
          if (record.kind === "request" && record.phase === "timed") this.#request = record;
        },
        answer: async (record) => {
          await sink.answer(record);
          this.#answer = record;
        },
      },
    };
    this.#sessions = new Map(
      candidates.map((one) => [one.info.id, new CandidateSession(one, this.#context, false)]),
    );
  }

  /** Loads and warms up all of them; the terms with those excluded that could not be. */
  async open(): Promise<RunInfo> {
    const { info } = this.#options;
    const sessions = [...this.#sessions.values()];
    for (const session of shuffle(sessions, seededRandom(`${info.plan.seed} loads`))) {
      if (session.loads && sessions.length > 1) await session.measureLoad();
    }
    if (sessions.length > 1) { for (const session of sessions) await session.openAndWarmUp(); }
    const admit = "fix that, and race again";
    const failed = [...this.#left].map(([id, reason]) => ({
      id,
      constraint: "failed" as const,
      reason,
      admit,
    }));
    const race = { ...this.#terms, excluded: [...this.#terms.excluded, ...failed] };
    return { ...withOpened(info, this.#opened), plan: { ...info.plan, race } };
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
  }

  async run(info: RunInfo): Promise<RaceState> {
    const { signal, onBlock } = this.#options;
    const terms = info.plan.race ?? this.#terms;
    const candidates = racingCandidates(info, terms);
    await this.#beginBlock(candidates.map(({ id }) => id));
    return await runRace(candidates, rulesOf(terms), {
      prompts: info.plan.prompt_set.prompts.map(({ id }) => id),
      scope: terms.scope ?? DEFAULT_TERMS.scope,
      random: seededRandom(`${info.plan.seed} race`),
      signal,
      sample: (candidate, prompt) => this.#sendCase(candidate, prompt),
      onBlock: async (state) => {
        await this.#endBlock(state);
        onBlock?.(state);
      },
    });
  }

  async #sendCase(id: string, promptId: string): Promise<CaseOutcome> {
    const { info: { plan } } = this.#options;
    const session = this.#sessions.get(id);
    const prompt = plan.prompt_set.prompts.find((one) => one.id === promptId);
    if (session === undefined || prompt === undefined) {
      throw new RangeError(`Cannot send ${promptId} to ${id}`);
    }
    const round = this.#rounds.get(promptId) ?? 1;
    const request = session.request(prompt, { round, number: this.#blocks + 1, attempt: 1 });
    if (request === null) throw new RangeError(`Cannot send ${promptId} to ${id} twice in round ${round}`);
    this.#request = null;
    this.#sentPrompt = promptId;
    if (plan.prefix === "warm") await session.prime(request);
    await session.send(request);
    const record = this.#recorded();
    if (record === null) throw new Error(`the request to ${id} left no record`);
    const score = this.#options.score(promptId, this.#answer);
    const outcome = outcomeOf(record, score, this.#terms);
    const reason = this.#left.get(id);
    return outcome.status === "failed" && reason !== undefined
      ? { ...outcome, reason, leaves: true }
      : outcome;
  }

  /** Read through a method: the sink sets it while a request is awaited. */
  #recorded(): RequestRecord | null {
    return this.#request;
  }

  async #beginBlock(live: readonly string[]): Promise<void> {
    this.#running = [...this.#sessions.values()].filter(({ id }) => live.includes(id));
    this.#before = await readUse(this.#options.readMachine, this.#running);
  }

  async #endBlock(state: RaceState): Promise<void> {
    this.#blocks = state.blocks;
    if (this.#sentPrompt !== null) {
      this.#rounds.set(this.#sentPrompt, (this.#rounds.get(this.#sentPrompt) ?? 1) + 1);
    }
    const after = await readUse(this.#options.readMachine, this.#running);
    for (const session of this.#running) await session.recordMemory();
    if (this.#before !== null) {
      const record = await watchedUse(this.#before, after, {
        ...this.#options,
        nowMs: this.#context.nowMs,
        ownPids: ownPids(this.#sessions.values()),
      });
      await this.#options.sink.sample({ ...record, block: state.blocks });
    }
    await this.#options.sink.flush?.();
    for (const session of this.#running) if (!state.live.includes(session.id)) await session.close();
    await this.#beginBlock(state.live);
  }
}
