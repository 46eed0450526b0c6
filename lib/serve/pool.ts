/**
 * Models that run on this machine: loaded with the first request, and unloaded, least recently used first,
 * when another model needs the memory. A second model never exhausts the machine's memory.
 */
import type { Clock } from "../clock.ts";
import { ApiError } from "../openai/api_error.ts";
import type { RunningModel } from "../engine/supervisor.ts";
import { reasonOf } from "../errors.ts";
import type { Availability, GatewayModel, Lease } from "./served_models.ts";

/** What the pool needs from a running model: an embedded engine, or an adapter. */
export type PooledEngine =
  & Pick<RunningModel, "endpoint" | "exited" | "stats" | "stop">
  & Partial<Pick<RunningModel, "device" | "contextTokens" | "chatTemplate" | "chatTemplateNote">>;

/** A model that can be loaded here. */
export interface PooledModel {
  readonly id: string;
  readonly names: readonly string[];
  readonly candidate: string;
  readonly capabilities: readonly string[];
  /** Its name in the engine's requests. */
  readonly modelId: string;
  /** Resident memory that it is expected to need, in MB. */
  readonly neededMb: number;
  /** Requests that it answers at once. @default 1 */
  readonly parallel?: number;
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
  /** Memory that a new process could have now, in MB. */
  readonly freeMb: () => number;
  readonly clock: Clock;
  readonly onEvent: (event: PoolEvent) => void;
}

/** Memory left to all other programs. */
const RESERVE_MB = 256;
/** Pause before a model that could not be loaded is tried again. */
const FAILED_MS = 30_000;
/** Requests that queue at an engine beyond those it answers at once, so that the next one is ready. */
const NEXT = 1;

type State =
  | { readonly kind: "asleep" }
  | { readonly kind: "loading"; readonly done: Promise<void> }
  | { readonly kind: "up"; readonly engine: PooledEngine }
  | { readonly kind: "failed"; readonly reason: string; readonly untilMs: number };

interface PoolMember {
  readonly model: PooledModel;
  state: State;
  users: number;
  usedMs: number;
  memoryMb: number | null;
}

/**
 * Loads and unloads the models that were added to it.
 *
 * ```ts ignore
 * const pool = new EnginePool({ limitMb: 4000, freeMb, clock, onEvent: console.error });
 * const served = pool.add(model);
 * const lease = await served.lease(new AbortController().signal);
 * lease.release();
 * await pool.stop();
 * ```
 */
export class EnginePool {
  readonly #members: PoolMember[] = [];
  readonly #stopping = new AbortController();
  /** One load at a time: two would both count on the same free memory. */
  #loads: Promise<void> = Promise.resolve();
  #released = Promise.withResolvers<void>();

  constructor(private readonly options: PoolOptions) {}

  add(model: PooledModel): GatewayModel {
    const member: PoolMember = {
      model,
      state: { kind: "asleep" },
      users: 0,
      usedMs: -Infinity,
      memoryMb: null,
    };
    this.#members.push(member);
    const { id, names, candidate, capabilities } = model;
    return {
      id,
      names,
      candidate,
      capabilities,
      ownedBy: "embedded",
      slots: (model.parallel ?? 1) + NEXT,
      about: () => aboutOf(member),
      availability: () => this.#availability(member),
      memoryMb: () => member.state.kind === "up" ? member.memoryMb : 0,
      lease: (signal) => this.#lease(member, signal),
    };
  }

