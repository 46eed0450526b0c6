/** One decision per class of machine, and one for all of them: quality first, then speed, as on a single machine. */
import { studentTQuantile } from "../stats/t.ts";
import {
  compareOverFleet,
  type DeviceRatio,
  type FleetComparison,
  type FleetMetric,
  machineClass,
  type PooledRatio,
} from "./fleet_evidence.ts";
import {
  type DeviceEvidence,
  eligibleOverDevices,
  type FleetEligibility,
  type QualityOver,
} from "./fleet_quality.ts";

/** The decision for one class of machine. */
export interface ClassDecision {
  readonly class: string;
  readonly devices: number;
  /**
   * `winner`: faster than every other eligible one; `similar`: within 10 %, the lightest is
   * taken; `only`: one is eligible.
   */
  readonly verdict: "winner" | "similar" | "only" | "fastest" | "undecided" | "none";
  /** Null unless the verdict is `winner`, `similar` or `only`. */
  readonly choice: string | null;
  readonly why: string;
  readonly candidates: readonly FleetEligibility[];
  readonly quality_over: QualityOver;
}

/** fleet_decision.json. */
export interface FleetDecision {
  readonly schema_version: 1;
  readonly metric: FleetMetric;
  readonly devices: number;
  readonly comparisons: readonly FleetComparison[];
  readonly classes: readonly ClassDecision[];
  /** Of the candidates that may be chosen in every class, the one that is least slow where it is slowest. */
  readonly worst_class: { readonly choice: string | null; readonly why: string };
  /** On how many devices the choice for all leads, and what the other devices have in common. */
  readonly holds: string;
}

export interface FleetTerms {
  readonly metric: FleetMetric;
  /** Largest accepted loss of quality against the best, in points. */
  readonly maxDrop: number;
}

/** Differences within this share count as none, as inside a run. */
const SIMILAR = 0.1;
/** The probability of a wrong winner, over all candidates. */
const ERROR = 0.05;

/**
 * Decides for each class of machine and for the whole fleet.
 *
 * ```ts ignore
 * const { classes, worst_class } = decideForFleet(runs, { metric: "latency_s", maxDrop: 0.1 });
 * ```
 */
export function decideForFleet(runs: readonly DeviceEvidence[], terms: FleetTerms): FleetDecision {
  const latest = [...new Map(runs.map((run) => [run.device.id, run])).values()];
  const comparisons = compareOverFleet(latest, terms.metric);
  const groups = [...Map.groupBy(latest, ({ device }) => machineClass(device.machine))]
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const classes = groups.map(([name, some]) => decideForClass(name, some, comparisons, terms));
  const worst = leastSlow(classes, comparisons);
  return {
    schema_version: 1,
    metric: terms.metric,
    devices: latest.length,
    comparisons,
    classes,
    worst_class: worst,
    holds: worst.choice === null ? "" : holdsOn(worst.choice, comparisons, latest),
  };
}

/** Decides by quality, then by speed among those whose quality allows a choice. */
function decideForClass(
  name: string,
  runs: readonly DeviceEvidence[],
  comparisons: readonly FleetComparison[],
  terms: FleetTerms,
): ClassDecision {
  const { candidates, over } = eligibleOverDevices(runs, terms.maxDrop);
  const decided = ({ verdict, choice, why }: Conclusion): ClassDecision => ({
    class: name,
    devices: runs.length,
    candidates,
    quality_over: over,
    verdict,
    choice,
    why,
  });
  const eligible = candidates.filter((one) => one.eligible).map(({ id }) => id);
  if (eligible.length === 0 && over !== null) {
    return decided({ verdict: "none", choice: null, why: "no candidate's quality allows a choice" });
  }
  const racing = eligible.length > 0
    ? eligible
    : candidates.filter(({ score }) => score === null).map((one) => one.id);
  const [first] = racing;
  if (first === undefined) {
    return decided({ verdict: "none", choice: null, why: "no candidate ran on every device" });
  }
  if (racing.length === 1 && over !== null) {
    const why = "it is the only one whose quality allows a choice";
    return decided({ verdict: "only", choice: first, why });
  }
  const speed = fastestInClass(racing, name, runs, comparisons);
  if (over !== null || speed.verdict === "undecided") return decided(speed);
  const why = `${
    speed.choice ?? first
  } is the fastest, but no answer was scored, and speed alone chooses nothing`;
  return decided({ verdict: "fastest", choice: null, why });
}

type Conclusion = Pick<ClassDecision, "verdict" | "choice" | "why">;

/** The candidate that is faster than every other one in this class, at an error of 5 % over all candidates. */
function fastestInClass(
  ids: readonly string[],
  name: string,
  runs: readonly DeviceEvidence[],
  comparisons: readonly FleetComparison[],
): Conclusion {
  const undecided = (why: string): Conclusion => ({ verdict: "undecided", choice: null, why });
  const against = (a: string, b: string) => ratioIn(comparisons, name, a, b);
  const leader = ids.find((a) => ids.every((b) => a === b || (against(a, b)?.ratio ?? Infinity) < 1));
  if (leader === undefined) {
    return undecided("no candidate leads every other one: too few comparable devices");
  }
  const rivals = ids.filter((id) => id !== leader);
  const close = rivals.filter((rival) => !isFaster(against(leader, rival), ERROR / ids.length));
  if (close.length === 0) {
    const closest = Math.max(...rivals.map((rival) => against(leader, rival)?.ratio ?? 1));
    const why = `it takes ${closest.toFixed(2)} × the time of the next one`;
    return { verdict: "winner", choice: leader, why };
  }
  const isSimilar = (rival: string) => {
    const [low, high] = against(leader, rival)?.ci95 ?? [0, Infinity];
    return low >= 1 / (1 + SIMILAR) && high <= 1 + SIMILAR;
  };
  if (!close.every(isSimilar)) return undecided(`${leader} leads, but not clearly over ${close.join(", ")}`);
  const size = (id: string) => runs[0]?.summary.candidates.find((one) => one.id === id)?.size_mb ?? Infinity;
  const lightest = [leader, ...close].reduce((light, id) => size(id) < size(light) ? id : light);
  const why = `within 10 % of ${close.join(", ")}; the lightest is taken`;
  return { verdict: "similar", choice: lightest, why };
}

