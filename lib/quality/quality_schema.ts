/**
 * quality.json: how good a run's answers are, derived from answers.jsonl, samples.jsonl, ratings.jsonl and the
 * prompt set, and derivable again. `select` reads its quality floor and the check score from here.
 */
import { z } from "zod";
import { rubricNames } from "./rubric.ts";

const share = z.number().min(0).max(1);
const interval = z.tuple([z.number(), z.number()]).readonly().nullable();
const count = z.number().int().nonnegative();

/** A rate over prompts with Wilson's interval. */
export const rate = z.object({
  /** May be a fraction: a prompt asked several times counts with the share of its answers. */
  passed: z.number().nonnegative(),
  /** Prompts. */
  n: count,
  rate: share.nullable(),
  ci95: interval,
});

/** A mean with its interval, prompts taken as independent. */
export const meanOf = z.object({ n: count, mean: z.number().nullable(), ci95: interval });

const answerQuality = z.object({
  /** The request's id. */
  id: z.string(),
  candidate: z.string(),
  prompt_id: z.string(),
  round: count,
  /** Weighted share of the checks' credits. */
  score: share,
  passed: z.boolean(),
  /** Why nothing could be scored (a failed request); null where there was an answer. */
  failure: z.string().nullable(),
  checks: z.array(z.object({
    name: z.string(),
    kind: z.string(),
    required: z.boolean(),
    passed: z.boolean(),
    credit: share,
    detail: z.string(),
  })),
});
export type AnswerQuality = z.infer<typeof answerQuality>;

const ratingSummary = z.object({
  source: z.enum(["person", "judge"]),
  rubric: z.enum(rubricNames),
  raters: z.array(z.string()),
  /** Answers that were rated. */
  answers: count,
  dimensions: z.record(z.string(), meanOf),
  /** Mean of the dimensions. */
  overall: meanOf,
});

const candidateQuality = z.object({
  id: z.string(),
  /** Answers scored, failures among them. */
  answers: count,
  failures: count,
  /** Answers that reach the pass mark, by prompt: the quality floor is held against this. */
  pass_rate: rate,
  score: meanOf,
  checks: z.array(z.object({ name: z.string(), prompts: count, pass_rate: rate })),
  /** The same by length of the prompt. */
  by_length: z.array(z.object({
    /** From this many prompt tokens … */
    from_tokens: count,
    /** … to below this many; null means no upper bound. */
    to_tokens: count.nullable(),
    pass_rate: rate,
    score: meanOf,
  })),
  ratings: z.array(ratingSummary),
});
export type CandidateQuality = z.infer<typeof candidateQuality>;

export const qualityReport = z.object({
  schema_version: z.literal(1),
  run_id: z.string(),
  prompt_set: z.object({ name: z.string(), sha256: z.string() }),
  /** The score from which an answer passes. */
  pass_mark: share,
  /** `usage` where the endpoint counted, `chars/4` where any length is an estimate. */
  length_source: z.enum(["usage", "chars/4"]),
  candidates: z.array(candidateQuality),
  answers: z.array(answerQuality),
  agreement: z.array(z.object({
    rubric: z.string(),
    dimension: z.string(),
    alpha: z.number().nullable(),
    units: count,
    raters: count,
    reason: z.string().nullable(),
  })),
  warnings: z.array(z.object({ code: z.string(), message: z.string(), remedy: z.string() })),
});
export type QualityReport = z.infer<typeof qualityReport>;
