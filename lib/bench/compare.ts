/**
 * Compares runs: what got faster, what got slower and what can't be distinguished, candidate by candidate.
 *
 * Two runs share no clock: between them the machine may have warmed up or got busy, and no interval accounts
 * for it. So nothing below ε is claimed, unless a control (a candidate that did not change, measured in both
 * runs) is named: each request is then divided by the control's own in the same block, which takes out what
 * both suffered alike.
 */
import { UserError } from "../errors.ts";
import { meanOf } from "../stats/mean.ts";
import { compareRuns, type PromptValue, RESAMPLE_FROM } from "../stats/paired.ts";
import type { Random } from "../stats/random.ts";
import {
  type AnswerChanges,
  type ComparableRun,
  compareAnswers,
  type ComparedMetric,
  comparedMetrics,
  type ConditionDifference,
  conditionDifferences,
  type RunCandidate,
  type RunValue,
} from "./compare_runs.ts";
import { higherIsBetter } from "./metrics.ts";

/** Half width of the range that counts as no difference between runs that share no clock. */
const defaultEpsilon = 0.1;

export type ChangeVerdict = "better" | "worse" | "similar" | "can't tell" | "not comparable" | "control";

/** One metric of one candidate, in the later run relative to the baseline. */
export interface MetricChange {
  readonly metric: ComparedMetric;
  /** after / before, divided by the control's where there is one; null without a common prompt. */
  readonly ratio: number | null;
  /** 95 %, resampled by prompt (by repeat where there is one prompt). */
  readonly ci95: readonly [number, number] | null;
  /** Requests of both runs that were used, and the prompts they share. */
  readonly n: number;
  readonly prompts: number;
  readonly verdict: ChangeVerdict;
  /** Why there is no firmer verdict; empty where none is needed. */
  readonly why: string;
}

/** One candidate of the baseline and its match in a later run. */
export interface CandidateChange {
  readonly candidate: string;
  readonly before: string;
  readonly matched_by: "id" | "alias" | "alone";
  readonly requests: { readonly before: Counts; readonly after: Counts };
  /** `now fails`: it had good requests in the baseline, and has none in the later run. */
  readonly status: "measured" | "now fails" | "now answers" | "fails in both";
  readonly reason: string | null;
  readonly output_tokens: { readonly before: number | null; readonly after: number | null };
  readonly metrics: readonly MetricChange[];
  readonly answers: AnswerChanges;
}

interface Counts {
  readonly ok: number;
  readonly failed: number;
}

/** One later run against the baseline. */
export interface RunChange {
  readonly run: string;
  readonly run_id: string;
  readonly differences: readonly ConditionDifference[];
  readonly candidates: readonly CandidateChange[];
  readonly only_before: readonly string[];
  readonly only_after: readonly string[];
}

/** Several runs against the first. */
export interface RunsComparison {
  readonly baseline: { readonly run: string; readonly run_id: string };
  readonly epsilon: number;
  readonly control: string | null;
  readonly runs: readonly RunChange[];
  /** One sentence each: `CANDIDATE in RUN: METRIC worse` … */
  readonly regressions: readonly string[];
  readonly changed_answers: number;
}

/** How to compare. */
export interface CompareOptions {
  /** Default 0.1. */
  readonly epsilon?: number;
  /** A candidate (id or alias) that did not change between the runs. */
  readonly control?: string;
  /** Source of the resampling; the same seed gives the same intervals. */
  readonly random: () => Random;
}

/**
 * Compares every later run with the first.
 *
 * @throws {UserError} with fewer than two runs, when two runs share no prompt, or the control is missing
 * @example
 * ```ts ignore
 * const runs = await Promise.all(folders.map((folder) => readComparableRun(folder, folder)));
 * const { regressions } = compareAllRuns(runs, { random: () => seededRandom(1) });
 * ```
 */
export function compareAllRuns(runs: readonly ComparableRun[], options: CompareOptions): RunsComparison {
  const [baseline, ...others] = runs;
  if (baseline === undefined || others.length === 0) {
    throw new UserError(
      `compare takes at least two runs, ${runs.length} given: name a baseline and what came after it`,
    );
  }
  const changes = others.map((run) => compareWithBaseline(baseline, run, options));
  return {
    baseline: { run: baseline.name, run_id: baseline.info.run_id },
    epsilon: options.epsilon ?? defaultEpsilon,
    control: options.control ?? null,
    runs: changes,
    regressions: changes.flatMap(regressionsOf),
    changed_answers:
      changes.flatMap(({ candidates }) => candidates.flatMap(({ answers }) => answers.changed)).length,
  };
}

