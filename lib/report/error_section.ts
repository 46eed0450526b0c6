/** The answers that are not right, grouped and filterable: by CSS alone, since the page runs no script. */
import type { Summary } from "../bench/summary_schema.ts";
import { errorCases, type ErrorGroup, type FailedAnswer } from "../quality/error_cases.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { counted } from "./format.ts";
import { type Markup, markup, trusted } from "../markup.ts";
import { excerpt, swatch, textBlock } from "./page_parts.ts";

/** A page shows this many of them at most, each text cut at this many characters. */
const MOST_ANSWERS = 400;
const MOST_CHARS = 3000;

/**
 * Every group with its answers; null where all answers are right or none was scored.
 *
 * @param texts the answers that are not right, by the request's id
 */
export function errorSection(
  { candidates, plan }: Summary,
  quality: QualityReport | null,
  texts: ReadonlyMap<string, string>,
): Markup | null {
  if (quality === null) return null;
  const { groups, differing, cases } = errorCases(quality, texts);
  if (groups.length === 0) return null;
  const ids = candidates.map(({ id }) => id);
  const questions = new Map(
    plan.prompt_set.prompts.map(({ id, messages }) => [id, messages.at(-1)?.content]),
  );
  const total = groups.reduce((sum, { answers }) => sum + answers.length, 0);
  let left = MOST_ANSWERS;
  const sections = groups.map((group, at) => {
    const shown = group.answers.slice(0, left);
    left -= shown.length;
    return shown.length > 0 &&
      markup`<details open class="error-group g${at}"><summary>${groupName(group)}<span class="sub">${
        counted(group.answers.length, "answer")
      }</span></summary>${
        shown.map((one) =>
          errorArticle(one, ids, questions.get(one.case_id) ?? "", quality.expected?.[one.case_id])
        )
      }</details>`;
  });
  return markup`<section id="errors"><h2>Answers that are not right</h2>
<p class="note">Grouped by state and by the check that decided. Candidates differ in ${
    counted(differing.length, "case")
  } of ${cases}.${
    total > MOST_ANSWERS && ` The first ${MOST_ANSWERS} of ${total} are here; quality errors shows all.`
  }</p>
${filters(groups, ids)}
${sections}</section>`;
}

/** The controls, and what each hides when it is chosen. */
function filters(groups: readonly ErrorGroup[], candidates: readonly string[]): Markup {
  const titles = groups.map((group) => `${groupName(group)} (${group.answers.length})`);
  return markup`<style>${trusted(filterRules(groups.length, candidates.length))}</style>
<div class="filters">
${filter("Group", "error-group", titles)}
${filter("Candidate", "error-candidate", candidates)}
<fieldset><legend>Cases</legend><label><input type="checkbox" id="error-differs"> only where candidates differ</label></fieldset>
</div>`;
}

function groupName({ state, check }: ErrorGroup): string {
  return [state.replaceAll("_", " "), ...(check === null ? [] : [check])].join(" · ");
}

function filter(title: string, name: string, values: readonly string[]): Markup {
  return markup`<fieldset><legend>${title}</legend><label><input type="radio" name="${name}" checked> all</label>${
    values.map((value, at) =>
      markup`<label><input type="radio" name="${name}" id="${name}-${at}"> ${value}</label>`
    )
  }</fieldset>`;
}

/** What a chosen filter hides. */
function filterRules(groups: number, candidates: number): string {
  const hide = "{ display: none; }";
  const each = (count: number, rule: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => rule(at));
  return [
    ...each(groups, (at) => `#errors:has(#error-group-${at}:checked) .error-group:not(.g${at}) ${hide}`),
    ...each(candidates, (at) => `#errors:has(#error-candidate-${at}:checked) .error:not(.c${at}) ${hide}`),
    ...each(
      candidates,
      (at) => `#errors:has(#error-candidate-${at}:checked) .error-group:not(:has(.c${at})) ${hide}`,
    ),
    `#errors:has(#error-differs:checked) .error:not(.differs) ${hide}`,
    `#errors:has(#error-differs:checked) .error-group:not(:has(.differs)) ${hide}`,
  ].join("\n");
}

function errorArticle(
  { candidate, case_id, count, differs, detail, text, diff }: FailedAnswer,
  candidates: readonly string[],
  question: string,
  expected: string | undefined,
): Markup {
  const at = candidates.indexOf(candidate);
  const titled = (title: string, block: Markup) =>
    markup`<div class="answer"><h4>${title}</h4>${block}</div>`;
  return markup`<article class="error c${at}${differs && " differs"}"><h3>${case_id}${
    differs && " ≠"
  }<span class="sub">${swatch(at)}${candidate}${count > 1 && `, ${count} times`}</span></h3>
<p class="note">${detail}</p>
${question !== "" && markup`<p class="question" dir="auto">${excerpt(question, 240)}</p>`}
<div class="answers">${expected !== undefined && titled("Expected", textBlock(expected, MOST_CHARS))}${
    text !== null && titled("Answer", textBlock(text, MOST_CHARS))
  }${diff !== null && titled("Difference", diffBlock(diff))}</div></article>`;
}

function diffBlock(diff: NonNullable<FailedAnswer["diff"]>): Markup {
  return markup`<pre class="text-block diff" dir="auto">${
    diff.map(({ kind, text }) =>
      kind === "same" ? text : kind === "missing" ? markup`<del>${text}</del>` : markup`<ins>${text}</ins>`
    )
  }</pre>`;
}
