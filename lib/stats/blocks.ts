/** Figures of values that come in blocks of equal size: neighbours within a block hang together, blocks don't. */
import { meanOf, varianceOfMean } from "./mean.ts";
import { expandedPercentiles, RESAMPLE_FROM } from "./paired.ts";
import { type Interval, quantileSorted, sorted } from "./quantile.ts";
import type { Random } from "./random.ts";
import { studentTQuantile } from "./t.ts";

/** A figure, and its 95 % interval over blocks; null where the blocks are too few, or all equal. */
export interface BlockEstimate {
  readonly value: number;
  readonly ci95: Interval | null;
}

/**
 * Mean of all values, with Student's t over the means of the blocks.
 *
 * @param bounds what the mean can be at least and at most: the interval ends there
 *
 * ```ts
 * const { value, ci95 } = blockMean([[1, 3], [2, 4], [3, 5]], [0, Infinity]);
 * console.assert(value === 3 && ci95 !== null && Math.abs(ci95[0] - 0.516) < 0.001);
 * ```
 */
export function blockMean(
  blocks: readonly (readonly number[])[],
  bounds: Interval = [-Infinity, Infinity],
): BlockEstimate {
  const means = blocks.map(meanOf);
  const value = meanOf(means);
  const error = Math.sqrt(varianceOfMean(means));
  if (!(error > 1e-12)) return { value, ci95: null };
  const half = studentTQuantile(0.975, means.length - 1) * error;
  return { value, ci95: [Math.max(bounds[0], value - half), Math.min(bounds[1], value + half)] };
}

/**
 * Quantile of all values (linear between order statistics), with an interval that resamples whole blocks
 * 1,000 times, widened for few of them as in `compareRuns`.
 *
 * @param random e.g. `seededRandom(1)`
 *
 * ```ts
 * const blocks = Array.from({ length: 8 }, (_, i) => [i, i + 1, i + 2]);
 * const { value, ci95 } = blockQuantile(blocks, 0.5, () => 0.3);
 * console.assert(value === 4.5 && ci95 === null, "a constant random source resamples nothing");
 * ```
 */
export function blockQuantile(
  blocks: readonly (readonly number[])[],
  p: number,
  random: Random,
): BlockEstimate {
  const value = quantileSorted(sorted(blocks.flat()), p);
  // Sorted once: a resample holds each value as often as its block was drawn, in this order.
  const ascending = blocks.flatMap((block, owner) => block.map((one) => ({ one, owner })))
    .sort((a, b) => a.one - b.one);
  const draw = () => {
    const times = new Uint32Array(blocks.length);
    let n = 0;
    for (const _ of blocks) {
      const drawn = Math.floor(random() * blocks.length);
      times[drawn] = (times[drawn] ?? 0) + 1;
      n += blocks[drawn]?.length ?? 0;
    }
    const position = (n - 1) * p;
    let [seen, low] = [0, NaN];
    for (const { one, owner } of ascending) {
      seen += times[owner] ?? 0;
      if (seen > position && Number.isNaN(low)) low = one;
      if (seen > Math.ceil(position)) return low + (position % 1) * (one - low);
    }
    return low;
  };
  const resampled = Array.from({ length: blocks.length < RESAMPLE_FROM ? 0 : 1000 }, draw);
  return { value, ci95: expandedPercentiles(resampled, blocks.length) };
}
