/**
 * A gate between two runs, for scripts that must stop on a worse one: is the new run at most a stated
 * amount worse than the baseline? Pass, fail, or can't tell. A gate that can't tell must not pass,
 * and noise must not fail it.
 */
import { holm } from "../stats/holm.ts";
import { lossP, scoreDifference, tangoInterval } from "../stats/paired_difference.ts";
import { compareRuns, RESAMPLE_FROM } from "../stats/paired.ts";
import type { Random } from "../stats/random.ts";
import { studentTCdf, studentTQuantile } from "../stats/t.ts";
import { higherIsBetter } from "./metrics.ts";
import { matchCandidates, metricValues } from "./compare.ts";
import type { RunSpread, RunToRun } from "./run_to_run.ts";
import {
  type ComparableRun,
  type ComparedMetric,
  conditionDifferences,
  type RunCandidate,
} from "./compare_runs.ts";

/** The parts of a gate, candidate by candidate. */
export type GatePart = "latency" | "ttft" | "time per token" | "failures" | "quality";

/** The verdict of a gate, or of one part of it. */
export type GateVerdict = "pass" | "fail" | "can't tell";

/** One part of one candidate. */
export interface GatedPart {
  readonly candidate: string;
  readonly part: GatePart;
  readonly verdict: GateVerdict;
  /** A ratio after / before of times, or points by which failures rose or quality fell; null where unknown. */
  readonly change: number | null;
  /** 90 % interval of the change: each end alone errs with at most 5 %. */
  readonly interval: readonly [number, number] | null;
  /** The largest change that passes, in the same unit. */
  readonly limit: number;
  readonly cases: number;
  /** p-value of "within the limit", corrected over all parts; null where it can't be tested. */
  readonly p_fail: number | null;
  readonly why: string;
}

/** A gate over two runs. */
export interface GateReport {
  readonly baseline: string;
  readonly run: string;
  readonly verdict: GateVerdict;
  readonly parts: readonly GatedPart[];
  readonly scope: string;
  /** The number of parts for which failures were corrected. */
  readonly correction: string;
}

/** How much worse a run may be. */
export interface GateTerms {
  /** Share by which times may grow: 0.1 for 10 %. */
  readonly maxSlowdown: number;
  /** Points by which the quality may fall, 0 to 1. */
  readonly maxDrop: number;
  /** Points by which the share of failed requests may grow, 0 to 1. */
  readonly maxFailures: number;
  /** An unchanged candidate of both runs: times are then divided by its own in the same block. */
  readonly control?: string;
  /** Standard deviation of the logarithm of a run's level between repeated runs of the same thing; null: not known. */
  readonly runSd?: number | null;
  /** The same, measured from repeats of the baseline, per candidate and metric; `runSd` takes precedence. */
  readonly repeats?: RunToRun | null;
  readonly random: () => Random;
}

/**
 * The score of a case, 0 to 1, and its largest possible value: they differ where answers were
 * cut or could not be judged.
 */
export interface BoundedScore {
  readonly score: number;
  readonly least: number;
  readonly most: number;
}

/** Scores by case of one run, by candidate id, under the prompt's hash. */
export type RunScores = ReadonlyMap<string, ReadonlyMap<string, BoundedScore>>;

/** The accepted error of a pass, per part, and of any fail, for all parts together. */
const ERROR = 0.05;

/** The metric behind each part that compares times. */
const TIMED = { latency: "latency_s", ttft: "ttft_s", "time per token": "decode_tokens_per_s" } as const;

/**
 * Gates a run against its baseline by non-inferiority: a part passes when its change is below the limit at an
 * error of 5 %, it fails when its change is above the limit at an error of 5 % for all parts together (Holm).
 * The gate passes when every part passes, and fails when one fails; nothing to compare is "can't tell".
 *
 * @param scores of both runs; null where neither was scored: then quality is no part
 *
 * ```ts ignore
 * const report = gateRuns(before, after, null, { maxSlowdown: 0.1, maxDrop: 0.1, maxFailures: 0.05, random });
 * if (report.verdict === "fail") Deno.exit(1);
 * ```
 */
