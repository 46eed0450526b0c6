/**
 * Models that run here, loaded when somebody asks and unloaded, least recently used first, when another needs the
 * room: a second model never takes the machine down.
 */
import type { Clock } from "../clock.ts";
import { ApiError } from "../openai/api_error.ts";
import type { Stopping } from "../openai/stop.ts";
import type { RunningModel } from "../engine/supervisor.ts";
import { reasonOf } from "../errors.ts";
import type { Backend, Held, Standing } from "./backends.ts";

/** What the pool needs of a running model: an embedded engine, or an adapter. */
export type PooledEngine =
  & Pick<RunningModel, "endpoint" | "exited" | "stats" | "stop">
  & Partial<Pick<RunningModel, "device" | "contextTokens" | "chatTemplate">>;

/** A model that can be loaded here. */
export interface PooledModel {
  readonly id: string;
  readonly names: readonly string[];
  readonly candidate: string;
  readonly capabilities: readonly string[];
  /** What the engine calls it. */
  readonly modelId: string;
  /** Resident MB that it is expected to take. */
  readonly neededMb: number;
  readonly about: Readonly<Record<string, string | number | null>>;
  readonly start: (signal: AbortSignal) => Promise<PooledEngine>;
}

export type PoolEvent =
  | { readonly kind: "loaded"; readonly id: string; readonly engine: PooledEngine; readonly ms: number }
  | { readonly kind: "failed"; readonly id: string; readonly reason: string }
  | { readonly kind: "evicted"; readonly id: string; readonly for: string }
  | { readonly kind: "ended"; readonly id: string; readonly reason: string };

export interface PoolOptions {
  /** For all models together, in MB. */
  readonly limitMb: number;
  /** What a new process could have now, in MB. */
  readonly freeMb: () => number;
  readonly clock: Clock;
  readonly onEvent: (event: PoolEvent) => void;
}

/** Left to everybody else. */
const RESERVE_MB = 256;
/** After a model could not be loaded it is not tried again for so long. */
const FAILED_MS = 30_000;
/** An engine answers one at a time; the second is at hand when the first is done. */
const SLOTS = 2;

type State =
  | { readonly kind: "asleep" }
  | { readonly kind: "loading"; readonly done: Promise<void> }
  | { readonly kind: "up"; readonly engine: PooledEngine }
  | { readonly kind: "failed"; readonly reason: string; readonly untilMs: number };

interface Seat {
  readonly model: PooledModel;
  state: State;
  users: number;
  usedMs: number;
  memoryMb: number | null;
}

/**
 * Loads and unloads the models that it made backends of.
 *
 * ```ts ignore
 * const pool = new EnginePool({ limitMb: 4000, freeMb, clock, onEvent: console.error });
 * const backend = pool.add(model);
 * const held = await backend.hold(new AbortController());
 * held.release();
 * await pool.stop();
 * ```
 */
export class EnginePool {
  readonly #seats: Seat[] = [];
  readonly #stopping = new AbortController();
  /** One load at a time: two would each believe that the free memory is theirs. */
  #loads: Promise<void> = Promise.resolve();
  #released = Promise.withResolvers<void>();

  constructor(private readonly options: PoolOptions) {}

  add(model: PooledModel): Backend {
    const seat: Seat = { model, state: { kind: "asleep" }, users: 0, usedMs: -Infinity, memoryMb: null };
    this.#seats.push(seat);
    const { id, names, candidate, capabilities } = model;
    return {
      id,
      names,
      candidate,
      capabilities,
      ownedBy: "embedded",
      slots: SLOTS,
      about: () => aboutOf(seat),
      standing: () => this.#standing(seat),
      memoryMb: () => seat.state.kind === "up" ? seat.memoryMb : 0,
      hold: (stopping) => this.#hold(seat, stopping),
    };
  }

