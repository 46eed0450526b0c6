/** report.html: one file that opens anywhere, loads nothing and runs nothing. */
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
import { counted } from "./format.ts";
import { instrumentSection } from "./instrument.ts";
import { type Markup, markup, trusted } from "./markup.ts";
import { highlights } from "./highlights.ts";
import { machineText, mostlyDisturbed, planText, type ReportOptions } from "./summary_text.ts";
import { qualityTable } from "./quality_table.ts";
import { pageStyle } from "./page_style.ts";
import {
  comparisonTable,
  disturbedTable,
  footprintTable,
  loadTable,
  serverTable,
  throughputTable,
  timeTable,
} from "./tables.ts";

/** Everything a page is made of. */
export interface PageInput {
  readonly summary: Summary;
  readonly data: RunData;
  readonly answers: ReadonlyMap<string, ShownAnswer>;
  /** Of the machine of the run, as it was last; null where none was made. */
  readonly selfcheck: SelfcheckResult | null;
  /** Checks and ratings; null where nobody has scored the run. */
  readonly quality: QualityReport | null;
  readonly options: ReportOptions;
}

/**
 * The whole report as one HTML document. Whatever models, prompts or services said is escaped, and a content
 * policy inside the page forbids scripts and loads of any kind.
 *
 * @example
 * ```ts ignore
 * await Deno.writeTextFile("report.html", reportPage({ summary, data, answers, selfcheck: null, quality: null, options: {} }));
 * ```
 */
export function reportPage({ summary, data, answers, selfcheck, quality, options }: PageInput): string {
  const title = pageTitle(summary);
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  return String(markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="${policy}">
        <meta name="color-scheme" content="light dark">
        <link rel="icon" href="data:,">
        <title>${title} · Podium</title>
        <style>${trusted(pageStyle)}</style>
      </head>
      <body>
        <header>
          <p class="kicker">Podium benchmark · ${summary.created_at.slice(0, 10)} · ${summary.status}</p>
          <h1>${title}</h1>
          <p class="lede">${machineText(summary)}</p>
        </header>
        <main>
          <ul class="highlights" aria-label="Highlights">
            ${
    highlights(summary, quality).map(({ kind, text }) => markup`<li class="${kind}">${named(text)}</li>`)
  }
          </ul>
    ${results(summary, data, quality, options)}
    ${anythingMeasured(summary) ? measurements(summary, data) : null}
    ${answerSection(summary, data, answers, quality)}
    ${warningSection(summary)}
    ${conditions(summary, data)}
    ${instrumentSection(selfcheck)}
    ${wording(summary)}
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

/** Names between backticks become code. */
function named(text: string): Markup[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? markup`<code>${part}</code>` : markup`${part}`));
}

function results(
  summary: Summary,
  data: RunData,
  quality: QualityReport | null,
  options: ReportOptions,
): Markup {
  const energy = options.watts === undefined ? null : markup`
    Energy is an estimate: output tokens ÷ tokens/s × ${options.watts} W, the watts as stated, not measured.
  `;
  return markup`<section><h2>Results</h2>
${timeTable(summary)}
${throughputTable(summary)}
${footprintTable(summary, data, options)}
${loadTable(summary)}
${serverTable(summary, data)}
${quality === null ? null : qualityTable(summary, quality)}
<p class="note">n counts good timed requests${
    mostlyDisturbed(summary) ? "" : " in quiet blocks"
  }. Under a mean and a p95 stands the 95 % interval. ${
    prefixText(summary)
  } ≈ marks figures that rest on estimated token counts. Memory is the largest resident size of the engine process
seen between requests, blank where nobody reports it.${energy}</p></section>`;
}

function prefixText({ plan }: Summary): string {
  const texts: Record<Summary["plan"]["prefix"], string> = {
    "cold":
      "Cold prefix: a number that no earlier request had opens every prompt, so the prompt cache is of no use.",
    "warm":
      "Warm prefix: the same prompt was sent right before, so first tokens profit from the prompt cache.",
    "as is": "Prompts were sent as they are: first tokens may profit from whatever the prompt cache held.",
  };
  return texts[plan.prefix];
}

function figureMarkup(figure: Figure): Markup {
  return markup`<figure><h3>${figure.title}</h3>${
    trusted(figure.svg)
  }<figcaption>${figure.caption}</figcaption></figure>`;
}

