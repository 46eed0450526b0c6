/** The closing sections of report.html: under which conditions the figures were measured, and how to read them. */
import type { Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import { counted, sentence } from "./format.ts";
import { type Markup, markup } from "./markup.ts";
import type { RunData } from "./run_data.ts";
import { instrumentText, machineText, planText } from "./summary_text.ts";
import { disturbedTable } from "./tables.ts";

const MAX_BLOCKS_NAMED = 60;

/** Machine, plan, versions and disturbed blocks. */
export function conditionsSection(summary: Summary, data: RunData): Markup {
  const { plan, machine } = summary;
  const versions = Object.entries(summary.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return markup`<section><h2>Conditions</h2>
${
    definitions([
      ["Run", summary.run_id],
      ["Machine", machineText(summary)],
      ["Plan", planText(summary)],
      ["Prompt set", `${plan.prompt_set.name}, sha256 ${plan.prompt_set.sha256.slice(0, 16)}…`],
      ["Sampling seed", plan.sampling_seed === null ? "none" : String(plan.sampling_seed)],
      ["Time limit", `${plan.timeout_s} s per request`],
      ["Versions", versions],
      ["GPU", machine.gpu.length === 0 ? "none found" : machine.gpu.join(", ")],
    ])
  }
${disturbance(summary, data)}
<p class="note">The raw records are in samples.jsonl and answers.jsonl, in the same folder as this page.
<code>deno task report ${summary.run_id}</code> rebuilds the page from them.</p></section>`;
}

function definitions(items: readonly (readonly [string, string])[]): Markup {
  return markup`<dl>${
    items.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
  }</dl>`;
}

function disturbance(summary: Summary, data: RunData): Markup {
  const { timed, disturbed } = summary.blocks;
  if (disturbed === 0) return markup`<p>${counted(timed, "timed block")}, none disturbed.</p>`;
  const named = data.disturbed.slice(0, MAX_BLOCKS_NAMED).map(({ block, reason }) =>
    markup`<li>block ${block}: ${reason}</li>`
  );
  const more = data.disturbed.length - named.length;
  const warning = summary.warnings.find(({ code }) => code === "noise");
  return markup`
    <h3>Disturbed blocks</h3>
    <p>${warning === undefined ? null : sentence(warning.message)}</p>
    ${disturbedTable(summary)}
    <details>
      <summary>Which blocks, and why</summary>
      <ul>${named}${more > 0 && markup`<li>and ${more} more</li>`}</ul>
    </details>
  `;
}

/** What the last self-check found about the timing error of Podium itself; null where none was made. */
export function instrumentSection(check: SelfcheckResult | null): Markup | null {
  if (check === null) return null;
  return markup`
    <section>
      <h2>The instrument</h2>
      <p>${sentence(instrumentText(check))}</p>
      <details>
        <summary>What to trust on this machine</summary>
        <ul>${check.trust.map((text) => markup`<li>${sentence(text)}</li>`)}</ul>
      </details>
    </section>
  `;
}

/** What each figure means. */
export function readingSection(summary: Summary): Markup {
  const order = summary.plan.order === "interleaved"
    ? "Each block sent one prompt to every candidate in random order, so that a machine that warms up or gets busy affects all candidates alike."
    : "The candidates ran one after another, because they don't fit in memory together. Drift of the machine was not controlled.";
  return markup`
    <section>
      <h2>How to read this</h2>
      ${
    definitions([
      ["Latency", "from when a request was due to its last generated token"],
      [
        "First token (TTFT)",
        "from when a request was due to its first generated token, visible or reasoning",
      ],
      ["Output tokens/s", "generated tokens divided by the whole latency; prompt tokens never count"],
      ["Decode tokens/s", "1 ÷ the time per token after the first one"],
      ["Gap", "the time between two chunks of a stream; a chunk is not always one token"],
      [
        "95 % interval",
        "of a mean: repeats of a prompt do not count as independent; of a p95: makes no assumption about the distribution, from n = 59",
      ],
    ])
  }
      <p>${order}</p>
    </section>
  `;
}
