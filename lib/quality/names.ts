/** Names in running text: people, places, products, teams, and identifiers such as `Q3` or `PR-118`. */
import { fold, sentencesOf } from "./text.ts";

/**
 * First names that language models like to invent. At the start of a sentence every word has a capital, so
 * there only these, two capitals in a row, and identifiers count as names. Names that are everyday words
 * (Will, Mark, Grace …) are left out.
 */
const firstNames = new Set(
  ("aaron adam adrian alan albert alejandro alex alexander alexandra alfred alice alison amanda amelia amy ana andrea andrew angela anita anna anne " +
    "anthony antonio barbara ben benjamin beth bob brian bruno carl carla carlos carmen caroline catherine charles charlie charlotte chen chloe " +
    "chris christian christina christopher claire clara claudia daniel daniela david deborah diana diego dmitri edward elena eleanor elias elizabeth " +
    "ella ellen emily emma eric erik ethan eva fatima felix fernando fiona florian francesca gabriel gary george hannah hans harry hassan heather " +
    "heidi helen helena henry hugo ian ines ingrid isaac isabel isabella ivan jacob jakob james jamie jan jane janet jason javier jean jennifer " +
    "jenny jeremy jessica jim joan joe johan johannes john jonas jonathan jordan jorge jose joseph joshua juan julia julian julie karen karl kate " +
    "katherine kathryn katja kelly kenneth kevin klaus kumar laura lauren lea lena leo leon lily linda lisa liam louis lucas lucia luis luke maria " +
    "marie marina mario martha martin martina mary mateo matthew matthias maya megan mei melissa mia michael michelle miguel mike mohamed mohammed " +
    "monica nadia nancy natalie nathan nicholas nick nicolas nicole nina noah nora oliver olivia omar oscar pablo patricia paul paula pedro peter " +
    "petra philip pierre priya rachel raj raul rebecca ricardo richard robert roberto rosa ruth ryan sabine samantha samuel sandra sara sarah scott " +
    "sebastian sergio simon sofia sophia sophie stefan stefanie stephanie stephen steve steven susan tanja teresa thomas tim tina tobias tom tomas " +
    "tony tyler ursula vanessa victor victoria vincent walter wei william wolfgang yuki yusuf zoe").split(
      " ",
    ),
);

/** Words that minutes and their summaries write with a capital although they name nothing. */
const officeWords = new Set(
  ("i action actions item items agenda attendee attendees participant participants present absent apologies note notes meeting meetings minutes " +
    "summary overview conclusion decision decisions decided discussion topic topics point points key main next step steps follow up task tasks owner " +
    "owners deadline deadlines due date dates time location status update updates risk risks issue issues question questions answer answers open " +
    "background context result results recommendation recommendations team project manager lead department board committee chair secretary company " +
    "customer customers client budget total january february march april may june july august september october november december monday tuesday " +
    "wednesday thursday friday saturday sunday tbd tba todo asap ok okay eta fyi pm am ceo cto cfo hr it ui ux qa pr vs e.g i.e english german " +
    "french spanish italian dutch portuguese yes no none n/a markdown json mr mrs ms dr prof herr frau monsieur madame señor señora")
    .split(" ")
    .map(fold),
);

/** The commonest words of the languages that notes come in: never a name, whatever their capital. */
const smallWords = new Set(
  Object.values({
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
  }).flatMap((words) => words.split(" ").map(fold)),
);

/** Endings that a name may take or lose between two texts: `Anna's`, `Annas`, `Teams`, `Kunden`. */
const inflections = ["'s", "'", "s", "es", "n", "en", "ns"];

/** The words of a text, ready for looking up names. */
export interface KnownWords {
  readonly words: ReadonlySet<string>;
  /** Initials of runs of capitalised words: `Customer Advisory Board` allows CAB. */
  readonly acronyms: ReadonlySet<string>;
}

/**
 * Every word of a source text, folded, and the acronyms of its names.
 *
 * ```ts
 * const known = knownWords("The Customer Advisory Board met Zoë.");
 * if (!known.words.has("zoe") || !known.acronyms.has("cab")) throw new Error("words and acronyms");
 * ```
 */
