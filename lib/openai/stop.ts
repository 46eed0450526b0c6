/** Giving a request up: told once, heard by whoever works on it just then. */

/** Something that may be stopped while one waits. An `AbortController` is one. */
export interface Stopping {
  readonly signal: AbortSignal;
}

/**
 * A reason to stop, and who is told. An `AbortSignal` costs more than everything else that a request needs, so it
 * is made only where somebody has to wait with one.
 *
 * ```ts
 * const stop = new Stop();
 * let heard: unknown = null;
 * stop.onStop = (reason) => heard = reason;
 * stop.now("too late");
 * stop.now("again");
 * if (heard !== "too late" || stop.signal.reason !== "too late") throw new Error("told once");
 * ```
 */
export class Stop implements Stopping {
  /** Whoever works on the request; told at once where it has been stopped already. */
  #onStop: ((reason: unknown) => void) | null = null;
  #stopped: { readonly reason: unknown } | null = null;
  #controller: AbortController | null = null;

  get stopped(): boolean {
    return this.#stopped !== null;
  }

  set onStop(told: ((reason: unknown) => void) | null) {
    this.#onStop = told;
    if (this.#stopped !== null) told?.(this.#stopped.reason);
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#stopped !== null) this.#controller.abort(this.#stopped.reason);
    }
    return this.#controller.signal;
  }

  now(reason: unknown): void {
    if (this.#stopped !== null) return;
    this.#stopped = { reason };
    this.#controller?.abort(reason);
    this.#onStop?.(reason);
  }
}
