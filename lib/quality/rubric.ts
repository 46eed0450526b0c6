/** What people and a judge rate an answer by: whole numbers from 1 to 5 on each dimension. */

export interface Dimension {
  readonly name: string;
  readonly question: string;
  /** What a 1 and a 5 mean; those between are between. */
  readonly one: string;
  readonly five: string;
}

export interface Rubric {
  readonly name: RubricName;
  readonly dimensions: readonly Dimension[];
}

export const rubricNames = ["fluency", "accuracy"] as const;
export type RubricName = (typeof rubricNames)[number];

export const lowestScore = 1;
export const highestScore = 5;

/**
 * The rubrics, each called by its first dimension: `fluency` is the course page's (fluency, relevance,
 * correctness), `accuracy` that of its newer edition (accuracy, clarity, completeness; the speed that it also
 * names is measured, not rated).
 *
 * @example
 * ```ts
 * const names = rubrics.accuracy.dimensions.map(({ name }) => name).join(" ");
 * if (names !== "accuracy clarity completeness") throw new Error(names);
 * ```
 */
export const rubrics: Readonly<Record<RubricName, Rubric>> = {
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
      {
        name: "correctness",
        question: "Is everything it says true, by the text it was given?",
        one: "mostly wrong or invented",
        five: "nothing is wrong",
      },
    ],
  },
  accuracy: {
    name: "accuracy",
    dimensions: [
      {
        name: "accuracy",
        question: "Is everything it says true, by the text it was given?",
        one: "mostly wrong or invented",
        five: "nothing is wrong",
      },
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
