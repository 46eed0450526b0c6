/// <reference lib="dom" />
/** Quality against latency, with memory as the size of the mark: which candidates another one beats in everything. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure } from "./figure.ts";
import { seriesDots } from "./marks.ts";
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
 * Draws one mark per candidate: filled on the front, hollow where another candidate is better in something
 * and worse in nothing. The area shows the memory where it is known.
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
  const at = { x: ({ latencyS }: ParetoCandidate) => latencyS * axis.factor, y: "quality" };
  return drawFigure({
    ...options,
    description: candidates.map(spokenCandidate).join(" "),
    height: 232,
    margins: [12, 24, 36, 48],
    upwards: "quality, 0 to 1",
    legend: candidates.map(({ id }) => id),
    plot: {
      x: { ticks: 5, ...axis.scale, label: axis.label("mean latency"), inset: 16 },
      y: { domain: [0, 1] },
      marks: [
        Plot.line(candidates.filter(({ onFront }) => onFront).toSorted((a, b) => a.latencyS - b.latencyS), {
          ...at,
          strokeOpacity: 0.4,
          strokeDasharray: "4 3",
        }),
        ...candidates.map((candidate, i) =>
          seriesDots([candidate], i, {
            ...at,
            r: candidate.memoryMb === null ? 5 : 4 + 10 * Math.sqrt(candidate.memoryMb / largest),
            stroke: seriesStyle(i).color,
            ...(candidate.onFront ? {} : { fill: "none" }),
            strokeWidth: 2,
          })
        ),
      ],
    },
  });
}

function spokenCandidate({ id, quality, latencyS, memoryMb, onFront }: ParetoCandidate): string {
  const memory = memoryMb === null ? "" : `, ${Math.round(memoryMb)} MB`;
  const front = onFront ? ", on the front" : "";
  return `${id}: quality ${quality.toFixed(2)}, ${shortNumber(latencyS)} s${memory}${front}.`;
}
