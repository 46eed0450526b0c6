/**
 * Prompts made as long as wanted: a case is surrounded by text that has nothing to do with it, so that speed,
 * and the share of right answers, can be measured against length. The case's documents stand at a seeded
 * place in that text, as in the "needle in a haystack" tests of long contexts (Kamradt 2023; Liu et al. 2024,
 * "Lost in the Middle").
 */
import { type Random, seededRandom, shuffle } from "../stats/random.ts";
import { hashOfCase, type Prompt, type PromptMessage, type PromptSet, promptSet } from "../prompts/prompt.ts";

/** The number of tokens per text: a straight line through counted requests. */
export interface TokenScale {
  /** Tokens of a prompt besides its text: the chat template, a nonce. */
  readonly fixed: number;
  readonly perCharacter: number;
}

/** English prose, where no count is known. */
export const USUAL_SCALE: TokenScale = { fixed: 30, perCharacter: 0.22 };

const WHEN = ["In spring", "Early that week", "After the holidays", "Before the meeting", "On a wet morning"];
const WHO = [
  "the harbour office",
  "a neighbour",
  "the school library",
  "our caretaker",
  "the orchard",
  "a travelling choir",
  "the post office",
];
const DID = ["repaired", "borrowed", "painted", "counted", "moved", "described", "photographed", "forgot"];
const WHAT = [
  "the old rowing boats",
  "a shelf of atlases",
  "several garden chairs",
  "the brass handrail",
  "two crates of pears",
  "the notice board",
  "a worn carpet",
  "the lanterns by the gate",
];
const AND = [
  "and nobody asked why",
  "while the rain went on",
  "as they had done for years",
  "without saying much",
  "and went home before dark",
  "so the path stayed clear",
];

/**
 * Filler sentences without figures, at least as many characters as wanted.
 *
 * @param avoid texts that must not occur, such as expected answers: a sentence with one of them is left out
 *
 * ```ts
 * import { seededRandom } from "../stats/random.ts";
 * const text = distractorText(500, seededRandom("a case"), ["pears"]);
 * if (text.length < 500 || text.includes("pears") || /\d/.test(text)) throw new Error(text);
 * ```
 */
export function distractorText(characters: number, random: Random, avoid: readonly string[] = []): string {
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)] ?? "";
  const banned = avoid.map((text) => text.toLowerCase()).filter((text) => text !== "");
  let [text, sentences, tries] = ["", 0, 0];
  while (text.length < characters && tries++ < 100_000) {
    const sentence = `${pick(WHEN)} ${pick(WHO)} ${pick(DID)} ${pick(WHAT)} ${pick(AND)}.`;
    if (banned.some((one) => sentence.toLowerCase().includes(one))) continue;
    text += `${sentence}${++sentences % 6 === 0 ? "\n" : " "}`;
  }
  return text.trim();
}

/** Each case at each length, and how many cases are already longer than a length and so are missing there. */
export interface PaddedSet {
  readonly set: PromptSet;
  readonly tooLong: ReadonlyMap<number, number>;
}

/**
 * Each case of a set at each of the lengths, as `ID-LENGTH`.
 *
 * @param lengths prompt tokens, by `scale`
 */
export function paddedSet(
  set: PromptSet,
  lengths: readonly number[],
  scale: TokenScale,
  seed: number,
): PaddedSet {
  const tooLong = new Map<number, number>();
  const prompts = lengths.flatMap((length) => {
    // Stratified: the cases' places cover the text evenly, each case with another one at each length.
    const order = shuffle([...set.prompts.keys()], seededRandom(`${seed} places ${length}`));
    return set.prompts.flatMap((prompt, at) => {
      const place = (order.indexOf(at) + 0.5) / set.prompts.length;
      const padded = padPrompt(prompt, length, scale, place, seededRandom(`${seed} ${prompt.id} ${length}`));
      if (padded === null) tooLong.set(length, (tooLong.get(length) ?? 0) + 1);
      return padded ?? [];
    });
  });
  return { set: promptSet({ ...set, name: `${set.name}, by length` }, prompts), tooLong };
}

function padPrompt(
  prompt: Prompt,
  length: number,
  { fixed, perCharacter }: TokenScale,
  place: number,
  random: Random,
): Prompt | null {
  const own = prompt.messages.reduce((sum, { content }) => sum + (content ?? "").length, 0);
  const characters = Math.round((length - fixed) / perCharacter) - own;
  if (characters < 0) return null;
  const text = distractorText(characters, random, expectedTexts(prompt)).slice(0, characters);
  const messages = surround(prompt.messages, prompt.documents, text, place);
  return {
    ...prompt,
    id: `${prompt.id}-${length}`,
    messages,
    wordings: new Map(
      [...prompt.wordings].map(([name, texts]) => [name, surround(texts, prompt.documents, text, place)]),
    ),
    targetTokens: length,
    sha256: hashOfCase({ ...prompt, messages }),
  };
}

/** The expected answer, which must not occur in the surrounding text. */
function expectedTexts({ checks }: Prompt): string[] {
  return checks.flatMap((check) =>
    ["expected", "texts", "answers"].flatMap((key): unknown => Reflect.get(check, key))
  ).filter((one) => typeof one === "string");
}

/** Puts the text around the documents; without documents it comes first, and the task last. */
function surround(
  messages: readonly PromptMessage[],
  documents: readonly string[],
  text: string,
  place: number,
): PromptMessage[] {
  if (text === "") return [...messages];
  const last = messages.findLastIndex(({ role }) => role === "user");
  return messages.map((message, at) => {
    if (at !== last || message.role !== "user") return message;
    const { content } = message;
    const document = documents.find((one) => one !== "" && content.includes(one));
    if (document === undefined) return { ...message, content: `${text}\n\n${content}` };
    const cut = text.lastIndexOf(". ", Math.round(place * text.length)) + 1;
    const [before, after] = [text.slice(0, cut).trim(), text.slice(cut).trim()];
    const surrounded = [before, document, after].filter((part) => part !== "").join("\n\n");
    return { ...message, content: content.replace(document, () => surrounded) };
  });
}

/**
 * The case of a set that a recorded padded prompt was made from, with the recorded text; null where it is no
 * case of the set, or has another text there.
 */
export function originalOf(
  recorded: {
    readonly id: string;
    readonly sha256: string;
    readonly messages: readonly PromptMessage[];
    readonly target_tokens?: number | undefined;
  },
  set: Pick<PromptSet, "prompts">,
): Prompt | null {
  const { id, sha256, messages, target_tokens: targetTokens } = recorded;
  if (targetTokens === undefined) return null;
  const original = set.prompts.find((one) => `${one.id}-${targetTokens}` === id);
  if (original === undefined || hashOfCase({ ...original, messages }) !== sha256) return null;
  const same = messages.every((message, at) => isPadded(original, original.messages[at]?.content, message));
  return same ? { ...original, id, sha256, messages: [...messages], targetTokens } : null;
}

/** Whether a message is the original's, with text before it or around its document. */
function isPadded({ documents }: Prompt, original: string | undefined, { content }: PromptMessage): boolean {
  if (original === undefined) return false;
  const document = documents.find((one) => one !== "" && original.includes(one));
  if (document === undefined) return content.endsWith(original);
  const [before = "", after = ""] = original.split(document);
  return content.startsWith(before) && content.includes(document) && content.endsWith(after);
}
