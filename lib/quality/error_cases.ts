/** The cases in which candidates differ or fail, with the expected answers, grouped by state and check. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import { fencedBlock } from "./answer_text.ts";
import type { AnswerQuality, QualityReport, ScoreState } from "./quality_schema.ts";
import { type DiffPart, diffTexts } from "../text_diff.ts";
import { visibleAnswer } from "./text.ts";

/** One answer that is not right. */
export interface FailedAnswer {
  readonly candidate: string;
  readonly case_id: string;
  /** Answers of this candidate to this case that failed in the same way: repeats. */
  readonly count: number;
  /** Whether another candidate, or the same one in another round, answered the case rightly. */
  readonly differs: boolean;
  /** What the check found; the reason of a failed request. */
  readonly detail: string;
  /** Null where no answer came. */
  readonly text: string | null;
  /**
   * The difference between the expected and the given answer; null where none is stated
   * or the texts are too long.
   */
  readonly diff: readonly DiffPart[] | null;
}

/** Answers in the same state by the same check. */
export interface ErrorGroup {
  readonly state: ScoreState;
  /** The first required check that failed, else the first that failed; null where none judged. */
  readonly check: string | null;
  readonly answers: readonly FailedAnswer[];
}

/** A run's answers that are not right. */
export interface ErrorCases {
  readonly cases: number;
  /** Cases that were answered rightly by some candidate and not by another, in their order. */
  readonly differing: readonly string[];
  readonly states: Readonly<Record<string, number>>;
  readonly groups: readonly ErrorGroup[];
}

/**
 * Groups the answers that are not right, the largest group first.
 *
 * @param texts the answers, by the request's id
 *
 * ```ts ignore
 * const { groups } = errorCases(quality, texts);
 * console.log(groups[0]?.state, groups[0]?.check, groups[0]?.answers.length);
 * ```
 */
export function errorCases(quality: QualityReport, texts: ReadonlyMap<string, string>): ErrorCases {
  const byCase = Map.groupBy(quality.answers, ({ prompt_id }) => prompt_id);
  const differing = [...byCase].filter(([, answers]) =>
    answers.some(({ passed }) => passed) && answers.some(({ passed }) => !passed)
  ).map(([id]) => id);
  const isDiffering = new Set(differing);
  const failed = quality.answers.filter(({ state }) => state !== "right");
  const groups = Map.groupBy(failed, (answer) => JSON.stringify([answer.state, decidingCheck(answer)?.name]));
  return {
    cases: byCase.size,
    differing,
    states: Object.fromEntries(
      [...Map.groupBy(quality.answers, ({ state }) => state)].map(([state, all]) => [state, all.length]),
    ),
    groups: [...groups.values()].map((same): ErrorGroup => {
      const [first] = same;
      return {
        state: first?.state ?? "failed",
        check: first === undefined ? null : decidingCheck(first)?.name ?? null,
        answers: toAnswers(same, texts, quality.expected ?? {}, isDiffering),
      };
    }).sort((a, b) => b.answers.length - a.answers.length),
  };
}

/** The check that an answer fails. */
function decidingCheck({ checks }: AnswerQuality): AnswerQuality["checks"][number] | undefined {
  const failed = checks.filter(({ passed }) => !passed);
  return failed.find(({ required }) => required) ?? failed[0];
}

function toAnswers(
  same: readonly AnswerQuality[],
  texts: ReadonlyMap<string, string>,
  expected: Readonly<Record<string, string>>,
  differing: ReadonlySet<string>,
): FailedAnswer[] {
  const repeats = Map.groupBy(same, ({ candidate, prompt_id }) => JSON.stringify([prompt_id, candidate]));
  return [...repeats.values()].flatMap((all) => {
    const [first] = all;
    if (first === undefined) return [];
    const text = texts.get(first.id) ?? null;
    return [{
      candidate: first.candidate,
      case_id: first.prompt_id,
      count: all.length,
      differs: differing.has(first.prompt_id),
      detail: first.failure ?? decidingCheck(first)?.detail ?? "no check could judge it",
      text,
      diff: text === null ? null : diffFrom(expected[first.prompt_id], text, decidingCheck(first)),
    }];
  });
}

/**
 * Records are compared as JSON, where a field that is right by value is shown as it is expected; other
 * answers where both are a phrase, since one word or a page shows nothing.
 */
function diffFrom(
  expected: string | undefined,
  text: string,
  check: AnswerQuality["checks"][number] | undefined,
): DiffPart[] | null {
  if (expected === undefined) return null;
  const answer = visibleAnswer(text);
  const [wanted, given] = [expected, fencedBlock(answer) ?? answer].map(jsonOrText);
  if (isObject(wanted) && isObject(given)) {
    const states = check?.outcome?.kind === "record" ? check.outcome.fields : {};
    const shown = Object.entries(given).map(([name, value]) => [
      name,
      states[name] === "right" && name in wanted ? wanted[name] : value,
    ]);
    return diffTexts(expected, JSON.stringify(Object.fromEntries(shown), null, 2));
  }
  const arePhrases = [expected, answer].every((one) =>
    /\s/.test(one) && one.length < 300 && !one.includes("\n")
  );
  return arePhrases ? diffTexts(expected, answer) : null;
}
