/** The figures of tasks as tables of text: the same ones for the terminal, for Markdown and for the page. */
import type { CandidateQuality, QualityReport } from "../quality/quality_schema.ts";
import type { ConfusionMatrix, TaskFigures } from "../quality/task_schema.ts";
import { missing } from "./format.ts";

/** A table whose cells are text; the first column names the row. */
export interface TaskTable {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What the figures mean. */
  readonly note: string;
}

type Rate = TaskFigures["right"];
type FiguresOf<Task extends TaskFigures["task"]> = Extract<TaskFigures, { task: Task }>;

const whole = (share: number) => String(Math.round(100 * share));

/**
 * A rate with its n and interval, as short as it can be.
 *
 * @example
 * ```ts
 * if (rateText({ passed: 23, n: 30, rate: 23 / 30, ci95: [0.591, 0.882] }) !== "23/30 (59–88 %)") throw new Error();
 * ```
 */
export function rateText({ passed, n, ci95 }: Rate): string {
  if (n === 0) return missing;
  const count = Number.isInteger(passed) ? passed : passed.toFixed(1);
  return `${count}/${n}${ci95 === null ? "" : ` (${whole(ci95[0])}–${whole(ci95[1])} %)`}`;
}

/** One candidate's figures of one task. */
interface Scored<Task extends TaskFigures> {
  readonly candidate: CandidateQuality;
  readonly figures: Task;
}

/**
 * The tables of a run's tasks: of each task the candidates in comparison, with the best constant answer as last row,
 * and of extracted records every field.
 */
export function taskTables({ candidates }: Pick<QualityReport, "candidates">): TaskTable[] {
  const scored = candidates.flatMap((candidate) =>
    (candidate.tasks ?? []).map((figures) => ({ candidate, figures }))
  );
  const groups = Map.groupBy(scored, ({ figures: { task, check } }) => `${task} ${check}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const same = [...groups.values()].filter(([one]) => one?.figures.task === first.figures.task);
    const caption = titles[first.figures.task] + (same.length > 1 ? `: ${first.figures.check}` : "");
    const overview = { ...overviewOf(group), caption };
    const extracted = ofTask(group, "extract");
    return [
      {
        ...overview,
        rows: [
          ...overview.rows,
          ...unsupportedRows(candidates, overview.head.length),
          ...constantRow(first.figures, overview.head.length),
        ],
      },
      ...(extracted.length === 0 ? [] : [fieldTable(extracted, `${caption}: fields`)]),
    ];
  });
}

const titles: Readonly<Record<TaskFigures["task"], string>> = {
  classify: "Classify",
  extract: "Extract",
  tools: "Tool calls",
  answer: "Answers from documents",
  code: "Code",
};

function ofTask<Task extends TaskFigures["task"]>(
  group: readonly Scored<TaskFigures>[],
  task: Task,
): Scored<FiguresOf<Task>>[] {
  const isTask = (figures: TaskFigures): figures is FiguresOf<Task> => figures.task === task;
  return group.flatMap(({ candidate, figures }) => isTask(figures) ? [{ candidate, figures }] : []);
}

/** Candidates that could not be asked: they have no figures. */
function unsupportedRows(candidates: readonly CandidateQuality[], width: number): string[][] {
  return candidates.filter(({ answers, states }) => answers > 0 && states.unsupported === answers)
    .map(({ id }) => [id, "unsupported", ...Array.from({ length: width - 2 }, () => "")]);
}

/** `always billing` as a row of its own: the baseline of a model. */
function constantRow({ baseline, cases }: TaskFigures, width: number): string[][] {
  if (baseline === null) return [];
  const right = `${Math.round(baseline.share * cases)}/${cases}`;
  return [[baseline.what, right, ...Array.from({ length: width - 2 }, () => "")]];
}

const intervals = "In brackets: 95 % interval over cases.";

function overviewOf(group: readonly Scored<TaskFigures>[]): Omit<TaskTable, "caption"> {
  const table = (
    head: readonly string[],
    note: string,
    rows: readonly (readonly string[])[],
  ): Omit<TaskTable, "caption"> => ({ head: ["Candidate", ...head], rows, note: `${note} ${intervals}` });
  const [classify, extract, tools] = [
    ofTask(group, "classify"),
    ofTask(group, "extract"),
    ofTask(group, "tools"),
  ];
  if (classify.length > 0) {
    return table(
      ["Accuracy", "Macro-F1", "Off format", "No answer"],
      "Off format: names none of the labels, or several; no answer: cut, failed or empty. Both count as wrong.",
      classify.map(({ candidate, figures: { right, macro_f1, confusion } }) => [
        candidate.id,
        rateText(right),
        scoreText(macro_f1),
        ...["(off format)", "(no answer)"].map((name) => String(columnSum(confusion, name))),
      ]),
    );
  }
  if (extract.length > 0) {
    return table(
      ["Exact records", "JSON", "Fits schema"],
      "Exact: every field right, and the answer fits the schema.",
      extract.map(({ candidate, figures: { right, json, fits } }) => [
        candidate.id,
        rateText(right),
        rateText(json),
        fits === null ? missing : rateText(fits),
      ]),
    );
  }
  if (tools.length > 0) {
    return table(
      ["Right", "Functions", "Arguments", "No call", "Several calls"],
      "Functions: the right ones were called; arguments: of these, all right; no call: none made where none is needed.",
      tools.map(({ candidate, figures: one }) => [
        candidate.id,
        ...[one.right, one.selection, one.arguments, one.no_call, one.several].map(rateText),
      ]),
    );
  }
  const answers = ofTask(group, "answer");
  if (answers.length > 0) {
    return table(
      ["Right", "Quotes the documents"],
      "Quotes: at least one quotation, and each word for word in the documents.",
      answers.map(({ candidate, figures: { right, quoted } }) => [
        candidate.id,
        rateText(right),
        quoted === null ? missing : rateText(quoted),
      ]),
    );
  }
  return table(
    ["pass@1"],
    "pass@1: the code of the one answer passes all tests of its case.",
    group.map(({ candidate, figures }) => [candidate.id, rateText(figures.right)]),
  );
}

const columnSum = ({ given, counts }: ConfusionMatrix, name: string) =>
  counts.reduce((sum, row) => sum + (row[given.indexOf(name)] ?? 0), 0);

const scoreText = ({ value, ci95 }: FiguresOf<"classify">["macro_f1"]) =>
  value === null
    ? missing
    : `${value.toFixed(2)}${ci95 === null ? "" : ` (${ci95.map((end) => end.toFixed(2)).join("–")})`}`;

/** One row per field, one column per candidate. */
function fieldTable(group: readonly Scored<FiguresOf<"extract">>[], caption: string): TaskTable {
  const fields = [...new Set(group.flatMap(({ figures }) => figures.fields.map(({ field }) => field)))];
  return {
    caption,
    head: ["Field", ...group.map(({ candidate }) => candidate.id)],
    rows: fields.map((name) => [
      name,
      ...group.map(({ figures }) => {
        const field = figures.fields.find((one) => one.field === name);
        return field === undefined ? missing : `${field.right} / ${field.wrong} / ${field.missing}`;
      }),
    ]),
    note: "Answers in which the field is right / wrong / missing.",
  };
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
