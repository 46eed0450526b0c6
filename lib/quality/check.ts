/** Runs the checks of a prompt over an answer: deterministic and explained. */
import { RE2JS } from "re2js";
import type { AnswerCheck, CheckByKind } from "../prompts/checks.ts";
import { taskCheckKinds } from "../prompts/task_checks.ts";
import type { Prompt } from "../prompts/prompts.ts";
import { sumOf } from "../stats/mean.ts";
import { asciiDigits, boxed, fencedBlock, latexText, sameShortAnswer } from "./answer_text.ts";
import { type GivenCall, scoreCalls } from "./calls_score.ts";
import { scoreTests, type TestRuns } from "./code/test_runs.ts";
import { scoreDocumentAnswer, scoreQuote } from "./document_score.ts";
import { inventions } from "./invented.ts";
import { scoreLabel } from "./label_score.ts";
import { detectLanguage } from "./language.ts";
import { digitNumbers } from "./numbers.ts";
import type { CheckOutcome, CheckVerdict } from "./outcomes.ts";
import { defaultPassMark } from "./pass_rate.ts";
import { hasPhrasing, phraseText } from "./phrases.ts";
import { schemaFault, scoreRecord } from "./record_score.ts";
import { rougeL } from "./rouge.ts";
import {
  hasNoCapitals,
  hasNoSentenceMarks,
  holdsText,
  listItems,
  plainText,
  repeatedShare,
  sentencesOf,
  visibleAnswer,
  wordsOf,
} from "./text.ts";

/** What one check found. */
export interface CheckResult {
  readonly name: string;
  readonly kind: AnswerCheck["kind"];
  readonly weight: number;
  readonly required: boolean;
  readonly passed: boolean;
  /** 0 to 1: 1 when passed, for aspects the share covered. */
  readonly credit: number;
  /** False where the check can't judge this answer (sentences in Thai, for example): the score leaves it out. */
  readonly supported: boolean;
  /** The answer is not in the form that the check reads: not JSON, or without a number. */
  readonly offFormat: boolean;
  /** It failed, and a longer answer could not have passed either. */
  readonly final: boolean;
  /** What a task check found; null for the other kinds. */
  readonly outcome: CheckOutcome | null;
  /** Why, in words that a person can verify in the answer. */
  readonly detail: string;
}

/** An answer with all its checks. */
export interface AnswerScore {
  /**
   * Weighted mean of the credits, 0 to 1; 0 where a required check of its task failed, and where none of the
   * checks can judge the answer.
   */
  readonly score: number;
  /** False where none of the checks can judge the answer. */
  readonly supported: boolean;
  /** Whether the score reaches the pass mark and every required check passed. */
  readonly passed: boolean;
  readonly checks: readonly CheckResult[];
}

/** What a check may use besides the answer. */
export type CheckedPrompt = Pick<Prompt, "messages" | "reference"> & Partial<Pick<Prompt, "documents">> & {
  /** The results of the tests of answers with code, which run beforehand. */
  readonly testRuns?: TestRuns;
};

/**
 * Scores one answer by the checks of its prompt. An empty answer fails all of them; tool calls without text
 * only those that are about text.
 *
 * @param passMark the score, 0 to 1, from which an answer passes
 * @param calls the tool calls of the answer
 * @throws {RangeError} without checks: nothing can be scored
 *
 * ```ts
 * const prompt = { messages: [{ role: "user" as const, content: "Name a colour of the sky." }], reference: null };
 * const checks = [
 *   { kind: "contains" as const, name: "blue", weight: 3, required: true, texts: ["blue"], need: "all" as const, match_case: false },
 *   { kind: "words" as const, name: "one word", weight: 1, required: false, max: 1 },
 * ];
 * const { score, passed } = scoreAnswer("It is blue.", checks, prompt, 0.7);
 * if (score !== 0.75 || !passed) throw new Error(String(score));
 * ```
 */
