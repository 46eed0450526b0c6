/// <reference lib="dom" />
/** Which models fit into this machine's memory, on one axis. */
import * as Plot from "@observablehq/plot";
import { drawFigure, type Figure, figureWidth, shortNames, widthOf } from "./figure.ts";
import { seriesDots } from "./marks.ts";
import { logScale, shortNumber } from "./scale.ts";
import { alertColor } from "./series.ts";

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

const rowHeight = 17;
const margin = 16;
/** The most that a name may take; a longer one gives way in its middle. */
const NAME_WIDTH = 150;

/**
 * Draws the memory that each model needs and what the machine has: a filled dot is a model that can run now,
 * a cross one that can't.
 *
 * ```ts
 * const rows = [{ label: "small", neededGb: 0.7, fits: true }, { label: "large", neededGb: 12, fits: false }];
 * const figure = memoryPlot(rows, { title: "Memory", freeGb: 6, totalGb: 8 });
 * if (!figure.caption.includes("1 of 2")) throw new Error(figure.caption);
 * ```
 */
export function memoryPlot(rows: readonly MemoryRow[], options: MemoryOptions): Figure {
  const { title, freeGb, totalGb } = options;
  const known = rows.filter((row): row is KnownRow => row.neededGb !== null)
    .sort((a, b) => a.neededGb - b.neededGb);
  const far = Math.max(totalGb, ...known.map(({ neededGb }) => neededGb)) * 1.3;
  const near = Math.min(0.3, ...known.map(({ neededGb }) => neededGb * 0.8));
  const atX = (gb: number) =>
    margin + (figureWidth - 2 * margin) * Math.log(gb / near) / Math.log(far / near);
  const placed = place(
    known.map((model) => ({ ...model, x: atX(model.neededGb) })),
    [freeGb, totalGb].map(atX),
  );
  const rowCount = Math.max(1, ...placed.map(({ row }) => row + 1));
  /** A line stops at the names that can't avoid it. */
  const machineLine = (gb: number, strokeDasharray: string) => {
    const free = Array.from({ length: rowCount }, (_, row) => row).filter((row) =>
      !placed.some((one) => one.row === row && one.from < atX(gb) && atX(gb) < one.to)
    );
    return Plot.ruleX(free, {
      x: gb,
      y1: (row) => row,
      y2: (row) => row + 1,
      strokeWidth: 1.5,
      strokeDasharray,
    });
  };
  return drawFigure({
    title,
    ...words(rows, options),
    height: 58 + rowCount * rowHeight,
    margins: [8, margin, 42, margin],
    plot: {
      x: {
        type: "log",
        domain: [near, far],
        label: "memory needed (GB, log scale)",
        ...logScale(near, far),
      },
      y: { domain: [0, rowCount], reverse: true, axis: null },
      marks: [
        Plot.gridX({ strokeOpacity: 0.12 }),
        machineLine(freeGb, "none"),
        machineLine(totalGb, "4 3"),
        ...modelMarks(placed),
      ],
    },
  });
}

/** A dot for each model that can run now, a cross for each other one, and their names. */
function modelMarks(placed: readonly Placed[]): Plot.Markish[] {
  const at = { x: ({ model }: Placed) => model.neededGb, y: ({ row }: Placed) => row + 0.5 };
  const cross = { ...at, r: 4.5, symbol: "times", stroke: alertColor, strokeWidth: 2 } as const;
  const names = (side: Placed["side"], textAnchor: "start" | "end", dx: number) =>
    Plot.text(placed.filter((one) => one.side === side), {
      ...at,
      text: ({ name }: Placed) => name,
      textAnchor,
      dx,
    });
  return [
    seriesDots(placed.filter(({ model }) => model.fits), 0, { ...at, r: 4.5 }),
    Plot.dot(placed.filter(({ model }) => !model.fits), cross),
    names("right", "start", 8),
    names("left", "end", -8),
  ];
}

type KnownRow = MemoryRow & { readonly neededGb: number };

/** A model with its mark at x and its name right or left of it, in user units; rows count from the top. */
interface Placed {
  readonly model: KnownRow;
  readonly name: string;
  readonly side: "right" | "left";
  readonly from: number;
  readonly to: number;
  readonly row: number;
}

/**
 * Models by the memory that they need, several to a row where their names leave space. A name goes
 * to the side of its mark where it finds the higher row, and crosses one of the machine's lines
 * only where both sides would.
 */
function place(models: readonly (KnownRow & { x: number })[], lines: readonly number[]): Placed[] {
  const names = shortNames(models.map(({ label }) => label), NAME_WIDTH);
  const rows: { from: number; to: number }[][] = [];
  return models.map((model) => {
    const name = names.get(model.label) ?? model.label;
    const reach = 9 + widthOf(name);
    const sides = [
      { side: "left", from: model.x - reach, to: model.x + 7 },
      { side: "right", from: model.x - 7, to: model.x + reach },
    ] as const;
    const inside = sides.filter(({ from, to }) => from >= 0 && to <= figureWidth);
    const clear = inside.filter(({ from, to }) => !lines.some((x) => from < x && x < to));
    const [best] = (clear.length > 0 ? clear : inside.length > 0 ? inside : sides).map((one) => {
      const free = rows.findIndex((row) =>
        row.every(({ from, to }) => to + 4 < one.from || one.to + 4 < from)
      );
      return { ...one, row: free === -1 ? rows.length : free };
    }).toSorted((a, b) => a.row - b.row);
    const placed = { model, name, ...(best ?? { ...sides[0], row: rows.length }) };
    (rows[placed.row] ??= []).push(placed);
    return placed;
  });
}

function words(rows: readonly MemoryRow[], { freeGb, totalGb }: MemoryOptions) {
  const [free, total] = [shortNumber(freeGb), shortNumber(totalGb)];
  const known = rows.filter(({ neededGb }) => neededGb !== null);
  const can = known.filter(({ fits }) => fits).toSorted((a, b) => (a.neededGb ?? 0) - (b.neededGb ?? 0));
  const unknown = rows.filter(({ neededGb }) => neededGb === null).map(({ label }) => label);
  return {
    description: `${free} of ${total} GB are free. Can run now: ${
      can.map(({ label }) => label).join(", ") || "none"
    }.`,
    caption:
      `Each mark is the memory that a model takes while it runs (weights, context, engine). A dot can run ` +
      `now (${can.length} of ${known.length} models), a cross can't. Solid line: free memory now (${free} GB); ` +
      `dashed line: all of it (${total} GB). Log scale.` +
      (unknown.length === 0 ? "" : ` Of unknown size, not drawn: ${unknown.join(", ")}.`),
  };
}
