/**
 * The trial of a judge. The scores of a judge that can't tell good from bad look like evidence; so a judge is
 * first tested on anchored answers that are known to be good or bad.
 */
import { UserError } from "../errors.ts";
import { meanOf } from "../stats/mean.ts";
import type { Judge, JudgedPrompt } from "./judge.ts";
import { type PassRate, rateByCase } from "./pass_rate.ts";

/** Share of the anchored pairs that a judge must rank correctly. */
const defaultThreshold = 0.8;
/** With fewer pairs a judge can't be distinguished from a coin toss. */
const fewestPairs = 8;
/** Largest share of replies that may be invalid. */
const mostInvalid = 0.1;

/** What the trial showed. */
export interface Trial {
  readonly rubric: string;
  readonly threshold: number;
  readonly pairs: number;
  /** Share of pairs, by prompt, whose good answer got the higher mean score; a tie counts as wrong. */
  readonly accuracy: PassRate;
  readonly ties: number;
  /** Mean scores of the good and of the bad answers, null where none could be read. */
  readonly meanGood: number | null;
  readonly meanBad: number | null;
  /** How often the first of two answers was chosen, over both orders, and of how many. 0.5 is unbiased. */
  readonly firstChosen: { readonly share: number | null; readonly n: number };
  /** Accuracy on pairs whose bad answer is longer, and on pairs whose bad answer is shorter. */
  readonly longerBad: PassRate;
  readonly shorterBad: PassRate;
  readonly replies: number;
  /** Replies that were not valid JSON of the schema. */
  readonly invalid: number;
  /** The first invalid reply, shortened. */
  readonly invalidExample: string | null;
  readonly accepted: boolean;
  /** Why it was refused; null when accepted. */
  readonly reason: string | null;
}

interface Pair {
  readonly prompt: JudgedPrompt;
  readonly good: string;
  readonly bad: string;
}

/**
 * The pairs of anchored answers: each bad answer with each good one of its prompt;
 * the reference is a good one.
 *
 * ```ts
 * const prompt = {
 *   id: "p", messages: [], aspects: ["says yes"], reference: "Yes.",
 *   anchors: [{ label: "bad" as const, answer: "No." }, { label: "good" as const, answer: "Yes, it is." }],
 * };
 * if (anchoredPairs([prompt]).length !== 2) throw new Error("one bad answer with two good ones");
 * ```
 */
export function anchoredPairs(prompts: readonly JudgedPrompt[]): Pair[] {
  return prompts.flatMap((prompt) => {
    const labelled = (label: "good" | "bad") =>
      prompt.anchors.filter((anchor) => anchor.label === label).map(({ answer }) => answer);
    const good = [...(prompt.reference === null ? [] : [prompt.reference]), ...labelled("good")];
    return labelled("bad").flatMap((bad) => good.map((one) => ({ prompt, good: one, bad })));
  });
}

interface PairResult {
  readonly prompt_id: string;
  readonly badIsLonger: boolean;
  readonly good: number | null;
  readonly bad: number | null;
  /** Whether the first answer was chosen, for each of the two orders that could be read. */
  readonly firstChosen: readonly boolean[];
}

/**
 * Tries a judge on the anchored answers of a prompt set. It is accepted when it ranks at least `threshold` of
 * the pairs correctly, the interval of that share is above chance (½), and at most one reply in ten is not
 * the requested JSON. Its scores are absolute, so that a bias for the first of two answers can't change them;
 * the bias is measured and printed, because it shows that the judge attends to the wrong thing.
 *
 * @throws {UserError} when the set has too few anchored pairs to tell a judge from a coin
 */
export async function tryJudge(
  judge: Judge,
  prompts: readonly JudgedPrompt[],
  { threshold = defaultThreshold, onPair = () => {} }: {
    threshold?: number;
    onPair?: (done: number, all: number) => void;
  } = {},
): Promise<Trial> {
  const pairs = anchoredPairs(prompts);
  if (pairs.length < fewestPairs) {
    throw new UserError(
      `the prompt set has ${pairs.length} pairs of good and bad anchored answers: a judge is tried on at least ` +
        `${fewestPairs}; add "anchors" (label good or bad) to its prompts`,
    );
  }
  const results: PairResult[] = [];
  const known = new Map<string, number | null>();
  const meanScore = async (prompt: JudgedPrompt, answer: string) => {
    const key = JSON.stringify([prompt.id, answer]);
    const value = known.has(key)
      ? known.get(key) ?? null
      : average(Object.values(await judge.rate(prompt, answer) ?? {}));
    known.set(key, value);
    return value;
  };
  for (const pair of pairs) {
    if (judge.hopeless) break;
    const { prompt, good, bad } = pair;
    const scores = { good: await meanScore(prompt, good), bad: await meanScore(prompt, bad) };
    const choices = [await judge.choose(prompt, good, bad), await judge.choose(prompt, bad, good)];
    results.push({
      prompt_id: prompt.id,
      badIsLonger: bad.length > good.length,
      ...scores,
      firstChosen: choices.filter((choice) => choice !== null).map((choice) => choice === "A"),
    });
    onPair(results.length, pairs.length);
  }
  return summarizeTrial(judge, results, threshold);
}

function summarizeTrial(judge: Judge, results: readonly PairResult[], threshold: number): Trial {
  const accuracy = accuracyOf(results);
  const chosen = results.flatMap(({ firstChosen }) => firstChosen);
  const figures = {
    rubric: judge.rubric.name,
    threshold,
    pairs: results.length,
    accuracy,
    ties: results.filter(({ good, bad }) => good !== null && good === bad).length,
    meanGood: average(results.flatMap(({ good }) => good ?? [])),
    meanBad: average(results.flatMap(({ bad }) => bad ?? [])),
    firstChosen: { share: average(chosen.map(Number)), n: chosen.length },
    longerBad: accuracyOf(results.filter(({ badIsLonger }) => badIsLonger)),
    shorterBad: accuracyOf(results.filter(({ badIsLonger }) => !badIsLonger)),
    replies: judge.replies,
    invalid: judge.invalid,
    invalidExample: judge.invalidExample,
  };
  const reason = refusal(figures);
  return { ...figures, accepted: reason === null, reason };
}

function accuracyOf(results: readonly PairResult[]): PassRate {
  return rateByCase(results, ({ good, bad }) => good !== null && bad !== null && good > bad);
}

const average = (values: readonly number[]): number | null => values.length === 0 ? null : meanOf(values);

function refusal(
  { accuracy, threshold, replies, invalid, invalidExample }: Omit<Trial, "accepted" | "reason">,
) {
  if (invalid > mostInvalid * replies) {
    return `${invalid} of ${replies} replies were not JSON of the requested schema, such as ` +
      `${JSON.stringify(invalidExample)}: give a model, or a service, ` +
      "that keeps to response_format json_schema";
  }
  const { rate, ci95 } = accuracy;
  if (rate === null || ci95 === null) return "no pair could be judged";
  const interval = ci95.map(percent).join(" to ");
  const told = `it ranked ${percent(rate)} of the anchored pairs correctly (${interval})`;
  if (rate < threshold) return `${told}, below the threshold of ${percent(threshold)}`;
  if (ci95[0] <= 0.5) return `${told}, which chance could explain: add anchored pairs to the trial`;
  return null;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
