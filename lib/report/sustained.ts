/** A run for a time in reports: whether it slowed down, when, and the processor's temperature and frequency. */
import type { Summary, Sustained } from "../bench/summary_schema.ts";
import { curvePlot } from "../plot/curve.ts";
import type { Figure } from "../plot/figure.ts";
import { plain, ratio, seconds } from "./format.ts";
import type { RunData } from "./run_data.ts";

/** One sentence per candidate; none where the run was not for a time. Names are in backticks. */
export function sustainedSentences({ candidates }: Summary): string[] {
  return candidates.flatMap(({ id, sustained }) =>
    sustained === null || sustained.n === 0 ? [] : [sentenceOf(id, sustained)]
  );
}

function sentenceOf(id: string, { n, seconds: length, change }: Sustained): string {
  if (change === null) {
    return n < 20
      ? `\`${id}\`: ${n} requests in ${since(length)} are too few to find a change of decode speed.`
      : `\`${id}\` kept its decode speed for ${
        since(length)
      }: no change of 5 % or more beyond chance (n = ${n}).`;
  }
  const [before, after] = change.tokens_per_s;
  const { temperature_c: temperature, frequency_mhz: frequency } = change;
  const machine = [
    ...(temperature === null
      ? []
      : [`${plain(temperature[0])} °C before, ${plain(temperature[1])} °C after`]),
    ...(frequency === null ? [] : [`${plain(frequency[0])} MHz before, ${plain(frequency[1])} MHz after`]),
  ];
  return `\`${id}\` decodes ${change.ratio < 1 ? "more slowly" : "faster"} from ${since(change.at_s)} on: ${
    ratio(change.ratio)
  } times its speed before (${plain(before)} to ${plain(after)} tokens/s, p = ${
    pText(change.p)
  }, n = ${n}); ${
    machine.length === 0 ? "this machine reports neither temperature nor frequency" : machine.join("; ")
  }.`;
}

/** A time since the start, in seconds or minutes. */
const since = (value: number) => value < 120 ? seconds(value) : `${plain(value / 60)} min`;

const pText = (p: number) => p < 0.001 ? "below 0.001" : p.toFixed(3);

/** Most requests in a figure; more are thinned evenly. */
const POINTS = 600;

/** Decode speed, temperature and frequency over time; none where the run was not for a time. */
export function sustainedFigures({ candidates }: Summary, { speeds, machine }: RunData): Figure[] {
  const rows = candidates.filter(({ sustained }) => (sustained?.n ?? 0) > 0);
  if (rows.length === 0) return [];
  const startS = Math.min(...rows.flatMap(({ id }) => speeds.get(id)?.[0]?.atS ?? []));
  const minutes = (atS: number) => (atS - startS) / 60;
  const shared = {
    x: "minutes",
    joined: false,
    marks: rows.flatMap(({ sustained }) =>
      sustained?.change ? [{ x: sustained.change.at_s / 60, name: "change" }] : []
    ),
  };
  const series = rows.map(({ id }) => ({
    name: id,
    points: thinned(speeds.get(id) ?? []).map(({ atS, perS }) => ({ x: minutes(atS), y: perS })),
  }));
  const n = rows.reduce((sum, { id }) => sum + (speeds.get(id)?.length ?? 0), 0);
  const shown = series.reduce((sum, { points }) => sum + points.length, 0);
  const ofMachine = (title: string, y: string, of: (reading: typeof machine[number]) => number | null) => {
    const points = thinned(machine).flatMap((reading) => {
      const value = of(reading);
      return value === null || reading.atS < startS ? [] : [{ x: minutes(reading.atS), y: value }];
    });
    const caption = `At the end of each block, n = ${points.length} readings.`;
    return points.length === 0
      ? []
      : [curvePlot([{ name: y, points }], { ...shared, title, y, fromZero: false, caption })];
  };
  return [
    curvePlot(series, {
      ...shared,
      title: "Decode speed over time",
      y: "output tokens/s",
      caption: `One dot per request, n = ${n}${shown < n ? `, every ${Math.ceil(n / shown)}. drawn` : ""}. ` +
        "A dashed vertical line marks a change beyond chance (Pettitt's test, 5 % false alarms).",
    }),
    ...ofMachine("Temperature over time", "°C", ({ temperatureC }) => temperatureC),
    ...ofMachine("Processor frequency over time", "MHz", ({ frequencyMhz }) => frequencyMhz),
  ];
}

function thinned<T>(values: readonly T[]): T[] {
  const step = Math.max(1, Math.ceil(values.length / POINTS));
  return values.filter((_, at) => at % step === 0);
}