export function scoreAnswer(
  content: string,
  checks: readonly AnswerCheck[],
  prompt: CheckedPrompt,
  passMark: number = defaultPassMark,
  calls: readonly GivenCall[] = [],
): AnswerScore {
  if (checks.length === 0) throw new RangeError("an answer without checks has no score");
  const answer = visibleAnswer(content);
  const results = checks.map((check) =>
    answer === "" && (check.kind !== "calls" || calls.length === 0)
      ? resultOfEmpty(check, prompt)
      : runCheck(check, answer, prompt, calls)
  );
  const judged = results.filter(({ supported }) => supported);
  if (judged.length === 0) return { score: 0, supported: false, passed: false, checks: results };
  const weight = sumOf(judged.map((result) => result.weight));
  const earned = sumOf(judged.map((result) => result.weight * result.credit)) / weight;
  // A record with a wrong amount gets no credit for its length or its quotation.
  const taskFailed = judged.some(({ kind, required, passed }) =>
    required && !passed && taskCheckKinds.has(kind)
  );
  const score = taskFailed ? 0 : earned;
  const required = judged.every((result) => result.passed || !result.required);
  // Rounding of weights such as 0.1 + 0.2 must not fail an answer that reaches the mark.
  return { score, supported: true, passed: required && score >= passMark - 1e-12, checks: results };
}

function resultOfEmpty(check: AnswerCheck, prompt: CheckedPrompt): CheckResult {
  const { outcome } = runCheck(check, "", prompt);
  return result(check, { passed: false, detail: "the answer is empty", ...(outcome && { outcome }) });
}

function result({ name, kind, weight, required }: AnswerCheck, verdict: CheckVerdict): CheckResult {
  const { passed, credit = passed ? 1 : 0, supported = true, offFormat = false, final = false } = verdict;
  const { outcome = null, detail } = verdict;
  return { name, kind, weight, required, passed, credit, supported, offFormat, final, outcome, detail };
}

/**
 * Runs one check.
 *
 * ```ts
 * const check = { kind: "words" as const, name: "short", weight: 1, required: false, max: 3 };
 * const { detail } = runCheck(check, "one two three four", { messages: [], reference: null });
 * if (detail !== "4 words, at most 3") throw new Error(detail);
 * ```
 */
export function runCheck(
  check: AnswerCheck,
  answer: string,
  prompt: CheckedPrompt,
  calls: readonly GivenCall[] = [],
): CheckResult {
  return result(check, verdictOf(check.kind, check, { answer, prompt, calls }));
}

/** Generic, so that the compiler pairs the check of a kind with its function. */
function verdictOf<Kind extends keyof CheckByKind>(
  kind: Kind,
  check: CheckByKind[Kind],
  given: Given,
): CheckVerdict {
  return verdicts[kind](check, given);
}

/** What a check judges. */
interface Given {
  readonly answer: string;
  readonly prompt: CheckedPrompt;
  readonly calls: readonly GivenCall[];
}

