/** Runs the checks of a prompt over an answer: deterministic and explained. */
import { RE2JS } from "re2js";
import type { AnswerCheck } from "../prompts/checks.ts";
import { taskCheckKinds } from "../prompts/task_checks.ts";
import type { Prompt } from "../prompts/prompts.ts";
import { asciiDigits, bare, boxed, fencedBlock, latexText } from "./answer_text.ts";
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
  fold,
  hasNoCapitals,
  hasNoSentenceMarks,
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
   * Weighted mean of the credits, 0 to 1; 0 where a required check of its task failed, and where none of the checks can
   * judge the answer.
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
 * Scores one answer by the checks of its prompt. An empty answer fails all of them; tool calls without text only those
 * that are about text.
 *
 * @param passMark the score, 0 to 1, from which an answer passes
 * @param calls the tool calls of the answer
 * @throws {RangeError} without checks: nothing can be scored
 *
 * @example
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
      ? empty(check)
      : runCheck(check, answer, prompt, calls)
  );
  const judged = results.filter(({ supported }) => supported);
  if (judged.length === 0) return { score: 0, supported: false, passed: false, checks: results };
  const weight = judged.reduce((sum, result) => sum + result.weight, 0);
  const earned = judged.reduce((sum, result) => sum + result.weight * result.credit, 0) / weight;
  // A record with a wrong amount gets no credit for its length or its quotation.
  const taskFailed = judged.some(({ kind, required, passed }) =>
    required && !passed && taskCheckKinds.has(kind)
  );
  const score = taskFailed ? 0 : earned;
  const required = judged.every((result) => result.passed || !result.required);
  // Rounding of weights such as 0.1 + 0.2 must not fail an answer that reaches the mark.
  return { score, supported: true, passed: required && score >= passMark - 1e-12, checks: results };
}

function empty(check: AnswerCheck): CheckResult {
  const found = check.kind === "label"
    ? { kind: "label" as const, expected: check.expected, given: null }
    : check.kind === "record"
    ? scoreRecord("", check).outcome ?? null
    : check.kind === "calls"
    ? scoreCalls("", [], check).outcome ?? null
    : null;
  return result(check, { passed: false, detail: "the answer is empty", ...(found && { outcome: found }) });
}

function result({ name, kind, weight, required }: AnswerCheck, verdict: CheckVerdict): CheckResult {
  const { passed, credit = passed ? 1 : 0, supported = true, offFormat = false, final = false } = verdict;
  const { outcome = null, detail } = verdict;
  return { name, kind, weight, required, passed, credit, supported, offFormat, final, outcome, detail };
}

/**
 * Runs one check.
 *
 * @example
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
  return result(check, verdictOf(check, answer, prompt, calls));
}

function verdictOf(
  check: AnswerCheck,
  answer: string,
  prompt: CheckedPrompt,
  calls: readonly GivenCall[],
): CheckVerdict {
  switch (check.kind) {
    case "contains":
      return contains(check, answer);
    case "not_contains": {
      const found = check.texts.filter((text) => occurs(text, answer, check.match_case));
      return {
        passed: found.length === 0,
        detail: found.length ? `has ${quoted(found)}` : "has none of them",
      };
    }
    case "regex": {
      const flags = RE2JS.MULTILINE | (check.match_case ? 0 : RE2JS.CASE_INSENSITIVE);
      const found = compiled(check.pattern, flags).test(answer);
      return { passed: found !== check.absent, detail: `the pattern is ${found ? "" : "not "}found` };
    }
    case "items":
      return within(listItems(answer).length, "items", check);
    case "sentences":
      return hasNoSentenceMarks(answer)
        ? unsupported("this script has no mark at the end of a sentence")
        : within(sentencesOf(answer).length, "sentences", check);
    case "words":
      return within(wordsOf(answer).length, "words", check);
    case "json":
      return json(check, answer);
    case "language": {
      const language = detectLanguage(answer);
      return {
        passed: language === check.language,
        detail: language ? `it is ${language}` : "its language is unclear",
      };
    }
    case "exact": {
      const given = bare(boxed(answer) ?? answer);
      const passed = check.answers.some((one) => bare(one) === given);
      return { passed, detail: passed ? "the expected answer" : `not ${quoted(check.answers)}` };
    }
    case "number":
      return number(check, answer);
    case "aspects":
      return aspects(check, answer);
    case "nothing_invented": {
      if (hasNoCapitals(answer) && check.facts.includes("name")) {
        return unsupported("names can't be told from words in a script without capitals");
      }
      const found = inventions(answer, sourceOf(prompt), check);
      const list = found.map(({ kind, text }) => `${kind} ${JSON.stringify(text)}`).join(", ");
      return { passed: found.length === 0, detail: found.length ? `not in the source: ${list}` : "nothing" };
    }
    case "repetition": {
      const share = repeatedShare(answer);
      return {
        passed: share <= check.max,
        detail: `${Math.round(100 * share)} % of it repeats earlier words`,
      };
    }
    case "rouge_l": {
      if (prompt.reference === null) return { passed: false, detail: "the prompt has no reference" };
      const { f1 } = rougeL(answer, prompt.reference);
      return { passed: f1 >= check.min, detail: `ROUGE-L F1 ${f1.toFixed(3)}, at least ${check.min}` };
    }
    case "label":
      return scoreLabel(answer, check);
    case "record":
      return scoreRecord(answer, check);
    case "calls":
      return scoreCalls(answer, calls, check);
    case "answer":
      return scoreDocumentAnswer(answer, check);
    case "quote": {
      const { documents = [] } = prompt;
      return scoreQuote(answer, documents.length > 0 ? documents : [sourceOf(prompt)], check.min_words);
    }
    case "tests":
      return scoreTests(answer, check, prompt.testRuns ?? new Map());
  }
}

/** The score of this answer leaves the check out. */
const unsupported = (why: string): CheckVerdict => ({
  passed: false,
  supported: false,
  detail: `can't judge: ${why}`,
});

