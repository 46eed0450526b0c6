/** Which candidates are good enough to be chosen for a class of machines. */
import { EMPTY_ANSWER } from "../select/decide/baseline.ts";
import { eligibilityOf } from "../select/decide/eligibility.ts";
import { meanOf } from "../stats/mean.ts";
import { metaAnalysis } from "../stats/meta_analysis.ts";
import { scoreDifference } from "../stats/paired_difference.ts";
import { studentTQuantile } from "../stats/t.ts";
import type { DeviceSummary } from "./fleet_evidence.ts";

/** Scores by case, 0 to 1. */
type Scores = ReadonlyMap<string, number>;

/** One device's run, with the scores of its answers. */
export interface DeviceEvidence extends DeviceSummary {
  /** By candidate; empty where nothing was scored. */
  readonly scores: ReadonlyMap<string, Scores>;
  /** The baseline that a choice must beat; it scores 0 in cases that it lacks. */
  readonly baseline: Scores;
  /** By candidate: all its answers in one text, to see whether devices answer alike. */
  readonly answers: ReadonlyMap<string, string>;
}

/** Whether a candidate may be chosen, and why. */
export interface FleetEligibility {
  readonly id: string;
  readonly eligible: boolean;
  readonly why: string;
  /** Mean score; null where nothing was scored. */
  readonly score: number | null;
}

/**
 * What quality is pooled over: `cases` where all devices answered alike, `devices` where they did not, so
 * that the device is a random effect; null where nothing was scored.
 */
export type QualityOver = "cases" | "devices" | null;

/**
 * The candidates that may be chosen: they ran on every device, and their quality is the best or about as
 * good.
 *
 * ```ts ignore
 * const { candidates, over } = eligibleOverDevices(runs, 0.1);
 * ```
 */
export function eligibleOverDevices(
  runs: readonly DeviceEvidence[],
  maxDrop: number,
): { readonly candidates: FleetEligibility[]; readonly over: QualityOver } {
  const ids = [...new Set(runs.flatMap(({ summary }) => summary.candidates.map(({ id }) => id)))];
  const ran = ids.filter((id) =>
    runs.every((run) => statusOf(run, id) === "ok" || statusOf(run, id) === "partial")
  );
  const missing = ids.filter((id) => !ran.includes(id)).map((id): FleetEligibility => {
    const without = runs.filter((run) => !["ok", "partial"].includes(statusOf(run, id)));
    const reason = without[0]?.summary.candidates.find((one) => one.id === id)?.reason ??
      "it was not measured there";
    const why = `did not run on ${without.length} of ${runs.length} devices: ${reason}`;
    return { id, eligible: false, why, score: null };
  });
  const scored = runs.filter(({ scores }) => ran.every((id) => (scores.get(id)?.size ?? 0) > 0));
  if (scored.length === 0) {
    const unscored = ran.map((id) => ({ id, eligible: false, why: "no answer was scored", score: null }));
    return { candidates: [...unscored, ...missing], over: null };
  }
  const alike = ran.every((id) => new Set(scored.map(({ answers }) => answers.get(id))).size === 1);
  const found = alike ? overCases(scored.slice(0, 1), ran, maxDrop) : overDevices(scored, ran, maxDrop);
  return { candidates: [...found, ...missing], over: alike ? "cases" : "devices" };
}

const statusOf = ({ summary }: DeviceSummary, id: string) =>
  summary.candidates.find((one) => one.id === id)?.status ?? "skipped";

/** All devices gave the same answers, so the cases of one device represent those of all. */
function overCases(
  [run]: readonly DeviceEvidence[],
  ids: readonly string[],
  maxDrop: number,
): FleetEligibility[] {
  if (run === undefined) return [];
  const candidates = ids.map((id) => ({
    id,
    qualityByPrompt: run.scores.get(id) ?? new Map<string, number>(),
  }));
  const cases = [...(candidates[0]?.qualityByPrompt.keys() ?? [])]
    .filter((one) => candidates.every(({ qualityByPrompt }) => qualityByPrompt.has(one)));
  const baseline = run.baseline.size === 0 ? EMPTY_ANSWER : {
    what: "the best constant answer",
    score: meanOf([...run.baseline.values()]),
    byPrompt: run.baseline,
  };
  const found = eligibilityOf(candidates, { floor: false, maxDrop, baseline, cases });
  return ids.map((id) => ({
    id,
    eligible: found.get(id)?.eligible ?? false,
    why: found.get(id)?.why ?? "",
    score: meanScore([run], id),
  }));
}

/** Devices answer differently: the mean difference of each device is one value, and devices are drawn at random. */
function overDevices(
  runs: readonly DeviceEvidence[],
  ids: readonly string[],
  maxDrop: number,
): FleetEligibility[] {
  const best = ids.toSorted((a, b) => meanScore(runs, b) - meanScore(runs, a))[0] ?? "";
  return ids.map((id) => {
    const score = meanScore(runs, id);
    const over = pooledDifference(runs, (run) => [run.scores.get(id), run.baseline]);
    const behind = pooledDifference(runs, (run) => [run.scores.get(id), run.scores.get(best)]);
    const no = (why: string) => ({ id, eligible: false, why, score });
    if (over === null) return no("too few devices with scored answers");
    if (over[0] <= 0) return no("its quality is not shown to beat the baseline over devices");
    if (id === best) return { id, eligible: true, why: "its quality is the best over devices", score };
    return behind !== null && behind[0] > -maxDrop
      ? { id, eligible: true, why: `its quality is at most ${maxDrop} below the best over devices`, score }
      : no(`its quality is not shown to be within ${maxDrop} of ${best}'s over devices`);
  });
}

/** 95 % of the mean difference over devices, each with its own standard error over cases. */
function pooledDifference(
  runs: readonly DeviceEvidence[],
  of: (run: DeviceEvidence) => readonly [Scores | undefined, Scores | undefined],
): readonly [number, number] | null {
  const studies = runs.flatMap((run) => {
    const [own, other] = of(run);
    const pairs = [...own ?? []].map(([prompt, score]) => [score, other?.get(prompt) ?? 0] as const);
    const found = scoreDifference(pairs);
    if (found === null) return [];
    const half = (found.interval[1] - found.interval[0]) / 2;
    return half > 0
      ? [{ effect: found.mean, error: half / studentTQuantile(0.975, Math.max(1, found.n - 1)) }]
      : [];
  });
  return metaAnalysis(studies)?.ci95 ?? null;
}

/** Mean of the devices' means; 0 for a device without scores of it. */
const meanScore = (runs: readonly DeviceEvidence[], id: string) =>
  meanOf(runs.map(({ scores }) => meanOf([...(scores.get(id)?.values() ?? [0])])));
