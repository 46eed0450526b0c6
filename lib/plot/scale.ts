/** Axes for durations: the unit and the scale that show both the bulk and the tail. */

/** An axis for durations. */
export interface DurationAxis {
  readonly unit: "s" | "ms";
  /** Multiply seconds by this to get the unit. */
  readonly factor: 1 | 1000;
  readonly type: "linear" | "log";
  readonly label: (what: string) => string;
  /** Plot's x scale without its label: a linear axis begins at zero, a log axis labels only a few of its ticks. */
  readonly scale: {
    readonly type: "linear" | "log";
    readonly grid: true;
    readonly nice: boolean;
    readonly zero?: true;
    readonly ticks?: readonly number[];
    readonly tickFormat: (value: number) => string;
  };
}

/**
 * Milliseconds if the largest value is under two seconds. A log axis if the largest value is over thirty
 * times the smallest positive one, which a linear axis would squeeze into its first few pixels.
 *
 * @example
 * ```ts
 * if (durationAxis([0.2, 0.4]).unit !== "ms") throw new Error("expected milliseconds");
 * if (durationAxis([0.01, 60]).type !== "log") throw new Error("expected a log axis");
 * ```
 */
export function durationAxis(seconds: Iterable<number>): DurationAxis {
  let low = Infinity;
  let high = 0;
  for (const value of seconds) {
    if (value > 0 && value < low) low = value;
    if (value > high) high = value;
  }
  const type = high > 30 * low ? "log" : "linear";
  const unit = high < 2 ? "ms" : "s";
  const factor = unit === "ms" ? 1000 : 1;
  const suffix = type === "log" ? ", log scale" : "";
  return {
    unit,
    factor,
    type,
    label: (what) => `${what} (${unit}${suffix})`,
    scale: type === "linear"
      ? { type, grid: true, nice: true, zero: true, tickFormat: shortNumber }
      : { type, grid: true, nice: false, ...logScale(low * factor, high * factor) },
  };
}

/** What may be labelled within a decade, from few to many. */
const mantissas = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [
  1,
  1.2,
  1.4,
  1.6,
  1.8,
  2,
  2.5,
  3,
  4,
  5,
  6,
  7,
  8,
  9,
]];
/** Least labels of a log axis: with one or two its scale can't be read. */
const fewestTicks = 4;

/**
 * The ticks of a logarithmic axis, all of them labelled: the fewest round numbers that show its scale.
 *
 * @example
 * ```ts
 * if (logScale(1, 1000).ticks.join() !== "1,10,100,1000") throw new Error("powers of ten");
 * if (logScale(0.9, 2.3).ticks.length < 4) throw new Error("a short axis needs finer ticks");
 * ```
 */
export function logScale(
  low: number,
  high: number,
): { readonly ticks: readonly number[]; readonly tickFormat: (value: number) => string } {
  if (!(low > 0) || !Number.isFinite(high)) return { ticks: [], tickFormat: shortNumber };
  const decades = Array.from(
    { length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 },
    (_, at) => Math.floor(Math.log10(low)) + at,
  );
  const within = (steps: readonly number[]) =>
    decades.flatMap((decade) => steps.map((step) => Number((step * 10 ** decade).toPrecision(3))))
      .filter((tick) => tick >= low && tick <= high);
  const even = (count: number) => {
    const step = (high - low) / count;
    const size = 10 ** Math.floor(Math.log10(step));
    const round = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= step) ?? step;
    return Array.from({ length: 2 * count + 2 }, (_, at) => (Math.ceil(low / round) + at) * round)
      .map((tick) => Number(tick.toPrecision(3))).filter((tick) => tick >= low && tick <= high);
  };
  const ticks = mantissas.map(within).find((found) => found.length >= fewestTicks) ?? even(fewestTicks);
  const most = 8;
  const every = Math.ceil(ticks.length / most);
  return { ticks: ticks.filter((_, at) => at % every === 0), tickFormat: shortNumber };
}

/** Up to three significant digits, no trailing zeros, thousands apart: 0.0123, 1.23, 1,230. */
export function shortNumber(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-GB");
  if (size >= 100) return Math.round(value).toString();
  return Number(value.toPrecision(3)).toString();
}

/** A share as a whole number of percent: `40 %`. */
export const percentText = (share: number): string => `${Math.round(100 * share)} %`;
