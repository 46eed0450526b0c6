/** Every pair of candidates of a run, in every metric: verdicts that hold together, and the resulting ranks. */
import { holm } from "../stats/holm.ts";
import { comparePaired, type PairedComparison } from "../stats/paired.ts";
import { signTestP } from "../stats/special.ts";
import type { Collected, CollectedRun } from "./collect.ts";
import { higherIsBetter } from "./metrics.ts";
import { LEAST_STRETCHES, underLoad } from "./plan.ts";
import { machineWasBusy, type NoiseEffect } from "./noise_effect.ts";
import type { PlanInfo } from "./records.ts";
import { type Comparison, comparisonMetrics, type Rank } from "./summary_schema.ts";

/** Differences within this share are called similar. */
const SIMILAR = 0.1;

/** The error that all claims of "better" of a run share. */
const FAMILY_ERROR = 0.05;

/** The facts of a run that its comparisons need. */
export interface ComparisonOptions {
  readonly plan: PlanInfo;
  readonly promptIds: readonly string[];
  /** Which blocks count; null for all of them. */
  readonly quiet: ((block: number) => boolean) | null;
  /** How other programs disturbed the run. */
  readonly noise: NoiseEffect;
}

/**
 * Compares every pair in every metric, over the blocks that both answered well. "Better" is corrected
 * over all of them (Holm), so that a run of identical candidates contains such a verdict with a
 * probability of at most 5 %.
 *
 * @example
 * ```ts ignore
 * const comparisons = compareCandidates(run, { plan, promptIds, quiet: null, noise });
 * ```
 */
export function compareCandidates(run: CollectedRun, options: ComparisonOptions): Comparison[] {
  const candidates = [...run.candidates.values()];
  const pairs = candidates.flatMap((a, at) => candidates.slice(at + 1).map((b) => ({ a, b })));
  const made = pairs.flatMap(({ a, b }) =>
    comparisonMetrics.map((metric) => ({ a, b, metric, found: comparePair(a, b, metric, options) }))
  );
  const corrected = holm(made.map(({ found }) => found.p));
  return made.map(({ a, b, metric, found }, at): Comparison => {
    const p = corrected[at] ?? null;
    const failing = whyNotWithFailures(a, b);
    const why = failing || whyNot(found, options);
    const { ratio, n, prompts, unit, units, spread, farApart } = found;
    // Failures are censored, so the rest is a selection, and its interval would describe something else.
    const ci95: [number, number] | null = found.ci95 === null || failing !== ""
      ? null
      : [found.ci95[0], found.ci95[1]];
    const told = { ci95, p, farApart, higherIsBetter: higherIsBetter(metric) };
    const said = why === "" ? censored(a, b, verdictOf(told)) : "undecided";
    const disputed = disagreement(said, a, b, metric, options);
    const verdict = disputed === "" ? said : "undecided";
    return {
      a: a.info.id,
      b: b.info.id,
      metric,
      ratio,
      ci95,
      n,
      cases: prompts,
      unit,
      units,
      p_corrected: p,
      spread,
      far_apart: farApart,
      verdict,
      why: why || disputed || whyUndecided(verdict, told),
    };
  });
}

function comparePair(
  a: Collected,
  b: Collected,
  metric: Comparison["metric"],
  { plan, promptIds, quiet }: ComparisonOptions,
): PairedComparison {
  const ofB = new Map(b.good.map((request) => [request.block, request[metric]]));
  const pairs = a.good.flatMap(({ block, prompt, stretch, [metric]: left }) => {
    const right = ofB.get(block) ?? null;
    if (left === null || right === null || !(left > 0 && right > 0)) return [];
    if (quiet !== null && !quiet(block)) return [];
    return [{ prompt: promptIds[prompt] ?? "", a: left, b: right, stretch }];
  });
  return comparePaired(pairs, underLoad(plan) ? "stretch" : "case");
}

/** Why a pair gets no verdict at all; empty where it may. */
function whyNot(
  { unit, units }: PairedComparison,
  { plan, noise }: ComparisonOptions,
): string {
  if (noise.treatment === "too many") return machineWasBusy(noise.busiest);
  if (plan.order === "by model") return "the candidates ran one after the other: drift was not controlled";
  if (unit === "stretch" && units < LEAST_STRETCHES) {
    return `requests overlapped in ${units} stretches, and it takes ${LEAST_STRETCHES} to tell drift from a difference`;
  }
  return "";
}

/**
 * A verdict over the quiet blocks stands only where all blocks together say the same: a candidate may cause
 * the disturbance itself, by paging for example, and would profit from it. Empty where they agree.
 */
function disagreement(
  verdict: Comparison["verdict"],
  a: Collected,
  b: Collected,
  metric: Comparison["metric"],
  options: ComparisonOptions,
): string {
  if (options.quiet === null || verdict === "undecided") return "";
  const [quiet, all] = [options, { ...options, quiet: null }].map((one) =>
    comparePair(a, b, metric, one).ratio
  );
  if (quiet === null || quiet === undefined || all === null || all === undefined) return "";
  const agrees = verdict === "similar"
    ? all >= 1 / (1 + SIMILAR) && all <= 1 + SIMILAR
    : Math.sign(Math.log(all)) === Math.sign(Math.log(quiet));
  return agrees
    ? ""
    : `${quiet.toFixed(2)} × without the disturbed blocks, ${
      all.toFixed(2)
    } × with them: a candidate may have caused the ` +
      "disturbance itself";
}

