/** The verdict of a check on an answer, with what a task check found, from which the task's figures are made. */
import { z } from "zod";

const fieldState = z.enum(["right", "wrong", "missing"]);
/** The result for one field of a record; a field is missing where the answer leaves it out, empty or null. */
export type FieldState = z.infer<typeof fieldState>;

/** The findings of a task check, beyond right and wrong. */
export const checkOutcome = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("label"),
    expected: z.string(),
    /** The label that the answer names; null where it names none, or several. */
    given: z.string().nullable(),
  }),
  z.object({
    kind: z.literal("record"),
    /** Whether the answer is a JSON object. */
    json: z.boolean(),
    /** Whether it fits the schema; null without one. */
    fits: z.boolean().nullable(),
    /** By the path of the field, in the order of the expected record. */
    fields: z.record(z.string(), fieldState),
  }),
  z.object({
    kind: z.literal("calls"),
    /** Names of the expected calls, and of those made. */
    expected: z.array(z.string()),
    made: z.array(z.string()),
    /** Whether the right functions were called. */
    selection: z.boolean(),
    /** Whether their arguments are right; null where the selection is wrong, and where no call was expected. */
    arguments: z.boolean().nullable(),
  }),
]);
export type CheckOutcome = z.infer<typeof checkOutcome>;

/** The verdict of one check on one answer. */
export interface CheckVerdict {
  readonly passed: boolean;
  /** @default true */
  readonly supported?: boolean;
  /** @default false */
  readonly offFormat?: boolean;
  /** It failed, and a longer answer could not have passed either. @default false */
  readonly final?: boolean;
  readonly credit?: number;
  readonly detail: string;
  readonly outcome?: CheckOutcome;
}
