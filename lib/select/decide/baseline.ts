/** What no model is needed for: the best constant answer, scored like the models' own. */
import type { Prompt } from "../../prompts/prompts.ts";
import { scoreAnswer } from "../../quality/check.ts";

/** At most so many different answers are tried as constants. */
const MOST_CONSTANTS = 200;

/**
 * Score of a constant answer to each case: of the texts that were given to the other cases, and the empty one, the one
 * that scores best on them. A case never contributes to its own baseline.
 *
 * @param answers text by case
 * @returns null without a case that has checks
 *
 * @example
 * ```ts
 * import { parsePromptSet } from "../../prompts/prompts.ts";
 * const check = { kind: "contains", name: "the label", texts: ["positive"] };
 * const { prompts } = parsePromptSet(["a", "b", "c"].map((id) => ({ id, prompt: id, checks: [check] })), "labels");
 * const scores = constantBaseline(prompts, prompts.map(({ id }) => ({ prompt: id, text: "positive" })));
 * console.assert([...scores ?? []].every(([, score]) => score === 1), "always saying positive is right here");
 * ```
 */
export function constantBaseline(
  prompts: readonly Prompt[],
  answers: readonly { readonly prompt: string; readonly text: string }[],
): Map<string, number> | null {
  const checked = prompts.filter(({ checks }) => checks.length > 0);
  if (checked.length === 0) return null;
  const givenTo = new Map<string, Set<string>>([["", new Set()]]);
  for (const { prompt, text } of answers) {
    const to = givenTo.get(text) ?? new Set<string>();
    if (givenTo.size < MOST_CONSTANTS || givenTo.has(text)) givenTo.set(text, to.add(prompt));
  }
  const constants = [...givenTo].map(([text, to]) => {
    const scores = checked.map((prompt) => scoreAnswer(text, prompt.checks, prompt).score);
    return { to, scores, sum: scores.reduce((total, score) => total + score, 0) };
  });
  return new Map(checked.map((prompt, at) => {
    // A text that was given to this case alone knows too much of it.
    const others = constants.filter(({ to }) => !(to.size === 1 && to.has(prompt.id)));
    const best = others.reduce((top, one) => rest(one, at) > rest(top, at) ? one : top);
    return [prompt.id, best.scores[at] ?? 0];
  }));
}

const rest = ({ sum, scores }: { readonly sum: number; readonly scores: readonly number[] }, at: number) =>
  sum - (scores[at] ?? 0);
