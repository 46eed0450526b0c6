/** The answers side by side, since speed alone is no reason to recommend a model. */
import type { AnswerRecord } from "../bench/records.ts";
import type { Summary } from "../bench/summary_schema.ts";
import type { AnswerQuality, QualityReport } from "../quality/quality_schema.ts";
import type { RunData } from "./run_data.ts";
import { type Markup, markup, trusted } from "../markup.ts";
import { verdictOn } from "./quality_table.ts";
import { excerpt, swatch, textBlock } from "./page_parts.ts";

/** A page shows the answers to this many prompts at most, each cut at this many characters. */
const maxAnsweredPrompts = 40;
const maxAnswerChars = 6000;

/** What the page shows of a run's answers. */
interface AnswersInput {
  readonly summary: Summary;
  readonly data: RunData;
  readonly answers: ReadonlyMap<string, ShownAnswer>;
  readonly quality: QualityReport | null;
}

/** Every candidate's answer to each prompt; null where no answer was kept. */
export function answerSection(input: AnswersInput): Markup | null {
  const { answers, quality } = input;
  const { candidates, plan } = input.summary;
  if (answers.size === 0) return null;
  const answered = plan.prompt_set.prompts.filter((prompt) =>
    candidates.some(({ id }) => answers.has(answerKey(id, prompt.id)))
  );
  const shown = answered.slice(0, maxAnsweredPrompts);
  return markup`<section><h2>Answers side by side</h2>
<p class="note">The first timed answer of each candidate, unchanged. ${
    quality === null || quality.answers.length === 0
      ? "No answer was checked or rated."
      : "The result of its checks is below each answer."
  }${
    plan.prefix === "cold" &&
    " Each request begins with a different number, so repeats may differ even at temperature 0."
  }</p>
${
    answered.length > shown.length &&
    markup`<p class="note">The first ${shown.length} of ${answered.length} prompts; answers.jsonl holds all.</p>`
  }${shown.map((prompt, at) => promptAnswers(prompt, at === 0, input))}</section>`;
}

/** A prompt that opens to its text and the answers to it. */
function promptAnswers(
  { id, messages }: Summary["plan"]["prompt_set"]["prompts"][number],
  isOpen: boolean,
  { summary, data, answers, quality }: AnswersInput,
): Markup {
  const each = summary.candidates.map((candidate, index) => {
    const answer = answers.get(answerKey(candidate.id, id));
    const scored = quality?.answers.find((one) => one.id === answer?.id);
    return markup`<div class="answer"><h4>${swatch(index)}${candidate.id}</h4>${
      answer === undefined
        ? markup`<p class="note">no answer</p>`
        : answerMarkup(answer, data.failures.get(answer.id), scored)
    }</div>`;
  });
  return markup`<details ${trusted(isOpen ? "open" : "")}><summary>${id}<span class="sub">${
    excerpt(messages.at(-1)?.content ?? "", 90)
  }</span></summary>
${
    messages.map(({ role, content }) =>
      markup`<div class="prompt"><span class="sub">${role}</span>${textBlock(content, maxAnswerChars)}</div>`
    )
  }
<div class="answers">${each}</div></details>`;
}

function answerMarkup(
  { content, reasoning, n, different }: ShownAnswer,
  failure: string | undefined,
  scored: AnswerQuality | undefined,
): Markup {
  const repeats = n === 1
    ? "1 answer"
    : `${n} answers, ${different === 1 ? "all the same" : `${different} different`}`;
  return markup`
${textBlock(content, maxAnswerChars)}
${
    reasoning !== "" &&
    markup`<details><summary>Reasoning</summary>${textBlock(reasoning, maxAnswerChars)}</details>`
  }
<p class="note">${repeats}${failure !== undefined && ` · failed: ${failure}`}</p>${
    scored !== undefined && verdictOn(scored)
  }`;
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
