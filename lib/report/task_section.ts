/** The figures of tasks in report.html and in report.md. */
import { confusionPlot } from "../plot/confusion.ts";
import { curvePlot } from "../plot/curve.ts";
import type { Figure } from "../plot/figure.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { lettered } from "./fitted_table.ts";
import { type Markup, markup } from "../markup.ts";
import { textTableMarkup } from "./page_parts.ts";
import { confusionTables, type TaskTable, taskTables } from "./task_tables.ts";

/** A page draws at most this many confusion matrices; the tables have them all. */
const MOST_MATRICES = 6;
/** More labels make cells too small to read. */
const MOST_DRAWN_LABELS = 20;

/** One confusion matrix per candidate and task that has one. */
export function matrixPlots({ candidates }: Pick<QualityReport, "candidates">): Figure[] {
  return candidates.flatMap(({ id, tasks = [] }) =>
    tasks.flatMap((figures) => {
      if (figures.task !== "classify" && figures.task !== "tools") return [];
      const { confusion, right, task } = figures;
      if (confusion.given.length > MOST_DRAWN_LABELS || confusion.given.length < 2) return [];
      return [confusionPlot(confusion, {
        title: `${task === "classify" ? "Labels" : "Calls"} expected and given: ${id}`,
        caption: `Counts of answers; shade: share of the row; blue is right. n = ${right.n} cases.`,
      })];
    })
  );
}

/** Confusion matrices, and the share of cases passed by length of the prompt where there are at least three lengths. */
export function taskPlots(quality: Pick<QualityReport, "candidates">): Figure[] {
  const { candidates } = quality;
  const ranges = new Set(
    candidates.flatMap(({ by_length }) => by_length.map(({ from_tokens }) => from_tokens)),
  );
  return [
    ...matrixPlots(quality).slice(0, MOST_MATRICES),
    ...(ranges.size < 3 ? [] : [lengthFigure(candidates)]),
  ];
}

function lengthFigure(candidates: QualityReport["candidates"]): Figure {
  return curvePlot(
    candidates.map(({ id, by_length }) => ({
      name: id,
      points: by_length.flatMap(({ from_tokens: from, to_tokens: to, pass_rate: { rate, ci95 } }) => {
        if (rate === null) return [];
        const bar = ci95 === null ? {} : { low: 100 * ci95[0], high: 100 * ci95[1] };
        return [{ x: (from + (to ?? 2 * from)) / 2, y: 100 * rate, ...bar }];
      }),
    })),
    {
      title: "Cases passed by length of the prompt",
      x: "prompt tokens",
      y: "% passed",
      xScale: "log",
      caption: "Dot: share of the cases in a range of lengths, at its middle; bar: 95 % interval (Wilson).",
    },
  );
}

/** Every task's tables; confusion matrices folded away, since the figures show them. */
export function taskMarkup(quality: Pick<QualityReport, "candidates">): Markup | null {
  const tables = taskTables(quality);
  if (tables.length === 0) return null;
  const matrices = confusionTables(quality);
  return markup`${tables.map(noted)}${
    matrices.length > 0 &&
    markup`<details><summary>Expected and given, with recall and precision</summary>${
      matrices.map(noted)
    }</details>`
  }`;
}

const noted = ({ caption, head, rows, note }: TaskTable) =>
  markup`${textTableMarkup(caption, head, rows)}<p class="note">${note}</p>`;

/** A table in Markdown is at most about this wide before the models at its head become letters. */
const MARKDOWN_HEAD = 110;

/** The same tables for Markdown, with a key where letters stand for the models at the head. */
export function markdownTaskTables(
  quality: Pick<QualityReport, "candidates">,
): (TaskTable & { readonly key: readonly string[] })[] {
  return [...taskTables(quality), ...confusionTables(quality)].map((table) =>
    table.head.join(" | ").length <= MARKDOWN_HEAD
      ? { ...table, key: [] }
      : { ...table, ...lettered(table.head) }
  );
}
