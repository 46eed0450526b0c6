/** A fleet's decision as lines for a terminal, and its comparisons as forest plots. */
import type { ClassDecision, FleetDecision } from "../fleet/fleet_decision.ts";
import type { FleetComparison } from "../fleet/fleet_evidence.ts";
import type { Figure } from "../plot/figure.ts";
import { ratioPlot, type RatioRow } from "../plot/ratio.ts";
import { fittedTable } from "./fitted_table.ts";

const metricNames = {
  latency_s: "E2E latency",
  ttft_s: "time to first token",
  tpot_s: "time per output token",
} as const;

/** More rows than this don't fit a figure: then classes stand for their devices. */
const MOST_ROWS = 40;

/**
 * The decision as text, at most `columns` wide.
 *
 * ```ts
 * const worst_class = { choice: null, why: "no candidate may be chosen in every class of machine" };
 * const decision = { schema_version: 1, metric: "latency_s", devices: 0, comparisons: [], classes: [], worst_class, holds: "" } as const;
 * if (!fleetText(decision, 80).startsWith("0 devices")) throw new Error(fleetText(decision, 80));
 * ```
 */
export function fleetText(decision: FleetDecision, columns: number): string {
  const { metric, devices, classes, comparisons, worst_class, holds } = decision;
  const rows = classes.map((one) => [one.class, String(one.devices), decided(one), one.why]);
  return [
    `${devices} ${devices === 1 ? "device" : "devices"}, compared by ${
      metricNames[metric]
    }, each within itself.`,
    ...(classes.length === 0
      ? []
      : [fittedTable(["class", "devices", "decision", "why"], rows, Math.min(columns, 110))]),
    ...(worst_class.choice === null
      ? [`For all classes: nothing is chosen; ${worst_class.why}.`]
      : [`For all classes: ${worst_class.choice}; ${worst_class.why}.`]),
    ...(holds === "" ? [] : [`${holds}.`]),
    ...comparisons.flatMap(pooledLines),
    ...classes.flatMap(({ class: name, candidates }) =>
      candidates.filter(({ eligible }) => !eligible).map(({ id, why }) => `Not for ${name}: ${id}: ${why}.`)
    ),
  ].join("\n");
}

const decided = ({ verdict, choice }: ClassDecision) => choice === null ? verdict : `${choice} (${verdict})`;

function pooledLines({ a, b, all, left_out }: FleetComparison): string[] {
  const out = left_out.length === 0
    ? ""
    : `; ${left_out.length} left out (${[...new Set(left_out.map(({ why }) => why))].join("; ")})`;
  if (all === null) return [`${a} / ${b}: fewer than two comparable devices${out}.`];
  const range = ([low, high]: readonly [number, number]) => `${low.toFixed(2)} to ${high.toFixed(2)}`;
  const next = all.prediction95 === null ? "" : `, on the next device ${range(all.prediction95)}`;
  return [
    `${a} / ${b}: ${all.ratio.toFixed(2)} × (95 %: mean ${
      range(all.ci95)
    }${next}; ${all.devices} devices, I² ${Math.round(100 * all.i2)} %)${out}.`,
  ];
}

/**
 * A forest plot of one comparison: a row per device, then per class, the mean, and the next device.
 *
 * ```ts ignore
 * const { svg } = forestPlot(comparison);
 * ```
 */
export function forestPlot({ a, b, metric, devices, classes, all }: FleetComparison): Figure {
  const byDevice = devices.toSorted((x, y) => x.ratio - y.ratio)
    .map(({ name, device, class: kind, ratio, ci95 }): RatioRow => ({
      label: `${name ?? device} (${kind})`,
      ratio,
      interval: ci95,
    }));
  const byClass = classes.flatMap(({ class: name, pooled }): RatioRow[] =>
    pooled === null
      ? []
      : [{ label: `all ${name} (${pooled.devices})`, ratio: pooled.ratio, interval: pooled.ci95 }]
  );
  const overall: RatioRow[] = all === null ? [] : [
    { label: `mean of ${all.devices} devices`, ratio: all.ratio, interval: all.ci95 },
    ...(all.prediction95 === null
      ? []
      : [{ label: "the next device", ratio: all.ratio, interval: all.prediction95 }]),
  ];
  const rows = [...(byDevice.length > MOST_ROWS ? [] : byDevice), ...byClass, ...overall];
  return ratioPlot(rows, {
    title: `${a} against ${b}: ${metricNames[metric]} by device`,
    over: `${b} better`,
    under: `${a} better`,
    epsilon: 0.1,
    caption:
      `Ratio ${a} / ${b}; bars are 95 % intervals over cases (devices), over devices (means), and where the ` +
      "next device is expected. Random effects, restricted maximum likelihood, Hartung–Knapp.",
  });
}
