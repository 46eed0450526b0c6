/**
 * quality.json: how good a run's answers are, derived from answers.jsonl, samples.jsonl, ratings.jsonl and
 * the prompt set, and derivable again. `select` reads its quality floor and the check score from here.
 */
import { z } from "zod";
import { checkOutcome } from "./outcomes.ts";
import { interval, rate, share } from "./pass_rate.ts";
import { rubricNames } from "./rubric.ts";
import { taskFigures } from "./task_schema.ts";

const count = z.number().int().nonnegative();

/** A mean with its interval; prompts count as independent. */
const mean = z.object({ n: count, mean: z.number().nullable(), ci95: interval });

/**
 * The state of an answer: `right` and `wrong` by its checks; `cut` at the token limit, not right, and more of
 * it could have made it right; `off_format`, so that a check could not read it; `no_answer`, only white space
 * or thought; `unsupported`, no check can judge it, or the model takes no tools; `failed`, no answer came.
 */
const scoreStates = ["right", "wrong", "cut", "off_format", "no_answer", "unsupported", "failed"] as const;
/** The state of one answer. */
export type ScoreState = (typeof scoreStates)[number];

const answerQuality = z.object({
  /** The request's id. */
  id: z.string(),
  candidate: z.string(),
  prompt_id: z.string(),
  round: count,
  state: z.enum(scoreStates),
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
    /** False where the check can't judge this answer: the score then leaves it out. */
    supported: z.boolean(),
    detail: z.string(),
    /** What a task check found: the label named, the state of every field, the calls made. */
    outcome: checkOutcome.optional(),
  })),
});
export type AnswerQuality = z.infer<typeof answerQuality>;

const ratingSummary = z.object({
  source: z.enum(["person", "judge"]),
  rubric: z.enum(rubricNames),
  raters: z.array(z.string()),
  /** Answers that were rated. */
  answers: count,
  dimensions: z.record(z.string(), mean),
  /** Mean of the dimensions. */
  overall: mean,
});

const candidateQuality = z.object({
  id: z.string(),
  /** Answers scored, failures among them. */
  answers: count,
  failures: count,
  /** Answers by their state. */
  states: z.record(z.enum(scoreStates), count),
  /**
   * Bounds of the share of right answers: as if all that could not be judged (cut, unsupported, failed) were
   * wrong, and as if they were right. Null without answers.
   */
  right_bounds: z.tuple([share, share]).readonly().nullable(),
  /** Answers that reach the pass mark, by prompt: the quality floor applies to this. */
  pass_rate: rate,
  score: mean,
  checks: z.array(z.object({ name: z.string(), prompts: count, pass_rate: rate })),
  /** The same by length of the prompt. */
  by_length: z.array(z.object({
    /** From this many prompt tokens … */
    from_tokens: count,
    /** … to below this many; null means no upper bound. */
    to_tokens: count.nullable(),
    pass_rate: rate,
    score: mean,
  })),
  /** Where cases carry a task check: the figures of each task. */
  tasks: z.array(taskFigures).optional(),
  ratings: z.array(ratingSummary),
  /** How much answers vary between repeats; left out where no case was asked twice. */
  variation: z.object({
    /** Cases with several answers. */
    cases: count,
    /** Those of them whose answers are all the same text. */
    same_text: count,
    /** Those of them with passing and failing answers. */
    sometimes_right: count,
    /** Different texts per case, on average. */
    texts: z.number(),
  }).optional(),
});
export type CandidateQuality = z.infer<typeof candidateQuality>;

const voteSummary = z.object({
  votes: count,
  raters: z.array(z.string()),
  cases: count,
  /** How often the answer shown as A was chosen, of votes for one of the two: ½ is unbiased. */
  chose_a: share.nullable(),
  pairs: z.array(z.object({
    candidates: z.tuple([z.string(), z.string()]),
    cases: count,
    votes: count,
    /** Votes for the first and for the second candidate. */
    first: count,
    second: count,
    ties: count,
    both_bad: count,
    /** Share of cases in which the first is preferred, by the first vote on each; ties count one half. */
    share: share.nullable(),
    /** 95 % for all pairs together and at all times at once. */
    interval: z.tuple([share, share]),
    /** The preferred candidate, or `similar`; null while the interval decides nothing. */
    decided: z.enum(["first", "second", "tie"]).nullable(),
  })),
  /** Bradley–Terry, the strongest first: the probability of being preferred to another candidate. */
  strengths: z.array(z.object({ id: z.string(), share, ci95: z.tuple([share, share]) })),
});
export type VoteSummary = z.infer<typeof voteSummary>;

/** The version that Podium writes. It also reads version 1, which has no states. */
export const QUALITY_SCHEMA = 2;

const reportShape = z.object({
  schema_version: z.literal(QUALITY_SCHEMA),
  run_id: z.string(),
  prompt_set: z.object({ name: z.string(), sha256: z.string() }),
  /** The score from which an answer passes. */
  pass_mark: share,
  /** `usage` where the endpoint counted, `chars/4` where any length is an estimate. */
  length_source: z.enum(["usage", "chars/4"]),
  candidates: z.array(candidateQuality),
  answers: z.array(answerQuality),
  /** By case, what its checks expect, where they state it. */
  expected: z.record(z.string(), z.string()).optional(),
  /** People's choices between two answers; left out where there are none. */
  votes: voteSummary.optional(),
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
/** The document in quality.json; the schema in lib/quality/quality_schema.ts describes each field. */
export type QualityReport = z.infer<typeof reportShape>;

const versionOne = z.looseObject({
  schema_version: z.literal(1),
  candidates: z.array(z.looseObject({ id: z.string() })),
  answers: z.array(z.looseObject({
    candidate: z.string(),
    passed: z.boolean(),
    failure: z.string().nullable(),
    checks: z.array(z.looseObject({})),
  })),
});

/** A report of version 1 has the states right, wrong and failed. */
function upgrade(json: unknown): unknown {
  const old = versionOne.safeParse(json);
  if (!old.success) return json;
  const answers = old.data.answers.map((answer) => ({
    ...answer,
    state: stateOfVersionOne(answer),
    checks: answer.checks.map((check) => ({ ...check, supported: true })),
  }));
  const candidates = old.data.candidates.map((one) => ({
    ...one,
    ...countStates(answers.filter(({ candidate }) => candidate === one.id)),
  }));
  return { ...old.data, schema_version: QUALITY_SCHEMA, answers, candidates };
}

function stateOfVersionOne({ passed, failure }: { passed: boolean; failure: string | null }): ScoreState {
  return failure !== null ? "failed" : passed ? "right" : "wrong";
}

/** quality.json as it is read: version 2, and version 1 brought up to it. */
export const qualityReport = z.preprocess(upgrade, reportShape);

/** How many answers are in each state, and the resulting bounds of the share of right ones. */
export function countStates(
  answers: readonly { readonly state: ScoreState }[],
): Pick<CandidateQuality, "states" | "right_bounds"> {
  const count = (...some: readonly ScoreState[]) =>
    answers.filter(({ state }) => some.includes(state)).length;
  const states: CandidateQuality["states"] = {
    right: count("right"),
    wrong: count("wrong"),
    cut: count("cut"),
    off_format: count("off_format"),
    no_answer: count("no_answer"),
    unsupported: count("unsupported"),
    failed: count("failed"),
  };
  if (answers.length === 0) return { states, right_bounds: null };
  const unknown = count("cut", "unsupported", "failed");
  return {
    states,
    right_bounds: [states.right / answers.length, (states.right + unknown) / answers.length],
  };
}
