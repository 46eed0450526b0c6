/**
 * Comparisons pooled over many machines. Comparisons stay inside a device, since two devices share no
 * clock; over devices the paired log ratios are pooled with the device as a random effect, for all
 * and for each class of machine.
 */
import type { Comparison, Summary } from "../bench/summary_schema.ts";
import { type MetaAnalysis, metaAnalysis, type Study } from "../stats/meta_analysis.ts";
import { studentTQuantile } from "../stats/t.ts";
import { type DeviceDescription, soldMemoryGb } from "./device.ts";

/** The metrics in which a fleet is compared; less is better in each. */
export type FleetMetric = "latency_s" | "ttft_s" | "tpot_s";

/** The part of a device's run that comparisons need. */
export interface DeviceSummary {
  readonly device: DeviceDescription;
  readonly summary: Pick<Summary, "run_id" | "comparisons" | "candidates" | "blocks" | "plan">;
}

/** How two candidates compare on one device. */
export interface DeviceRatio {
  readonly device: string;
  readonly name: string | null;
  readonly class: string;
  readonly run: string;
  /** a / b. */
  readonly ratio: number;
  readonly ci95: readonly [number, number];
  readonly cases: number;
  readonly verdict: Comparison["verdict"];
}

/** A ratio a / b over several devices. */
export interface PooledRatio {
  readonly devices: number;
  readonly ratio: number;
  /** 95 %, of the mean over machines like these. */
  readonly ci95: readonly [number, number];
  /** Standard error of the mean log ratio. */
  readonly error: number;
  /** 95 %, for the next machine of this kind; null below three devices. */
  readonly prediction95: readonly [number, number] | null;
  /** Standard deviation of the true log ratio between devices. */
  readonly tau: number;
  /** Share of the spread between devices that is not noise: I², 0 to 1. */
  readonly i2: number;
}

/** Two candidates over a fleet. */
export interface FleetComparison {
  readonly a: string;
  readonly b: string;
  readonly metric: FleetMetric;
  readonly devices: readonly DeviceRatio[];
  /** Devices that measured both but don't count as evidence, with the reason. */
  readonly left_out: readonly { readonly device: string; readonly why: string }[];
  /** Null with fewer than two devices. */
  readonly all: PooledRatio | null;
  readonly classes: readonly { readonly class: string; readonly pooled: PooledRatio | null }[];
}

/**
 * The class of a machine: the memory that it was sold with, and whether it has a GPU.
 *
 * ```ts
 * const machine = { cpu: "x", cores: 4, ram_gb: 7.6, gpu: [], os: "Debian 12", arch: "x86_64" };
 * if (machineClass(machine) !== "8 GB, no GPU") throw new Error(machineClass(machine));
 * ```
 */
export function machineClass({ ram_gb, gpu }: DeviceDescription["machine"]): string {
  return `${soldMemoryGb(ram_gb)} GB, ${gpu.length === 0 ? "no GPU" : "GPU"}`;
}

/**
 * Every pair of candidates in one metric, over all devices that measured both.
 *
 * @param runs one per device; of two runs of a device the last one counts
 *
 * ```ts ignore
 * const [first] = compareOverFleet(runs, "latency_s");
 * console.log(first?.all?.ratio, first?.all?.prediction95);
 * ```
 */
export function compareOverFleet(runs: readonly DeviceSummary[], metric: FleetMetric): FleetComparison[] {
  const latest = [...new Map(runs.map((run) => [run.device.id, run])).values()];
  const ids = [...new Set(latest.flatMap(({ summary }) => summary.candidates.map(({ id }) => id)))];
  return ids.flatMap((a, at) => ids.slice(at + 1).map((b) => comparePair(latest, a, b, metric)))
    .filter(({ devices, left_out }) => devices.length + left_out.length > 0);
}

function comparePair(
  runs: readonly DeviceSummary[],
  a: string,
  b: string,
  metric: FleetMetric,
): FleetComparison {
  const devices: (DeviceRatio & { readonly study: Study })[] = [];
  const leftOut: { device: string; why: string }[] = [];
  for (const { device, summary } of runs) {
    const found = comparisonOf(summary, a, b, metric);
    if (found === null) continue;
    const study = studyOf(found, summary);
    if (typeof study === "string") leftOut.push({ device: device.id, why: study });
    else {
      devices.push({
        device: device.id,
        name: device.name,
        class: machineClass(device.machine),
        run: summary.run_id,
        ratio: Math.exp(study.effect),
        ci95: found.ci95 ?? [0, Infinity],
        cases: found.cases,
        verdict: found.verdict,
        study,
      });
    }
  }
  const pool = (some: typeof devices) => pooled(metaAnalysis(some.map(({ study }) => study)));
  const byClass = Map.groupBy(devices, (one) => one.class);
  return {
    a,
    b,
    metric,
    devices: devices.map(({ study: _, ...one }) => one),
    left_out: leftOut,
    all: pool(devices),
    classes: [...byClass].sort(([x], [y]) => x.localeCompare(y, "en", { numeric: true }))
      .map(([name, some]) => ({ class: name, pooled: pool(some) })),
  };
}

/** The comparison of a run, as a / b; null where the run lacks one of the two. */
function comparisonOf(
  { comparisons }: Pick<Summary, "comparisons">,
  a: string,
  b: string,
  metric: FleetMetric,
): Comparison | null {
  const found = comparisons.find((one) =>
    one.metric === metric && (one.a === a && one.b === b || one.a === b && one.b === a)
  );
  if (found === undefined || found.a === a) return found ?? null;
  const { ratio, ci95, verdict } = found;
  return {
    ...found,
    a,
    b,
    ratio: ratio === null ? null : 1 / ratio,
    ci95: ci95 === null ? null : [1 / ci95[1], 1 / ci95[0]],
    verdict: verdict === "a better" ? "b better" : verdict === "b better" ? "a better" : verdict,
  };
}

/** The log ratio and its standard error, from the t interval over cases; or why the run doesn't count as evidence. */
function studyOf(
  { ratio, ci95, units, unit, why }: Comparison,
  { blocks, plan }: Pick<Summary, "blocks" | "plan">,
): Study | string {
  if (blocks.treatment === "too many") return "the machine was busy";
  if (plan.order === "by model") return "the candidates ran one after the other";
  if (ratio === null || ci95 === null) return why === "" ? "too few cases" : why;
  if (unit === "repeat") return "one case alone says nothing about other cases";
  const half = Math.log(ci95[1] / ci95[0]) / 2;
  return { effect: Math.log(ratio), error: half / studentTQuantile(0.975, units - 1) };
}

function pooled(found: MetaAnalysis | null): PooledRatio | null {
  if (found === null) return null;
  const exp = ([low, high]: readonly [number, number]): [number, number] => [Math.exp(low), Math.exp(high)];
  return {
    devices: found.studies,
    ratio: Math.exp(found.effect),
    ci95: exp(found.ci95),
    error: found.error,
    prediction95: found.prediction95 === null ? null : exp(found.prediction95),
    tau: Math.sqrt(found.tau2),
    i2: found.i2,
  };
}
