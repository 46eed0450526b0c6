/** Whether a text says something in one of several ways: phrases, with numbers and accents normalised. */
import { RE2JS } from "re2js";
import { digitNumbers, spelledNumbers } from "./numbers.ts";
import { fold, holdsText, plainText, replaceSpans } from "./text.ts";
import { detectLanguage } from "./language.ts";

/** A text prepared for searching many phrases. */
export interface PhraseText {
  readonly given: string;
  readonly plain: string;
  readonly words: readonly string[];
}

/**
 * A text as folded words; numbers, spelled out or in digits, are their value, so `12,500` and `twelve
 * thousand five hundred` are one word.
 *
 * ```ts
 * const { words } = phraseText("Twelve  Müllers, €12,500");
 * if (words.join(" ") !== "12 mullers 12500") throw new Error(words.join(" "));
 * ```
 */
export function phraseText(text: string): PhraseText {
  const plain = plainText(text);
  return { given: text, plain, words: wordsWithValues(plain, detectLanguage(plain) ?? "en") };
}

function wordsWithValues(plain: string, language: string): string[] {
  const numbers = [...digitNumbers(plain), ...spelledNumbers(plain, language)];
  const spans = numbers.flatMap(({ text, index, values: [value] }) =>
    value === undefined ? [] : [{ index, length: text.length, by: ` ${value} ` }]
  );
  const valued = replaceSpans(plain, spans);
  return fold(valued).match(/[\p{L}\p{N}*]+(?:\.\p{N}+)?/gu) ?? [];
}

/** How many words `..` may match. */
const widestGap = 8;

/**
 * Whether a text holds a phrasing, letter case, accents, hyphens and punctuation aside:
 *
 * - a phrase is words in a row: `moved to 14 March`;
 * - `*` at a word's end is any ending: `postpone*`;
 * - `..` is up to eight words: `Ana .. supplier`;
 * - `/pattern/` is a regular expression in RE2's syntax, case ignored;
 * - marks alone, such as `→`, are looked up as they are.
 *
 * Negation is not recognised: `not moved to 14 March` holds `moved to 14 March`.
 *
 * ```ts
 * const text = phraseText("The launch was postponed by three weeks; Ana calls the new supplier.");
 * if (!hasPhrasing(text, "postpone* by 3 weeks")) throw new Error("a number is its value");
 * if (!hasPhrasing(text, "Ana .. supplier")) throw new Error("a gap of two words");
 * if (hasPhrasing(text, "Ana supplier")) throw new Error("not in a row");
 * ```
 */
export function hasPhrasing(text: PhraseText, phrasing: string): boolean {
  if (phrasing.length > 2 && phrasing.startsWith("/") && phrasing.endsWith("/")) {
    return RE2JS.compile(phrasing.slice(1, -1), RE2JS.CASE_INSENSITIVE | RE2JS.MULTILINE).test(text.plain);
  }
  if (!/[\p{L}\p{N}]/u.test(phrasing)) return holdsText(text.given, phrasing, false);
  const parts = phrasing.split(/\s\.\.\s/).map((part) => wordsWithValues(part, "en"));
  return follows(text.words, parts, 0, Infinity);
}

/** Whether the parts follow each other from `start`, the first within `gap` words. */
function follows(words: readonly string[], parts: readonly string[][], start: number, gap: number): boolean {
  const [part, ...rest] = parts;
  if (!part) return true;
  const last = Math.min(words.length - part.length, start + gap);
  for (let at = start; at <= last; at++) {
    const here = part.every((word, offset) => matches(words[at + offset] ?? "", word));
    if (here && follows(words, rest, at + part.length, widestGap)) return true;
  }
  return false;
}

function matches(word: string, pattern: string): boolean {
  return pattern.endsWith("*") ? word.startsWith(pattern.slice(0, -1)) : word === pattern;
}
