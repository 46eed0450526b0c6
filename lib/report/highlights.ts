/** The findings of a run in sentences that a reader can act on. */
import type { CandidateSummary, Comparison, MetricName, Summary } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { counted, intervalOf, megabytes, plain, seconds, times } from "./format.ts";
import { qualityTexts } from "./quality_table.ts";
import { estimatedTokens, measured, mostlyDisturbed, statusText } from "./summary_text.ts";

/** One sentence that a reader can act on. Names in it stand between backticks. */
export interface Highlight {
  readonly kind: "finding" | "failure" | "caution";
  readonly text: string;
}

/** What speed does not say; the report has no ratings or checks to go by. */
export const speedRecommendsNothing =
  "Speed alone recommends nothing: no answer here was rated or checked. Read the answers side by side before " +
  "choosing a model.";

/** Where there are checks or ratings, the two are still not weighed against each other here. */
const sideBySide =
  "Speed and quality stand side by side here; deno task select weighs them against your limits.";

/**
 * The findings of a run: who is quicker where that is settled, what can't be told apart, what failed, what
 * qualifies the figures. Order: findings, failures, cautions.
 *
 * @example
 * ```ts ignore
 * for (const { text } of highlights(summary)) console.log(`- ${text}`);
 * ```
 */
export function highlights(summary: Summary, quality: QualityReport | null = null): Highlight[] {
  const ready = summary.candidates.filter(measured);
  return [
    ...lead(summary, ready, "latency_s", "answers fastest", "latency").map((one) =>
      qualifyLength(summary, one)
    ),
    ...lead(summary, ready, "ttft_s", "starts to answer first", "time to first token"),
    ...throughput(ready),
    ...memory(ready),
    ...failures(summary.candidates),
    ...cuts(ready),
    ...qualified(summary),
    ...qualityHighlights(quality),
  ];
}

/** Quality beside speed, or the plain word that there is none. */
function qualityHighlights(quality: QualityReport | null): Highlight[] {
  const texts = quality === null ? [] : qualityTexts(quality);
  if (texts.length === 0) return [{ kind: "caution", text: speedRecommendsNothing }];
  return [
    ...texts.map((text): Highlight => ({ kind: "finding", text })),
    { kind: "caution", text: sideBySide },
  ];
}

/** A latency is only as comparable as the answers are long. */
function qualifyLength(summary: Summary, highlight: Highlight): Highlight {
  const differ = summary.warnings.some((one) => one.code === "lengths-differ");
  const text = `${highlight.text} The answers differ in length: time per token is the fairer comparison.`;
  return differ ? { ...highlight, text } : highlight;
}

function lead(
  summary: Summary,
  ready: readonly CandidateSummary[],
  metric: "latency_s" | "ttft_s",
  does: string,
  what: string,
): Highlight[] {
  const ranked = ready.filter((one) => one[metric].mean !== null)
    .sort((a, b) => (a[metric].mean ?? 0) - (b[metric].mean ?? 0));
  const [first, ...rivals] = ranked;
  if (first === undefined) return [];
  const mean = `mean ${what} ${seconds(first[metric].mean)}, n = ${plain(first[metric].n)}`;
  if (rivals.length === 0) {
    return ready.length === 1 ? [{ kind: "finding", text: `\`${first.id}\`: ${mean}.` }] : [];
  }
  const against = rivals.map((rival) => ({ rival, seen: versus(summary, first.id, rival.id, metric) }));
  if (against.some(({ seen }) => seen?.verdict !== "first better")) {
    return [{ kind: "finding", text: unsettled(summary, first.id, against, `the lowest ${what} (${mean})`) }];
  }
  const nearest = against.map(({ rival, seen }) => ({ rival, ratio: seen?.ratio ?? Infinity, seen }))
    .sort((a, b) => a.ratio - b.ratio)[0];
  if (nearest?.seen === null || nearest?.seen === undefined) return [];
  const { ratio, ci95, n } = nearest.seen;
  const interval = ci95 === null ? "" : `95 % interval ${intervalOf(ci95, plain)}, `;
  const text = `\`${first.id}\` ${does} (${mean}): \`${nearest.rival.id}\` takes ${times(ratio)} as long ` +
    `(${interval}${counted(n, "block")}).`;
  return [{ kind: "finding", text }];
}

/** The lowest mean, where it is not settled that it is the lowest. */
function unsettled(
  summary: Summary,
  first: string,
  against: readonly { readonly rival: CandidateSummary; readonly seen: Versus | null }[],
  lowest: string,
): string {
  const names = (wanted: (seen: Versus | null) => boolean) =>
    against.filter(({ seen }) => wanted(seen)).map(({ rival }) => `\`${rival.id}\``);
  const similar = names((seen) => seen?.verdict === "similar");
  const ahead = names((seen) => seen?.verdict === "other better");
  const open = names((seen) => seen === null || seen.verdict === "undecided");
  const next = mostlyDisturbed(summary)
    ? "The machine was busy: close other programs and measure again."
    : "More rounds or prompts would narrow the intervals.";
  const parts = [
    ahead.length > 0 ? `block by block ${listed(ahead)} ${ahead.length === 1 ? "is" : "are"} ahead` : "",
    similar.length > 0 ? `${listed(similar)} ${similar.length === 1 ? "is" : "are"} within 10 % of it` : "",
    open.length > 0 ? `${listed(open)} can't be told apart from it here` : "",
  ].filter((part) => part !== "");
  return `\`${first}\` has ${lowest}, but ${parts.join(", and ")}.${open.length > 0 ? ` ${next}` : ""}`;
}

