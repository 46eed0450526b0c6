/** One at a time, in the order of arrival. */

/**
 * A lock for a resource that serves one request at a time. Whoever gives up while waiting leaves the line.
 *
 * ```ts
 * const line = new WaitingLine();
 * const first = await line.enter();
 * const second = line.enter();
 * if (line.waiting !== 1) throw new Error("the second one waits");
 * first();
 * (await second)();
 * ```
 */
export class WaitingLine {
  #busy = false;
  readonly #line: (() => void)[] = [];

  /** How many wait; the one being served is not counted. */
  get waiting(): number {
    return this.#line.length;
  }

  /**
   * Resolves when it is this caller's turn, with the function that ends the turn (calling it twice does no
   * harm). Rejects with the signal's reason when the caller gives up first.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#busy) await this.#wait(signal);
    this.#busy = true;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#line.shift();
      if (next === undefined) this.#busy = false;
      else next();
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal?.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#line.splice(this.#line.indexOf(turn), 1);
        reject(signal?.reason);
      };
      this.#line.push(turn);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  }
}
