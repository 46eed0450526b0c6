/** Time limits for many requests at once, looked at by one coarse timer: a limit costs a request nothing. */
import type { Clock } from "../clock.ts";

/** A limit that can be moved as long as it has not passed. */
export interface Deadline {
  atMs: number;
  readonly passed: () => void;
}

/**
 * Calls each limit's `passed` once, at most `everyMs` late. Its timer runs only while there is a limit.
 *
 * ```ts
 * const deadlines = new Deadlines(() => 0, 10);
 * const limit = deadlines.add({ atMs: 100, passed: () => {} });
 * limit.atMs = 200;
 * deadlines.drop(limit);
 * ```
 */
export class Deadlines {
  readonly #all = new Set<Deadline>();
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(private readonly clock: Clock, private readonly everyMs = 50) {}

  add(deadline: Deadline): Deadline {
    this.#all.add(deadline);
    this.#timer ??= setInterval(() => this.#look(), this.everyMs);
    return deadline;
  }

  drop(deadline: Deadline): void {
    this.#all.delete(deadline);
  }

  /** The timer ends by itself once nothing is watched: not at once, since the next request comes soon. */
  #look(): void {
    if (this.#all.size === 0) {
      if (this.#timer !== null) clearInterval(this.#timer);
      this.#timer = null;
      return;
    }
    const nowMs = this.clock();
    for (const deadline of this.#all) {
      if (nowMs < deadline.atMs) continue;
      this.#all.delete(deadline);
      deadline.passed();
    }
  }
}