export function knownWords(source: string): KnownWords {
  const words = new Set<string>();
  for (const token of source.match(/[\p{L}\p{N}]+(?:['.&/-][\p{L}\p{N}]+)*/gu) ?? []) {
    [token, ...token.split(/['.&/-]/)].map(fold).forEach((word) => words.add(word));
  }
  const runs =
    source.match(/\p{Lu}[\p{L}\p{N}]*(?:[ -](?:(?:of|and|for|the|de|und) )?\p{Lu}[\p{L}\p{N}]*)+/gu) ?? [];
  const acronyms = new Set(runs.flatMap((run) => {
    const initials = run.split(/[ -]/).filter((word) => /^\p{Lu}/u.test(word)).map((word) => word[0] ?? "");
    return initials.map((_, from) => initials.slice(from).join("").toLowerCase()).filter((one) =>
      one.length > 1
    );
  }));
  return { words, acronyms };
}

function isKnown(token: string, known: KnownWords): boolean {
  const word = fold(token).replace(/^\W+|[\W]+$/gu, "");
  if (word === "" || known.words.has(word) || known.acronyms.has(word)) return true;
  if (inflections.some((end) => known.words.has(word + end))) return true;
  if (inflections.some((end) => word.endsWith(end) && known.words.has(word.slice(0, -end.length)))) {
    return true;
  }
  const parts = word.split(/['.&/-]/).filter((part) => part !== "");
  return parts.length > 1 && parts.every((part) => isKnown(part, known) || isCommon(part));
}

function isCommon(token: string): boolean {
  const word = fold(token).replace(/'\p{L}+$/u, "");
  return smallWords.has(word) || officeWords.has(word) || officeWords.has(word.replace(/s$/, ""));
}

interface Token {
  readonly text: string;
  /** First of its sentence, or after a colon, a quote, a bracket or a dash: a capital means nothing there. */
  readonly initial: boolean;
}

function tokensOf(sentence: string): Token[] {
  return [...sentence.matchAll(/[\p{L}\p{N}]+(?:['.&/-][\p{L}\p{N}]+)*/gu)].map(({ 0: text, index }) => ({
    text,
    initial: index === 0 || /[:;"([|–—-]\s*$/u.test(sentence.slice(Math.max(0, index - 4), index)),
  }));
}

const capital = /^\p{Lu}/u;
const identifier = /^(?=.*\p{L})(?=.*\d)[\p{L}\d.&/-]+$/u;
const shout = /^\p{Lu}[\p{Lu}\d&/-]+$/u;

/** Headings capitalise Most of Their Words, so capitals mean nothing there. */
function isTitleCase(tokens: readonly Token[]): boolean {
  const long = tokens.filter(({ text }) => text.length > 3 && /\p{L}/u.test(text));
  return long.length > 0 && tokens.length <= 10 &&
    long.filter(({ text }) => capital.test(text)).length >= 0.7 * long.length && long.length >= 2;
}

/**
 * The names in `answer` that `known` doesn't hold. German writes every noun with a capital, so in a German
 * answer only first names, identifiers and what follows Herr, Frau or Dr. count.
 *
 * In doubt it finds nothing: an unknown name of one word that opens a sentence is found only if it is
 * a common first name, and a name in lower case is not found.
 *
 * ```ts
 * const known = knownWords("Ana will call the supplier.");
 * const names = inventedNames("Ana will call the supplier, and Paul Braun will help.", known, "en");
 * if (names.join() !== "Paul,Braun") throw new Error(names.join());
 * ```
 */
export function inventedNames(answer: string, known: KnownWords, language: string | null): string[] {
  const sentences = sentencesOf(answer).map(tokensOf);
  const small = new Set(
    sentences.flat().map(({ text }) => text).filter((text) => /^\p{Ll}+$/u.test(text)).map(fold),
  );
  const strange = ({ text }: Token) =>
    (capital.test(text) || identifier.test(text)) && /\p{L}/u.test(text) && !/^\d/.test(text) &&
    !isKnown(text, known) && !isCommon(text) && !small.has(fold(text));
  const found = sentences.flatMap((tokens) => {
    const heading = isTitleCase(tokens);
    return tokens.filter((token, at) => strange(token) && isName(tokens, at, heading, language, strange));
  });
  return [...new Set(found.map(({ text }) => text.replace(/'s$/, "")))];
}

const titles = new Set(["herr", "herrn", "frau", "dr", "prof", "mr", "mrs", "ms", "monsieur", "madame"]);

function isName(
  tokens: readonly Token[],
  at: number,
  heading: boolean,
  language: string | null,
  strange: (token: Token) => boolean,
): boolean {
  const [before, token, after] = [tokens[at - 1], tokens[at], tokens[at + 1]];
  if (!token) return false;
  if (firstNames.has(fold(token.text).replace(/'s$/, "")) || identifier.test(token.text)) return true;
  if (before && (titles.has(fold(before.text)) || firstNames.has(fold(before.text)))) return true;
  if (heading || language === "de") return false;
  if (shout.test(token.text)) return true;
  if (!token.initial) return true;
  return after !== undefined && !after.initial && strange(after);
}
