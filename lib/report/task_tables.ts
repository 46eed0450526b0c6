/** The figures of tasks as tables of text: the same ones for the terminal, for Markdown and for the page. */
import type { CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import type { ConfusionMatrix, TaskFigures } from "../quality/task_schema.ts";
import { missing, scoreText } from "./format.ts";

/** A table whose cells are text; the first column names the row. */
export interface TaskTable {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What the figures mean. */
  readonly note: string;
}

const whole = (share: number) => String(Math.round(100 * share));

/**
 * A rate with its n and interval, as short as it can be.
 *
 * ```ts
 * if (rateText({ passed: 23, n: 30, rate: 23 / 30, ci95: [0.591, 0.882] }) !== "23/30 (59–88 %)") throw new Error();
 * ```
 */
export function rateText({ passed, n, ci95 }: TaskFigures["right"]): string {
  if (n === 0) return missing;
  const count = Number.isInteger(passed) ? passed : passed.toFixed(1);
  return `${count}/${n}${ci95 === null ? "" : ` (${whole(ci95[0])}–${whole(ci95[1])} %)`}`;
}

/** One candidate's figures of one task. */
interface ScoredTask {
  readonly id: string;
  readonly figures: TaskFigures;
}

/**
 * The tables of a run's tasks: of each task the candidates in comparison, with the best constant answer as
 * last row, and of extracted records every field.
 */
export function taskTables({ candidates }: Pick<QualityReport, "candidates">): TaskTable[] {
  const scored = candidates.flatMap(({ id, tasks = [] }) =>
    tasks.map((figures): ScoredTask => ({ id, figures }))
  );
  const groups = [...Map.groupBy(scored, ({ figures: { task, check } }) => `${task} ${check}`).values()];
  return groups.flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { task, check } = first.figures;
    const { title, columns, note } = overviews[task];
    const isOnly = groups.filter(([one]) => one?.figures.task === task).length === 1;
    const caption = isOnly ? title : `${title}: ${check}`;
    const filled = (...cells: string[]) =>
      [...cells, ...Array<string>(columns.length).fill("")].slice(0, 1 + columns.length);
    const rows = [
      ...group.map(({ id, figures }) => [id, ...overviewCells(figures)]),
      ...unsupportedBy(candidates).map((id) => filled(id, "unsupported")),
      ...constantAnswer(first.figures).map((cells) => filled(...cells)),
    ];
    return [
      {
        caption,
        head: ["Candidate", ...columns],
        rows,
        note: `${note} In brackets: 95 % interval over cases.`,
      },
      ...fieldTables(group, `${caption}: fields`),
    ];
  });
}

/** The table that compares candidates on a task; `overviewCells` gives the cells below its columns. */
const overviews: Readonly<
  Record<
    TaskFigures["task"],
    { readonly title: string; readonly columns: readonly string[]; readonly note: string }
  >
> = {
  classify: {
    title: "Classify",
    columns: ["Accuracy", "Macro-F1", "Off format", "No answer"],
    note:
      "Off format: names none of the labels, or several; no answer: cut, failed or empty. Both count as wrong.",
  },
  extract: {
    title: "Extract",
    columns: ["Exact records", "JSON", "Fits schema"],
    note: "Exact: every field right, and the answer fits the schema.",
  },
  tools: {
    title: "Tool calls",
    columns: ["Right", "Functions", "Arguments", "No call", "Several calls"],
    note:
      "Functions: the right ones were called; arguments: of these, all right; no call: none made where none is needed.",
  },
  answer: {
    title: "Answers from documents",
    columns: ["Right", "Quotes the documents"],
    note: "Quotes: at least one quotation, and each word for word in the documents.",
  },
  code: {
    title: "Code",
    columns: ["pass@1"],
    note: "pass@1: the code of the one answer passes all tests of its case.",
  },
};

function overviewCells(figures: TaskFigures): string[] {
  const right = rateText(figures.right);
  switch (figures.task) {
    case "classify": {
      const { macro_f1: { value, ci95 }, confusion } = figures;
      const given = ["(off format)", "(no answer)"].map((name) => String(columnSum(confusion, name)));
      return [right, scoreText(value, ci95), ...given];
    }
    case "extract":
      return [right, rateText(figures.json), figures.fits === null ? missing : rateText(figures.fits)];
    case "tools":
      return [
        right,
        ...[figures.selection, figures.arguments, figures.no_call, figures.several].map(rateText),
      ];
    case "answer":
      return [right, figures.quoted === null ? missing : rateText(figures.quoted)];
    case "code":
      return [right];
  }
}

