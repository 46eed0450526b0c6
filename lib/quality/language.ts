/** Which language a text is written in, told by its commonest small words. */
import { type LanguageCode, languageCode } from "../prompts/checks.ts";
import { fold, wordsOf } from "./text.ts";

/**
 * The words that a text of any subject can't do without. Words that several of these languages share stay in
 * all of them: what counts is the share of the whole text, and the lead over the second language.
 */
const smallWords: Record<LanguageCode, string> = {
  en:
    "the of and to a in is that it was for on are with as be at by this have from or had not but what all " +
    "were we when your can said there an which their if will each about how up out them then she many some so " +
    "these would other into has more he they i you his her our its no after before until should",
  de:
    "der die und das in den von zu mit sich des auf für ist im dem nicht ein eine als auch es an werden aus " +
    "er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber " +
    "vor zur bis mehr durch man sein wurde sei wir ich nicht kein keine unter gegen vom beim",
  fr:
    "le la les de des du et un une est en que qui dans pour pas au aux sur par plus avec ce il elle on nous " +
    "vous ne se son sa ses cette mais ou sont été être fait comme tout leur y a ont je si entre sans deux aussi",
  es:
    "el la los las de del y un una es en que se no por con para su al lo como más o pero sus le ya este sí " +
    "porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante fue ha han",
  it:
    "il lo la i gli le di del della e un una è in che non per con si da come più anche ma sono al alla nel " +
    "dei delle su questo ha hanno dal se o ci essere stato tra tutti quando molto senza dopo ancora",
  nl:
    "de het een en van in is dat op te zijn met voor niet aan er om ook als bij door maar naar of uit dan " +
    "wordt nog wel over deze tot heeft hebben we ik hij zij ze geen meer kan worden werd dit onder",
  pt:
    "o a os as de do da dos das e um uma é em que não se por com para no na nos nas mais como mas ao ele ela " +
    "são foi ser tem também já ou seu sua quando muito até isso entre depois sem mesmo pelo pela",
};

const profiles = languageCode.options.map((code) => ({
  code,
  words: new Set(smallWords[code].split(" ").map(fold)),
}));

/** All small words of all languages, folded: never a name, whatever their capital. */
export const allSmallWords: ReadonlySet<string> = new Set(profiles.flatMap(({ words }) => [...words]));

/** Fewer words than this, and the language of a text is not claimed. */
const fewest = 8;

/**
 * The language of a text among those of the profiles, or null where it can't be told: fewer than eight words,
 * too few small words, or no clear lead. `share` is the share of the words that the best profile knows.
 *
 * A text in a language without a profile is told from the others only by its lack of their small words.
 *
 * @example
 * ```ts
 * detectLanguage("Der Termin wird auf den 14. März verschoben, weil die Tests fehlen.").language; // "de"
 * ```
 */
export function detectLanguage(text: string): { language: LanguageCode | null; share: number } {
  const words = wordsOf(text).map(fold).filter((word) => /\p{L}/u.test(word));
  const ranked = profiles
    .map(({ code, words: known }) => ({ code, hits: words.filter((word) => known.has(word)).length }))
    .sort((a, b) => b.hits - a.hits);
  const [best, second] = ranked;
  if (!best || words.length === 0) return { language: null, share: 0 };
  const share = best.hits / words.length;
  const clear = best.hits >= 1.25 * (second?.hits ?? 0) && best.hits > (second?.hits ?? 0);
  const language = words.length >= fewest && share >= 0.15 && clear ? best.code : null;
  return { language, share };
}
