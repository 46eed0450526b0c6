/** Figures from the results of task checks: macro-F1, confusion, fields, selection of tools. */
import type { Prompt } from "../prompts/prompts.ts";
import type { AnswerCheck } from "../prompts/checks.ts";
import { macroF1 } from "./macro_f1.ts";
import type { CheckOutcome } from "./outcomes.ts";
import { rateByCase } from "./pass_rate.ts";
import type { AnswerQuality } from "./quality_schema.ts";
import type {
  ClassifyFigures,
  ConfusionMatrix,
  ExtractFigures,
  TaskFigures,
  ToolFigures,
} from "./task_schema.ts";

const kinds = ["label", "record", "calls", "answer", "tests"] as const;
type TaskKind = typeof kinds[number];

/** One answer by one of its checks. */
interface CheckedAnswer {
  readonly prompt_id: string;
  readonly state: AnswerQuality["state"];
  readonly passed: boolean;
  readonly outcome: CheckOutcome | undefined;
  /** Whether its quotations are in the documents; null where it need not quote. */
  readonly quoted: boolean | null;
}

/**
 * The figures of every task check of one candidate, by kind and name of the check. Answers that could not be
 * judged are left out; whatever is not right counts against a rate, a failed request and an answer in the
 * state `cut` included.
 *
 * @param answers of one candidate
 */
export function taskFiguresOf(
  answers: readonly AnswerQuality[],
  prompts: ReadonlyMap<string, Prompt>,
): TaskFigures[] {
  const rows = answers.filter(({ state }) => state !== "unsupported").flatMap(
    ({ prompt_id, state, checks }) => {
      const quoted = checks.find(({ kind }) => kind === "quote")?.passed ?? null;
      return checks.filter(({ supported }) => supported).flatMap(({ kind: found, name, passed, outcome }) => {
        const kind = kinds.find((one) => one === found);
        return kind === undefined ? [] : [{ kind, name, prompt_id, state, passed, outcome, quoted }];
      });
    },
  );
  return [...Map.groupBy(rows, ({ kind, name }) => `${kind} ${name}`).values()].flatMap((same) => {
    const [first] = same;
    return first === undefined ? [] : [figuresOf(first.kind, first.name, same, prompts)];
  });
}

function figuresOf(
  kind: TaskKind,
  check: string,
  rows: readonly CheckedAnswer[],
  prompts: ReadonlyMap<string, Prompt>,
): TaskFigures {
  const right = rateByCase(rows, ({ passed }) => passed);
  const expected = [...new Set(rows.map(({ prompt_id }) => prompt_id))].flatMap((id) =>
    prompts.get(id)?.checks.filter((one) => one.kind === kind && one.name === check) ?? []
  );
  const common = { check, cases: right.n, right, baseline: constantAnswer(expected) };
  switch (kind) {
    case "label": {
      const labels = expected.flatMap((one) => one.kind === "label" ? one.labels : []);
      return { task: "classify", ...common, ...labelFigures(rows, [...new Set(labels)]) };
    }
    case "record":
      return { task: "extract", ...common, ...fieldFigures(rows) };
    case "calls":
      return { task: "tools", ...common, ...callFigures(rows) };
    case "answer": {
      const quoting = rows.filter(({ quoted }) => quoted !== null);
      const quoted = quoting.length === 0 ? null : rateByCase(quoting, (row) => row.quoted === true);
      return { task: "answer", ...common, quoted };
    }
    case "tests":
      return { task: "code", ...common };
  }
}

function labelFigures(
  rows: readonly CheckedAnswer[],
  labels: readonly string[],
): Pick<ClassifyFigures, "macro_f1" | "labels" | "confusion"> {
  const answers = rows.flatMap(({ outcome, prompt_id, state }) =>
    outcome?.kind === "label"
      ? [{ prompt_id, state, case_id: prompt_id, expected: outcome.expected, given: outcome.given }]
      : []
  );
  const { value, ci95, f1 } = macroF1(answers, labels);
  return {
    macro_f1: { value, ci95 },
    labels: labels.map((label) => {
      const isRight = ({ given, expected }: typeof answers[number]) => given === expected;
      return {
        label,
        precision: rateByCase(answers.filter(({ given }) => given === label), isRight),
        recall: rateByCase(answers.filter(({ expected }) => expected === label), isRight),
        f1: f1.get(label) ?? null,
      };
    }),
    confusion: confusionOf(
      answers.map(({ expected, given, state }) => ({ expected, given: given ?? withoutLabel(state) })),
      labels,
    ),
  };
}

