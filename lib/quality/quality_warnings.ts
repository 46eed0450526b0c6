/** What limits the figures of a run's quality: each warning with its remedy. */
import type { RequestRecord, RunInfo } from "../bench/records.ts";
import type { Prompt } from "../prompts/prompts.ts";
import type { AnswerQuality, QualityReport } from "./quality_schema.ts";
import type { RecordedAnswers } from "./recorded_answers.ts";

type Warnings = QualityReport["warnings"];

/** The warnings about a run's quality, those about the checks first. */
export function qualityWarnings(
  { info, requests }: RecordedAnswers,
  prompts: readonly Prompt[],
  answers: readonly AnswerQuality[],
): Warnings {
  const checked = prompts.filter(({ checks }) => checks.length > 0).length;
  return [
    ...checkWarnings(prompts, answers),
    ...planWarnings(info),
    ...limitWarnings(info, requests),
    ...failureWarnings(answers),
    ...warnIf(checked < 20, {
      code: "few-prompts",
      message: `${checked} prompts are few: rely on the intervals, not on the rates`,
      remedy: "add prompts of your own to the set; repeats of the same prompt don't narrow the interval",
    }),
  ];
}

const warnIf = (holds: boolean, warning: Warnings[number]): Warnings => holds ? [warning] : [];

function checkWarnings(prompts: readonly Prompt[], answers: readonly AnswerQuality[]): Warnings {
  const unchecked = prompts.filter(({ checks }) => checks.length === 0).map(({ id }) => id);
  const unjudged = answers.filter(({ failure }) => failure === null)
    .flatMap(({ checks }) => checks.filter(({ supported }) => !supported));
  const reasons = new Set(unjudged.map(({ name, detail }) => `${name} (${detail})`));
  return [
    ...warnIf(unchecked.length > 0, {
      code: "unchecked-prompts",
      message: `${unchecked.length} prompts have no checks and are not scored: ` +
        unchecked.slice(0, 6).join(", ") + (unchecked.length > 6 ? " …" : ""),
      remedy: "add checks to the prompt set, or let people rate these answers",
    }),
    ...warnIf(unjudged.length > 0, {
      code: "unsupported-checks",
      message: `${unjudged.length} results of checks are left out: ${[...reasons].slice(0, 4).join("; ")}`,
      remedy: "use checks that can judge this script, such as contains or aspects, or let people rate",
    }),
  ];
}

function planWarnings({ plan }: RunInfo): Warnings {
  return [
    ...warnIf(plan.prefix === "cold", {
      code: "nonce-in-answers",
      message: "the answers were given with a random number before each prompt, as a cold prefix needs it",
      remedy: "score answers of `quality capture`, which sends the prompts as they are",
    }),
    ...warnIf(plan.temperature > 0 && plan.rounds === 1, {
      code: "one-answer-each",
      message: `at temperature ${plan.temperature} answers vary, and each prompt was sent once`,
      remedy: "capture with --rounds 3 or more, or with --temperature 0",
    }),
  ];
}

/** About answers that the token limit cut. */
function limitWarnings(info: RunInfo, requests: readonly RequestRecord[]): Warnings {
  const limited = requests.filter(({ finish_reason }) => finish_reason === "length");
  const { thought = [], cut = [] } = Object.groupBy(
    limited,
    ({ content_chars, reasoning_chars, calls = 0 }) =>
      content_chars === 0 && reasoning_chars > 0 && calls === 0 ? "thought" : "cut",
  );
  return [
    ...warnIf(thought.length > 0, {
      code: "thought-only",
      message:
        `${thought.length} of ${requests.length} answers spent all their tokens on reasoning, so no answer came: ` +
        candidatesOf(thought),
      remedy: "raise --max-tokens, or compare with reasoning off (the candidate setting thinking=off)",
    }),
    ...warnIf(cut.length > 0, {
      code: "cut-answers",
      message: `${cut.length} of ${requests.length} answers stopped at the limit of ` +
        `${limitsOf(info, cut)} tokens`,
      remedy: "raise --max-tokens if the answers should have been longer",
    }),
  ];
}

function failureWarnings(answers: readonly AnswerQuality[]): Warnings {
  const refused = answers.filter(({ state, failure }) => state === "unsupported" && failure !== null);
  const failed = answers.filter(({ state }) => state === "failed");
  return [
    ...warnIf(refused.length > 0, {
      code: "unsupported-requests",
      message: `${refused.length} of ${answers.length} answers could not be asked for ` +
        `(${candidatesOf(refused)}): ${commonReason(refused)}`,
      remedy: "choose a model or a service that takes what the job needs, or another format",
    }),
    ...warnIf(failed.length > 0, {
      code: "failed-requests",
      message: `${failed.length} of ${answers.length} answers are failures and score 0; most often: ` +
        commonReason(failed),
      remedy: "see the reasons in quality.json, and capture again with --resume if the run was interrupted",
    }),
  ];
}

const candidatesOf = (some: readonly { readonly candidate: string }[]) =>
  [...new Set(some.map(({ candidate }) => candidate))].join(", ");

/** The reason that most of these answers failed for. */
function commonReason(answers: readonly AnswerQuality[]): string {
  const reasons = Map.groupBy(answers.flatMap(({ failure }) => failure ?? []), (reason) => reason);
  return [...reasons.values()].toSorted((a, b) => b.length - a.length)[0]?.[0] ?? "";
}

/** The limits that these requests reached: a case may have one of its own, which a flag precedes. */
function limitsOf({ plan }: RunInfo, requests: readonly RequestRecord[]): string {
  if (plan.stated?.includes("max_tokens")) return String(plan.max_tokens);
  const own = new Map(plan.prompt_set.prompts.map(({ id, settings }) => [id, settings?.max_tokens]));
  const limits = new Set(requests.map(({ prompt_id }) => own.get(prompt_id) ?? plan.max_tokens));
  return [...limits].sort((a, b) => a - b).join(" or ");
}
