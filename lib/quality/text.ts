/** Words, sentences and list items of an answer: counted the same way in every language. */
import { separateReasoning } from "../endpoint/reasoning.ts";

/** Longest answer that is checked, in UTF-16 code units; the rest of a runaway generation is ignored. */
const longestAnswer = 20_000;

/**
 * What a reader sees of an answer: without reasoning, and cut to {@link longestAnswer}. Answers that Podium
 * records come without reasoning; those of older runs and of imported files may still contain it. An answer
 * of white space and invisible characters is empty.
 *
 * ```ts
 * if (visibleAnswer("<think>hm</think>\nYes.") !== "Yes.") throw new Error("the thought is no answer");
 * ```
 */
export function visibleAnswer(content: string): string {
  const visible = separateReasoning(content).answer.slice(0, longestAnswer).trim();
  return /[^\s\p{Cf}\u2800\u3164]/u.test(visible) ? visible : "";
}

/**
 * Text without Markdown's emphasis, code marks and links, with straight quotes and plain spaces; the lines
 * stay as they are.
 *
 * ```ts
 * plainText("**Owner:** `Ana`"); // "Owner: Ana"
 * ```
 */
export function plainText(markdown: string): string {
  return markdown.normalize("NFC")
    .replaceAll(/\r\n?/g, "\n")
    .replaceAll(/[\u2018\u2019\u02bc]/g, "'")
    .replaceAll(/[\u201c\u201d\u201e\u00ab\u00bb]/g, '"')
    .replaceAll(/[\u00a0\u202f\u2009]/g, " ")
    .replaceAll(/\[([^[\]\n]{0,200})\]\([^)\n]{0,500}\)/g, "$1")
    .replaceAll(/\*\*|__|`/g, "")
    .replaceAll(/(^|\s)[*_](?=\S)|(?<=\S)[*_](?=\s|[.,;:!?)]|$)/gm, "$1");
}

/**
 * Whether an answer holds a text: as it is, or apart from Markdown's marks and kinds of quotation mark and,
 * unless `matchCase`, letter case and accents. A text of such marks alone must be there as it is.
 *
 * ```ts
 * if (!holdsText("**Owner:** `Ana`", "owner: ana", false)) throw new Error("the marks don't count");
 * if (holdsText("Ana", "**", false)) throw new Error("nothing in it is bold");
 * ```
 */
export function holdsText(answer: string, text: string, matchCase: boolean): boolean {
  if (answer.includes(text)) return true;
  const [wanted, given] = [plainText(text), plainText(answer)];
  if (wanted.trim() === "") return false;
  return matchCase ? given.includes(wanted) : fold(given).includes(fold(wanted));
}

/**
 * Lower case without accents, so that a missing accent doesn't make another word; full-width letters are
 * plain ones. Vowel signs and the like, which are part of a word in other scripts, stay.
 *
 * ```ts
 * fold("Zoë Müller"); // "zoe muller"
 * ```
 */
export function fold(text: string): string {
  // Most words are plain: nothing to decompose.
  if (!/[^\0-\x7f]/.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replaceAll(/[\u0300-\u036f]+/g, "").normalize("NFKC").toLowerCase()
    .replaceAll("ß", "ss");
}

/** Scripts that put no spaces between words: a dictionary separates them. */
const unspaced =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}\p{sc=Tibt}]/u;
const dictionary = new Intl.Segmenter("en", { granularity: "word" });

/**
 * The words of a text; a number with its separators, a hyphenated or an apostrophised word is one. Chinese,
 * Japanese, Thai and other scripts without spaces are parted by the platform's dictionary (`Intl.Segmenter`).
 *
 * ```ts
 * const words = wordsOf("Ana's 12,500 euros – well-spent.");
 * if (words.join("|") !== "Ana's|12,500|euros|well-spent") throw new Error(words.join("|"));
 * ```
 */
export function wordsOf(text: string): string[] {
  const runs = plainText(text).match(
    /[\p{L}\p{M}\p{N}\u200c\u200d]+(?:['\-.,:/·׳״‧][\p{L}\p{M}\p{N}\u200c\u200d]+)*/gu,
  ) ?? [];
  return runs.filter((run) => /[^\u200c\u200d]/.test(run)).flatMap((run) =>
    unspaced.test(run)
      ? [...dictionary.segment(run)].filter(({ isWordLike }) => isWordLike).map(({ segment }) => segment)
      : [run]
  );
}

/**
 * Marks of list items: bullets, numbers and single letters of any script, circled and bracketed numbers,
 * emoji of digits. Those of full width, and those that stand for nothing else, need no space after them.
 */
const bullet = new RegExp(
  String.raw`^\s*(?:(?:[-*•–—+‣◦▪○]|\(?(?:\p{Nd}{1,3}|\p{Nl}|[a-zA-Z]|[^\P{Lo}\p{sc=Han}]\p{M}?)[.)])\s+` +
    String
      .raw`|(?:[・●■◆□◇▶➤✓✔✅]|[^\P{No}²³¹¼-¾⅐-⅟]|[0-9]\ufe0f?\u20e3|第?[一二三四五六七八九十]{1,3}[、．]` +
    String
      .raw`|[（(][\d０-９一二三四五六七八九十]{1,3}[）)]|[０-９]{1,3}[．）、.)]|\d{1,3}[．）、])\s*)(?:\[[ xX]\]\s+)?`,
  "u",
);

/**
 * The items of the lists in a text, numbered or with bullets, without their marks.
 *
 * ```ts
 * listItems("Actions:\n- call Ana\n2) write it down"); // ["call Ana", "write it down"]
 * ```
 */
export function listItems(text: string): string[] {
  return plainBulleted(text).split("\n").filter((line) => bullet.test(line))
    .map((line) => line.replace(bullet, "").trim()).filter((item) => item !== "");
}

/** As {@link plainText}, but a star that opens a line stays a bullet. */
function plainBulleted(text: string): string {
  return plainText(text.replaceAll(/^([^\S\r\n]*)\*(?=\s)/gm, "$1-"));
}

/** Abbreviations: their full stop doesn't end a sentence. */
const abbreviations = new Set(
  ("dr mr mrs ms prof st vs approx ca no nr fig dept inc ltd jr sr eg e.g ie i.e al z.b d.h u.a bzw evtl " +
    "ggf inkl exkl str tel abs hr fr sra sr p.ej av env min max jan feb mar apr jun jul aug sep sept oct okt nov dec dez")
    .split(" "),
);

/**
 * The sentences of a text. A heading and an item of a list count as one each; a full stop after a known
 * abbreviation or a single initial ends nothing.
 *
 * ```ts
 * sentencesOf("Dr. Wu agreed. The rest, e.g. Ana, did not!"); // two sentences
 * ```
 */
export function sentencesOf(text: string): string[] {
  return plainBulleted(text).split("\n")
    .map((line) => line.replace(bullet, "").replace(/^\s*#{1,6}\s+/, "").trim())
    .filter((line) => /[\p{L}\p{N}]/u.test(line))
    .flatMap(splitLine);
}

/**
 * A mark and a space before a capital, a digit or a script without capitals; or a mark of another script,
 * which needs no space. A full stop of full width inside a number ends nothing; a semicolon after Greek asks.
 */
const sentenceEnd =
  /(?:[.!?…]|(?<=\p{sc=Grek});)+["')\]]*\s+(?=["'(¿¡]?[\p{Lu}\p{Lt}\p{Lo}\p{sc=Geor}\p{N}])|(?:(?![.!?．၊])\p{STerm}|．(?!\p{N}))+(?![」』])["')\]）]*\s*(?=\S)/gu;

/**
 * Whether the sentences of a text can't be counted, since most of its letters belong to a script without
 * marks at the end of a sentence.
 *
 * ```ts
 * if (!hasNoSentenceMarks("วันนี้อากาศดี") || hasNoSentenceMarks("今日は晴れ。")) throw new Error("Thai has none");
 * ```
 */
export function hasNoSentenceMarks(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return letters > 0 && (text.match(/[\p{sc=Thai}\p{sc=Laoo}\p{sc=Tibt}]/gu)?.length ?? 0) > letters / 2;
}

/** Whether most letters of a text belong to a script without capitals, where names can't be told from words. */
export function hasNoCapitals(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return letters > 0 && (text.match(/\p{Lo}/gu)?.length ?? 0) > letters / 2;
}

function splitLine(line: string): string[] {
  const sentences: string[] = [];
  let start = 0;
  for (const match of line.matchAll(sentenceEnd)) {
    const word = line.slice(wordStart(line, start, match.index), match.index);
    const bare = word.replace(/^["'(]+/, "").toLowerCase();
    const initial = /^[\p{Ll}\p{Lu}]$/u.test(bare);
    const ordinal = match[0].startsWith(".") && /^\d{1,2}$/.test(bare);
    if (match[0].startsWith(".") && (initial || ordinal || abbreviations.has(bare))) continue;
    sentences.push(line.slice(start, match.index + match[0].length).trim());
    start = match.index + match[0].length;
  }
  const rest = line.slice(start).trim();
  return rest === "" ? sentences : [...sentences, rest];
}

/** Where the word begins that ends at `end`; not before `start`. */
function wordStart(line: string, start: number, end: number): number {
  let at = end;
  while (at > start && !/\s/.test(line[at - 1] ?? "")) at--;
  return at;
}

/**
 * The share of a text's sequences of four words that are repeats, 0 to 1; 0 for fewer than five words.
 *
 * ```ts
 * if (repeatedShare("to be or not to be, that is the question") !== 0) throw new Error("two words are no run");
 * if (repeatedShare("I am very sorry. ".repeat(10)) < 0.8) throw new Error("a loop");
 * ```
 */
export function repeatedShare(text: string): number {
  const words = wordsOf(text).map(fold);
  const runs = words.slice(3).map((_, at) => words.slice(at, at + 4).join(" "));
  return runs.length < 2 ? 0 : 1 - new Set(runs).size / runs.length;
}

/** A stretch of a text, and its replacement. */
export interface Span {
  readonly index: number;
  readonly length: number;
  readonly by: string;
}

/**
 * A text with stretches of it replaced, in one pass. Of two that overlap, the one
 * that begins later is left out.
 *
 * ```ts
 * const text = replaceSpans("one two", [{ index: 4, length: 3, by: "2" }, { index: 0, length: 3, by: "1" }]);
 * if (text !== "1 2") throw new Error(text);
 * ```
 */
export function replaceSpans(text: string, spans: readonly Span[]): string {
  const pieces: string[] = [];
  let end = 0;
  for (const { index, length, by } of spans.toSorted((a, b) => a.index - b.index)) {
    if (index < end) continue;
    pieces.push(text.slice(end, index), by);
    end = index + length;
  }
  pieces.push(text.slice(end));
  return pieces.join("");
}
