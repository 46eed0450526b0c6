/** report.html: one file that opens anywhere, loads nothing and runs no script. */
import { prefixText } from "../bench/records.ts";
import type { Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import type { Figure } from "../plot/figure.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { answerSection } from "./answers.ts";
import type { ShownAnswer } from "./answers.ts";
import type { RunData } from "./run_data.ts";
import {
  anythingMeasured,
  comparisonFigures,
  distributionFigures,
  maxPrompts,
  measuredPrompts,
  promptBoxes,
  promptDistributions,
  timelines,
} from "./figures.ts";
import { conditionsSection, instrumentSection, readingSection } from "./conditions.ts";
import { errorSection } from "./error_section.ts";
import { lengthFigures } from "./by_length.ts";
import { sustainedFigures } from "./sustained.ts";
import { sentence } from "./format.ts";
import { type Content, type Markup, markup } from "../markup.ts";
import { figureMarkup, pageHead, prose, withNames } from "./page_parts.ts";
import { highlights } from "./highlights.ts";
import {
  energyText,
  machineText,
  mostlyDisturbed,
  prefixMeanings,
  type ReportOptions,
} from "./summary_text.ts";
import { taskMarkup, taskPlots } from "./task_section.ts";
import { qualityTable } from "./quality_table.ts";
import {
  comparisonTable,
  footprintTable,
  lengthTable,
  loadTable,
  serverTable,
  throughputTable,
  timeTable,
} from "./tables.ts";

/** Everything that a page is made of. */
export interface PageInput {
  readonly summary: Summary;
  readonly data: RunData;
  readonly answers: ReadonlyMap<string, ShownAnswer>;
  /** The last self-check on the machine of the run; null where none was made. */
  readonly selfcheck: SelfcheckResult | null;
  /** Checks and ratings; null where no answer was scored. */
  readonly quality: QualityReport | null;
  /** Answers that are not right, by the request's id. */
  readonly failedTexts: ReadonlyMap<string, string>;
  readonly options: ReportOptions;
}

/**
 * The whole report as one HTML document. All text from models, prompts and services is escaped, and a content
 * security policy in the page forbids scripts and loads of any kind.
 *
 * ```ts ignore
 * await Deno.writeTextFile("report.html", reportPage({ summary, data, answers, selfcheck: null, quality: null, failedTexts: new Map(), options: {} }));
 * ```
 */
export function reportPage(input: PageInput): string {
  const { summary, data, selfcheck, quality, failedTexts, options } = input;
  const title = pageTitle(summary);
  return String(markup`<!doctype html>
    <html lang="en">
      ${pageHead(title)}
      <body>
        <header>
          <p class="kicker">Podium benchmark · ${summary.created_at.slice(0, 10)} · ${summary.status}</p>
          <h1>${title}</h1>
          <p class="lede">${machineText(summary)}</p>
        </header>
        <main>
          ${readingSection(summary)}
          <ul class="highlights" aria-label="Highlights">
            ${
    highlights(summary, quality).map(({ kind, text }) => markup`<li class="${kind}">${withNames(text)}</li>`)
  }
          </ul>
    ${results(summary, data, quality, options)}
    ${anythingMeasured(summary) ? measurements(summary, data, quality) : null}
    ${warningSection(summary)}
    ${errorSection(summary, quality, failedTexts)}
    ${answerSection(input)}
    ${conditionsSection(summary, data)}
    ${instrumentSection(selfcheck)}
        </main>
      </body>
    </html>
`);
}

function pageTitle({ candidates }: Summary): string {
  const names = candidates.map((one) => one.id);
  if (names.length > 3) return `${names.length} candidates compared`;
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function results(
  summary: Summary,
  data: RunData,
  quality: QualityReport | null,
  options: ReportOptions,
): Markup {
  return markup`<section><h2>Results</h2>
${quality === null ? null : markup`${qualityTable(summary, quality)}${taskMarkup(quality)}`}
${timeTable(summary)}
${throughputTable(summary)}
${lengthTable(summary, quality)}
${footprintTable(summary, data, options)}
${loadTable(summary)}
${serverTable(summary, data)}
<p class="note">n is the number of successful timed requests${
    mostlyDisturbed(summary) ? "" : " in quiet blocks"
  }. The 95 % interval is below each mean and p95. Candidates are compared block by block, by the geometric mean of the
ratios: a few long answers can move a mean, but not this comparison. ${
    sentence(`${prefixText(summary.plan.prefix)}: ${prefixMeanings[summary.plan.prefix]}`)
  } ≈ marks figures that depend on estimated token counts. Memory is the largest resident size of the engine process
between requests, blank where it was not reported.${
    options.watts !== undefined && ` ${energyText(options)}`
  }</p></section>`;
}

/** What was measured, as figures; a section without any is left out. */
function measurements(summary: Summary, data: RunData, quality: QualityReport | null): Content {
  const total = measuredPrompts(summary, data).length;
  const byPrompt = promptDistributions(summary, data).map(figureMarkup);
  return [
    figureSection("Right and wrong answers", quality === null ? [] : taskPlots(quality)),
    figureSection("Over time", sustainedFigures(summary, data)),
    figureSection("By prompt length", lengthFigures(summary, quality)),
    figureSection("Distributions", distributionFigures(summary, data)),
    figureSection("By prompt", promptBoxes(summary, data), [
      total > maxPrompts &&
      markup`<p class="note">The figures show the first ${maxPrompts} of ${total} prompts.</p>`,
      byPrompt.length > 0 &&
      markup`<details><summary>Distribution for each prompt</summary>
<div class="figures">${byPrompt}</div></details>`,
    ]),
    figureSection(
      "Compared block by block",
      comparisonFigures(summary),
      markup`<details><summary>All comparisons</summary>${comparisonTable(summary)}</details>`,
    ),
    figureSection("Tokens as they arrived", timelines(summary, data)),
  ];
}

function figureSection(title: string, figures: readonly Figure[], below: Content = null): Markup | null {
  return figures.length === 0 ? null : markup`<section><h2>${title}</h2>
<div class="figures">${figures.map(figureMarkup)}</div>${below}</section>`;
}

function warningSection(summary: Summary): Markup | null {
  if (summary.warnings.length === 0) return null;
  const items = summary.warnings.map((one) =>
    markup`<li><strong>${prose(sentence(one.message))}</strong> ${prose(sentence(one.remedy))}</li>`
  );
  return markup`
    <section>
      <h2>Warnings</h2>
      <ul class="warnings">${items}</ul>
    </section>
  `;
}
