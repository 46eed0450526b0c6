/**
 * How series are distinguished: by colour, dash and symbol, so that nothing depends on colour alone. Every
 * colour has a contrast of at least 3:1 on white and on near-black, so that one palette serves both themes.
 * The first four follow Okabe and Ito (Color Universal Design, 2008). Their orange, yellow and sky blue can't
 * have that contrast on both, so the last two were searched for the largest distance from the others, with
 * and without red-green colour blindness (`tests/plot/colours_test.ts`).
 */

/** The style of one series. */
export interface SeriesStyle {
  readonly color: string;
  /** An SVG `stroke-dasharray`; `none` for a solid line. */
  readonly dash: string;
  readonly symbol: "circle" | "square" | "triangle" | "diamond2" | "star" | "cross";
}

const styles: readonly [SeriesStyle, ...SeriesStyle[]] = [
  { color: "#0072b2", dash: "none", symbol: "circle" },
  { color: "#d55e00", dash: "6 3", symbol: "square" },
  { color: "#009e73", dash: "2 2", symbol: "triangle" },
  { color: "#bf6a9a", dash: "8 3 2 3", symbol: "diamond2" },
  { color: "#dd0044", dash: "4 2", symbol: "star" },
  { color: "#3355ff", dash: "1 3", symbol: "cross" },
];

/** The colour of what a reader should notice in any series: a stall, a flagged outlier. */
export const alertColor = "#d55e00";

/**
 * The style of series `index`. Colours repeat after six; dash and symbol then shift by one, so that thirty
 * series differ in at least one of the three.
 *
 * @throws {RangeError} when `index` is not a whole number from 0.
 * @example
 * ```ts
 * if (seriesStyle(0).color === seriesStyle(1).color) throw new Error("series look alike");
 * ```
 */
export function seriesStyle(index: number): SeriesStyle {
  if (!Number.isInteger(index) || index < 0) {
    throw new RangeError(`Cannot style series ${index}: give a whole number from 0`);
  }
  const turn = Math.floor(index / styles.length);
  const own = styles[index % styles.length] ?? styles[0];
  const shifted = styles[(index + turn) % styles.length] ?? styles[0];
  return { color: own.color, dash: shifted.dash, symbol: shifted.symbol };
}

/** The symbols as paths about the origin, about 8 units wide. */
export const symbolPaths: Readonly<Record<SeriesStyle["symbol"], string>> = {
  circle: "M4,0A4,4,0,1,1,-4,0A4,4,0,1,1,4,0z",
  square: "M-3.5,-3.5h7v7h-7z",
  triangle: "M0,-4.5L4.2,3.2H-4.2z",
  diamond2: "M0,-4.8L4.8,0L0,4.8L-4.8,0z",
  star: "M0,-5L1.5,-1.6L5,-1.4L2.2,0.9L3.1,4.4L0,2.4L-3.1,4.4L-2.2,0.9L-5,-1.4L-1.5,-1.6z",
  cross: "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
};
