/** The backends that are served, each with its waiting line and its breaker. */
import type { Clock } from "../clock.ts";
import { type Breaker, type BreakerSettings, makeBreaker } from "../select/route/breaker.ts";
import { type Backend, findByName } from "./backends.ts";
import { Line } from "./line.ts";

/** A backend and what stands before it. */
export interface Desk {
  readonly backend: Backend;
  readonly breaker: Breaker;
  readonly line: Line;
  /** When a request, or a prompt that keeps it warm, was last sent to it; null where none was yet. */
  usedMs: number | null;
}

export interface DeskSettings {
  readonly breaker: BreakerSettings;
  /** Requests that may wait for a model. */
  readonly waiting: number;
  readonly clock: Clock;
}

/**
 * Keeps a desk for every backend, also when the list of backends is read anew.
 *
 * ```ts ignore
 * const desks = new Desks({ breaker: { failuresToOpen: 3, openMs: 10_000 }, waiting: 100, clock });
 * desks.serve(backends);
 * const [desk] = desks.named("smollm2");
 * ```
 */
export class Desks {
  #all: readonly Desk[] = [];
  #byName = new Map<string, readonly Desk[]>();

  constructor(private readonly settings: DeskSettings) {}

  /** These backends from now on; one of the same candidate keeps its breaker and its line. */
  serve(backends: readonly Backend[]): void {
    const { breaker, waiting, clock } = this.settings;
    this.#all = backends.map((backend) => {
      const known = this.#all.find((desk) => desk.backend.candidate === backend.candidate);
      return known === undefined
        ? {
          backend,
          breaker: makeBreaker(breaker, clock),
          line: new Line(backend.slots, waiting, clock),
          usedMs: null,
        }
        : { ...known, backend };
    });
    this.#byName.clear();
  }

  all(): readonly Desk[] {
    return this.#all;
  }

  /** Whoever bears the name, in the order in which they were given. */
  named(name: string): readonly Desk[] {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const ids = new Set(
      findByName(this.#all.map(({ backend }) => backend), name).map(({ candidate }) => candidate),
    );
    const found = this.#all.filter(({ backend }) => ids.has(backend.candidate));
    // Names are strangers' words: only those that mean something are kept.
    if (found.length > 0 && this.#byName.size < 1000) this.#byName.set(name, found);
    return found;
  }

  of(candidate: string): Desk | undefined {
    return this.#all.find(({ backend }) => backend.candidate === candidate);
  }
}