/** Candidates that could not be asked: they have no figures. */
function unsupportedBy(candidates: readonly CandidateQuality[]): string[] {
  return candidates.filter(({ answers, states }) => answers > 0 && states.unsupported === answers)
    .map(({ id }) => id);
}

/** `always billing` as a row of its own: the baseline of a model. */
function constantAnswer({ baseline, cases }: TaskFigures): string[][] {
  return baseline === null ? [] : [[baseline.what, `${Math.round(baseline.share * cases)}/${cases}`]];
}

const columnSum = ({ given, counts }: ConfusionMatrix, name: string) =>
  counts.reduce((sum, row) => sum + (row[given.indexOf(name)] ?? 0), 0);

/** One row per field, one column per candidate; none where no records were extracted. */
function fieldTables(group: readonly ScoredTask[], caption: string): TaskTable[] {
  const extracted = group.flatMap(({ id, figures }) =>
    figures.task === "extract" ? [{ id, fields: figures.fields }] : []
  );
  if (extracted.length === 0) return [];
  const names = [...new Set(extracted.flatMap(({ fields }) => fields.map(({ field }) => field)))];
  return [{
    caption,
    head: ["Field", ...extracted.map(({ id }) => id)],
    rows: names.map((name) => [
      name,
      ...extracted.map(({ fields }) => {
        const found = fields.find(({ field }) => field === name);
        return found === undefined ? missing : `${found.right} / ${found.wrong} / ${found.missing}`;
      }),
    ]),
    note: "Answers in which the field is right / wrong / missing.",
  }];
}

/** A matrix with more rows or columns is not readable as a table; quality.json holds all of it. */
const MOST_LABELS = 14;

/**
 * One confusion matrix per candidate and task, with the recall of each row and the precision of each column.
 *
 * @returns without those that are too large to read, and those of tools with a single kind of call
 */
export function confusionTables({ candidates }: Pick<QualityReport, "candidates">): TaskTable[] {
  return candidates.flatMap(({ id, tasks = [] }) =>
    tasks.flatMap((figures) => {
      if (figures.task !== "classify" && figures.task !== "tools") return [];
      const { confusion, check, task } = figures;
      if (confusion.given.length > MOST_LABELS || confusion.given.length < 2) return [];
      const several = tasks.filter((one) => one.task === task).length > 1;
      const shown = task === "tools" ? withoutEmptyColumns(confusion) : confusion;
      return [confusionTable(shown, `${id}${several ? `, ${check}` : ""}`)];
    })
  );
}

/** Without the calls that were never made: a request may need any of many combinations. */
function withoutEmptyColumns({ expected, given, counts }: ConfusionMatrix): ConfusionMatrix {
  const kept = given.map((_, at) => at).filter((at) => counts.some((row) => (row[at] ?? 0) > 0));
  const of = <Item>(items: readonly Item[]) =>
    kept.flatMap((at) => items[at] === undefined ? [] : [items[at]]);
  return { expected, given: of(given), counts: counts.map(of) };
}

function confusionTable({ expected, given, counts }: ConfusionMatrix, name: string): TaskTable {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const percent = (part: number, all: number) => all === 0 ? missing : `${whole(part / all)} %`;
  const column = (at: number) => counts.map((row) => row[at] ?? 0);
  return {
    caption: `Expected (rows) and given (columns): ${name}`,
    head: ["expected", ...given, "recall"],
    rows: [
      ...expected.map((label, at) => {
        const row = counts[at] ?? [];
        const right = row[given.indexOf(label)] ?? 0;
        return [label, ...row.map((count) => count === 0 ? "·" : String(count)), percent(right, sum(row))];
      }),
      [
        "precision",
        ...given.map((label, at) => {
          const row = expected.indexOf(label);
          return row < 0 ? "" : percent(counts[row]?.[at] ?? 0, sum(column(at)));
        }),
        "",
      ],
    ],
    note: "Counts of answers.",
  };
}
