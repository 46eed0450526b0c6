/// <reference lib="dom" />
/** Quality against latency, with memory as the size of the mark: which candidates another one beats in everything. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { durationAxis, shortNumber } from "./scale.ts";
import { seriesStyle } from "./series.ts";

/** One candidate to draw. */
export interface ParetoCandidate {
  /** The candidate's id. */
  readonly id: string;
  /** 0 to 1. */
  readonly quality: number;
  /** Mean latency in seconds. */
  readonly latencyS: number;
  /** Resident memory in megabytes; null where unknown. */
  readonly memoryMb: number | null;
  /** Whether no other candidate is better in something and worse in nothing. */
  readonly onFront: boolean;
}

/**
 * Draws one mark per candidate: filled on the front, hollow where another candidate is better in something and worse in
 * nothing. The area shows the memory where it is known.
 *
 * @example
 * ```ts
 * const figure = paretoPlot([
 *   { id: "a", quality: 0.9, latencyS: 2, memoryMb: 500, onFront: true },
 *   { id: "b", quality: 0.5, latencyS: 3, memoryMb: 300, onFront: false },
 * ], { title: "Quality and speed", caption: "n = 12" });
 * if (!figure.svg.includes("quality")) throw new Error("an axis is missing");
 * ```
 */
export function paretoPlot(
  candidates: readonly ParetoCandidate[],
  options: { readonly title: string; readonly caption: string },
): Figure {
  const axis = durationAxis(candidates.map(({ latencyS }) => latencyS));
  const largest = Math.max(1, ...candidates.map(({ memoryMb }) => memoryMb ?? 0));
  const radius = (memoryMb: number | null) => memoryMb === null ? 5 : 4 + 10 * Math.sqrt(memoryMb / largest);
  const front = candidates.filter(({ onFront }) => onFront).toSorted((a, b) => a.latencyS - b.latencyS);
  return drawFigure({
    title: options.title,
    description: candidates.map(({ id, quality, latencyS, memoryMb, onFront }) =>
      `${id}: quality ${quality.toFixed(2)}, ${shortNumber(latencyS)} s${
        memoryMb === null ? "" : `, ${Math.round(memoryMb)} MB`
      }${onFront ? ", on the front" : ""}.`
    ).join(" "),
    caption: options.caption,
    height: 232,
    upwards: "quality, 0 to 1",
    legend: candidates.map(({ id }) => id),
    plot: {
      marginLeft: 48,
      marginRight: 24,
      marginTop: 12,
      marginBottom: 36,
      x: {
        ticks: 5,
        ...axis.scale,
        label: `${axis.label("mean latency")} →`,
        labelArrow: "none",
        inset: 16,
      },
      y: { domain: [0, 1], label: null, grid: true, ticks: 5 },
      marks: [
        Plot.line(front, {
          x: ({ latencyS }: ParetoCandidate) => latencyS * axis.factor,
          y: "quality",
          strokeOpacity: 0.4,
          strokeDasharray: "4 3",
        }),
        ...candidates.map((candidate, i) =>
          Plot.dot([candidate], {
            x: ({ latencyS }: ParetoCandidate) => latencyS * axis.factor,
            y: "quality",
            r: radius(candidate.memoryMb),
            stroke: seriesStyle(i).color,
            fill: candidate.onFront ? seriesStyle(i).color : "none",
            symbol: seriesStyle(i).symbol,
            strokeWidth: 2,
          })
        ),
      ],
    },
  });
}