/** Whether the ratio lies below 1 beyond chance; on one device, by its own comparison. */
function isFaster(found: ClassRatio | null, error: number): boolean {
  if (found === null) return false;
  if (found.own !== null) return found.own.verdict === "a better";
  const t = studentTQuantile(1 - error, found.devices - 1);
  return Math.log(found.ratio) + t * (found.error ?? Infinity) < 0;
}

interface ClassRatio {
  readonly ratio: number;
  readonly ci95: readonly [number, number];
  readonly devices: number;
  readonly error: number | null;
  /** The only device's own comparison. */
  readonly own: DeviceRatio | null;
}

/** a / b in one class; with one device, its own. */
function ratioIn(
  comparisons: readonly FleetComparison[],
  name: string,
  a: string,
  b: string,
): ClassRatio | null {
  const found = comparisons.find((one) => one.a === a && one.b === b);
  if (found === undefined) {
    const swapped = comparisons.find((one) => one.a === b && one.b === a);
    return swapped === undefined ? null : turned(ratioIn(comparisons, name, b, a));
  }
  const pooled: PooledRatio | null = found.classes.find((one) => one.class === name)?.pooled ?? null;
  if (pooled !== null) return { ...pooled, own: null };
  const own = found.devices.find((one) => one.class === name) ?? null;
  return own === null ? null : { ratio: own.ratio, ci95: own.ci95, devices: 1, error: null, own };
}

function turned(found: ClassRatio | null): ClassRatio | null {
  if (found === null) return null;
  const { ratio, ci95: [low, high], own } = found;
  const verdict = own?.verdict === "a better"
    ? "b better"
    : own?.verdict === "b better"
    ? "a better"
    : own?.verdict;
  return {
    ...found,
    ratio: 1 / ratio,
    ci95: [1 / high, 1 / low],
    own: own === null || verdict === undefined ? null : { ...own, verdict },
  };
}

/** The candidate whose worst class is best. */
function leastSlow(
  classes: readonly ClassDecision[],
  comparisons: readonly FleetComparison[],
): FleetDecision["worst_class"] {
  const everywhere = (classes[0]?.candidates ?? []).map(({ id }) => id)
    .filter((id) =>
      classes.every(({ candidates }) => candidates.some((one) => one.id === id && one.eligible))
    );
  if (everywhere.length === 0) {
    return { choice: null, why: "no candidate may be chosen in every class of machine" };
  }
  const slowdown = (id: string, name: string) =>
    Math.max(
      1,
      ...everywhere.map((other) => other === id ? 1 : ratioIn(comparisons, name, id, other)?.ratio ?? 1),
    );
  const worst = everywhere.map((id) => {
    const [name, factor] = classes.map((one) => [one.class, slowdown(id, one.class)] as const)
      .reduce((most, one) => one[1] > most[1] ? one : most);
    return { id, name, factor };
  });
  const best = worst.reduce((least, one) => one.factor < least.factor ? one : least);
  return {
    choice: best.id,
    why: best.factor <= 1
      ? "it is the fastest eligible candidate in every class"
      : `it takes at most ${best.factor.toFixed(2)} × the time of the fastest eligible one (${best.name})`,
  };
}

/** `leads on 17 of 20 devices, not on those with less than 8 GB`. */
function holdsOn(
  choice: string,
  comparisons: readonly FleetComparison[],
  runs: readonly DeviceEvidence[],
): string {
  const slower = new Set<string>();
  const seen = new Set<string>();
  for (const { a, b, devices } of comparisons) {
    if (a !== choice && b !== choice) continue;
    for (const { device, ratio } of devices) {
      seen.add(device);
      if (a === choice ? ratio > 1 : ratio < 1) slower.add(device);
    }
  }
  if (seen.size === 0) return "";
  const said = `${choice} is the fastest on ${seen.size - slower.size} of ${seen.size} devices`;
  if (slower.size === 0) return said;
  const machines = runs.filter(({ device }) => seen.has(device.id))
    .map(({ device }) => ({ holds: !slower.has(device.id), ...device, ram: device.machine.ram_gb }));
  const [yes, no] = [machines.filter(({ holds }) => holds), machines.filter(({ holds }) => !holds)];
  const least = Math.min(...yes.map(({ ram }) => ram));
  if (yes.length > 0 && no.every(({ ram }) => ram < least)) {
    return `${said}, not on those with less than ${Math.round(least)} GB`;
  }
  const most = Math.max(...yes.map(({ ram }) => ram));
  if (yes.length > 0 && no.every(({ ram }) => ram > most)) {
    return `${said}, not on those with more than ${Math.round(most)} GB`;
  }
  const gpu = (some: typeof machines) => some.map(({ machine }) => machine.gpu.length > 0);
  if (yes.length > 0 && new Set([...gpu(no), ...gpu(yes).map((one) => !one)]).size === 1) {
    return `${said}, not on those with${gpu(no)[0] ? "" : "out"} a GPU`;
  }
  return `${said}, not on ${no.map(({ id, name }) => name ?? id).join(", ")}`;
}
