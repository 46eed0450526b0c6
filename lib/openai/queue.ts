/** A queue in front of a model: it limits requests that run and wait, and answers HTTP 429 to more. */
import type { Clock } from "../clock.ts";
import { ApiError } from "./api_error.ts";

/** Too many requests wait already; says when to try again. */
export class QueueFull extends ApiError {
  constructor(readonly retryAfterS: number, waiting: number) {
    super(429, `${waiting} requests wait for this model already: try again in ${retryAfterS} s`, {
      code: "queue_full",
    });
  }
}

/**
 * Admits `slots` requests at once; at most `limit` more wait, first come, first served.
 *
 * ```ts
 * const queue = new RequestQueue(1, 1, () => 0);
 * const signal = new AbortController().signal;
 * const leave = await queue.enter(signal);
 * const second = queue.enter(signal);
 * const third = await queue.enter(signal).catch((error) => error);
 * leave();
 * (await second)();
 * if (!(third instanceof QueueFull) || queue.busy !== 0) throw new Error("one works, one waits, one is refused");
 * ```
 */
export class RequestQueue {
  #busy = 0;
  readonly #waiting = new Set<() => void>();
  /** How long requests took, smoothed. */
  #serviceMs = 1000;

  constructor(readonly slots: number, readonly limit: number, private readonly clock: Clock) {}

  get busy(): number {
    return this.#busy;
  }

  /** How many requests wait, without those being served. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves with the function that releases the slot; it may be called twice.
   *
   * @throws {QueueFull} 429; the signal's reason where it is aborted while waiting
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#busy < this.slots) this.#busy++;
    else if (this.#waiting.size < this.limit) await this.#wait(signal);
    else {
      const waitMs = (this.#waiting.size + 1) / this.slots * this.#serviceMs;
      throw new QueueFull(Math.min(60, Math.max(1, Math.ceil(waitMs / 1000))), this.#waiting.size);
    }
    return this.#turn();
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting.delete(go);
        reject(signal.reason);
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** A slot passes directly to the next in the queue, so that no request overtakes another. */
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
