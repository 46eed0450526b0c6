/** Many small errors in a fixed amount of memory. */

const LOWEST_MS = 0.0005;
const STEP = Math.log(1.01);
const BINS = 1700; // up to about 11 s

/**
 * Counts magnitudes in bins 1 % wide, from half a microsecond up: ten minutes of gaps take as much memory as
 * ten seconds of them. Quantiles are the middle of a bin, so they are right within 0.5 %.
 *
 * ```ts
 * const errors = new Histogram();
 * for (const ms of [0.1, -0.2, 0.3]) errors.add(ms);
 * const p50 = errors.quantile(0.5) ?? 0;
 * if (errors.n !== 3 || Math.abs(p50 - 0.2) > 0.002) throw new Error(String(p50));
 * ```
 */
export class Histogram {
  #bins = new Float64Array(BINS);
  #n = 0;
  #max = 0;

  get n(): number {
    return this.#n;
  }

  /** The largest magnitude, exactly. */
  get max(): number | null {
    return this.#n === 0 ? null : this.#max;
  }

  /** Counts the magnitude of `ms`. @throws {RangeError} for what is no number */
  add(ms: number): void {
    const size = Math.abs(ms);
    if (!Number.isFinite(size)) throw new RangeError(`an error of ${ms} ms can't be counted`);
    const bin = size <= LOWEST_MS ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(size / LOWEST_MS) / STEP));
    this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
    this.#n++;
    this.#max = Math.max(this.#max, size);
  }

  /** The magnitude that a share `p` of all stay at or below (nearest rank); null when there are none. */
  quantile(p: number): number | null {
    if (this.#n === 0) return null;
    const rank = Math.max(1, Math.ceil(p * this.#n));
    let seen = 0;
    for (let bin = 0; bin < BINS; bin++) {
      seen += this.#bins[bin] ?? 0;
      if (seen >= rank) return Math.min(this.#max, LOWEST_MS * Math.exp((bin - 0.5) * STEP));
    }
    return this.#max;
  }
}
