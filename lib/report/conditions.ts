/** How to read report.html, which opens it, and under which conditions its figures were measured, which closes it. */
import type { Summary } from "../bench/summary_schema.ts";
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import { counted, sentence, unbroken } from "./format.ts";
import { type Markup, markup } from "../markup.ts";
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
    items.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${unbroken(value)}</dd></div>`)
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

/** The words of tables, findings and warnings. A test holds that no warning uses a word that is not here. */
const WORDS: readonly (readonly [string, string])[] = [
  [
    "Case, prompt, round, block",
    "a case is one prompt to answer; a round sends every case once; a block is one case, sent once to every candidate",
  ],
  [
    "Candidate",
    "a model with its variant, settings and endpoint; a service is the program behind an endpoint, an engine runs the " +
    "model, a device (CPU, GPU or NPU) computes it",
  ],
  ["Latency (E2E latency)", "from when a request was due to its last generated token"],
  ["First token (TTFT)", "from when a request was due to its first generated token, visible or reasoning"],
  [
    "Gap (ITL), chunk, streamed",
    "a streamed answer arrives in chunks, and a gap is the time between two; a chunk is not always one token",
  ],
  ["TPOT", "time per output token after the first one; decode tokens/s is its inverse"],
  [
    "Prefill, decode",
    "reading the prompt, up to the first token; writing the answer, from the first to the last token",
  ],
  ["Output tokens/s", "generated tokens divided by the whole latency; prompt tokens never count"],
  [
    "≈, estimates, usage",
    "token counts come from the usage that a service reports; else they are estimates from the number of chunks or " +
    "characters (chars/4), and ≈ marks what depends on them",
  ],
  ["Cut", "an answer that ended at the limit of --max-tokens and not by itself"],
  [
    "n, p95, 95 % interval",
    "n counts requests; 95 % of requests took at most the p95; an interval would hold the true value in 95 of 100 such " +
    "runs. Repeats of a prompt do not count as independent; the interval of a p95 assumes no distribution, from n = 59",
  ],
  [
    "Better, similar, undecided",
    "better: the interval of the ratio excludes 1, corrected over all comparisons (Holm); similar: it lies within " +
    "±10 %; undecided: neither. Each verdict names its scope: these cases, cases like these, or this load",
  ],
  [
    "Cold, warm, as is; cached",
    "whether the start of a prompt (its prefix) was new, was sent right before, or was left unchanged. A cached prompt is " +
    "not read again, so its TTFT is shorter",
  ],
  [
    "Warm-up, stable",
    "requests before the timed ones, which never count; a candidate is stable when its last warm-up requests take equally " +
    "long",
  ],
  [
    "Disturbed, quiet, noise",
    "a block is disturbed when other programs, or the hypervisor of a virtual machine, used processor time that Podium " +
    "and the candidates needed; all other blocks are quiet",
  ],
  [
    "Interleaved, drift",
    "interleaved candidates take turns, so that a machine that gets slower (drift) affects all of them alike",
  ],
  [
    "Load, clients, rate, stretch, goodput",
    "with several clients or a rate of requests per second, candidates take turns in stretches of several requests; " +
    "goodput counts the requests per second that met the limits",
  ],
  ["Chat template", "the form in which a model expects a conversation; without its own, it answers poorly"],
  [
    "Called directly, node-llama-cpp",
    "the two ways in which the embedded engine calls llama.cpp; only candidates that use the same way are comparable",
  ],
  ["Sampled, temperature", "above a temperature of 0 answers are drawn by chance, and repeats differ"],
  ["Resume", "bench --resume finishes a run that was interrupted: what it has recorded is kept"],
];

/** What each figure and each word of a warning means. */
export function readingSection(summary: Summary): Markup {
  const order = summary.plan.order === "interleaved"
    ? "Each block sent one prompt to every candidate in random order, so that a machine that warms up or gets busy affects all candidates alike."
    : "The candidates ran one after another, because they don't fit in memory together. Drift of the machine was not controlled.";
  return markup`
    <details class="reading">
      <summary>How to read this</summary>
      <p>${order}</p>
      ${definitions(WORDS)}
    </details>
  `;
}
