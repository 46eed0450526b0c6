/** The answers side by side, since speed alone is no reason to recommend a model. */
import type { AnswerRecord } from "../bench/records.ts";
import type { Summary } from "../bench/summary_schema.ts";
import type { AnswerQuality, QualityReport } from "../quality/quality_schema.ts";
import type { RunData } from "./run_data.ts";
import { counted } from "./format.ts";
import { type Markup, markup, trusted } from "../markup.ts";
import { verdictOn } from "./quality_table.ts";
import { swatch } from "./page_parts.ts";

/** A page shows the answers to this many prompts at most, each cut at this many characters. */
const maxAnsweredPrompts = 40;
const maxAnswerChars = 6000;

/** Every candidate's answer to each prompt; null where no answer was kept. */
export function answerSection(
  summary: Summary,
  data: RunData,
  answers: ReadonlyMap<string, ShownAnswer>,
  quality: QualityReport | null,
): Markup | null {
  if (answers.size === 0) return null;
  const scored = new Map(quality?.answers.map((one) => [one.id, one]));
  const prompts = summary.plan.prompt_set.prompts.filter((prompt) =>
    summary.candidates.some(({ id }) => answers.has(answerKey(id, prompt.id)))
  );
  const shown = prompts.slice(0, maxAnsweredPrompts);
  const left = prompts.length > shown.length
    ? markup`<p class="note">The first ${shown.length} of ${prompts.length} prompts; answers.jsonl holds all.</p>`
    : null;
  const items = shown.map((prompt, i) =>
    markup`<details ${trusted(i === 0 ? "open" : "")}><summary>${prompt.id}<span class="sub">${
      excerpt(prompt.messages.at(-1)?.content ?? "")
    }</span></summary>
${
      prompt.messages.map((message) =>
        markup`<div class="prompt"><span class="sub">${message.role}</span>${
          textBlock(message.content)
        }</div>`
      )
    }
<div class="answers">${
      summary.candidates.map((candidate, index) =>
        oneAnswer(candidate.id, index, answers.get(answerKey(candidate.id, prompt.id)), { data, scored })
      )
    }</div></details>`
  );
  return markup`<section><h2>Answers side by side</h2>
<p class="note">The first timed answer of each candidate, unchanged. ${
    scored.size === 0 ? "No answer was checked or rated." : "The result of its checks is below each answer."
  }${
    summary.plan.prefix === "cold" &&
    " Each request begins with a different number, so repeats may differ even at temperature 0."
  }</p>
${left}${items}</section>`;
}

function oneAnswer(
  id: string,
  index: number,
  answer: ShownAnswer | undefined,
  { data, scored }: { data: RunData; scored: ReadonlyMap<string, AnswerQuality> },
): Markup {
  const heading = markup`<h4>${swatch(index)}${id}</h4>`;
  if (answer === undefined) return markup`<div class="answer">${heading}<p class="note">no answer</p></div>`;
  const failure = data.failures.get(answer.id);
  const repeats = answer.n === 1
    ? "1 answer"
    : `${answer.n} answers, ${answer.different === 1 ? "all the same" : `${answer.different} different`}`;
  return markup`<div class="answer">${heading}
${textBlock(answer.content === "" ? "(empty)" : answer.content)}
${
    answer.reasoning !== "" &&
    markup`<details><summary>Reasoning</summary>${textBlock(answer.reasoning)}</details>`
  }
<p class="note">${repeats}${failure !== undefined && ` · failed: ${failure}`}</p>${
    verdictOn(answer.id, scored)
  }</div>`;
}

/** Unchanged text: line breaks are kept, the direction follows the language. */
function textBlock(text: string): Markup {
  return markup`<pre class="text-block" dir="auto">${cut(text)}</pre>`;
}

function cut(text: string): string {
  const left = text.length - maxAnswerChars;
  return left <= 0
    ? text
    : `${text.slice(0, maxAnswerChars)} … (${counted(left, "more character")} in answers.jsonl)`;
}

function excerpt(text: string): string {
  const flat = text.replaceAll(/\s+/g, " ").trim();
  return flat.length > 90 ? `${flat.slice(0, 89)}…` : flat;
}

/** One candidate's answers to one prompt. */
export interface ShownAnswer {
  readonly id: string;
  readonly content: string;
  readonly reasoning: string;
  /** The number of timed answers, and of different texts among them. */
  readonly n: number;
  readonly different: number;
}

/** At most this many different texts are counted per candidate and prompt. */
const maxDifferent = 200;

/**
 * The first timed answer of every candidate to every prompt, and how many different answers its repeats gave.
 * The key is `answerKey(candidate, prompt)`.
 *
 * @example
 * ```ts
 * const answers = await gatherAnswers([
 *   { id: "1", candidate: "a", prompt_id: "p", phase: "timed", round: 1, content: "Yes.", reasoning: "" },
 *   { id: "2", candidate: "a", prompt_id: "p", phase: "timed", round: 2, content: "No.", reasoning: "" },
 * ]);
 * const [shown] = answers.values();
 * if (shown?.different !== 2) throw new Error("two texts were given");
 * ```
 */
export async function gatherAnswers(
  answers: AsyncIterable<AnswerRecord> | Iterable<AnswerRecord>,
): Promise<Map<string, ShownAnswer>> {
  const first = new Map<string, { answer: AnswerRecord; n: number; texts: Set<string> }>();
  for await (const answer of answers) {
    if (answer.phase !== "timed") continue;
    const key = answerKey(answer.candidate, answer.prompt_id);
    const seen = first.get(key);
    if (seen === undefined) first.set(key, { answer, n: 1, texts: new Set([answer.content]) });
    else {
      seen.n++;
      if (seen.texts.size < maxDifferent) seen.texts.add(answer.content);
    }
  }
  return new Map([...first].map(([key, { answer, n, texts }]) => [key, {
    id: answer.id,
    content: answer.content,
    reasoning: answer.reasoning,
    n,
    different: texts.size,
  }]));
}

/** A key for a candidate and a prompt, whatever characters they contain. */
function answerKey(candidate: string, prompt: string): string {
  return JSON.stringify([candidate, prompt]);
}
