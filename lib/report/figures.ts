/** Chooses and draws a report's figures. */
import type { Summary } from "../bench/summary_schema.ts";
import { boxPlot } from "../plot/box.ts";
import { ecdfPlot } from "../plot/ecdf.ts";
import type { Figure } from "../plot/figure.ts";
import { ratioPlot } from "../plot/ratio.ts";
import { timelinePlot } from "../plot/timeline.ts";
import type { PromptTimes, RunData } from "./run_data.ts";
import { counted } from "./format.ts";
import { comparisonsMade, measured, scopeText } from "./summary_text.ts";

type Timed = "latency" | "ttft";
const words: Record<Timed, { metric: string; title: string }> = {
  latency: { metric: "latency", title: "Latency" },
  ttft: { metric: "time to first token", title: "Time to first token" },
};

/** A figure by prompt shows at most this many prompts, and the timeline this many rows. */
export const maxPrompts = 12;
const maxTimelineRows = 40;
/** Points of a single prompt's ECDF: a page may have two dozen of these figures. */
const promptPoints = 100;
/** With fewer requests per candidate and prompt, an ECDF shows less than the ticks by prompt. */
const ENOUGH_FOR_ECDF = 5;

/** The distribution of each candidate over all prompts: latency, and time to first token where it streamed. */
export function distributionFigures(summary: Summary, data: RunData): Figure[] {
  return timedMetrics(data).map((timed) =>
    ecdfPlot(
      summary.candidates.map(({ id }) => ({
        name: id,
        values: valuesOf(data, timed, (one) => one.candidate === id),
      })),
      { ...words[timed] },
    )
  );
}

/** Box plots, one panel per prompt and one row per candidate. */
export function promptBoxes(summary: Summary, data: RunData): Figure[] {
  const prompts = shownPrompts(summary, data);
  return timedMetrics(data).map((timed) =>
    boxPlot(
      prompts.flatMap((prompt) =>
        summary.candidates.map(({ id }) => ({
          series: id,
          group: prompt,
          values: valuesOf(data, timed, (one) => one.candidate === id && one.prompt === prompt),
        }))
      ),
      { metric: words[timed].metric, title: `${words[timed].title} by prompt` },
    )
  );
}

/** ECDFs of each prompt; none where no prompt has enough requests. */
export function promptDistributions(summary: Summary, data: RunData): Figure[] {
  const prompts = shownPrompts(summary, data);
  if (prompts.length < 2 || data.times.every(({ latency }) => latency.length < ENOUGH_FOR_ECDF)) return [];
  return prompts.flatMap((prompt) =>
    timedMetrics(data).map((timed) =>
      ecdfPlot(
        summary.candidates.map(({ id }) => ({
          name: id,
          values: valuesOf(data, timed, (one) => one.candidate === id && one.prompt === prompt),
        })),
        { metric: words[timed].metric, title: `${words[timed].title}: ${prompt}`, points: promptPoints },
      )
    )
  );
}

/** The prompts shown by prompt: the first of the set that were measured. */
function shownPrompts(summary: Summary, data: RunData): string[] {
  return measuredPrompts(summary, data).slice(0, maxPrompts);
}

/** The prompts with a successful timed request, in the order of the set. */
export function measuredPrompts(summary: Summary, data: RunData): string[] {
  const seen = new Set(data.times.filter((one) => one.latency.length > 0).map((one) => one.prompt));
  return summary.plan.prompt_set.prompts.map((prompt) => prompt.id).filter((id) => seen.has(id));
}

/** Tokens as they arrived: the same blocks for every candidate, on one axis. */
export function timelines(summary: Summary, data: RunData): Figure[] {
  const ids = summary.candidates.map(({ id }) => id);
  const blocks = [...new Set(data.drawn.map(({ block }) => block))]
    .slice(0, Math.max(2, Math.floor(maxTimelineRows / ids.length)));
  if (blocks.length === 0) return [];
  const drawn = data.drawn.filter(({ block }) => blocks.includes(block));
  const selection = blocks.length === data.drawable
    ? `All ${counted(data.drawable, "block")}`
    : `${blocks.length} of ${
      counted(data.drawable, "block")
    }: some spread over the run and those with the longest gaps`;
  return [timelinePlot(
    drawn.map(({ candidate, prompt, round, chunks }) => ({
      series: candidate,
      group: `${prompt} · round ${round}`,
      chunks,
    })),
    { title: "Tokens by prompt", series: ids, selection },
  )];
}

/** The comparisons of latency and of time to first token with their intervals. */
export function comparisonFigures(summary: Summary): Figure[] {
  const shown = [["latency_s", "Latency"], ["ttft_s", "Time to first token"]] as const;
  return shown.flatMap(([metric, title]) => {
    const made = comparisonsMade(summary).filter((one) => one.metric === metric);
    if (made.length === 0) return [];
    const n = [...new Set(made.map((one) => one.n))].sort((a, b) => a - b);
    const scopes = [...new Set(made.map(scopeText))];
    const rows = made.map(({ a, b, ratio, ci95 }) => ({ label: `${a} / ${b}`, ratio, interval: ci95 }));
    return [ratioPlot(rows, {
      title,
      over: "second faster",
      under: "first faster",
      epsilon: 0.1,
      caption:
        `Ratio of the first candidate's ${title.toLowerCase()} to the second's over the same blocks. Point: geometric ` +
        `mean; bar: 95 % interval for ${scopes.join(" or ")}; shade: ±10 %. n = ${
          n.join(", ")
        } pairs of requests.`,
    })];
  });
}

function timedMetrics(data: RunData): Timed[] {
  const all: Timed[] = ["latency", "ttft"];
  return all.filter((timed) => data.times.some((one) => one[timed].length > 0));
}

function valuesOf(data: RunData, timed: Timed, wanted: (one: PromptTimes) => boolean): number[] {
  return data.times.filter(wanted).flatMap((one) => one[timed]);
}

/** Whether any candidate has figures to draw. */
export function anythingMeasured(summary: Summary): boolean {
  return summary.candidates.some(measured);
}
