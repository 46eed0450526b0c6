/** The figures in quality.json that belong to one kind of task: classifying, extracting, calling tools, answering. */
import { z } from "zod";
import { interval, rate, share } from "./pass_rate.ts";

const count = z.number().int().nonnegative();

/** What was expected, by row, against what was given, by column; counts of answers. */
const confusionMatrix = z.object({
  expected: z.array(z.string()),
  /** The labels, then columns in parentheses for answers without one: `(off format)`, `(no answer)`. */
  given: z.array(z.string()),
  counts: z.array(z.array(count)),
});
export type ConfusionMatrix = z.infer<typeof confusionMatrix>;

const common = {
  /** The name of the check. */
  check: z.string(),
  cases: count,
  /** Cases answered rightly by this check: accuracy, exact records, right calls, right answers, pass@1. */
  right: rate,
  /** The best answer that is the same for every case, and the share of cases for which it is right. */
  baseline: z.object({ what: z.string(), share }).nullable(),
};

const classify = z.object({
  task: z.literal("classify"),
  ...common,
  /** Unweighted mean of the F1 of all labels that were expected or given; a bootstrap interval over cases. */
  macro_f1: z.object({ value: share.nullable(), ci95: interval }),
  labels: z.array(z.object({
    label: z.string(),
    /** Of the cases for which it was given, those where it was right. */
    precision: rate,
    /** Of the cases for which it is right, those where it was given. */
    recall: rate,
    f1: share.nullable(),
  })),
  confusion: confusionMatrix,
});

const extract = z.object({
  task: z.literal("extract"),
  ...common,
  /** Answers that are a JSON object. */
  json: rate,
  /** Answers that fit the schema; null without one. */
  fits: rate.nullable(),
  fields: z.array(z.object({
    field: z.string(),
    /** Answers by the state of the field. */
    right: count,
    wrong: count,
    missing: count,
    rate,
  })),
});

const tools = z.object({
  task: z.literal("tools"),
  ...common,
  /** Of the cases that need a call: the right functions were called. */
  selection: rate,
  /** Of the cases with the right functions: their arguments are right. */
  arguments: rate,
  /** Of the cases that need no call: none was made. */
  no_call: rate,
  /** Of the cases that need several calls: all of them are right. */
  several: rate,
  confusion: confusionMatrix,
});

const answer = z.object({
  task: z.literal("answer"),
  ...common,
  /** Cases whose quotations are in the documents; null where no case requires quotations. */
  quoted: rate.nullable(),
});

const code = z.object({ task: z.literal("code"), ...common });

/** The figures of one task of one candidate. */
export const taskFigures = z.discriminatedUnion("task", [classify, extract, tools, answer, code]);
export type TaskFigures = z.infer<typeof taskFigures>;
export type ClassifyFigures = z.infer<typeof classify>;
export type ExtractFigures = z.infer<typeof extract>;
export type ToolFigures = z.infer<typeof tools>;
