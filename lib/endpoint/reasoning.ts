/**
 * Separates reasoning from the answer where a model writes both into one text. The markers are those that the
 * parsers of llama.cpp and vLLM know.
 */

/** A text in two parts. */
interface SeparatedText {
  readonly reasoning: string;
  /** The answer: `text.slice(start, end)`. */
  readonly answer: string;
  readonly start: number;
  readonly end: number;
}

interface Marker {
  readonly start: string;
  readonly end: string;
}

const MARKERS: readonly Marker[] = [
  // "Thought" is Marco-o1's, the quick ones are K2's.
  ...[
    "think",
    "thinking",
    "thought",
    "Thought",
    "reasoning",
    "seed:think",
    "longcat_think",
    "think_fast",
    "think_faster",
  ]
    .map((tag) => ({ start: `<${tag}>`, end: `</${tag}>` })),
  { start: "[THINK]", end: "[/THINK]" }, // Magistral
  { start: "<|START_THINKING|>", end: "<|END_THINKING|>" }, // Cohere
  { start: "◁think▷", end: "◁/think▷" }, // Kimi-VL
  { start: "<|begin_of_thought|>", end: "<|end_of_thought|>" }, // OpenThinker, Sky-T1
  { start: "<|think:start|>", end: "<|think:end|>" }, // Solar
  { start: "<|inner_prefix|>", end: "<|inner_suffix|>" }, // Apertus
  ...["thought", "analysis", "commentary"].map((name) => ({
    start: `<|channel>${name}\n`,
    end: "<channel|>",
  })), // Gemma 4
  { start: "<|thought_start|>", end: "<|thought_end|>" }, // MiniCPM
  { start: "<start_working_out>", end: "<end_working_out>" }, // Unsloth's recipe
  { start: "Here are my reasoning steps:", end: "[BEGIN FINAL RESPONSE]" }, // Apriel
  { start: "<unused94>thought\n", end: "<unused95>" }, // MedGemma
  { start: "[unused16]", end: "[unused17]" }, // Pangu
];

