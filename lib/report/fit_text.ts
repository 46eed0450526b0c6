/** The result of `fit` in words and as a table, for a terminal and for notebooks. */
import type { FitReport, FitRow } from "../bench/fit_report.ts";
import type { PredictedRate } from "../catalog/fit_estimate.ts";
import type { Predicted } from "../catalog/speed.ts";
import type { TextColumn } from "./terminal_layout.ts";

const GB = 2 ** 30;

/** Lines before and after a table. */
export interface FitText {
  readonly before: readonly string[];
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly after: readonly string[];
}

/** The whole result; models that don't fit have a line each behind the table. */
export function fitText(report: FitReport): FitText {
  const { rows, recommended } = report;
  const fitting = rows.filter(({ reasons }) => reasons.length === 0);
  const others = rows.filter(({ reasons }) => reasons.length > 0);
  const hasSpeeds = fitting.some(({ decode }) => decode !== null);
  const users = report.conditions.use.users;
  const allColumns: (TextColumn<FitRow> | false)[] = [
    ["model", (row) => `${idOf(row)}${!row.here && row.variant.untried ? " (untried)" : ""}`],
    ["needs", ({ neededBytes, basis }) => size(neededBytes) + (basis === "registry" ? " ~" : "")],
    hasSpeeds && [
      users > 1 ? `tokens/s each of ${users}` : "tokens/s",
      ({ decodePerUser, decode }) => predictedRateText(decodePerUser ?? decode),
    ],
    hasSpeeds && ["first token", ({ ttft }) => predictedTimeText(ttft)],
    ["context up to", ({ largestContext }) => largestContext?.toLocaleString("en") ?? "?"],
    ["where", placeText],
    ["predictions off by", measuredText],
  ];
  const columns = allColumns.filter((column) => column !== false);
  return {
    before: [machineLine(report), conditionsLine(report), calibrationLine(report)],
    head: columns.map(([head]) => head),
    rows: fitting.map((row) => columns.map(([, cell]) => cell(row) ?? "?")),
    after: [
      ...(fitting.some(({ basis }) => basis === "registry")
        ? ["~: estimated from models.json; the file's own header is read where the file is here."]
        : []),
      ...(others.length === 0 ? [] : ["Does not fit:"]),
      ...others.map((row) => `  ${idOf(row)}: ${row.reasons.join("; ")}`),
      recommended === null
        ? "No model fits and is fast enough: allow a lower --min-speed, or see the reasons above."
        : `Take ${idOf(recommended.row)}: ${recommended.because}. ` +
          "How good its answers are is not predicted: deno task quality tells.",
    ],
  };
}

const idOf = ({ model, variant }: FitRow) => `${model.alias}:${variant.name}`;

/** Processor, memory, disk. */
function machineLine({ machine, conditions }: FitReport): string {
  const { cpu, cores, ram_gb, freeRamGb } = machine;
  const gpu = machine.vramGb === undefined ? "" : `, graphics memory ${machine.vramGb} GB`;
  return `${cpu}, ${cores} cores, ${ram_gb} GB RAM (${freeRamGb} GB free)${gpu}, ` +
    `${(conditions.freeDiskBytes / 1e9).toFixed(1)} GB of disk free`;
}

function conditionsLine({ conditions, machine }: FitReport): string {
  const { use, promptTokens, threads, freeRamGb, vramGb, bandwidthGbS } = conditions;
  const what = [
    freeRamGb === machine.freeRamGb ? "" : `${freeRamGb} GB of memory free`,
    vramGb === (machine.vramGb ?? 0) ? "" : `a graphics card with ${vramGb} GB`,
    bandwidthGbS === null ? "" : `memory that delivers ${bandwidthGbS} GB/s`,
  ].filter((part) => part !== "");
  const users = use.users === 1 ? "" : `, ${use.users} users at once`;
  return `Context ${
    use.contextTokens.toLocaleString("en")
  } tokens (${use.kvCache})${users}, prompt ${promptTokens} tokens, ` +
    `${threads} ${threads === 1 ? "thread" : "threads"}.` +
    (what.length === 0 ? "" : ` What if: ${what.join(", ")}.`);
}

/** What the predictions rest on, and how far they were off. */
export function calibrationLine({ calibration, accuracy, conditions }: FitReport): string {
  if (conditions.bandwidthGbS !== null) {
    return "Speeds: the bandwidth that was given ÷ the bytes that a token reads, of which llama.cpp reaches 40 to 90 %.";
  }
  if (calibration.models === 0) {
    return "Nothing was measured on this machine yet, so the speeds are rough: deno task fit --probe measures for 20 s.";
  }
  const rate = calibration.bandwidthGbS === null
    ? ""
    : `, weights are read at about ${calibration.bandwidthGbS.toFixed(0)} GB/s`;
  const off = (share: number) => `${(share * 100).toFixed(0)} %`;
  const error = accuracy.decode === null || accuracy.ttft === null
    ? "with a second model, predictions can be compared with measurements"
    : `each predicted from the others, decode speed was off by ${
      off(accuracy.decode.medianError)
    } and the first ` +
      `token by ${off(accuracy.ttft.medianError)} (median of ${accuracy.decode.comparisons} and ` +
      `${accuracy.ttft.comparisons})`;
  const models = calibration.models === 1 ? "1 model" : `${calibration.models} models`;
  return `Measured here: ${models}${rate}; ${error}. In brackets: 90 % intervals.`;
}

const size = (bytes: number | null) => bytes === null ? "?" : `${(bytes / GB).toFixed(1)} GB`;

function placeText({ place }: FitRow): string {
  switch (place.kind) {
    case "memory":
      return "memory";
    case "gpu":
      return "graphics card";
    case "split":
      return `${place.layersOnGpu} of ${place.layers} layers on the graphics card`;
    case "none":
      return "?";
  }
}

const short = (value: number) => value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));

/** `24 (18–31)`. */
export function predictedRateText(rate: PredictedRate | null): string {
  return rate === null ? "?" : `${short(rate.tokensPerS)} (${short(rate.low)}–${short(rate.high)})`;
}

/** `1.9 s (1.4–2.6)`. */
export function predictedTimeText(time: Predicted | null): string {
  return time === null ? "?" : `${short(time.seconds)} s (${short(time.low)}–${short(time.high)})`;
}

/** The difference of each measured time from its prediction by the other models. */
function measuredText({ measured }: FitRow): string {
  const parts = (["decode", "prefill"] as const).flatMap((kind) => {
    const own = measured.filter((one) => one.kind === kind);
    const errors = own.flatMap(({ predictedS, measuredS }) =>
      predictedS === null ? [] : [predictedS / measuredS - 1]
    );
    if (own.length === 0) return [];
    const name = kind === "decode" ? "tokens/s" : "first token";
    if (errors.length === 0) return [`${name} measured`];
    const worst = errors.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a);
    // A time that is predicted too long is a rate that is predicted too low.
    const shown = kind === "decode" ? 1 / (1 + worst) - 1 : worst;
    return [`${name} ${shown >= 0 ? "+" : "−"}${Math.abs(shown * 100).toFixed(0)} %`];
  });
  return parts.join(", ");
}
