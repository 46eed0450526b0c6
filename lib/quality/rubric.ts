/** The dimensions on which people and a judge rate an answer, with whole numbers from 1 to 5. */
import { z } from "zod";
import { UserError } from "../errors.ts";

export interface Dimension {
  readonly name: string;
  readonly question: string;
  /** What a 1 and a 5 mean. */
  readonly one: string;
  readonly five: string;
}

export interface Rubric {
  readonly name: RubricName;
  readonly dimensions: readonly Dimension[];
}

/** `job`: the dimensions that the job itself states. */
export const rubricNames = ["fluency", "accuracy", "job"] as const;
export type RubricName = (typeof rubricNames)[number];

export const lowestScore = 1;
export const highestScore = 5;

const TRUTH = {
  question: "Is everything it says true, by the text it was given?",
  one: "mostly wrong or invented",
  five: "nothing is wrong",
};

/**
 * The rubrics, each called by its first dimension: `fluency` is the course page's (fluency, relevance,
 * correctness), `accuracy` that of its newer edition (accuracy, clarity, completeness; the speed that it also
 * names is measured, not rated).
 *
 * ```ts
 * const names = rubrics.accuracy.dimensions.map(({ name }) => name).join(" ");
 * if (names !== "accuracy clarity completeness") throw new Error(names);
 * ```
 */
export const rubrics: Readonly<Record<Exclude<RubricName, "job">, Rubric>> = {
  fluency: {
    name: "fluency",
    dimensions: [
      {
        name: "fluency",
        question: "Does it read like good writing in the language that was asked for?",
        one: "broken, or in the wrong language",
        five: "reads as if a careful person wrote it",
      },
      {
        name: "relevance",
        question: "Does it answer what was asked, with what matters, in the form that was asked for?",
        one: "misses the question",
        five: "all that matters and nothing else",
      },
      { name: "correctness", ...TRUTH },
    ],
  },
  accuracy: {
    name: "accuracy",
    dimensions: [
      { name: "accuracy", ...TRUTH },
      {
        name: "clarity",
        question: "Can it be understood at the first reading?",
        one: "can't be understood",
        five: "clear at once",
      },
      {
        name: "completeness",
        question: "Does it cover the expected aspects?",
        one: "covers none of them",
        five: "covers all of them",
      },
    ],
  },
};

const text = z.string().trim().min(1);
const jobDimension = z.union([
  text.transform((question) => ({ question, one: "not at all", five: "fully" })),
  z.strictObject({ question: text, one: text, five: text }),
]);
const jobRubric = z.record(z.string().regex(/^[\w-]{1,40}$/), jobDimension)
  .refine((dimensions) => Object.keys(dimensions).length > 0, { error: "at least one dimension" });

/**
 * The rubric of a name. That of a job is its `rubric`: by the name of each dimension a question, or
 * `{ "question", "one", "five" }` with what a 1 and a 5 mean. Without a name it is the job's where it has
 * one, else `fluency`.
 *
 * @param set the job
 * @throws {UserError} where the job's rubric is asked for and there is none, or it has another shape
 *
 * ```ts
 * const { dimensions } = rubricFor(undefined, { name: "mails", rubric: { tone: "Is it polite?" } });
 * if (dimensions[0]?.question !== "Is it polite?") throw new Error("its own question");
 * ```
 */
export function rubricFor(
  name: RubricName | undefined,
  set: { readonly name: string; readonly rubric: unknown },
): Rubric {
  const wanted = name ?? (set.rubric === null ? "fluency" : "job");
  if (wanted !== "job") return rubrics[wanted];
  if (set.rubric === null) {
    throw new UserError(
      `the job ${set.name} has no "rubric": give --rubric fluency or accuracy, or add one to it`,
    );
  }
  const parsed = jobRubric.safeParse(set.rubric);
  if (!parsed.success) {
    throw new UserError(
      `the rubric of the job ${set.name} is not an object of questions, as in {"tone": "Is it polite?"}, or of ` +
        `{"question", "one", "five"}: ${z.prettifyError(parsed.error).replaceAll(/\s+/g, " ")}`,
    );
  }
  return { name: "job", dimensions: Object.entries(parsed.data).map(([name, one]) => ({ name, ...one })) };
}