/** Granite writes sentences. */
const GRANITE = /^(?:Here is|Here's) my thought process:/;
const GRANITE_ANSWER = /(?:Here is|Here's) my response:/;

/** Whether a closer look is worth it: every marker has one of these. */
const MAY_HOLD_MARKER = /[<[◁]|^\s*(?:Here|analysis)/;

/** The tags that may surround the answer after a reasoning block. */
const ANSWER_TAGS: readonly Marker[] = [
  { start: "<answer>", end: "</answer>" }, // Hunyuan
  { start: "<response>", end: "</response>" }, // Ernie
  { start: "<|START_RESPONSE|>", end: "<|END_RESPONSE|>" },
  { start: "<|begin_of_solution|>", end: "<|end_of_solution|>" },
  { start: "<output>", end: "</output>" }, // Reflection
  { start: "<Output>", end: "</Output>" }, // Marco-o1
  { start: "<SOLUTION>", end: "</SOLUTION>" }, // Unsloth's recipe
  { start: "", end: "[END FINAL RESPONSE]" }, // Apriel, whose reasoning ends with the opening tag
];

/**
 * Separates reasoning from the answer. Reasoning stands at the beginning, between two markers; where
 * the chat template has written the first marker into the prompt, as DeepSeek-R1's does, a closing
 * marker alone ends it. A block without an end is reasoning to the last character. A text without
 * markers is all answer, unchanged.
 *
 * ```ts
 * const { reasoning, answer } = separateReasoning("<think>2 + 2 = 4</think>\n\nFour.");
 * if (reasoning !== "2 + 2 = 4" || answer !== "Four.") throw new Error(answer);
 * if (separateReasoning("2 + 2 = 4\n</think>\nFour.").answer !== "Four.") throw new Error("no opening marker");
 * ```
 */
export function separateReasoning(text: string): SeparatedText {
  if (!MAY_HOLD_MARKER.test(text)) return { reasoning: "", answer: text, start: 0, end: text.length };
  const harmony = separateHarmony(text);
  if (harmony !== null) return harmony;
  const blocks: string[] = [];
  let start = 0;
  for (let block = leadingBlock(text, 0); block !== null; block = leadingBlock(text, start)) {
    blocks.push(block.reasoning);
    start = block.end;
  }
  if (blocks.length === 0) {
    const lone = loneEnd(text);
    if (lone === null) return { reasoning: "", answer: text, start: 0, end: text.length };
    blocks.push(text.slice(0, lone.at));
    start = lone.at + lone.marker.length;
  }
  return answerAt(text, start, text.length, blocks);
}

/** Whether more text could turn the beginning into a marker: until then the text is not shown. */
export function mayBecomeMarker(text: string): boolean {
  const beginning = text.trimStart();
  const starts = [...MARKERS.map(({ start }) => start), "<|channel|>", "Here is my thought process:"];
  return starts.some((start) => start.startsWith(beginning));
}

/** No marker is longer than this, with the blanks after it. */
export const MARKER_CHARS = 64;

/** The end of gpt-oss's reasoning where the server leaves out special tokens. */
const BARE_FINAL = "assistantfinal";

const END_MARKERS = [
  ...MARKERS.map(({ end }) => end),
  "my response:",
  "<|message|>",
  BARE_FINAL,
];

/** Whether reasoning may end in this piece of a text. */
export const mayEndReasoning = (piece: string): boolean =>
  END_MARKERS.some((marker) => piece.includes(marker));

/** A block of reasoning at `from`, after blanks; null where there is none. */
function leadingBlock(text: string, from: number): { reasoning: string; end: number } | null {
  const at = skipBlanks(text, from, text.length);
  const marker = MARKERS.find(({ start }) => text.startsWith(start, at));
  if (marker !== undefined) {
    const inner = at + marker.start.length;
    const end = text.indexOf(marker.end, inner);
    return end < 0
      ? { reasoning: text.slice(inner), end: text.length }
      : { reasoning: text.slice(inner, end), end: end + marker.end.length };
  }
  const granite = GRANITE.exec(text.slice(at, at + 40));
  if (granite === null) return null;
  const inner = at + granite[0].length;
  const found = GRANITE_ANSWER.exec(text.slice(inner));
  return found === null ? { reasoning: text.slice(inner), end: text.length } : {
    reasoning: text.slice(inner, inner + found.index),
    end: inner + found.index + found[0].length,
  };
}

/** The first closing marker in a text without an opening one, unless quoted or in a code block. */
function loneEnd(text: string): { at: number; marker: string } | null {
  let first: { at: number; marker: string } | null = null;
  for (const { end: marker } of MARKERS) {
    let [fences, fence] = [0, text.indexOf("```")];
    for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at + 1)) {
      if (first !== null && at >= first.at) break;
      for (; fence >= 0 && fence < at; fence = text.indexOf("```", fence + 3)) fences++;
      if (fences % 2 === 1 || isQuoted(text, at, marker)) continue;
      first = { at, marker };
      break;
    }
  }
  return first;
}

const QUOTES = "`\"'“‘«";

function isQuoted(text: string, at: number, marker: string): boolean {
  const [before, after] = [text[at - 1], text[at + marker.length]];
  return before !== undefined && after !== undefined && QUOTES.includes(before);
}

/** The answer between `from` and `to`, without blanks before it and without tags around it. */
function answerAt(text: string, from: number, to: number, blocks: readonly string[]): SeparatedText {
  let start = skipBlanks(text, from, to);
  let end = to;
  const tags = ANSWER_TAGS.find((one) => text.startsWith(one.start, start));
  if (tags !== undefined) {
    start = skipBlanks(text, start + tags.start.length, to);
    const closing = text.lastIndexOf(tags.end);
    if (closing >= start) end = closing;
    if (end < to || tags.start !== "") { while (end > start && isBlank(text, end - 1)) end--; }
  }
  const reasoning = blocks.map((block) => block.trim()).filter((block) => block !== "").join("\n\n");
  return { reasoning, answer: text.slice(start, end), start, end };
}

const isBlank = (text: string, at: number) => /\s/.test(text[at] ?? "");

function skipBlanks(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && isBlank(text, at)) at++;
  return at;
}

/** gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`. */
const HARMONY_CHANNEL = /<\|channel\|>\s*(\w+)\b[^<]*<\|message\|>/g;
const HARMONY_END = /<\|(?:end|return|call|start|channel)\|>/g;
/** The same where the server drops special tokens: `analysis…assistantfinal…`, maybe a commentary. */
const HARMONY_BARE = /^\s*analysis(?=[A-Z\s])/;
const BARE_COMMENTARY = "assistantcommentary";

function separateHarmony(text: string): SeparatedText | null {
  const bare = HARMONY_BARE.exec(text)?.[0].length ?? null;
  const final = bare === null ? -1 : text.indexOf(BARE_FINAL, bare);
  if (bare !== null && final >= 0) {
    const commentary = text.indexOf(BARE_COMMENTARY, bare);
    const end = commentary >= 0 ? Math.min(commentary, final) : final;
    return answerAt(text, final + BARE_FINAL.length, text.length, [text.slice(bare, end)]);
  }
  if (!/^\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>/.test(text)) return null;
  const blocks: string[] = [];
  let answer: { from: number; to: number } = { from: text.length, to: text.length };
  for (const found of text.matchAll(HARMONY_CHANNEL)) {
    const from = found.index + found[0].length;
    HARMONY_END.lastIndex = from;
    const to = HARMONY_END.exec(text)?.index ?? text.length;
    if (found[1] === "final") answer = { from, to };
    else blocks.push(text.slice(from, to));
  }
  return answerAt(text, answer.from, answer.to, blocks);
}
