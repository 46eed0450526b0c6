/**
 * A summariser of meeting notes that is no language model: it writes nothing, it picks sentences. Rules
 * score each sentence of the notes, the best ones are given in their own order until the asked length is
 * reached. So it can't invent anything, answers at once, says the same every time, and shows what a model has
 * to beat. What it can't do: rephrase, translate, answer a question, or see what the rules don't.
 *
 * The score is Luhn's (1958): how much of a sentence is words that the notes repeat. Sentences that hold a
 * decision, a task, a trouble or a date count more: that is what the absent want to know.
 */
import type { AdapterRequest, LoadContext } from "podium";

interface Rules {
  /** Longest summary, in words, where the request does not say. */
  readonly maxWords: number;
  /** How much a cue adds to a sentence's score. */
  readonly cueWeight: number;
}

/** `options` of the registry's entry: `max_words` (default 80) and `cue_weight` (default 0.5). */
export function load({ options }: LoadContext): Rules {
  const { max_words: maxWords = 80, cue_weight: cueWeight = 0.5 } = options;
  if (typeof maxWords !== "number" || maxWords < 1) {
    throw new RangeError(`"max_words" is ${JSON.stringify(maxWords)}: give a number of at least 1`);
  }
  if (typeof cueWeight !== "number" || cueWeight < 0) {
    throw new RangeError(`"cue_weight" is ${JSON.stringify(cueWeight)}: give a number of at least 0`);
  }
  return { maxWords, cueWeight };
}

/** Streams the summary word by word. */
export async function* generate(rules: Rules, { prompt }: AdapterRequest): AsyncGenerator<string> {
  for (const word of summary(prompt, rules).split(/(?<=\s)(?=\S)/)) yield word;
}

function summary(prompt: string, { maxWords, cueWeight }: Rules): string {
  const { task, notes } = parts(prompt);
  const bullets = bulletsAsked(task);
  const limit = Number(
    /(?:at most|up to|no more than|under|within) (\d+) words/i.exec(task)?.[1] ?? maxWords,
  );
  const sentences = sentencesOf(notes);
  if (sentences.length === 0) return "There are no notes to pick sentences from.";
  const repeated = counts(sentences.flatMap(contentWords));
  const ranked = sentences.map((text, at) => ({ text, at, score: score(text, repeated, cueWeight) }))
    .sort((a, b) => b.score - a.score || a.at - b.at);
  const chosen: typeof ranked = [];
  let words = 0;
  for (const sentence of ranked) {
    if (chosen.length === bullets) break;
    const more = wordsOf(sentence.text).length;
    if (chosen.length > 0 && words + more > limit) continue;
    chosen.push(sentence);
    words += more;
  }
  const picked = chosen.sort((a, b) => a.at - b.at).map(({ text }) => text);
  return bullets === null ? picked.join(" ") : picked.map((text) => `- ${text}`).join("\n");
}

/** The question stands before the notes; where nothing parts them, all of it is notes. */
function parts(prompt: string): { readonly task: string; readonly notes: string } {
  const mark = /^(?:notes|transcript|minutes):[ \t]*$/im.exec(prompt);
  const at = mark === null ? prompt.indexOf("\n\n") : mark.index + mark[0].length;
  return at < 0 ? { task: prompt, notes: prompt } : { task: prompt.slice(0, at), notes: prompt.slice(at) };
}

const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/** How many points were asked for; null where running text will do. */
function bulletsAsked(task: string): number | null {
  const asked = /(\w+) (?:short |brief )?(?:bullets?|bullet points?|points|items)\b/i.exec(task)?.[1]
    ?.toLowerCase();
  if (asked === undefined) return null;
  const count = /^\d+$/.test(asked) ? Number(asked) : numberWords.indexOf(asked);
  return count > 0 ? count : 5;
}

/** Headings, lists of people and what has no verb's worth of words say nothing by themselves. */
function sentencesOf(notes: string): string[] {
  return notes.split("\n")
    .map((line) => line.replace(/^\s*(?:[-*•]|\d+[.)])\s+/, "").trim())
    .filter((line) => !/^(?:present|facilitator|attendees|absent|chair|minutes)\b.*:/i.test(line))
    .flatMap((line) => line.split(/(?<=[.!?])\s+(?=[\p{Lu}\d"“])/u))
    .filter((text) => wordsOf(text).length >= 4 && /[.!?]$/.test(text));
}

const wordsOf = (text: string): string[] => text.match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu) ?? [];

const stopWords = new Set(
  ("a about after all also an and any are as at be been before but by can could did do does for from had has have " +
    "he her his how i if in into is it its more most no not of on one or our out over she so some than that the " +
    "their them then there they this to up us was we were what when which who will with would you").split(
      " ",
    ),
);

const contentWords = (text: string) =>
  wordsOf(text).map((word) => word.toLowerCase()).filter((word) => word.length > 2 && !stopWords.has(word));

function counts(words: readonly string[]): ReadonlyMap<string, number> {
  const seen = new Map<string, number>();
  for (const word of words) seen.set(word, (seen.get(word) ?? 0) + 1);
  return seen;
}

const cues = [
  /\b(?:will|shall|agreed|decided|decision|approved|chosen|takes|owns|responsible)\b/i,
  /\b(?:fail\w*|broken|blocked|down|crash\w*|late|risk\w*|problem\w*|missing|still)\b/i,
  /\b(?:finished|done|shipped|live|fixed|works|stays|moved|postponed|until|deadline|by)\b/i,
  /\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b\d+\b/i,
];

function score(text: string, repeated: ReadonlyMap<string, number>, cueWeight: number): number {
  const words = contentWords(text);
  const telling = words.filter((word) => (repeated.get(word) ?? 0) > 1).length;
  const found = cues.filter((cue) => cue.test(text)).length;
  return telling / Math.max(6, words.length) + cueWeight * found;
}