interface Versus {
  /** other / first. */
  readonly ratio: number;
  readonly ci95: readonly [number, number] | null;
  readonly n: number;
  readonly verdict: "first better" | "other better" | "similar" | "undecided";
}

/** The comparison of `other` with `first`, whichever way round it is stored. */
function versus(summary: Summary, first: string, other: string, metric: MetricName): Versus | null {
  for (const one of summary.comparisons) {
    if (one.metric !== metric || one.ratio === null) continue;
    if (one.a === other && one.b === first) {
      return { ratio: one.ratio, ci95: one.ci95, n: one.n, verdict: verdictFor(one.verdict, "b better") };
    }
    if (one.a === first && one.b === other) {
      const ci95: [number, number] | null = one.ci95 === null ? null : [1 / one.ci95[1], 1 / one.ci95[0]];
      return { ratio: 1 / one.ratio, ci95, n: one.n, verdict: verdictFor(one.verdict, "a better") };
    }
  }
  return null;
}

/** The stored verdict, seen from the first one's side; `mine` is how it says that the first is better. */
function verdictFor(verdict: Comparison["verdict"], mine: Comparison["verdict"]): Versus["verdict"] {
  if (verdict === "similar" || verdict === "undecided") return verdict;
  return verdict === mine ? "first better" : "other better";
}

function throughput(ready: readonly CandidateSummary[]): Highlight[] {
  const rates = ready.filter((one) => one.decode_tokens_per_s.mean !== null).map((one) =>
    `\`${one.id}\` ${plain(one.decode_tokens_per_s.mean)}${estimatedTokens(one) ? " (estimated tokens)" : ""}`
  );
  if (rates.length < 2) return [];
  const text =
    `Decode speed in tokens/s: ${rates.join(", ")}. Tokenizers differ between models: characters/s ` +
    `stand beside.`;
  return [{ kind: "finding", text }];
}

function memory(ready: readonly CandidateSummary[]): Highlight[] {
  const known = ready.filter((one) => one.memory_mb !== null)
    .sort((a, b) => (a.memory_mb ?? 0) - (b.memory_mb ?? 0));
  if (known.length === 0) return [];
  const each = known.map((one) => `\`${one.id}\` ${megabytes(one.memory_mb)}`).join(", ");
  return [{ kind: "finding", text: `Memory of the engine process (largest resident size seen): ${each}.` }];
}

function failures(candidates: readonly CandidateSummary[]): Highlight[] {
  return candidates.filter((one) => one.status !== "ok").map((one) => {
    const what = one.reason === null ? statusText(one) : one.status === "partial" ? "" : `${one.status}: `;
    return { kind: "failure", text: `\`${one.id}\`: ${what}${one.reason ?? ""}.` };
  });
}

function cuts(ready: readonly CandidateSummary[]): Highlight[] {
  const cut = ready.filter((one) => one.finish.length > 0).map((one) => {
    return `\`${one.id}\` ${one.finish.length} of ${one.requests.ok}`;
  });
  if (cut.length === 0) return [];
  const text =
    `Answers cut at the token limit: ${cut.join(", ")}. Their latency measures the limit, not the ` +
    `model; compare time per token, or raise --max-tokens.`;
  return [{ kind: "caution", text }];
}

function qualified(summary: Summary): Highlight[] {
  const found: Highlight[] = [];
  if (summary.plan.mode === "race") found.push({ kind: "caution", text: racedText });
  const { disturbed, timed } = summary.blocks;
  if (disturbed > 0) {
    const what = mostlyDisturbed(summary)
      ? "too many to leave out, so all of them stand and nothing is settled"
      : "they are left out for every candidate alike";
    const text = `${disturbed} of ${
      counted(timed, "block")
    } were disturbed by other work on the machine: ${what}.`;
    found.push({ kind: "caution", text });
  }
  if (summary.warnings.length > 0) {
    const text = `${counted(summary.warnings.length, "warning")} below qualif${
      summary.warnings.length === 1 ? "ies" : "y"
    } these figures.`;
    found.push({ kind: "caution", text });
  }
  return found;
}

/** Sampling stopped by what it showed: fixed-sample intervals don't hold then. */
const racedText =
  "This run was a race: it stopped when the evidence sufficed, so its verdict is in deno task race, " +
  "and the intervals here, made for a fixed number of requests, are too narrow.";

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