/** The verdict of each kind of check on an answer; `prompts/checks.ts` says what each one requires. */
const verdicts: {
  readonly [Kind in keyof CheckByKind]: (check: CheckByKind[Kind], given: Given) => CheckVerdict;
} = {
  contains({ texts, need, match_case }, { answer }) {
    const missing = texts.filter((text) => !holdsText(answer, text, match_case));
    const found = `has ${texts.length - missing.length} of ${texts.length}`;
    return {
      passed: need === "all" ? missing.length === 0 : missing.length < texts.length,
      detail: missing.length ? `${found}, misses ${quoted(missing)}` : found,
    };
  },
  not_contains({ texts, match_case }, { answer }) {
    const found = texts.filter((text) => holdsText(answer, text, match_case));
    return { passed: found.length === 0, detail: found.length ? `has ${quoted(found)}` : "has none of them" };
  },
  regex({ pattern, absent, match_case }, { answer }) {
    const found = compiled(pattern, RE2JS.MULTILINE | (match_case ? 0 : RE2JS.CASE_INSENSITIVE)).test(answer);
    return { passed: found !== absent, detail: `the pattern is ${found ? "" : "not "}found` };
  },
  items: (check, { answer }) => within(listItems(answer).length, "items", check),
  sentences: (check, { answer }) =>
    hasNoSentenceMarks(answer)
      ? unsupported("this script has no mark at the end of a sentence")
      : within(sentencesOf(answer).length, "sentences", check),
  words: (check, { answer }) => within(wordsOf(answer).length, "words", check),
  json({ schema, fenced }, { answer }) {
    let value: unknown;
    try {
      value = JSON.parse(fenced ? fencedBlock(answer) ?? answer : answer);
    } catch {
      return { passed: false, offFormat: true, detail: "not JSON" };
    }
    if (schema === undefined) return { passed: true, detail: "JSON" };
    const fault = schemaFault(schema, value);
    return fault === null
      ? { passed: true, detail: "JSON that fits the schema" }
      : { passed: false, detail: `JSON, but ${fault}` };
  },
  language(check, { answer }) {
    const language = detectLanguage(answer);
    const detail = language ? `it is ${language}` : "its language is unclear";
    return { passed: language === check.language, detail };
  },
  exact({ answers }, { answer }) {
    const given = boxed(answer) ?? answer;
    const passed = answers.some((one) => sameShortAnswer(given, one));
    return { passed, detail: passed ? "the expected answer" : `not ${quoted(answers)}` };
  },
  number({ value, tolerance }, { answer }) {
    const text = asciiDigits(plainText(boxed(answer) ?? latexText(answer)));
    const last = digitNumbers(text).at(-1);
    if (!last) return { passed: false, offFormat: true, detail: "no number" };
    const negative = /[-−－]\s?$/.test(text.slice(0, last.index));
    const values = last.values.map((one) => negative ? -one : one);
    const passed = values.some((one) => Math.abs(one - value) <= tolerance + 1e-9 * Math.abs(value));
    return { passed, detail: `the last number is ${negative ? "-" : ""}${last.text}, expected ${value}` };
  },
  aspects({ aspects, min_share }, { answer }) {
    const text = phraseText(answer);
    const missing = aspects.filter(({ any }) => !any.some((phrasing) => hasPhrasing(text, phrasing)));
    const credit = 1 - missing.length / aspects.length;
    const covered = `covers ${aspects.length - missing.length} of ${aspects.length}`;
    const misses = missing.length ? `, misses ${quoted(missing.map(({ aspect }) => aspect))}` : "";
    return { passed: credit >= min_share - 1e-12, credit, detail: covered + misses };
  },
  nothing_invented(check, { answer, prompt }) {
    if (hasNoCapitals(answer) && check.facts.includes("name")) {
      return unsupported("names can't be told from words in a script without capitals");
    }
    const found = inventions(answer, inputOf(prompt), check);
    const list = found.map(({ kind, text }) => `${kind} ${JSON.stringify(text)}`).join(", ");
    return { passed: found.length === 0, detail: found.length ? `not in the source: ${list}` : "nothing" };
  },
  repetition({ max }, { answer }) {
    const share = repeatedShare(answer);
    return { passed: share <= max, detail: `${Math.round(100 * share)} % of it repeats earlier words` };
  },
  rouge_l({ min }, { answer, prompt: { reference } }) {
    if (reference === null) return { passed: false, detail: "the prompt has no reference" };
    const { f1 } = rougeL(answer, reference);
    return { passed: f1 >= min, detail: `ROUGE-L F1 ${f1.toFixed(3)}, at least ${min}` };
  },
  label: (check, { answer }) => scoreLabel(answer, check),
  record: (check, { answer }) => scoreRecord(answer, check),
  calls: (check, { answer, calls }) => scoreCalls(answer, calls, check),
  answer: (check, { answer }) => scoreDocumentAnswer(answer, check),
  quote({ min_words }, { answer, prompt }) {
    const { documents = [] } = prompt;
    return scoreQuote(answer, documents.length > 0 ? documents : [inputOf(prompt)], min_words);
  },
  tests: (check, { answer, prompt }) => scoreTests(answer, check, prompt.testRuns ?? new Map()),
};

/** The score of this answer leaves the check out. */
const unsupported = (why: string): CheckVerdict => ({
  passed: false,
  supported: false,
  detail: `can't judge: ${why}`,
});

const quoted = (texts: readonly string[]) => texts.map((text) => JSON.stringify(text)).join(", ");

/** The model's input: every message that is not its own. */
function inputOf({ messages }: CheckedPrompt): string {
  return messages.filter(({ role }) => role !== "assistant").map(({ content }) => content).join("\n\n");
}

/** A job has few patterns and many answers, so patterns are compiled once. */
const patterns = new Map<string, RE2JS>();

function compiled(pattern: string, flags: number): RE2JS {
  const key = `${flags} ${pattern}`;
  const known = patterns.get(key) ?? RE2JS.compile(pattern, flags);
  if (patterns.size >= 500) patterns.clear();
  patterns.set(key, known);
  return known;
}

function within(
  count: number,
  what: string,
  { min, max }: { min?: number | undefined; max?: number | undefined },
): CheckVerdict {
  const passed = count >= (min ?? 0) && count <= (max ?? Infinity);
  const bounds = [min === undefined ? [] : `at least ${min}`, max === undefined ? [] : `at most ${max}`]
    .flat();
  return { passed, detail: `${count} ${what}, ${bounds.join(" and ")}` };
}
