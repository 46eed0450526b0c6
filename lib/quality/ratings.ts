/** ratings.jsonl: the scores of people and of an accepted judge, one line per rater and answer. */
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { type Agreement, krippendorffAlpha } from "./agreement.ts";
import { readRecordLines, underLock, writeRecordLines } from "./record_lines.ts";
import { highestScore, lowestScore, rubricNames } from "./rubric.ts";

export const score = z.number().int().min(lowestScore).max(highestScore);

const ratingRecord = z.object({
  source: z.enum(["person", "judge"]),
  /** A name that the person chose, or the judge's id as a candidate (in older runs: its model's id alone). */
  rater: z.string().min(1),
  rubric: z.enum(rubricNames),
  /** The request's id, as in samples.jsonl and answers.jsonl. */
  answer: z.string(),
  candidate: z.string(),
  prompt_id: z.string(),
  /** By dimension. */
  scores: z.record(z.string(), score),
  comment: z.string().nullable(),
});
export type RatingRecord = z.infer<typeof ratingRecord>;

const ratingsPath = (folder: string) => join(folder, "ratings.jsonl");
const ratingKey = ({ source, rater, rubric, answer }: RatingRecord) =>
  JSON.stringify([source, rater, rubric, answer]);

/**
 * The ratings of a run; empty when there are none.
 *
 * @throws {UserError} for a line that can't be read, with its number
 */
export async function readRatings(folder: string): Promise<RatingRecord[]> {
  return await readRecordLines(ratingsPath(folder), ratingRecord);
}

/**
 * Adds ratings to a run's, in one step. The same rating again changes nothing; another one by the same rater
 * for the same answer is refused unless `replace`.
 *
 * @returns how many are new, how many were there already, how many replaced another
 * @throws {UserError} when a rating would be overwritten; then nothing was written
 */
export async function addRatings(
  folder: string,
  ratings: readonly RatingRecord[],
  { replace = false }: { replace?: boolean } = {},
): Promise<{ added: number; same: number; replaced: number }> {
  return await underLock(ratingsPath(folder), () => mergeRatings(folder, ratings, replace));
}

async function mergeRatings(
  folder: string,
  ratings: readonly RatingRecord[],
  replace: boolean,
): Promise<{ added: number; same: number; replaced: number }> {
  const kept = new Map((await readRatings(folder)).map((rating) => [ratingKey(rating), rating]));
  const before = new Map(kept);
  for (const rating of ratings) kept.set(ratingKey(rating), rating);
  const known = ratings.filter((rating) => before.has(ratingKey(rating)));
  const changed = known.filter((rating) =>
    JSON.stringify(before.get(ratingKey(rating))) !== JSON.stringify(rating)
  );
  const [first] = changed;
  if (first && !replace) {
    throw new UserError(
      `${first.rater} has rated ${changed.length} of these answers before, with other scores: ` +
        "give --replace to replace them",
    );
  }
  await writeRecordLines(ratingsPath(folder), [...kept.values()]);
  return {
    added: ratings.length - known.length,
    same: known.length - changed.length,
    replaced: changed.length,
  };
}

export interface DimensionAgreement extends Agreement {
  readonly rubric: string;
  readonly dimension: string;
}

/**
 * How far the raters agree, for every rubric and dimension.
 *
 * ```ts
 * const rating = (rater: string, answer: string, fluency: number) => ({
 *   source: "person" as const, rater, rubric: "fluency" as const, answer, candidate: "c", prompt_id: "p",
 *   scores: { fluency }, comment: null,
 * });
 * const [fluency] = agreements([
 *   rating("ana", "1", 1), rating("ben", "1", 1), rating("ana", "2", 5), rating("ben", "2", 5),
 * ]);
 * if (fluency?.alpha !== 1) throw new Error("they agree");
 * ```
 */
export function agreements(ratings: readonly RatingRecord[]): DimensionAgreement[] {
  return [...Map.groupBy(ratings, ({ rubric }) => rubric)].flatMap(([rubric, ofRubric]) => {
    const dimensions = [...new Set(ofRubric.flatMap(({ scores }) => Object.keys(scores)))];
    return dimensions.map((dimension) => {
      const values = ofRubric.flatMap(({ rater, answer, scores }) => {
        const value = scores[dimension];
        return value === undefined ? [] : [{ unit: answer, rater, value }];
      });
      return { rubric, dimension, ...krippendorffAlpha(values) };
    });
  });
}
