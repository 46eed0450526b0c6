/** Answers from documents: whether the expected text or number is there, and whether quotations are real. */
import type { CheckByKind } from "../prompts/checks.ts";
import { asciiDigits } from "./answer_text.ts";
import { namedLabels } from "./label_score.ts";
import { digitNumbers } from "./numbers.ts";
import type { CheckVerdict } from "./outcomes.ts";
import { hasPhrasing, phraseText } from "./phrases.ts";
import { fold, plainText, wordsOf } from "./text.ts";

/** Scores an answer by the texts, number or choice that it must hold. */
export function scoreDocumentAnswer(
  answer: string,
  { expected, number, tolerance, choices }: CheckByKind["answer"],
): CheckVerdict {
  if (choices !== undefined) return scoreChoice(answer, choices, expected ?? []);
  const text = phraseText(answer);
  const missing = expected === undefined || expected.some((phrase) => hasPhrasing(text, phrase))
    ? []
    : [`none of ${expected.map((one) => JSON.stringify(one)).join(", ")}`];
  const found = number === undefined ? null : numbersIn(answer);
  const noNumber = found !== null && number !== undefined &&
    !found.some((one) => Math.abs(one - number) <= tolerance + 1e-9 * Math.abs(number));
  const faults = [...missing, ...(noNumber ? [`not the number ${number}`] : [])];
  return {
    passed: faults.length === 0,
    offFormat: noNumber && missing.length === 0 && found?.length === 0,
    detail: faults.length === 0 ? "the expected answer" : `has ${faults.join(" and ")}`,
  };
}

function scoreChoice(answer: string, choices: readonly string[], expected: readonly string[]): CheckVerdict {
  const named = namedLabels(answer, choices);
  const [given] = named;
  const passed = named.length === 1 && given !== undefined && expected.includes(given);
  return {
    passed,
    offFormat: named.length !== 1,
    final: !passed && named.length > 0,
    detail: passed
      ? `chose ${given}`
      : named.length === 1
      ? `chose ${given}, expected ${expected.join(" or ")}`
      : `names ${named.length} of the choices`,
  };
}

/** Every value that a number of the answer may mean. */
function numbersIn(answer: string): number[] {
  const text = asciiDigits(plainText(answer));
  return digitNumbers(text).flatMap(({ index, values }) => {
    const negative = /(?:^|[\s(])[-−－]\s?$/.test(text.slice(0, index));
    return values.map((one) => negative ? -one : one);
  });
}

/** Text between quotation marks, or in lines that open with `>`. An apostrophe is no quotation mark. */
const quotations =
  /"([^"\n]{1,2000})"|“([^“”]{1,2000})”|„([^“”„]{1,2000})[“”]|«([^«»]{1,2000})»|»([^«»]{1,2000})«|「([^「」]{1,2000})」|^>[ \t]*(.+(?:\n>.*)*)/gm;

/**
 * The quotations of an answer, each as folded words; an ellipsis parts one in two, and parts of fewer than
 * `minWords` words are left out.
 *
 * ```ts
 * const found = quotationsIn('It says: "Keep it for 42 days […] in the blue folder, please."', 3);
 * if (found.join("|") !== "keep it for 42 days|in the blue folder please") throw new Error(found.join("|"));
 * ```
 */
export function quotationsIn(answer: string, minWords: number): string[] {
  return [...answer.matchAll(quotations)].flatMap((match) => {
    const text = match.slice(1).find((one) => one !== undefined) ?? "";
    return text.replaceAll(/^>[ \t]?/gm, "").split(/\[?(?:…|\.{3})\]?/).map(foldedWords)
      .filter((words) => words.length >= minWords).map((words) => words.join(" "));
  });
}

const foldedWords = (text: string) => wordsOf(text).map(fold);

/** Documents as words: a job asks many questions about few documents. */
const documentWords = new Map<string, string>();

function wordsOfDocument(text: string): string {
  let words = documentWords.get(text);
  if (words === undefined) {
    if (documentWords.size >= 20) documentWords.clear();
    documentWords.set(text, words = ` ${foldedWords(text).join(" ")} `);
  }
  return words;
}

/** Scores an answer by its quotations: at least one, and each word for word in one of the documents. */
export function scoreQuote(answer: string, documents: readonly string[], minWords: number): CheckVerdict {
  const found = quotationsIn(answer, minWords);
  if (found.length === 0) {
    return { passed: false, detail: `quotes nothing of at least ${minWords} words` };
  }
  const texts = documents.map(wordsOfDocument);
  const strange = found.filter((quote) => !texts.some((text) => text.includes(` ${quote} `)));
  return {
    passed: strange.length === 0,
    final: strange.length > 0,
    detail: strange.length === 0
      ? `${found.length} of ${found.length} quotations are in the documents`
      : `not in the documents: ${strange.slice(0, 2).map((one) => JSON.stringify(one)).join(", ")}`,
  };
}