/** Why failures allow no verdict on speed; empty where they do. */
function whyNotWithFailures(a: Collected, b: Collected): string {
  const gone = [a, b].filter(({ left, good }) => left !== null && good.length > 0).map(({ info }) => info.id);
  if (gone.length > 0) return `${gone.join(" and ")} left: failures`;
  const [onlyA, onlyB] = discordant(a, b);
  if (signTestP(onlyA, onlyB) <= 0.05) {
    return `failure rates differ (only ${a.info.id} failed in ${onlyA} blocks, only ${b.info.id} in ${onlyB})`;
  }
  return "";
}

/** Blocks in which only a, and only b, failed. */
function discordant(a: Collected, b: Collected): [number, number] {
  const failedBlocks = ({ timed }: Collected) =>
    new Set(timed.filter(({ failure }) => failure !== null).map(({ block }) => block));
  const [ofA, ofB] = [failedBlocks(a), failedBlocks(b)];
  return [ofA.difference(ofB).size, ofB.difference(ofA).size];
}

/**
 * Failures are censored, not dropped: the slowest requests of a candidate may be those that failed. A
 * candidate that failed in more blocks than the other is not called better for the rest.
 */
function censored(a: Collected, b: Collected, verdict: Comparison["verdict"]): Comparison["verdict"] {
  const [onlyA, onlyB] = discordant(a, b);
  if (verdict === "a better" && onlyA > onlyB || verdict === "b better" && onlyB > onlyA) return "undecided";
  return verdict === "similar" && onlyA !== onlyB ? "undecided" : verdict;
}

/**
 * The verdict of a comparison: `similar` where the interval lies within ±10 % and no block lies far apart,
 * better where the corrected p-value is at most 5 %.
 *
 * @example
 * ```ts
 * const told = { ci95: [1.2, 1.4] as const, p: 0.01, farApart: 0, higherIsBetter: false };
 * if (verdictOf(told) !== "b better") throw new Error("a takes longer");
 * if (verdictOf({ ...told, p: 0.2 }) !== "undecided") throw new Error("one of many comparisons");
 * if (verdictOf({ ...told, ci95: [0.97, 1.02], p: 0.6 }) !== "similar") throw new Error("within ten percent");
 * ```
 */
export function verdictOf({ ci95, p, farApart, higherIsBetter }: {
  readonly ci95: readonly [number, number] | null;
  /** Corrected over all comparisons of the run. */
  readonly p: number | null;
  readonly farApart: number;
  readonly higherIsBetter: boolean;
}): Comparison["verdict"] {
  if (ci95 === null || p === null) return "undecided";
  const [low, high] = ci95;
  if (low >= 1 / (1 + SIMILAR) && high <= 1 + SIMILAR && farApart === 0) return "similar";
  if (p > FAMILY_ERROR) return "undecided";
  return (low > 1) === higherIsBetter ? "a better" : "b better";
}

function whyUndecided(
  verdict: Comparison["verdict"],
  { ci95, farApart }: { readonly ci95: readonly [number, number] | null; readonly farApart: number },
): string {
  if (verdict !== "undecided") return "";
  if (ci95 === null) return "too few blocks, or no spread between them";
  const [low, high] = ci95;
  if (low > 1 || high < 1) return "the difference is clear by itself, but not among so many comparisons";
  if (low >= 1 / (1 + SIMILAR) && high <= 1 + SIMILAR) {
    return `the means are alike, but the candidates are far apart in ${farApart} blocks`;
  }
  return "the interval contains 1";
}

/**
 * Ranks by the verdicts, per metric: a candidate comes after all that are better than it, and before all that
 * it is better than; between these every rank is possible.
 *
 * @param ids candidates with good requests
 *
 * @example
 * ```ts
 * const verdict = { a: "x", b: "y", metric: "latency_s", verdict: "a better" } as const;
 * const ranks = ranksOf([verdict], ["x", "y", "z"]).filter(({ metric }) => metric === "latency_s");
 * console.assert(ranks.map(({ from, to }) => `${from}-${to}`).join() === "1-2,2-3,1-3");
 * ```
 */
export function ranksOf(
  comparisons: readonly Pick<Comparison, "a" | "b" | "metric" | "verdict">[],
  ids: readonly string[],
): Rank[] {
  return comparisonMetrics.flatMap((metric) =>
    ids.map((candidate): Rank => {
      const own = comparisons.filter((one) =>
        one.metric === metric && (one.a === candidate || one.b === candidate)
      );
      const count = (wanted: (isA: boolean) => Comparison["verdict"]) =>
        own.filter((one) => one.verdict === wanted(one.a === candidate)).length;
      const ahead = count((isA) => isA ? "b better" : "a better");
      const behind = count((isA) => isA ? "a better" : "b better");
      return { candidate, metric, from: 1 + ahead, to: ids.length - behind };
    })
  );
}