function measurements(summary: Summary, data: RunData): Markup {
  const total = measuredPrompts(summary, data).length;
  const first = total > maxPrompts ? ` The first ${maxPrompts} of ${total} prompts are drawn.` : "";
  const byPrompt = promptDistributions(summary, data);
  const ratios = comparisonFigures(summary);
  const tokens = timelines(summary, data);
  return markup`
    <section>
      <h2>Distributions</h2>
      <div class="figures">${distributionFigures(summary, data).map(figureMarkup)}</div>
    </section>
    <section><h2>By prompt</h2>
    ${first !== "" && markup`<p class="note">${first}</p>`}
    <div class="figures">${promptBoxes(summary, data).map(figureMarkup)}</div>
    ${
    byPrompt.length > 0 && markup`
      <details>
        <summary>Distributions of each prompt</summary>
        <div class="figures">${byPrompt.flatMap((one) => one.figures.map(figureMarkup))}</div>
      </details>
    `
  }</section>
    ${
    ratios.length > 0 && markup`<section><h2>Compared block by block</h2>
<div class="figures">${ratios.map(figureMarkup)}</div>
<details><summary>Every comparison</summary>${comparisonTable(summary)}</details></section>`
  }
    ${
    tokens.length > 0 && markup`
      <section>
        <h2>Tokens as they arrived</h2>
        <div class="figures">${tokens.map(figureMarkup)}</div>
      </section>
    `
  }
  `;
}

function warningSection(summary: Summary): Markup | null {
  if (summary.warnings.length === 0) return null;
  const items = summary.warnings.map((one) =>
    markup`<li>${one.message}<span class="remedy">${one.remedy}</span></li>`
  );
  return markup`
    <section>
      <h2>Warnings</h2>
      <ul class="warnings">${items}</ul>
    </section>
  `;
}

const maxBlocksNamed = 60;

function conditions(summary: Summary, data: RunData): Markup {
  const { plan, machine } = summary;
  const versions = Object.entries(summary.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const facts: [string, string][] = [
    ["Run", summary.run_id],
    ["Machine", machineText(summary)],
    ["Plan", planText(summary)],
    ["Prompt set", `${plan.prompt_set.name}, sha256 ${plan.prompt_set.sha256.slice(0, 16)}…`],
    ["Sampling seed", plan.sampling_seed === null ? "none" : String(plan.sampling_seed)],
    ["Time-out", `${plan.timeout_s} s`],
    ["Versions", versions],
    ["GPU", machine.gpu.length === 0 ? "none seen" : machine.gpu.join(", ")],
  ];
  return markup`<section><h2>Conditions</h2>
<dl>${
    facts.map(([name, value]) =>
      markup`
        <div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>
${disturbance(summary, data)}
<p class="note">Raw records: samples.jsonl and answers.jsonl beside this page. <code>deno task report ${summary.run_id}</code>
makes it again from them.</p></section>`;
}

function disturbance(summary: Summary, data: RunData): Markup {
  const { timed, disturbed } = summary.blocks;
  if (disturbed === 0) return markup`<p>${counted(timed, "block")} timed, none disturbed.</p>`;
  const named = data.disturbed.slice(0, maxBlocksNamed).map(({ block, reason }) =>
    markup`<li>block ${block}: ${reason}</li>`
  );
  const more = data.disturbed.length - named.length;
  const what = mostlyDisturbed(summary)
    ? "That is most of them: a quiet rest would be a chance selection, so every figure rests on all blocks and no comparison is settled."
    : "They are left out of the headline for all candidates alike; the full set stands beside.";
  return markup`
    <h3>Disturbed blocks</h3>
    <p>${disturbed} of ${timed} blocks met other work on the machine. ${what}</p>
    ${disturbedTable(summary)}
    <details>
      <summary>Which, and why</summary>
      <ul>${named}${more > 0 && markup`<li>and ${more} more</li>`}</ul>
    </details>
  `;
}

function wording(summary: Summary): Markup {
  const order = summary.plan.order === "interleaved"
    ? "Every block asked one prompt of every candidate in random order, so that a machine that warms up or gets busy meets all alike."
    : "The candidates ran one after another, since they don't fit in memory together: drift of the machine was not controlled.";
  return markup`
    <section>
      <h2>How to read this</h2>
      <dl>
        <div>
          <dt>Latency</dt>
          <dd>from when a request was due to the last generated token</dd>
        </div>
        <div>
          <dt>First token (TTFT)</dt>
          <dd>from due to the first generated token, visible or reasoning</dd>
        </div>
        <div>
          <dt>Output tokens/s</dt>
          <dd>generated tokens over the whole latency; prompt tokens never count</dd>
        </div>
        <div>
          <dt>Decode tokens/s</dt>
          <dd>1 ÷ the time per token once the first has come</dd>
        </div>
        <div>
          <dt>Gap</dt>
          <dd>between two chunks of a stream, every one counted; a chunk is not a token</dd>
        </div>
        <div>
          <dt>95 % interval</dt>
          <dd>of a mean: repeats of a prompt are not taken as independent; of a p95: free of any assumed distribution, from n = 59</dd>
        </div>
      </dl>
      <p>${order}</p>
    </section>
  `;
}