  /** Stops every engine, also one that is still loading. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DOMException("the server ends", "AbortError"));
    this.#wake();
    await this.#loads;
    await Promise.all(
      this.#members.map(({ state }) => state.kind === "up" ? state.engine.stop() : undefined),
    );
  }

  #availability({ state }: PoolMember): Availability {
    if (state.kind !== "failed") return { kind: state.kind };
    return this.options.clock() < state.untilMs ? { kind: "down", reason: state.reason } : { kind: "asleep" };
  }

  async #lease(member: PoolMember, signal: AbortSignal): Promise<Lease> {
    for (let tries = 0; tries < 3; tries++) {
      const { state } = member;
      if (state.kind === "up") return this.#leased(member, state.engine);
      if (state.kind === "failed" && this.options.clock() < state.untilMs) {
        throw new ApiError(503, `model '${member.model.id}' can't be loaded: ${state.reason}`, {
          code: "model_unavailable",
        });
      }
      // The load continues when its first client goes away: others wait for it, or will.
      await unlessAborted(state.kind === "loading" ? state.done : this.#load(member), signal);
    }
    throw new ApiError(
      503,
      `model '${member.model.id}' is unloaded as soon as it is loaded: raise --memory`,
      {
        code: "no_memory",
      },
    );
  }

  #leased(member: PoolMember, { endpoint }: PooledEngine): Lease {
    const { baseUrl, apiKey } = endpoint;
    member.users++;
    member.usedMs = this.options.clock();
    let released = false;
    return {
      endpoint: { baseUrl, modelId: member.model.modelId, ...(apiKey === undefined ? {} : { apiKey }) },
      release: () => {
        if (released) return;
        released = true;
        member.users--;
        member.usedMs = this.options.clock();
        this.#wake();
        void this.#measure(member);
      },
    };
  }

  /** Never rejects: a failure is the member's state. */
  #load(member: PoolMember): Promise<void> {
    const done = this.#loads = this.#loads.then(() => this.#loadNow(member));
    member.state = { kind: "loading", done };
    return done;
  }

  async #loadNow(member: PoolMember): Promise<void> {
    const { clock, onEvent } = this.options;
    const { model } = member;
    const { signal } = this.#stopping;
    try {
      await this.#freeMemory(member);
      const startMs = clock();
      const engine = await model.start(signal);
      member.state = { kind: "up", engine };
      member.usedMs = clock();
      void engine.exited.then(({ code, signal }) =>
        this.#ended(member, engine, signal ?? `exit code ${code}`)
      );
      await this.#measure(member);
      onEvent({ kind: "loaded", id: model.id, engine, ms: clock() - startMs });
    } catch (error) {
      const reason = reasonOf(error);
      member.state = { kind: "failed", reason, untilMs: clock() + FAILED_MS };
      if (!signal.aborted) onEvent({ kind: "failed", id: model.id, reason });
    }
  }

  #ended(member: PoolMember, engine: PooledEngine, how: string): void {
    if (member.state.kind !== "up" || member.state.engine !== engine) return;
    member.state = { kind: "asleep" };
    if (!this.#stopping.signal.aborted) {
      this.options.onEvent({ kind: "ended", id: member.model.id, reason: `its process ended (${how})` });
    }
  }

  /** Unloads other models until this one fits; waits for those that are busy. */
  async #freeMemory(member: PoolMember): Promise<void> {
    const { limitMb, freeMb, onEvent } = this.options;
    const { id, neededMb } = member.model;
    while (true) {
      this.#stopping.signal.throwIfAborted();
      const up = this.#members.filter(({ state }) => state.kind === "up");
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
      else throw tooLarge(neededMb, shortOfLimit ? limitMb : freeMb() - RESERVE_MB, shortOfLimit);
    }
  }

  async #measure(member: PoolMember): Promise<void> {
    if (member.state.kind !== "up") return;
    const stats = await member.state.engine.stats().catch(() => null); // `exited` reports the end of the process
    if (stats !== null) member.memoryMb = stats.residentMb;
  }

  #wake(): void {
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }
}

function aboutOf({ model, state }: PoolMember) {
  if (state.kind !== "up") return model.about;
  const { device, chatTemplate, chatTemplateNote, contextTokens } = state.engine;
  return {
    ...model.about,
    ...(device === undefined ? {} : { device }),
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
    ...((chatTemplateNote ?? null) === null ? {} : { chat_template_note: chatTemplateNote }),
    ...(contextTokens === undefined ? {} : { context_length: contextTokens }),
  };
}

const tooLarge = (neededMb: number, allowedMb: number, isLimit: boolean) =>
  new ApiError(
    503,
    `it needs ${Math.round(neededMb)} MB of memory, ` +
      (isLimit
        ? `--memory allows ${Math.round(allowedMb)} MB`
        : `${Math.max(0, Math.round(allowedMb))} MB are free`) +
      ": choose a smaller variant or a shorter context, or end other programs",
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
