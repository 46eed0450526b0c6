/** Answers at temperature 0 compared as text: what a deterministic run kept under version control is for. */
import type { RunAnswer, RunCandidate } from "./compare_runs.ts";
import type { PlanInfo, RunInfo } from "./records.ts";

/** Which answers changed between two runs. */
export interface AnswerChanges {
  readonly compared: number;
  readonly changed: readonly {
    readonly prompt: string;
    readonly round: number;
    readonly before: string;
    readonly after: string;
  }[];
  /** Why texts were not compared; null where they were. */
  readonly skipped: string | null;
}

/**
 * Compares the answers of one candidate to the same prompt in the same round.
 *
 * @example
 * ```ts ignore
 * const { changed } = compareAnswers({ before, after }, runBefore.info, runAfter.info);
 * ```
 */
export function compareAnswers(
  { before, after }: { readonly before: RunCandidate; readonly after: RunCandidate },
  runBefore: RunInfo,
  runAfter: RunInfo,
): AnswerChanges {
  const skipped = whyNotText(runBefore.plan, runAfter.plan);
  if (skipped !== null) return { compared: 0, changed: [], skipped };
  const key = (answer: RunAnswer) => `${answer.round} ${answer.prompt}`;
  const earlier = new Map(before.answers.map((answer) => [key(answer), answer.text]));
  const ids = new Map(runAfter.plan.prompt_set.prompts.map((prompt) => [prompt.sha256, prompt.id]));
  const common = after.answers.flatMap((answer) => {
    const text = earlier.get(key(answer));
    return text === undefined ? [] : [{ answer, text }];
  });
  const changed = common.filter(({ answer, text }) => answer.text !== text).map(({ answer, text }) => ({
    prompt: ids.get(answer.prompt) ?? answer.prompt,
    round: answer.round,
    before: text,
    after: answer.text,
  }));
  return { compared: common.length, changed, skipped: null };
}

/** Texts are evidence only where the same question must give the same answer. */
function whyNotText(left: PlanInfo, right: PlanInfo): string | null {
  if (left.temperature !== 0 || right.temperature !== 0) return "the temperature is not 0";
  if (left.max_tokens !== right.max_tokens) return "max_tokens differs";
  if (left.prefix !== right.prefix) return "the prefix differs";
  // The number that opens a cold prompt is made from the run's own id.
  if (left.prefix === "cold") {
    return "with a cold prefix another number opens every prompt; measure with --prefix warm to compare texts";
  }
  return null;
}
