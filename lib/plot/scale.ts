/** Axes for durations: the unit and the scale that show both the bulk and the tail. */

/** An axis for durations. */
export interface DurationAxis {
  readonly unit: "s" | "ms";
  /** Multiply seconds by this to get the unit. */
  readonly factor: 1 | 1000;
  readonly type: "linear" | "log";
  readonly label: (what: string) => string;
  /** Plot's x scale without its label; a log axis labels only a few of its ticks. */
  readonly scale: {
    readonly type: "linear" | "log";
    readonly grid: true;
    readonly nice: boolean;
    readonly tickFormat?: (value: number) => string;
  };
}

/**
 * Milliseconds if the largest value is under two seconds. A log axis if the largest value is over thirty times the
 * smallest positive one, which a linear axis would squeeze into its first few pixels.
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
  const suffix = type === "log" ? ", log scale" : "";
  return {
    unit,
    factor: unit === "ms" ? 1000 : 1,
    type,
    label: (what) => `${what} (${unit}${suffix})`,
    scale: type === "linear"
      ? { type, grid: true, nice: true }
      : { type, grid: true, nice: false, tickFormat: logTick(Math.log10(high / low)) },
  };
}

/** Over many decades only powers of ten are labelled, over few also 2 and 5 times them. */
function logTick(decades: number): (value: number) => string {
  const named = decades > 2.5 ? /^1e/ : /^[125]e/;
  return (value) => named.test(value.toExponential()) ? shortNumber(value) : "";
}

/** Up to three significant digits, no trailing zeros: 0.0123, 1.23, 123. */
export function shortNumber(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toString();
  return Number(value.toPrecision(3)).toString();
}
