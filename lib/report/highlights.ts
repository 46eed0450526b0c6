/** The findings of a run, in sentences that a reader can act on; a warning that qualifies a finding follows it. */
import type { CandidateSummary, Summary, Warning } from "../bench/summary_schema.ts";
import type { QualityReport } from "../quality/quality_schema.ts";
import { limitSentences } from "./by_length.ts";
import { counted, megabytes, percent, plain, sentence } from "./format.ts";
import { leaderSentences } from "./leader.ts";
import { qualityTexts } from "./quality_text.ts";
import { estimatedTokens, measured, scopeSentence, statusText } from "./summary_text.ts";
import { sustainedSentences } from "./sustained.ts";

/** One sentence that a reader can act on. Names in it are in backticks. */
export interface Highlight {
  /** A qualification follows the finding that it can void; a caution concerns the whole run. */
  readonly kind: "finding" | "qualification" | "failure" | "caution";
  readonly text: string;
}

/** The note of a report of speed where no answer was scored. */
const speedRecommendsNothing =
  "Speed alone recommends nothing: no answer in this run was checked or rated. Read the answers side by side before " +
  "choosing a model.";

/** This report shows speed and quality, but does not combine them. */
const combinedBySelect =
  "This report does not weigh speed against quality; deno task select does, within your limits.";

/** The warnings that can void each kind of finding, and so follow it. */
const voidedBy: Readonly<Record<"quality" | "latency" | "ttft" | "throughput", readonly Warning["code"][]>> =
  {
    quality: ["plain-chat-template", "request-changed"],
    latency: [
      "answers-cut",
      "lengths-differ",
      "drift-not-controlled",
      "load-missed",
      "client-bottleneck",
      "device-fallback",
      "engine-ways-differ",
      "request-changed",
      "drift-seen",
      "not-stable",
      "short-stretches",
      "few-stretches",
    ],
    ttft: ["cache-hit", "shared-cache", "warm-prefix", "prefix-as-is"],
    throughput: ["estimated-tokens", "server-disagrees"],
  };

/** A race stops when it has seen enough, so intervals for a fixed sample size don't hold. */
const intervalsOfRace =
  "This run was a race: it stopped when the evidence sufficed. Its verdict is in decision.json; the intervals " +
  "here assume a fixed number of requests and are too narrow.";

/**
 * The findings of a run: quality first, then who is faster where that is settled and what can't be told
 * apart, what failed, and what qualifies the figures. A warning that can void a finding comes right after it.
 *
 * ```ts ignore
 * for (const { text } of highlights(summary)) console.log(`- ${text}`);
 * ```
 */
export function highlights(summary: Summary, quality: QualityReport | null = null): Highlight[] {
  const ready = summary.candidates.filter(measured);
  const scored = quality === null ? [] : qualityTexts(quality);
  const shown = new Set<Warning>();
  const qualified = (kind: keyof typeof voidedBy, texts: readonly string[]): Highlight[] => {
    if (texts.length === 0) return [];
    const warnings = summary.warnings.filter(({ code }) => voidedBy[kind].includes(code));
    for (const warning of warnings) shown.add(warning);
    return [...findings(texts), ...warnings.map(qualification)];
  };
  const found = [
    ...qualified("quality", scored),
    ...(scored.length === 0 ? [] : quality?.warnings.map(qualification) ?? []),
    ...(summary.plan.mode === "race" ? [caution(intervalsOfRace)] : []),
    ...summary.warnings.filter(({ code }) => code === "noise").map((one) => caution(warningText(one))),
    ...qualified("latency", leaderSentences(summary, ready, "latency_s")),
    ...qualified("ttft", leaderSentences(summary, ready, "ttft_s")),
    ...qualified("throughput", decodeSentences(ready)),
    ...findings([
      ...ready.flatMap(goodputSentences),
      ...sustainedSentences(summary),
      ...limitSentences(summary),
      ...(ready.length > 1 ? [scopeSentence(summary)] : []),
      ...memorySentences(ready),
    ]),
    ...summary.candidates.filter(({ status }) => status !== "ok").map(failure),
  ];
  const elsewhere: readonly Warning["code"][] = ["noise", "failures", "skipped"];
  const further = summary.warnings.filter((one) => !shown.has(one) && !elsewhere.includes(one.code)).length;
  return [
    ...found,
    ...(further === 0 ? [] : [caution(`The report has ${counted(further, "more warning")}.`)]),
    caution(scored.length === 0 ? speedRecommendsNothing : combinedBySelect),
  ];
}

const findings = (texts: readonly string[]) => texts.map((text) => ({ kind: "finding" as const, text }));
const caution = (text: string) => ({ kind: "caution" as const, text });
const qualification = (warning: WarningText) => ({
  kind: "qualification" as const,
  text: warningText(warning),
});

type WarningText = Pick<Warning, "message" | "remedy">;
const warningText = ({ message, remedy }: WarningText) => `${sentence(message)} ${sentence(remedy)}`;

function failure(one: CandidateSummary): Highlight {
  const what = one.reason === null ? statusText(one) : one.status === "partial" ? "" : `${one.status}: `;
  return { kind: "failure", text: `\`${one.id}\`: ${what}${one.reason ?? ""}.` };
}

function decodeSentences(ready: readonly CandidateSummary[]): string[] {
  const rates = ready.filter((one) => one.decode_tokens_per_s.mean !== null).map((one) =>
    `\`${one.id}\` ${plain(one.decode_tokens_per_s.mean)}${estimatedTokens(one) ? " (estimated tokens)" : ""}`
  );
  return rates.length < 2 ? [] : [
    `Decode speed in tokens/s: ${rates.join(", ")}. Models split text into different tokens, so compare ` +
    "characters/s too.",
  ];
}

function goodputSentences({ id, goodput }: CandidateSummary): string[] {
  return goodput === null ? [] : [
    `\`${id}\`: ${percent(goodput.met)} of ${counted(goodput.n, "request")} met the limits, a goodput of ${
      plain(goodput.requests_per_s)
    } requests/s.`,
  ];
}

function memorySentences(ready: readonly CandidateSummary[]): string[] {
  const known = ready.filter((one) => one.memory_mb !== null)
    .toSorted((a, b) => (a.memory_mb ?? 0) - (b.memory_mb ?? 0));
  if (known.length === 0) return [];
  const each = known.map((one) => `\`${one.id}\` ${megabytes(one.memory_mb)}`).join(", ");
  return [`Memory of the engine process (largest resident size): ${each}.`];
}