const withoutLabel = (state: AnswerQuality["state"]) =>
  state === "failed" || state === "no_answer" || state === "cut" ? "(no answer)" : "(off format)";

/** Rows and columns in the given order; what is not in `names` comes after them. */
function confusionOf(
  pairs: readonly { readonly expected: string; readonly given: string }[],
  names: readonly string[],
): ConfusionMatrix {
  const counted = new Map<string, number>();
  for (const { expected, given } of pairs) {
    const key = JSON.stringify([expected, given]);
    counted.set(key, (counted.get(key) ?? 0) + 1);
  }
  const further = [...new Set(pairs.map(({ given }) => given))].filter((one) => !names.includes(one)).sort();
  const [expected, given] = [[...names], [...names, ...further]];
  return {
    expected,
    given,
    counts: expected.map((row) => given.map((column) => counted.get(JSON.stringify([row, column])) ?? 0)),
  };
}

function fieldFigures(rows: readonly CheckedAnswer[]): Pick<ExtractFigures, "json" | "fits" | "fields"> {
  const records = rows.flatMap(({ prompt_id, outcome }) =>
    outcome?.kind === "record" ? [{ prompt_id, ...outcome }] : []
  );
  const constrained = records.filter(({ fits }) => fits !== null);
  const byField = Map.groupBy(
    records.flatMap(({ prompt_id, fields }) =>
      Object.entries(fields).map(([field, state]) => ({ prompt_id, field, state }))
    ),
    ({ field }) => field,
  );
  return {
    json: rateByCase(records, ({ json }) => json),
    fits: constrained.length === 0 ? null : rateByCase(constrained, ({ fits }) => fits === true),
    fields: [...byField].map(([field, same]) => {
      const count = (wanted: typeof same[number]["state"]) =>
        same.filter(({ state }) => state === wanted).length;
      return {
        field,
        right: count("right"),
        wrong: count("wrong"),
        missing: count("missing"),
        rate: rateByCase(same, ({ state }) => state === "right"),
      };
    }),
  };
}

const noCall = "(no call)";

function callFigures(
  rows: readonly CheckedAnswer[],
): Omit<ToolFigures, "task" | "check" | "cases" | "right" | "baseline"> {
  const answers = rows.flatMap(({ prompt_id, state, passed, outcome }) =>
    outcome?.kind === "calls" ? [{ prompt_id, state, passed, ...outcome }] : []
  );
  const needed = answers.filter(({ expected }) => expected.length > 0);
  const unneeded = answers.filter(({ expected }) => expected.length === 0);
  const named = (calls: readonly string[]) => calls.length === 0 ? noCall : calls.toSorted().join(" + ");
  const pairs = answers.map(({ expected, made, state }) => ({
    expected: named(expected),
    given: made.length > 0 || state === "right" || state === "wrong" ? named(made) : withoutLabel(state),
  }));
  return {
    selection: rateByCase(needed, ({ selection }) => selection),
    arguments: rateByCase(needed.filter(({ selection }) => selection), (one) => one.arguments === true),
    no_call: rateByCase(unneeded, ({ passed }) => passed),
    several: rateByCase(needed.filter(({ expected }) => expected.length > 1), ({ passed }) => passed),
    confusion: confusionOf(pairs, [...new Set(pairs.map(({ expected }) => expected))].sort()),
  };
}

/** The most frequent expected answer, which needs no model. Null where no two cases expect the same. */
function constantAnswer(checks: readonly AnswerCheck[]): TaskFigures["baseline"] {
  const answers = checks.flatMap((check) => {
    const constant = constantFor(check);
    return constant === null ? [] : [constant];
  });
  const [most] = [...Map.groupBy(answers, ({ key }) => key).values()].sort((a, b) => b.length - a.length);
  const [first] = most ?? [];
  return most === undefined || first === undefined || most.length < 2
    ? null
    : { what: first.what, share: most.length / answers.length };
}

function constantFor(check: AnswerCheck): { key: string; what: string } | null {
  switch (check.kind) {
    case "label":
      return { key: check.expected, what: `always ${check.expected}` };
    case "record":
      return { key: JSON.stringify(check.expected), what: "always the most frequent record" };
    case "calls": {
      const names = check.expected.map(({ name }) => name).join(" + ");
      return {
        key: JSON.stringify(check.expected),
        what: names === "" ? "never a call" : `always the same call of ${names}`,
      };
    }
    case "answer": {
      const text = check.expected?.[0] ?? String(check.number);
      return { key: text, what: `always ${text}` };
    }
    default:
      return null;
  }
}
