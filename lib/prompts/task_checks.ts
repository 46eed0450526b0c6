/**
 * The checks that are a task of their own: what is expected of a case, from which the task's figures are
 * derived. An answer that fails one does not pass, unless the check says otherwise.
 */
import { z } from "zod";
import { reasonOf } from "../errors.ts";

/** A JSON Schema that an answer can be checked against. */
export const jsonSchema = z.record(z.string(), z.unknown()).superRefine((schema, context) => {
  const fault = faultOf(JSON.stringify(schema));
  if (fault !== null) context.addIssue({ code: "custom", message: fault });
});

/** The cases of a job share one schema: it is compiled once. */
let last: { readonly text: string; readonly fault: string | null } = { text: "", fault: null };

function faultOf(text: string): string | null {
  if (text !== last.text) last = { text, fault: compileFault(JSON.parse(text)) };
  return last.fault;
}

function compileFault(schema: Record<string, unknown>): string | null {
  try {
    z.fromJSONSchema(schema);
    return null;
  } catch (fault) {
    return `not a JSON schema that can be checked: ${reasonOf(fault)}`;
  }
}

const text = z.string().min(1);
export const texts = z.array(text).min(1);

/** What every task check has, by its kind. */
const named = (kind: string) => ({
  name: text.default(kind),
  weight: z.number().positive().default(1),
  required: z.boolean().default(true),
});

const label = z.strictObject({
  kind: z.literal("label"),
  ...named("label"),
  expected: text,
  /** All labels, the expected one among them. */
  labels: z.array(text).min(2, "at least two labels"),
  /** The answer must be the label alone, not a sentence that names it. */
  alone: z.boolean().default(false),
}).superRefine(({ expected, labels }, context) => {
  if (labels.includes(expected)) return;
  context.addIssue({
    code: "custom",
    path: ["expected"],
    message: `${JSON.stringify(expected)} is not one of the labels ${labels.join(", ")}`,
  });
});

/** How one field of a record is compared. */
const fieldRule = z.strictObject({
  /** Numbers may differ by this much, in the field's own unit. */
  tolerance: z.number().nonnegative().optional(),
  /** Read texts as numbers, or as dates in any format. */
  as: z.enum(["text", "number", "date"]).optional(),
  ignore_case: z.boolean().optional(),
  /** A list whose order doesn't matter. */
  any_order: z.boolean().optional(),
});
export type FieldRule = z.infer<typeof fieldRule>;

const record = z.strictObject({
  kind: z.literal("record"),
  ...named("record"),
  schema: jsonSchema.optional(),
  /** Only the fields named here are compared; null means that the text doesn't state it. */
  expected: z.record(z.string(), z.json()).refine((fields) => Object.keys(fields).length > 0, {
    error: "at least one field",
  }),
  /** By the path of the field: `amount`, `items.*.price` for every item of a list. */
  fields: z.record(z.string(), fieldRule).default({}),
});

const expectedCall = z.strictObject({
  name: text,
  /**
   * By argument its value, or a list of allowed ones. A value that is a list itself stands in a list; null in
   * a list of allowed values means that the argument may be left out, "*" that any value is right.
   */
  arguments: z.record(z.string(), z.json()).default({}),
});
export type ExpectedCall = z.infer<typeof expectedCall>;

const calls = z.strictObject({
  kind: z.literal("calls"),
  ...named("calls"),
  /** None: the right answer is one without a call. */
  expected: z.array(expectedCall),
  any_order: z.boolean().default(true),
});

const answer = z.strictObject({
  kind: z.literal("answer"),
  ...named("answer"),
  /** Texts of which one must occur in the answer. */
  expected: texts.optional(),
  /** One of the answer's numbers must be this one … */
  number: z.number().optional(),
  /** … within this much. */
  tolerance: z.number().nonnegative().default(0),
  /** The answer must name exactly one of these, and it must be one of `expected`. */
  choices: z.array(text).min(2, "at least two choices").optional(),
}).superRefine(({ expected, number, choices }, context) => {
  const fault = expected === undefined && number === undefined
    ? "needs expected, number or both"
    : choices !== undefined && !expected?.every((one) => choices.includes(one))
    ? "with choices, expected must be among them"
    : null;
  if (fault !== null) context.addIssue({ code: "custom", message: fault });
});

const quote = z.strictObject({
  kind: z.literal("quote"),
  ...named("quote"),
  /** Shorter quotations are words in quotes, not citations. */
  min_words: z.number().int().positive().default(3),
});

const tests = z.strictObject({
  kind: z.literal("tests"),
  ...named("tests"),
  /** A TypeScript module with `Deno.test` calls that import the answer's code. */
  tests: text,
  time_limit_s: z.number().positive().max(600).default(5),
});

/**
 * The task checks, by `kind`:
 *
 * - `label`: the answer names exactly one of `labels`, and it is `expected`.
 * - `record`: the answer is a JSON object whose fields have the `expected` values and which fits `schema`.
 * - `calls`: the answer's tool calls are the `expected` ones; none expected, none made.
 * - `answer`: one of the `expected` texts, or the `number`, is in the answer.
 * - `quote`: the answer quotes the documents of its case, and each of its quotations is there.
 * - `tests`: the code in the answer passes the `tests`.
 */
export const taskChecks = [label, record, calls, answer, quote, tests] as const;

/** Their kinds: an answer that fails one of these where it is required scores 0, whatever else it does. */
export const taskCheckKinds: ReadonlySet<string> = new Set(taskChecks.map(({ shape }) => shape.kind.value));