function compareWithBaseline(
  before: ComparableRun,
  after: ComparableRun,
  options: CompareOptions,
): RunChange {
  refuseWithoutCommonPrompt(before, after);
  const differences = conditionDifferences(before, after);
  const pairs = matchCandidates(before, after);
  const control = options.control === undefined ? null : controlOf(before, after, options.control);
  return {
    run: after.name,
    run_id: after.info.run_id,
    differences,
    candidates: pairs.map((pair) => compareCandidate(pair, { before, after, differences, control, options })),
    only_before: left(before, pairs.map((pair) => pair.before)),
    only_after: left(after, pairs.map((pair) => pair.after)),
  };
}

function left(run: ComparableRun, matched: readonly RunCandidate[]): string[] {
  return run.candidates.filter((one) => !matched.includes(one)).map((one) => one.info.id);
}

function refuseWithoutCommonPrompt(before: ComparableRun, after: ComparableRun): void {
  const hashes = new Set(before.info.plan.prompt_set.prompts.map((prompt) => prompt.sha256));
  if (after.info.plan.prompt_set.prompts.some((prompt) => hashes.has(prompt.sha256))) return;
  throw new UserError(
    `${before.name} and ${after.name} have no prompt in common (prompt sets ${before.info.plan.prompt_set.name} ` +
      `and ${after.info.plan.prompt_set.name}): run both with the same --prompts`,
  );
}

/** One candidate in two runs. */
export interface MatchedCandidate {
  readonly before: RunCandidate;
  readonly after: RunCandidate;
  /** `alone`: each run has one candidate, so the two are compared. */
  readonly matchedBy: "id" | "alias" | "alone";
}

/** Matches by id; the rest by alias where it is unique on both sides; and the only candidates of two runs. */
export function matchCandidates(before: ComparableRun, after: ComparableRun): MatchedCandidate[] {
  const byId = after.candidates.flatMap((one): MatchedCandidate[] => {
    const match = before.candidates.find((other) => other.info.id === one.info.id);
    return match === undefined ? [] : [{ before: match, after: one, matchedBy: "id" }];
  });
  const restBefore = before.candidates.filter((one) => !byId.some((pair) => pair.before === one));
  const restAfter = after.candidates.filter((one) => !byId.some((pair) => pair.after === one));
  const alone = (rest: readonly RunCandidate[], alias: string) => {
    const same = rest.filter((one) => one.info.alias === alias);
    return same.length === 1 ? same[0] : undefined;
  };
  const byAlias = restAfter.flatMap((one): MatchedCandidate[] => {
    const match = alone(restBefore, one.info.alias);
    const unique = alone(restAfter, one.info.alias) !== undefined;
    return match === undefined || !unique ? [] : [{ before: match, after: one, matchedBy: "alias" }];
  });
  const matched = [...byId, ...byAlias];
  const [old, fresh] = [before.candidates[0], after.candidates[0]];
  const single = before.candidates.length === 1 && after.candidates.length === 1;
  return matched.length === 0 && single && old !== undefined && fresh !== undefined
    ? [{ before: old, after: fresh, matchedBy: "alone" }]
    : matched;
}

type Control = Pick<MatchedCandidate, "before" | "after">;

function controlOf(before: ComparableRun, after: ComparableRun, name: string): Control {
  const find = (run: ComparableRun) => {
    const found = run.candidates.find((one) => one.info.id === name) ??
      run.candidates.find((one) => one.info.alias === name);
    if (found !== undefined && found.values.length > 0) return found;
    const names = run.candidates.map((one) => one.info.id).join(", ");
    const what = found === undefined ? "is not in" : "has no good request in";
    throw new UserError(
      `the control ${name} ${what} ${run.name}: name a candidate that every run measured (${names})`,
    );
  };
  return { before: find(before), after: find(after) };
}

interface Circumstances {
  readonly before: ComparableRun;
  readonly after: ComparableRun;
  readonly differences: readonly ConditionDifference[];
  readonly control: Control | null;
  readonly options: CompareOptions;
}

function compareCandidate(pair: MatchedCandidate, at: Circumstances): CandidateChange {
  const [before, after] = [pair.before, pair.after];
  return {
    candidate: after.info.id,
    before: before.info.id,
    matched_by: pair.matchedBy,
    requests: {
      before: { ok: before.ok, failed: before.failed },
      after: { ok: after.ok, failed: after.failed },
    },
    status: statusChange(before, after),
    reason: after.reason,
    output_tokens: { before: meanTokens(before), after: meanTokens(after) },
    metrics: comparedMetrics.map((metric) => compareMetric(metric, pair, at)),
    answers: compareAnswers(pair, at.before.info, at.after.info),
  };
}

