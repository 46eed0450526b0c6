/** One candidate's answers and ratings as rates and means, each over prompts and with its interval. */
import { meanOf } from "../stats/mean.ts";
import { summarize } from "../stats/statistic.ts";
import { type AnswerQuality, type CandidateQuality, countStates } from "./quality_schema.ts";
import { rateByCase } from "./pass_rate.ts";
import type { Prompt } from "../prompts/prompts.ts";
import { taskFiguresOf } from "./task_figures.ts";
import type { RatingRecord } from "./ratings.ts";
import { visibleAnswer } from "./text.ts";
import { highestScore, lowestScore } from "./rubric.ts";

/** Bounds of the groups of prompt lengths, in tokens. */
const lengthBounds = [0, 500, 1500, 3500, 8000, 16_000, 32_000, 64_000] as const;

/**
 * Summarises one candidate.
 *
 * @param tokens length of each prompt in tokens, by its id
 * @param prompts with their checks, by id
 */
export function candidateOf(
  id: string,
  all: readonly AnswerQuality[],
  ratings: readonly RatingRecord[],
  tokens: ReadonlyMap<string, number>,
  prompts: ReadonlyMap<string, Prompt>,
): CandidateQuality {
  const answers = all.filter(({ state }) => state !== "unsupported");
  const tasks = taskFiguresOf(all, prompts);
  const names = [...new Set(answers.flatMap(({ checks }) => checks.map(({ name }) => name)))];
  return {
    id,
    answers: all.length,
    failures: answers.filter(({ failure }) => failure !== null).length,
    ...countStates(all),
    pass_rate: casesPassed(answers),
    score: meanScore(answers),
    checks: names.map((name) => {
      const results = answers.flatMap(({ prompt_id, checks }) =>
        checks.filter((check) => check.name === name && check.supported)
          .map(({ passed }) => ({ prompt_id, passed }))
      );
      const rate = rateByCase(results, ({ passed }) => passed);
      return { name, prompts: rate.n, pass_rate: rate };
    }),
    by_length: byLength(answers, tokens),
    ...(tasks.length === 0 ? {} : { tasks }),
    ratings: ratingSummaries(ratings),
  };
}

function byLength(
  answers: readonly AnswerQuality[],
  tokens: ReadonlyMap<string, number>,
): CandidateQuality["by_length"] {
  return lengthBounds.flatMap((from, at) => {
    const to = lengthBounds[at + 1] ?? null;
    const within = answers.filter(({ prompt_id }) => {
      const length = tokens.get(prompt_id) ?? 0;
      return length >= from && (to === null || length < to);
    });
    if (within.length === 0) return [];
    return [{ from_tokens: from, to_tokens: to, pass_rate: casesPassed(within), score: meanScore(within) }];
  });
}

/** The share of cases whose answers passed. */
export const casesPassed = (answers: readonly AnswerQuality[]) => rateByCase(answers, ({ passed }) => passed);

/** How much one candidate's answers vary between repeats of the same case; empty where none was repeated. */
export function variationOf(
  answers: readonly AnswerQuality[],
  texts: ReadonlyMap<string, { readonly content: string }>,
): Pick<CandidateQuality, "variation"> {
  const given = answers.filter(({ failure }) => failure === null);
  const repeated = [...Map.groupBy(given, ({ prompt_id }) => prompt_id).values()].filter(({ length }) =>
    length > 1
  );
  if (repeated.length === 0) return {};
  const different = repeated.map((same) =>
    new Set(same.map(({ id }) => visibleAnswer(texts.get(id)?.content ?? ""))).size
  );
  return {
    variation: {
      cases: repeated.length,
      same_text: different.filter((number) => number === 1).length,
      sometimes_right:
        repeated.filter((same) => same.some(({ passed }) => passed) && !same.every(({ passed }) => passed))
          .length,
      texts: meanOf(different),
    },
  };
}

/** Mean over prompts, each prompt with the mean of its answers; the interval ends where the scale does. */
function meanByPrompt(
  values: readonly { prompt_id: string; value: number }[],
  scale: readonly [number, number],
) {
  const means = [...Map.groupBy(values, ({ prompt_id }) => prompt_id).values()]
    .map((same) => meanOf(same.map(({ value }) => value)));
  const { n, mean, mean_ci95 } = summarize(means);
  const within = (value: number) => Math.min(scale[1], Math.max(scale[0], value));
  const ci95: [number, number] | null = mean_ci95 && [within(mean_ci95[0]), within(mean_ci95[1])];
  return { n, mean, ci95 };
}

function meanScore(answers: readonly AnswerQuality[]) {
  return meanByPrompt(answers.map(({ prompt_id, score }) => ({ prompt_id, value: score })), [0, 1]);
}

function ratingSummaries(ratings: readonly RatingRecord[]): CandidateQuality["ratings"] {
  const groups = Map.groupBy(ratings, ({ source, rubric }) => JSON.stringify([source, rubric]));
  return [...groups.values()].flatMap((same) => {
    const [first] = same;
    if (!first) return [];
    const dimensions = [...new Set(same.flatMap(({ scores }) => Object.keys(scores)))];
    const of = (pick: (rating: RatingRecord) => number[]) =>
      meanByPrompt(
        same.flatMap((rating) => pick(rating).map((value) => ({ prompt_id: rating.prompt_id, value }))),
        [lowestScore, highestScore],
      );
    return [{
      source: first.source,
      rubric: first.rubric,
      raters: [...new Set(same.map(({ rater }) => rater))],
      answers: new Set(same.map(({ answer }) => answer)).size,
      dimensions: Object.fromEntries(
        dimensions.map((name) =>
          [name, of(({ scores }) => scores[name] === undefined ? [] : [scores[name]])] as const
        ),
      ),
      overall: of(({ scores }) => Object.values(scores)),
    }];
  });
}
