/** When things are due: one timer for all of them, since a timer for each token of each stream costs more than the token. */

/** Something with a next step that is due at `dueMs`, on the clock of `performance.now()`. */
export interface Paced {
  /** `Infinity` once nothing is left to do. */
  dueMs: number;
  /** Does what is due by now, and moves `dueMs` on. */
  step(): void;
  /** The endpoint stops: no step will come any more. */
  interrupt(): void;
}

export class Pacer {
  readonly #all = new Set<Paced>();
  /** Those that a look finds; the same array every time, since there are a thousand looks a second. */
  readonly #due: Paced[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wakeMs = Infinity;
  #stopped = false;

  /** Takes the first step at once where it is due, the others when they are. */
  add(paced: Paced): void {
    if (this.#stopped) return paced.interrupt();
    this.#all.add(paced);
    if (paced.dueMs <= performance.now()) this.#step(paced);
    this.#wake(paced.dueMs);
  }

  drop(paced: Paced): void {
    this.#all.delete(paced);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const paced of this.#all) paced.interrupt();
    this.#all.clear();
  }

  #step(paced: Paced): void {
    paced.step();
    if (paced.dueMs === Infinity) this.#all.delete(paced);
  }

  /** Timers know whole milliseconds: never too early, so that none is set twice. */
  #wake(dueMs: number): void {
    if (dueMs >= this.#wakeMs || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#wakeMs = dueMs;
    this.#timer = setTimeout(this.#look, Math.max(0, Math.ceil(dueMs - performance.now())));
  }

  /** In the order in which things are due: nobody is always the last of those that share a millisecond. */
  #look = (): void => {
    this.#wakeMs = Infinity;
    const nowMs = performance.now();
    for (const paced of this.#all) if (paced.dueMs <= nowMs) this.#due.push(paced);
    this.#due.sort((a, b) => a.dueMs - b.dueMs);
    for (const paced of this.#due) this.#step(paced);
    this.#due.length = 0;
    let next = Infinity;
    for (const { dueMs } of this.#all) next = Math.min(next, dueMs);
    this.#wake(next);
  };
}
