/** What the figures in quality.json can't say by themselves. */
import type { Prompt } from "../prompts/prompts.ts";
import type { RecordedAnswers } from "./quality.ts";
import type { AnswerQuality, QualityReport } from "./quality_schema.ts";

/** Warnings about a run's quality, each with its remedy. */
export function warningsOf(
  { info, requests }: RecordedAnswers,
  prompts: readonly Prompt[],
  answers: readonly AnswerQuality[],
): QualityReport["warnings"] {
  const unchecked = prompts.filter(({ checks }) => checks.length === 0).map(({ id }) => id);
  const cut = requests.filter(({ finish_reason }) => finish_reason === "length").length;
  const failures = answers.filter(({ failure }) => failure !== null).length;
  return [
    unchecked.length === 0 ? [] : {
      code: "unchecked-prompts",
      message: `${unchecked.length} prompts have no checks and are not scored: ${unchecked.join(", ")}`,
      remedy: "add checks to the prompt set, or let people rate these answers",
    },
    info.plan.prefix !== "cold" ? [] : {
      code: "nonce-in-answers",
      message: "the answers were given with a random number before each prompt, as a cold prefix needs it",
      remedy: "score answers of `quality capture`, which sends the prompts as they are",
    },
    info.plan.temperature === 0 || info.plan.rounds > 1 ? [] : {
      code: "one-answer-each",
      message: `at temperature ${info.plan.temperature} answers vary, and each prompt was asked once`,
      remedy: "capture with --rounds 3 or more, or with --temperature 0",
    },
    cut === 0 ? [] : {
      code: "cut-answers",
      message: `${cut} of ${requests.length} answers stopped at the limit of ${info.plan.max_tokens} tokens`,
      remedy: "raise --max-tokens if the answers should have been longer",
    },
    failures === 0 ? [] : {
      code: "failed-requests",
      message: `${failures} of ${answers.length} answers are failures and score 0`,
      remedy: "see the reasons in quality.json, and capture again with --resume if the run was interrupted",
    },
    checkedPrompts(prompts) >= 20 ? [] : {
      code: "few-prompts",
      message: `${checkedPrompts(prompts)} prompts are few: look at the intervals, not at the rates`,
      remedy: "add prompts of your own to the set; repeats of the same prompt don't narrow the interval",
    },
  ].flat();
}

const checkedPrompts = (prompts: readonly Prompt[]) =>
  prompts.filter(({ checks }) => checks.length > 0).length;