type CheckOf<Kind extends AnswerCheck["kind"]> = Extract<AnswerCheck, { kind: Kind }>;

const quoted = (texts: readonly string[]) => texts.map((text) => JSON.stringify(text)).join(", ");

/** The model's input: every message that is not its own. */
function sourceOf({ messages }: CheckedPrompt): string {
  return messages.filter(({ role }) => role !== "assistant").map(({ content }) => content).join("\n\n");
}

function occurs(text: string, answer: string, matchCase: boolean): boolean {
  const [needle, hay] = [plainText(text), plainText(answer)];
  return matchCase ? hay.includes(needle) : fold(hay).includes(fold(needle));
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

function contains({ texts, need, match_case }: CheckOf<"contains">, answer: string): CheckVerdict {
  const missing = texts.filter((text) => !occurs(text, answer, match_case));
  const passed = need === "all" ? missing.length === 0 : missing.length < texts.length;
  const found = `has ${texts.length - missing.length} of ${texts.length}`;
  return { passed, detail: missing.length ? `${found}, misses ${quoted(missing)}` : found };
}

function within(
  count: number,
  what: string,
  { min, max }: { min?: number | undefined; max?: number | undefined },
) {
  const passed = count >= (min ?? 0) && count <= (max ?? Infinity);
  const bounds = [min === undefined ? [] : `at least ${min}`, max === undefined ? [] : `at most ${max}`]
    .flat();
  return { passed, detail: `${count} ${what}, ${bounds.join(" and ")}` };
}

function json({ schema, fenced }: CheckOf<"json">, answer: string): CheckVerdict {
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
}

function number({ value, tolerance }: CheckOf<"number">, given: string): CheckVerdict {
  const answer = asciiDigits(plainText(boxed(given) ?? latexText(given)));
  const last = digitNumbers(answer).at(-1);
  if (!last) return { passed: false, offFormat: true, detail: "no number" };
  const negative = /[-−－]\s?$/.test(answer.slice(0, last.index));
  const values = last.values.map((one) => negative ? -one : one);
  const passed = values.some((one) => Math.abs(one - value) <= tolerance + 1e-9 * Math.abs(value));
  return { passed, detail: `the last number is ${negative ? "-" : ""}${last.text}, expected ${value}` };
}

function aspects({ aspects, min_share }: CheckOf<"aspects">, answer: string): CheckVerdict {
  const text = phraseText(answer);
  const missing = aspects.filter(({ any }) => !any.some((phrasing) => hasPhrasing(text, phrasing)));
  const credit = 1 - missing.length / aspects.length;
  const covered = `covers ${aspects.length - missing.length} of ${aspects.length}`;
  const detail = missing.length
    ? `${covered}, misses ${quoted(missing.map(({ aspect }) => aspect))}`
    : covered;
  return { passed: credit >= min_share - 1e-12, credit, detail };
}
