/**
 * What a run shows, in sentences and rows: the one source of the terminal table, report.md and report.html.
 */
import type { CandidateSummary, Comparison, MetricName, Summary } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { energyOf } from "./energy.ts";
import { counted, intervalOf, megabytes, p95Of, plain, seconds, times } from "./format.ts";
import { qualityTexts } from "./quality.ts";

/** One sentence that a reader can act on. Names in it stand between backticks. */
export interface Highlight {
  readonly kind: "finding" | "failure" | "caution";
  readonly text: string;
}

/** What a reader may want to state beside the run. */
export interface ReportOptions {
  /** Power of the machine under load, for the energy estimate; left out: no estimate. */
  readonly watts?: number;
}

/** True where the figures of a candidate may be shown. */
export function measured(candidate: CandidateSummary): boolean {
  return candidate.requests.ok > 0;
}

/** Whether a candidate's token counts are estimates. */
export function estimatedTokens(candidate: CandidateSummary): boolean {
  return candidate.tokens.source === "chunks" || candidate.tokens.source === "chars/4";
}

/**
 * True where most blocks were disturbed: the quiet rest would be a chance selection, so the summary keeps all
 * blocks and settles nothing.
 */
export function mostlyDisturbed(summary: Summary): boolean {
  return summary.blocks.disturbed > 0 && summary.candidates.every((one) => one.with_disturbed === null);
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
  const mean = `mean ${what} ${seconds(first[metric].mean)}, n = ${first[metric].n}`;
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

/** What became of a candidate, in two or three words. */
export function statusText(candidate: CandidateSummary): string {
  const { ok, failed } = candidate.requests;
  switch (candidate.status) {
    case "ok":
      return "ok";
    case "partial":
      return `failed ${failed} of ${ok + failed}`;
    case "failed":
      return "failed";
    case "skipped":
      return "skipped";
  }
}

/** One table row as text, for Markdown and the terminal. */
export interface TableRow {
  readonly id: string;
  readonly status: string;
  readonly n: string;
  readonly latency: string;
  readonly p95: string;
  readonly ttft: string;
  readonly rate: string;
  readonly tokens: string;
  readonly load: string;
  readonly memory: string;
  readonly energy: string | null;
}

/**
 * The rows of the main table, every candidate one row, also the failed ones. A figure that rests on
 * estimated tokens is marked with ≈.
 *
 * @example
 * ```ts ignore
 * console.table(tableRows(summary, { watts: 15 }));
 * ```
 */
export function tableRows(summary: Summary, options: ReportOptions = {}): TableRow[] {
  return summary.candidates.map((one) => {
    const mark = estimatedTokens(one) ? "≈ " : "";
    const energy = options.watts === undefined ? null : energyOf(one, options.watts);
    return {
      id: one.id,
      status: statusText(one),
      n: String(one.latency_s.n),
      latency: seconds(one.latency_s.mean),
      p95: p95Of(one.latency_s, seconds),
      ttft: seconds(one.ttft_s.mean),
      rate: one.output_tokens_per_s.mean === null ? "—" : mark + plain(one.output_tokens_per_s.mean),
      tokens: one.tokens.output_mean === null ? "—" : mark + plain(one.tokens.output_mean),
      load: seconds(one.load_s),
      memory: megabytes(one.memory_mb),
      energy: energy === null ? null : `≈ ${plain(energy.joulesPerAnswer)} J`,
    };
  });
}

/** The comparisons that rest on at least one common block. */
export function comparisonsMade(summary: Summary): Comparison[] {
  return summary.comparisons.filter((one) => one.n > 0 && one.ratio !== null);
}

/** A comparison in words: which way, how far, how sure, from how many blocks. */
export function comparisonText(one: Comparison): string {
  if (one.ratio === null) return `no common block (n = ${one.n})`;
  const interval = one.ci95 === null ? "no interval" : intervalOf(one.ci95, plain);
  return `${plain(one.ratio)} (${interval}), n = ${one.n}`;
}

/** What a metric is called in tables. */
export const metricTitles: Readonly<Record<MetricName, string>> = {
  latency_s: "E2E latency",
  ttft_s: "time to first token",
  ttfo_s: "time to first visible output",
  tpot_s: "time per output token",
  itl_s: "gap between chunks",
  output_tokens_per_s: "output tokens/s",
  decode_tokens_per_s: "decode tokens/s",
  output_chars_per_s: "characters/s",
};

/** The plan in one line: what every figure was measured under. */
export function planText(summary: Summary): string {
  const { plan } = summary;
  const prompts = counted(plan.prompt_set.prompts.length, "prompt");
  const load = plan.rate === null ? `${counted(plan.concurrency, "client")}` : `${plan.rate} requests/s`;
  return `${prompts} (${plan.prompt_set.name}), ${counted(plan.rounds, "round")}, ${plan.warmup} warm-up, ` +
    `${plan.prefix} prefix, at most ${plan.max_tokens} tokens, temperature ${plan.temperature}, ${load}, ` +
    `order ${plan.order}, seed ${plan.seed}`;
}

/** The machine in one line; nothing in it names a host, a user or a folder. */
export function machineText({ machine }: Pick<Summary, "machine">): string {
  const gpu = machine.gpu.length === 0 ? "no GPU seen" : machine.gpu.join(", ");
  return `${machine.cpu}, ${counted(machine.cores, "core")}, ${plain(machine.ram_gb)} GB RAM, ${gpu}, ` +
    `${machine.os} (${machine.arch})`;
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