function statusChange(before: RunCandidate, after: RunCandidate): CandidateChange["status"] {
  if (before.ok > 0) return after.ok > 0 ? "measured" : "now fails";
  return after.ok > 0 ? "now answers" : "fails in both";
}

function meanTokens({ values }: RunCandidate): number | null {
  return values.length === 0 ? null : meanOf(values.map(({ outputTokens }) => outputTokens));
}

function compareMetric(metric: ComparedMetric, pair: MatchedCandidate, at: Circumstances): MetricChange {
  const isControl = at.control?.before === pair.before;
  const control = isControl ? null : at.control;
  const before = metricValues(pair.before.values, metric, control?.before.values ?? null);
  const after = metricValues(pair.after.values, metric, control?.after.values ?? null);
  const { ratio, ci95, n, prompts } = compareRuns(after, before, { random: at.options.random() });
  const judged = changeVerdict({ metric, ratio, ci95, prompts }, pair, at, isControl);
  return { metric, ratio, ci95, n, prompts, ...judged };
}

/** Values of a metric; with a control, each divided by the control's value in the same block. */
export function metricValues(
  values: readonly RunValue[],
  metric: ComparedMetric,
  control: readonly RunValue[] | null,
): PromptValue[] {
  const byBlock = control === null ? null : new Map(control.map((one) => [one.block, one.metrics[metric]]));
  return values.flatMap((one) => {
    const value = one.metrics[metric];
    const divisor = byBlock === null ? 1 : byBlock.get(one.block) ?? null;
    return value === null || value <= 0 || divisor === null || divisor <= 0
      ? []
      : [{ prompt: one.prompt, value: value / divisor }];
  });
}

function changeVerdict(
  { metric, ratio, ci95, prompts }: Pick<MetricChange, "metric" | "ratio" | "ci95" | "prompts">,
  pair: MatchedCandidate,
  at: Circumstances,
  isControl: boolean,
): Pick<MetricChange, "verdict" | "why"> {
  const epsilon = at.options.epsilon ?? defaultEpsilon;
  const blocking = at.differences.filter((one) => one.blocking).map((one) => one.what);
  if (isControl) return { verdict: "control", why: "its change is what the machine did, and is divided out" };
  if (blocking.length > 0) {
    return { verdict: "not comparable", why: `the runs differ in ${blocking.join(", ")}` };
  }
  if (metric === "decode_tokens_per_s" && pair.before.estimated !== pair.after.estimated) {
    return { verdict: "not comparable", why: "tokens are counted in one run and estimated in the other" };
  }
  if (ratio === null) return { verdict: "can't tell", why: "no prompt was answered in both runs" };
  if (ci95 === null) return { verdict: "can't tell", why: whyNoInterval(prompts) };
  const [low, high] = higherIsBetter(metric) ? [1 / ci95[1], 1 / ci95[0]] : ci95;
  const least = at.control === null ? 1 + epsilon : 1;
  if (low > least) return { verdict: "worse", why: "" };
  if (high < 1 / least) return { verdict: "better", why: "" };
  if (low >= 1 / (1 + epsilon) && high <= 1 + epsilon) return { verdict: "similar", why: "" };
  const why = at.control === null && (low > 1 || high < 1)
    ? `differences below ±${
      Math.round(epsilon * 100)
    } % count as none without a control, since the machine may have changed`
    : "the interval is too wide: it takes more cases";
  return { verdict: "can't tell", why };
}

function whyNoInterval(prompts: number): string {
  const unit = prompts === 1 ? "rounds of one prompt" : "prompts";
  return prompts < RESAMPLE_FROM
    ? `an interval takes at least ${RESAMPLE_FROM} ${unit} that both runs answered`
    : "the values show no spread, so there is no interval";
}

function regressionsOf(change: RunChange): string[] {
  return change.candidates.flatMap((one) => {
    const failing = one.status === "now fails"
      ? [`${one.candidate} in ${change.run}: fails now${one.reason === null ? "" : ` (${one.reason})`}`]
      : [];
    const worse = one.metrics.filter((metric) => metric.verdict === "worse")
      .map((metric) => `${one.candidate} in ${change.run}: ${metric.metric} is worse`);
    return [...failing, ...worse];
  });
}
