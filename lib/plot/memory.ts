/// <reference lib="dom" />
/** Which models fit into this machine's memory, on one axis. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, shortName } from "./figure.ts";
import { logScale, shortNumber } from "./scale.ts";
import { alertColor, seriesStyle } from "./series.ts";

/** One model. */
export interface MemoryRow {
  readonly label: string;
  /** GB while it runs; a model of unknown size is named in the caption and not drawn. */
  readonly neededGb: number | null;
  readonly fits: boolean;
}

/** Words and the machine. */
export interface MemoryOptions {
  readonly title: string;
  readonly freeGb: number;
  readonly totalGb: number;
}

const rowHeight = 18;
/** The most that a name may take; a longer one gives way in its middle. */
const NAME_WIDTH = 180;

/**
 * Draws the memory that each model needs and what the machine has: a filled dot is a model that can run now, a cross one
 * that can't.
 *
 * ```ts
 * const rows = [{ label: "small", neededGb: 0.7, fits: true }, { label: "large", neededGb: 12, fits: false }];
 * const figure = memoryPlot(rows, { title: "Memory", freeGb: 6, totalGb: 8 });
 * if (!figure.caption.includes("1 of 2")) throw new Error(figure.caption);
 * ```
 */
export function memoryPlot(rows: readonly MemoryRow[], options: MemoryOptions): Figure {
  const known = rows.flatMap(({ label, neededGb, fits }) =>
    neededGb === null ? [] : [{ label, neededGb, fits }]
  )
    .sort((a, b) => a.neededGb - b.neededGb);
  const unknown = rows.filter(({ neededGb }) => neededGb === null).map(({ label }) => label);
  const can = known.filter(({ fits }) => fits);
  const cannot = known.filter(({ fits }) => !fits);
  const far = Math.max(options.totalGb, ...known.map(({ neededGb }) => neededGb)) * 1.3;
  const near = Math.min(0.3, ...known.map(({ neededGb }) => neededGb * 0.8));
  const mark = { x: "neededGb", y: "label" };
  return drawFigure({
    title: options.title,
    description:
      `${shortNumber(options.freeGb)} of ${shortNumber(options.totalGb)} GB are free. Can run now: ` +
      `${can.map(({ label }) => label).join(", ") || "none"}.`,
    caption:
      `Each mark is the memory that a model takes while it runs (weights, context, engine). A dot can run ` +
      `now (${can.length} of ${known.length} models), a cross can't. Solid line: free memory now ` +
      `(${shortNumber(options.freeGb)} GB); dashed line: all of it (${
        shortNumber(options.totalGb)
      } GB). Log scale.` +
      (unknown.length === 0 ? "" : ` Of unknown size, not drawn: ${unknown.join(", ")}.`),
    height: 60 + known.length * rowHeight,
    plot: {
      marginLeft: 14 + Math.min(NAME_WIDTH, 6.6 * Math.max(0, ...known.map(({ label }) => label.length))),
      marginRight: 16,
      marginTop: 8,
      marginBottom: 42,
      x: {
        type: "log",
        domain: [near, far],
        label: "memory needed (GB, log scale)",
        ...logScale(near, far),
      },
      y: {
        domain: known.map(({ label }) => label),
        label: null,
        tickSize: 0,
        tickFormat: (name: string) => shortName(name, NAME_WIDTH),
      },
      marks: [
        Plot.gridX({ strokeOpacity: 0.12 }),
        Plot.ruleX([options.freeGb], { strokeWidth: 1.5 }),
        Plot.ruleX([options.totalGb], { strokeDasharray: "4 3" }),
        Plot.dot(can, { ...mark, r: 5, fill: seriesStyle(0).color }),
        Plot.dot(cannot, { ...mark, r: 5, symbol: "times", stroke: alertColor, strokeWidth: 2 }),
      ],
    },
  });
}