export function gateRuns(
  before: ComparableRun,
  after: ComparableRun,
  scores: { readonly before: RunScores; readonly after: RunScores } | null,
  terms: GateTerms,
): GateReport {
  const pairs = matchCandidates(before, after);
  const blocking = conditionDifferences(before, after).filter((one) => one.blocking).map((one) => one.what);
  const drafts = pairs.flatMap((pair) => [
    ...timedParts(pair, { before, after, blocking, terms }),
    failurePart(pair, terms),
    ...(scores === null ? [] : [qualityPart(pair, scores, terms)]),
  ]);
  const missing = before.candidates.filter((one) => !pairs.some((pair) => pair.before === one))
    .map((one) => unknown(one.info.id, "latency", terms.maxSlowdown + 1, "the new run did not measure it"));
  const replaced = pairs.find(({ matchedBy }) => matchedBy === "alone")?.before.info.id;
  const inPlaceOf = replaced === undefined ? "" : `in place of ${replaced}`;
  const parts = [...judged(drafts, inPlaceOf), ...judged(missing, "")];
  const cases = new Set(pairs.flatMap(({ after }) => after.outcomes.map(({ prompt }) => prompt))).size;
  const tested = drafts.filter(({ p_fail }) => p_fail !== null).length;
  return {
    baseline: before.name,
    run: after.name,
    verdict: verdictOver(parts),
    parts,
    scope: cases === 1 ? "this case alone" : `cases like these (${cases} cases)`,
    correction: `fail: Holm over ${tested} parts at 5 % in all; pass: every part at 5 % by itself; ` +
      spreadNote(terms),
  };
}

/** The parts with their verdicts, and p-values corrected over all of them. */
function judged(drafts: readonly Draft[], inPlaceOf: string): GatedPart[] {
  const corrected = holm(drafts.map(({ p_fail }) => p_fail));
  return drafts.map(({ passes, ...part }, at): GatedPart => {
    const p = corrected[at] ?? null;
    return {
      ...part,
      why: [inPlaceOf, part.why].filter((one) => one !== "").join("; "),
      p_fail: p,
      verdict: p !== null && p <= ERROR ? "fail" : passes ? "pass" : "can't tell",
    };
  });
}

function verdictOver(parts: readonly GatedPart[]): GateVerdict {
  if (parts.some(({ verdict }) => verdict === "fail")) return "fail";
  return parts.length > 0 && parts.every(({ verdict }) => verdict === "pass") ? "pass" : "can't tell";
}

/** Whether the spread between repeated runs is part of the intervals, and from where it is known. */
function spreadNote({ runSd, repeats, control }: GateTerms): string {
  const what = "the spread between repeated runs is";
  if (typeof runSd === "number") return `${what} included (given: ${runSd})`;
  if (repeats !== null && repeats !== undefined && control === undefined) {
    return `${what} included (measured: ${repeats.repeats.length} repeats of the baseline)`;
  }
  return `${what} not known and not included: deno task selfcheck --aa measures it`;
}

/** A given spread counts as known exactly. A control removes an unknown part of a measured one. */
function spreadFor(
  id: string,
  metric: ComparedMetric,
  { runSd, repeats, control }: GateTerms,
): Pick<RunSpread, "sd" | "df"> & { readonly why: string } {
  if (typeof runSd === "number") return { sd: runSd, df: Infinity, why: "" };
  const unknown = { sd: 0, df: Infinity };
  if (control !== undefined || repeats === undefined || repeats === null) return { ...unknown, why: "" };
  const measured = repeats.candidates.find(({ candidate }) => candidate === id)?.[metric] ?? null;
  return measured === null
    ? { ...unknown, why: "the repeats don't show its spread between runs" }
    : { ...measured, why: "" };
}

interface Pair {
  readonly before: RunCandidate;
  readonly after: RunCandidate;
}
type Draft = Omit<GatedPart, "verdict"> & { readonly passes: boolean };

function unknown(candidate: string, part: GatePart, limit: number, why: string): Draft {
  return { candidate, part, change: null, interval: null, limit, cases: 0, p_fail: null, why, passes: false };
}

