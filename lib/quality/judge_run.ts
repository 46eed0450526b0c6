/** Rates a run's answers with an accepted judge, and measures its agreement with people. */
import type { AnswerRecord } from "../bench/records.ts";
import type { Prompt } from "../prompts/prompts.ts";
import type { Judge } from "./judge.ts";
import { agreements, type DimensionAgreement, type RatingRecord } from "./ratings.ts";
import { answersByText } from "./recorded_answers.ts";
import type { RubricName } from "./rubric.ts";

/** What a judge made of a run. */
export interface Judgement {
  readonly ratings: readonly RatingRecord[];
  /** Answers without scores. */
  readonly unrated: number;
}

/**
 * Rates every answer of a run that has text; the judge rates the same text for the same prompt once.
 *
 * @param rater how the ratings name the judge
 */
export async function judgeAnswers(
  judge: Judge,
  answers: readonly AnswerRecord[],
  prompts: readonly Prompt[],
  { rater, onAnswer = () => {} }: { rater: string; onAnswer?: (done: number, all: number) => void },
): Promise<Judgement> {
  const groups = answersByText(answers.filter(({ phase }) => phase === "timed"));
  const ratings: RatingRecord[] = [];
  let [done, unrated] = [0, 0];
  for (const same of groups) {
    const prompt = prompts.find(({ id }) => id === same[0]?.prompt_id);
    if (!prompt) continue;
    const scores = await judge.rate(prompt, same[0]?.content ?? "");
    onAnswer(++done, groups.length);
    if (scores === null) unrated += same.length;
    else ratings.push(...same.map((answer) => toRating(answer, scores, rater, judge.rubric.name)));
  }
  return { ratings, unrated };
}

function toRating(
  { id, candidate, prompt_id }: AnswerRecord,
  scores: Readonly<Record<string, number>>,
  rater: string,
  rubric: RubricName,
): RatingRecord {
  return {
    source: "judge",
    rater,
    rubric,
    answer: id,
    candidate,
    prompt_id,
    scores: { ...scores },
    comment: null,
  };
}

/**
 * A judge's agreement with people on the answers that both rated: for each dimension Krippendorff's alpha
 * between the judge and the median of the people.
 *
 * ```ts
 * const rating = (source: "person" | "judge", rater: string, answer: string, fluency: number) => ({
 *   source, rater, rubric: "fluency" as const, answer, candidate: "c", prompt_id: "p", scores: { fluency }, comment: null,
 * });
 * const [agreement] = agreementWithPeople([
 *   rating("person", "ana", "1", 1), rating("person", "ana", "2", 5),
 *   rating("judge", "m", "1", 1), rating("judge", "m", "2", 5),
 * ], "m");
 * if (agreement?.alpha !== 1) throw new Error("they agree");
 * ```
 */
export function agreementWithPeople(ratings: readonly RatingRecord[], judge: string): DimensionAgreement[] {
  const own = ratings.filter(({ source, rater }) => source === "judge" && rater === judge);
  const rubrics = new Set(own.map(({ rubric }) => rubric));
  const people = Map.groupBy(
    ratings.filter(({ source, rubric }) => source === "person" && rubrics.has(rubric)),
    ({ rubric, answer }) => JSON.stringify([rubric, answer]),
  );
  const medians = [...people.values()].flatMap((same): RatingRecord[] => {
    const [first] = same;
    if (!first) return [];
    const scores = Object.fromEntries(
      Object.keys(first.scores).map((dimension) =>
        [dimension, lowerMedian(same.flatMap(({ scores }) => scores[dimension] ?? []))] as const
      ),
    );
    return [{ ...first, rater: "people", scores }];
  });
  if (medians.length === 0) return [];
  return agreements([...own, ...medians]);
}

/** The lower of two middle values: the scale is ordinal, and 3.5 is not a score. */
function lowerMedian(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}
