/** A model's waiting line: so many at once, so many waiting, and a number of seconds for everybody else. */
import type { Clock } from "../clock.ts";
import { ApiError } from "../openai/api_error.ts";
import type { Stopping } from "../openai/stop.ts";

/** Too many wait already; says when to come back. */
export class LineFull extends ApiError {
  constructor(readonly retryAfterS: number, waiting: number) {
    super(429, `${waiting} requests wait for this model already: try again in ${retryAfterS} s`, {
      code: "queue_full",
    });
  }
}

/**
 * Lets `slots` requests in at once and at most `waiting` more stand in line, first come, first served.
 *
 * ```ts
 * const line = new Line(1, 0, () => 0);
 * const leave = await line.enter(new AbortController());
 * let full = false;
 * try {
 *   await line.enter(new AbortController());
 * } catch (error) {
 *   full = error instanceof LineFull;
 * }
 * leave();
 * if (!full || line.busy !== 0) throw new Error("one at a time, nobody waits");
 * ```
 */
export class Line {
  #busy = 0;
  readonly #waiting = new Set<() => void>();
  /** How long requests took, smoothed. */
  #serviceMs = 1000;

  constructor(readonly slots: number, readonly limit: number, private readonly clock: Clock) {}

  get busy(): number {
    return this.#busy;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves with the function that ends the turn.
   *
   * @throws {LineFull} 429; the signal's reason where its bearer gives up
   */
  enter(stopping: Stopping): (() => void) | Promise<() => void> {
    if (this.#busy < this.slots) {
      this.#busy++;
      return this.#turn();
    }
    if (this.#waiting.size >= this.limit) {
      const waitMs = (this.#waiting.size + 1) / this.slots * this.#serviceMs;
      throw new LineFull(Math.min(60, Math.max(1, Math.ceil(waitMs / 1000))), this.#waiting.size);
    }
    const { signal } = stopping;
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener("abort", giveUp);
        resolve(this.#turn());
      };
      const giveUp = () => {
        this.#waiting.delete(go);
        reject(signal.reason);
      };
      signal.throwIfAborted();
      this.#waiting.add(go);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** The place is handed to the next in line, so that nobody overtakes. */
  #turn(): () => void {
    const sinceMs = this.clock();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#serviceMs += (this.clock() - sinceMs - this.#serviceMs) / 8;
      const [next] = this.#waiting;
      if (next === undefined) {
        this.#busy--;
        return;
      }
      this.#waiting.delete(next);
      next();
    };
  }
}
