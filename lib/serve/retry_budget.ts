/** How many second attempts a gateway may make: a storm of retries would finish a service that stumbles. */

/**
 * A token bucket that every request fills a little and every retry empties by one (as in Finagle's RetryBudget):
 * in the long run `ratio` retries a request, and `reserve` of them at once.
 *
 * ```ts
 * const budget = new RetryBudget(0.5, 1);
 * budget.request();
 * if (!budget.retry() || budget.retry()) throw new Error("one in reserve; half a request does not pay for another");
 * ```
 */
export class RetryBudget {
  #tokens: number;

  constructor(private readonly ratio: number, private readonly reserve: number) {
    this.#tokens = reserve;
  }

  request(): void {
    this.#tokens = Math.min(this.reserve, this.#tokens + this.ratio);
  }

  /** Whether one more attempt may be made; if so, it is paid for. */
  retry(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