/** The runs whose times are compared, and what they must not differ in. */
interface TimedRuns {
  readonly before: ComparableRun;
  readonly after: ComparableRun;
  readonly blocking: readonly string[];
  readonly terms: GateTerms;
}

/** Times of both runs; none for the control. */
function timedParts(pair: Pair, runs: TimedRuns): Draft[] {
  const { id, alias } = pair.after.info;
  const { control } = runs.terms;
  if (control !== undefined && [id, alias].includes(control)) return [];
  const parts = ["latency", "ttft", "time per token"] as const;
  return parts.flatMap((part) => timedPart(part, pair, runs) ?? []);
}

/** Null for a metric that neither run has: an answer that is not streamed has no first token. */
function timedPart(part: keyof typeof TIMED, pair: Pair, runs: TimedRuns): Draft | null {
  const { before, after, terms } = runs;
  const { id } = pair.after.info;
  const metric = TIMED[part];
  const limit = 1 + terms.maxSlowdown;
  const controlOf = ({ candidates }: ComparableRun) =>
    candidates.find(({ info }) => info.id === terms.control || info.alias === terms.control)?.values ?? null;
  const own = metricValues(pair.before.values, metric, controlOf(before));
  const now = metricValues(pair.after.values, metric, controlOf(after));
  if (own.length === 0 && now.length === 0) {
    return part === "latency" ? unknown(id, part, limit, "neither run has a good request") : null;
  }
  const fault = whyNotCompared(part, pair, runs);
  if (fault !== null) return unknown(id, part, limit, fault);
  const [slower, faster] = higherIsBetter(metric) ? [own, now] : [now, own];
  const found = compareRuns(slower, faster, { random: terms.random() });
  const { prompts: cases, ratio: change } = found;
  if (change === null || found.error === null) {
    const why = cases < RESAMPLE_FROM
      ? `an interval takes ${RESAMPLE_FROM} cases that both runs answered, and there are ${cases}`
      : "the values show no spread, so there is no interval";
    return { ...unknown(id, part, limit, why), change, cases };
  }
  const units = found.unit === "repeat" ? Math.floor(found.n / 2) : cases;
  const spread = spreadFor(pair.before.info.id, metric, terms);
  const { error, df } = withSpread(found.error, units, spread);
  const [log, reach] = [Math.log(change), studentTQuantile(1 - ERROR, df) * error];
  const interval: [number, number] = [Math.exp(log - reach), Math.exp(log + reach)];
  const p_fail = studentTCdf(-(log - Math.log(limit)) / error, df);
  const passes = interval[1] <= limit;
  return { candidate: id, part, change, interval, limit, cases, p_fail, why: spread.why, passes };
}

/** Why the times of two runs say nothing about each other; null where they do. */
function whyNotCompared(part: GatePart, pair: Pair, { before, after, blocking }: TimedRuns): string | null {
  const busy = [before, after].find((run) => run.busy !== null);
  if (busy !== undefined) return `the machine was busy during ${busy.name} (${busy.busy})`;
  if (blocking.length > 0) return `the runs differ in ${blocking.join(", ")}`;
  return part === "time per token" && pair.before.estimated !== pair.after.estimated
    ? "tokens are counted in one run and estimated in the other"
    : null;
}

/**
 * The standard error of a difference between two runs, which vary independently: the variance
 * between repeated runs counts twice. Welch and Satterthwaite: a spread from few repeats is
 * uncertain, which widens the interval.
 */
function withSpread(own: number, units: number, spread: Pick<RunSpread, "sd" | "df">) {
  const between = Math.SQRT2 * spread.sd;
  const error = Math.hypot(own, between);
  const df = error ** 4 / (own ** 4 / Math.max(1, units - 1) + between ** 4 / spread.df);
  return { error, df };
}

/** Share of failed requests, case by case; a candidate that fails altogether is judged here. */
function failurePart({ before, after }: Pair, { maxFailures: limit }: GateTerms): Draft {
  const shares = (one: RunCandidate) =>
    new Map(
      [...Map.groupBy(one.outcomes, ({ prompt }) => prompt)].map(([prompt, same]) =>
        [prompt, same.filter(({ failed }) => failed).length / same.length] as const
      ),
    );
  const [was, is] = [shares(before), shares(after)];
  const pairs = [...is].flatMap(([prompt, share]) => {
    const earlier = was.get(prompt);
    return earlier === undefined ? [] : [[share, earlier] as const];
  });
  const part = changeOf(after.info.id, "failures", pairs, limit);
  return part.passes || after.reason === null
    ? part
    : { ...part, why: part.why || `first failure: ${after.reason}` };
}

