/** Detects the language of a text. */
import { detectAll } from "tinyld/light";
import { wordsOf } from "./text.ts";

/** Least words for which a language is stated. */
const fewestWords = 8;
/** How likely the best language must be, alone and as a multiple of the second one. */
const leastAccuracy = 0.03;
const leastLead = 1.25;

/**
 * The language of a text as an ISO 639-1 code, one of the 24 that tinyld's light profile knows; null where it
 * is unclear: fewer than eight words, nothing like a language, or no clear lead.
 *
 * ```ts
 * const language = detectLanguage("Der Termin wird auf den 14. März verschoben, weil die Tests fehlen.");
 * if (language !== "de") throw new Error(String(language));
 * ```
 */
export function detectLanguage(text: string): string | null {
  const words = wordsOf(text).filter((word) => /\p{L}/u.test(word));
  if (words.length < fewestWords) return null;
  const [best, second] = detectAll(words.join(" "));
  if (best === undefined || best.accuracy < leastAccuracy) return null;
  return best.accuracy >= leastLead * (second?.accuracy ?? 0) ? best.lang : null;
}
