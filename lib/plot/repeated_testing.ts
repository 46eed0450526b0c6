/// <reference lib="dom" />
/** How often a test has gone wrong when its result is checked again and again. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { seriesStyle } from "./series.ts";

/** The share of simulated measurements that had gone wrong after 1, 2, … checks. */
export interface ErrorShares {
  readonly name: string;
  readonly shares: readonly number[];
}

/**
 * Draws one line per test over the number of checks, and the promised share as a dashed line.
 *
 * @example
 * ```ts
 * const figure = repeatedTestingPlot([{ name: "naive", shares: [0, 0.1, 0.2] }], {
 *   title: "False winners", promised: 0.05, caption: "simulated",
 * });
 * if (!figure.svg.includes("promised")) throw new Error("the promise is missing");
 * ```
 */
export function repeatedTestingPlot(
  lines: readonly ErrorShares[],
  options: { readonly title: string; readonly promised: number; readonly caption: string },
): Figure {
  const points = lines.flatMap(({ name, shares }) =>
    shares.map((share, i) => ({ name, check: i + 1, share }))
  );
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  return drawFigure({
    title: options.title,
    description: lines.map(({ name, shares }) =>
      `${name}: ${percent(shares.at(-1) ?? 0)} after ${shares.length} checks.`
    ).join(" "),
    caption: options.caption,
    height: 212,
    upwards: "share that was wrong by then",
    legend: lines.map(({ name }) => name),
    plot: {
      marginLeft: 44,
      marginRight: 16,
      marginTop: 12,
      marginBottom: 36,
      x: { label: "checks, one per block →", labelArrow: "none" },
      y: {
        domain: [0, Math.max(2 * options.promised, ...points.map(({ share }) => share)) * 1.1],
        label: null,
        grid: true,
        ticks: 4,
        tickFormat: percent,
      },
      marks: [
        Plot.ruleY([options.promised], { strokeDasharray: "4 3" }),
        Plot.text([options.promised], {
          y: options.promised,
          text: () => `promised: ${percent(options.promised)}`,
          frameAnchor: "right",
          textAnchor: "end",
          dy: -8,
        }),
        ...lines.map(({ name }, i) =>
          Plot.line(points.filter((point) => point.name === name), {
            x: "check",
            y: "share",
            stroke: seriesStyle(i).color,
            strokeDasharray: seriesStyle(i).dash,
            strokeWidth: 2,
          })
        ),
        ...lines.map(({ name }, i) =>
          Plot.dot(points.filter((point) => point.name === name).slice(-1), {
            x: "check",
            y: "share",
            fill: seriesStyle(i).color,
            symbol: seriesStyle(i).symbol,
            r: 4,
          })
        ),
      ],
    },
  });
}
