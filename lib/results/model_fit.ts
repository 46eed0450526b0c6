/** The result of `fit`: which models fit, how fast they will be, and measured values for comparison. */
import type { FitReport, FitRequest, FitRow, PredictedAndMeasured } from "../bench/fit_report.ts";
import { memoryPlot } from "../plot/memory.ts";
import { calibrationLine, fitText, predictedRateText, predictedTimeText } from "../report/fit_text.ts";
import { FigureView, Result, TableView, type View } from "./view.ts";

const GB = 2 ** 30;

/** Options of `fit`: the machine as it is, or as it might be. */
export interface ModelFitOptions extends Omit<FitRequest, "names"> {
  /** Measure the models that are here first: true for 20 seconds, or a number of seconds. */
  readonly probe?: boolean | number;
}

/**
 * Which models fit this machine, or an imagined one, and how fast they will be, each with a 90 % interval.
 *
 * ```ts ignore
 * const small = await fit(null, { ramGb: 4 });
 * console.log(small.recommended, String(small.measured()));
 * ```
 */
export class ModelFits extends Result {
  /** Made by `fit`. */
  constructor(readonly report: FitReport) {
    super();
  }

  /** What it shows: the table. */
  override main(): View {
    return this.table();
  }

  /** `ALIAS:VARIANT` of the model to take; null where none fits and is fast enough. */
  get recommended(): string | null {
    const { recommended } = this.report;
    return recommended === null ? null : nameOf(recommended.row);
  }

  /** Every model that fits: what it needs, its longest context, its predicted speed. */
  table(): TableView {
    const { after } = fitText(this.report);
    const fitting = this.report.rows.filter(({ reasons }) => reasons.length === 0);
    return new TableView(
      fitting.map((row) => ({
        model: nameOf(row),
        here: row.here ? "yes" : "",
        "needs (GB)": row.neededBytes === null ? null : Number((row.neededBytes / GB).toFixed(1)),
        "context up to": row.largestContext,
        "tokens/s": row.decode === null ? null : predictedRateText(row.decodePerUser ?? row.decode),
        "first token": row.ttft === null ? null : predictedTimeText(row.ttft),
      })),
      `${fitting.length} of ${this.report.rows.length} variants fit. ${calibrationLine(this.report)} ${
        after.at(-1) ?? ""
      }`,
    );
  }

  /** The models that don't fit, and why. */
  excluded(): TableView {
    const rows = this.report.rows.filter(({ reasons }) => reasons.length > 0);
    return new TableView(
      rows.map((row) => ({ model: nameOf(row), why: row.reasons.join("; ") })),
      `${rows.length} of ${this.report.rows.length} variants don't fit.`,
    );
  }

  /** Each measured time, and its prediction from the other measured models. */
  measured(): TableView {
    const rows = this.report.rows.flatMap((row) => row.measured.map((one) => ({ row, one })));
    return new TableView(
      rows.map(({ row, one }) => ({
        model: nameOf(row),
        what: one.kind === "decode" ? "seconds per token" : "first token (s)",
        "at tokens": one.tokens,
        threads: one.threads,
        measured: threeDigits(one.measuredS),
        predicted: predictedText(one),
        "off by": one.predictedS === null
          ? null
          : `${Math.round((one.predictedS / one.measuredS - 1) * 100)} %`.replace("-", "−"),
      })),
      rows.length === 0
        ? "Nothing was measured on this machine yet: fit(null, { probe: true }) measures for 20 seconds."
        : "Predicted: from the other measured models alone, with the 90 % interval.",
    );
  }

  /** The memory that each model needs, against the free memory. */
  memory(): FigureView {
    const { conditions, machine, rows } = this.report;
    return new FigureView(memoryPlot(
      rows.map((row) => ({
        label: nameOf(row),
        neededGb: row.neededBytes === null ? null : row.neededBytes / GB,
        fits: row.reasons.length === 0,
      })),
      {
        title: "What fits",
        freeGb: conditions.freeRamGb,
        totalGb: Math.max(machine.ram_gb, conditions.freeRamGb),
      },
    ));
  }
}

const nameOf = ({ model, variant }: FitRow) => `${model.alias}:${variant.name}`;
const threeDigits = (value: number) => String(Number(value.toPrecision(3)));

function predictedText({ predictedS, low, high }: PredictedAndMeasured): string | null {
  if (predictedS === null || low === null || high === null) return null;
  return `${threeDigits(predictedS)} (${threeDigits(low)}–${threeDigits(high)})`;
}