/** Scores of both runs, case by case. */
function qualityPart(
  { before, after }: Pair,
  scores: { readonly before: RunScores; readonly after: RunScores },
  { maxDrop: limit }: GateTerms,
): Draft {
  const id = after.info.id;
  const [was, is] = [scores.before.get(before.info.id), scores.after.get(id)];
  if (was === undefined || is === undefined) {
    return unknown(id, "quality", limit, `the ${was === undefined ? "baseline" : "new run"} was not scored`);
  }
  const pairs = [...is].flatMap(([prompt, now]) => {
    const earlier = was.get(prompt);
    return earlier === undefined ? [] : [{ earlier, now }];
  });
  const part = changeOf(id, "quality", pairs.map(({ earlier, now }) => [earlier.score, now.score]), limit);
  const fell = pairs.filter(({ earlier, now }) => earlier.score > now.score).length;
  const rose = pairs.filter(({ earlier, now }) => earlier.score < now.score).length;
  const open =
    pairs.filter(({ earlier, now }) => earlier.least < earlier.most || now.least < now.most).length;
  const counts = `${fell} cases fell, ${rose} rose`;
  if (open === 0) return { ...part, why: part.why || counts };
  // Cut answers are unknown: the part passes, or fails, only where it would do so whatever they are.
  const worst = changeOf(id, "quality", pairs.map(({ earlier, now }) => [earlier.most, now.least]), limit);
  const best = changeOf(id, "quality", pairs.map(({ earlier, now }) => [earlier.least, now.most]), limit);
  const [low, high] = [best.interval?.[0], worst.interval?.[1]];
  return {
    ...part,
    interval: low === undefined || high === undefined ? null : [low, high],
    p_fail: best.p_fail,
    passes: worst.passes,
    why: part.why ||
      `${counts}; of ${open} cases answers were cut or could not be judged (raise --max-tokens)`,
  };
}

/** The change of paired shares; 0/1 values by the exact unconditional test, others by Student's t. */
function changeOf(
  candidate: string,
  part: GatePart,
  pairs: readonly (readonly [worse: number, better: number])[],
  limit: number,
): Draft {
  const found = scoreDifference(pairs, 1 - 2 * ERROR);
  const n = pairs.length;
  if (found === null) {
    return unknown(candidate, part, limit, n === 0 ? "no case is in both runs" : `too few cases (${n})`);
  }
  const common = { candidate, part, change: found.mean, limit, cases: n, why: "" };
  if (pairs.every(([a, b]) => (a === 0 || a === 1) && (b === 0 || b === 1))) {
    const lost = pairs.filter(([a, b]) => a > b).length;
    const gained = pairs.filter(([a, b]) => a < b).length;
    return {
      ...common,
      interval: tangoInterval(lost, gained, n, 1 - 2 * ERROR),
      p_fail: lossP(gained, lost, n, limit, "no loss"),
      passes: lossP(gained, lost, n, limit, "loss") <= ERROR,
    };
  }
  const reach = (found.interval[1] - found.interval[0]) / 2;
  const error = reach / studentTQuantile(1 - ERROR, n - 1);
  const p_fail = error > 0 ? studentTCdf(-(found.mean - limit) / error, n - 1) : null;
  return { ...common, interval: found.cautious, p_fail, passes: found.cautious[1] <= limit };
}

/**
 * The exit code of a gate: 0 pass, 1 fail, 3 can't tell.
 *
 * ```ts
 * console.assert(gateExitCode("pass") === 0 && gateExitCode("fail") === 1 && gateExitCode("can't tell") === 3);
 * ```
 */
export function gateExitCode(verdict: GateVerdict): number {
  return { "pass": 0, "fail": 1, "can't tell": 3 }[verdict];
}
