/** Differences between measured and real delays, many of them in a fixed amount of memory. */
import { z } from "zod";

/** A set of errors in four figures, in the unit of its field's name. */
export const errorFigures = z.object({
  n: z.number().int().nonnegative(),
  p50: z.number().nullable(),
  /** Null below 100 values. */
  p99: z.number().nullable(),
  max: z.number().nullable(),
});
export type ErrorFigures = z.infer<typeof errorFigures>;

/** Errors of many requests, against the delays that the fake endpoint logged. */
export class TimingErrors {
  readonly ttft = new Histogram();
  readonly gap = new Histogram();
  readonly tpotPercent = new Histogram();
  requests = 0;
  failed = 0;

  /**
   * Compares one request with the delays that were really made, chunk by chunk.
   *
   * @param seenMs arrival of its chunks, in ms since it was sent; null where it failed
   * @param madeMs when the endpoint sent them, in ms since it had read the request
   *
   * ```ts
   * const errors = new TimingErrors();
   * errors.add([50.2, 60.1], [50, 60]);
   * if (Math.abs((errors.ttft.max ?? 0) - 0.2) > 1e-9) throw new Error("0.2 ms late");
   * ```
   */
  add(seenMs: readonly number[] | null, madeMs: readonly number[] | undefined): void {
    this.requests++;
    if (seenMs === null || madeMs === undefined || madeMs.length !== seenMs.length) {
      this.failed++;
      return;
    }
    const pairs = seenMs.map((ms, i) => ({ seen: ms, made: madeMs[i] ?? NaN }));
    const [first] = pairs;
    const last = pairs.at(-1);
    if (first === undefined || last === undefined) return;
    this.ttft.add(first.seen - first.made);
    for (const [i, now] of pairs.entries()) {
      const before = pairs[i - 1];
      if (before !== undefined) this.gap.add(now.seen - before.seen - (now.made - before.made));
    }
    const made = last.made - first.made;
    if (made > 0) this.tpotPercent.add(100 * ((last.seen - first.seen) / made - 1));
  }
}

/** A histogram in four figures; p99 only from 100 values on. */
export function errorFiguresOf(errors: Histogram): ErrorFigures {
  return {
    n: errors.n,
    p50: errors.quantile(0.5),
    p99: errors.n < 100 ? null : errors.quantile(0.99),
    max: errors.max,
  };
}

const LOWEST_MS = 0.0005;
const STEP = Math.log(1.01);
const BINS = 1700; // up to about 11 s

/**
 * Counts magnitudes in bins 1 % wide, from half a microsecond up, so that memory does not grow with their
 * number. A quantile is the middle of a bin, and exact within 0.5 %.
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

  /** Counts the magnitude of `ms`. @throws {RangeError} where `ms` is not finite */
  add(ms: number): void {
    const size = Math.abs(ms);
    if (!Number.isFinite(size)) throw new RangeError(`an error of ${ms} ms can't be counted`);
    const bin = size <= LOWEST_MS ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(size / LOWEST_MS) / STEP));
    this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
    this.#n++;
    this.#max = Math.max(this.#max, size);
  }

  /** The magnitude at or below which a share `p` of all lies (nearest rank); null where there are none. */
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