  /** Ends every engine, also one that is still loading. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DOMException("the server ends", "AbortError"));
    this.#wake();
    await this.#loads;
    await Promise.all(this.#seats.map(({ state }) => state.kind === "up" ? state.engine.stop() : undefined));
  }

  #standing({ state }: Seat): Standing {
    if (state.kind !== "failed") return { kind: state.kind };
    return this.options.clock() < state.untilMs ? { kind: "down", reason: state.reason } : { kind: "asleep" };
  }

  #hold(seat: Seat, stopping: Stopping): Held | Promise<Held> {
    return seat.state.kind === "up"
      ? this.#taken(seat, seat.state.engine)
      : this.#loadAndHold(seat, stopping.signal);
  }

  async #loadAndHold(seat: Seat, signal: AbortSignal): Promise<Held> {
    for (let tries = 0; tries < 3; tries++) {
      const { state } = seat;
      if (state.kind === "up") return this.#taken(seat, state.engine);
      if (state.kind === "failed" && this.options.clock() < state.untilMs) {
        throw new ApiError(503, `model '${seat.model.id}' can't be loaded: ${state.reason}`, {
          code: "model_unavailable",
        });
      }
      // The load goes on when its first client goes away: others wait for it, or will.
      await unlessAborted(state.kind === "loading" ? state.done : this.#load(seat), signal);
    }
    throw new ApiError(503, `model '${seat.model.id}' is unloaded as soon as it is loaded: raise --memory`, {
      code: "no_memory",
    });
  }

  #taken(seat: Seat, { endpoint }: PooledEngine): Held {
    const { baseUrl, apiKey } = endpoint;
    seat.users++;
    seat.usedMs = this.options.clock();
    let released = false;
    return {
      place: { baseUrl, modelId: seat.model.modelId, ...(apiKey === undefined ? {} : { apiKey }) },
      release: () => {
        if (released) return;
        released = true;
        seat.users--;
        seat.usedMs = this.options.clock();
        this.#wake();
        void this.#measure(seat);
      },
    };
  }

  /** Never rejects: what went wrong is the seat's state. */
  #load(seat: Seat): Promise<void> {
    const done = this.#loads = this.#loads.then(() => this.#loadNow(seat));
    seat.state = { kind: "loading", done };
    return done;
  }

  async #loadNow(seat: Seat): Promise<void> {
    const { clock, onEvent } = this.options;
    const { model } = seat;
    const { signal } = this.#stopping;
    try {
      await this.#makeRoom(seat);
      const startMs = clock();
      const engine = await model.start(signal);
      seat.state = { kind: "up", engine };
      seat.usedMs = clock();
      void engine.exited.then(({ code, signal }) => this.#ended(seat, engine, signal ?? `exit code ${code}`));
      await this.#measure(seat);
      onEvent({ kind: "loaded", id: model.id, engine, ms: clock() - startMs });
    } catch (error) {
      const reason = reasonOf(error);
      seat.state = { kind: "failed", reason, untilMs: clock() + FAILED_MS };
      if (!signal.aborted) onEvent({ kind: "failed", id: model.id, reason });
    }
  }

  #ended(seat: Seat, engine: PooledEngine, how: string): void {
    if (seat.state.kind !== "up" || seat.state.engine !== engine) return;
    seat.state = { kind: "asleep" };
    if (!this.#stopping.signal.aborted) {
      this.options.onEvent({ kind: "ended", id: seat.model.id, reason: `its process ended (${how})` });
    }
  }

  /** Unloads others until the model fits; waits for those that are busy. */
  async #makeRoom(seat: Seat): Promise<void> {
    const { limitMb, freeMb, onEvent } = this.options;
    const { id, neededMb } = seat.model;
    while (true) {
      this.#stopping.signal.throwIfAborted();
      const up = this.#seats.filter(({ state }) => state.kind === "up");
      const used = up.reduce((sum, other) => sum + Math.max(other.memoryMb ?? 0, other.model.neededMb), 0);
      const shortOfLimit = used + neededMb > limitMb;
      if (!shortOfLimit && neededMb + RESERVE_MB <= freeMb()) return;
      const [oldest] = up.filter(({ users }) => users === 0).sort((a, b) => a.usedMs - b.usedMs);
      if (oldest?.state.kind === "up") {
        const { engine } = oldest.state;
        oldest.state = { kind: "asleep" };
        onEvent({ kind: "evicted", id: oldest.model.id, for: id });
        await engine.stop();
      } else if (up.length > 0) await this.#released.promise;
      else throw noRoom(neededMb, shortOfLimit ? limitMb : freeMb() - RESERVE_MB, shortOfLimit);
    }
  }

  async #measure(seat: Seat): Promise<void> {
    if (seat.state.kind !== "up") return;
    const stats = await seat.state.engine.stats().catch(() => null); // its death shows elsewhere
    if (stats !== null) seat.memoryMb = stats.residentMb;
  }

  #wake(): void {
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }
}

function aboutOf({ model, state }: Seat) {
  if (state.kind !== "up") return model.about;
  const { device, chatTemplate, contextTokens } = state.engine;
  return {
    ...model.about,
    ...(device === undefined ? {} : { device }),
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
    ...(contextTokens === undefined ? {} : { context_length: contextTokens }),
  };
}

const noRoom = (neededMb: number, roomMb: number, isLimit: boolean) =>
  new ApiError(
    503,
    `it needs ${Math.round(neededMb)} MB of memory, ` +
      (isLimit
        ? `--memory allows ${Math.round(roomMb)} MB`
        : `${Math.max(0, Math.round(roomMb))} MB are free`) +
      ": take a smaller variant or a shorter context, or end other programs",
    { code: "no_memory" },
  );

function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    if (signal.aborted) return giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    void work.then(() => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
  });
}
