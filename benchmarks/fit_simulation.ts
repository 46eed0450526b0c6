/** Imagined machines on which every number format costs something else: there the truth is known. */
import { SpeedModel } from "../lib/catalog/speed.ts";
import type { SpeedFeatures, SpeedSample } from "../lib/catalog/speed_terms.ts";
import { type Random, standardNormal } from "../lib/stats/random.ts";

function features(format: string, bytes: number): SpeedFeatures {
  return {
    readBytes: { [format]: bytes },
    promptValues: { [format]: bytes * 1.6 },
    layers: 24,
    vocabulary: 100_000,
    attention: { full: 40_000, windowed: 0, window: 0 },
    approximate: false,
  };
}

/** A machine with a speed of its own; what it returns draws one measured time. */
export function imaginedMachine(random: Random) {
  const scale = Math.exp(standardNormal(random) * 0.5);
  const costs = new Map<string, number>();
  return (
    model: string,
    format: string,
    bytes: number,
    kind: SpeedSample["kind"],
    tokens: number,
  ): SpeedSample => {
    const cost = costs.get(format) ?? Math.exp(standardNormal(random) * 0.25);
    costs.set(format, cost);
    const noise = Math.exp(standardNormal(random) * 0.05);
    const seconds = kind === "decode"
      ? scale * (bytes / 20e9 * cost + 24 * 40e-6 + 4e-4 + 40_000 * tokens * 1e-10) * noise
      : scale * (bytes * 1.6 * tokens / 50e9 * cost + bytes / 20e9) * noise;
    return { model, features: features(format, bytes), kind, device: "cpu", threads: 1, tokens, seconds };
  };
}

const FORMATS = ["Q8_0", "Q4_0", "Q4_K", "F16"];

/** Some measured models of one imagined machine, and the times of another model there. */
export function imaginedModels(random: Random, measured: number) {
  const sampleOf = imaginedMachine(random);
  const model = (at: number) => {
    const format = FORMATS[Math.floor(random() * FORMATS.length)] ?? "Q8_0";
    const bytes = 5e7 * Math.exp(random() * 3);
    return [200, 600].flatMap((tokens) => [
      sampleOf(`m${at}`, format, bytes, "decode", tokens),
      sampleOf(`m${at}`, format, bytes, "prefill", tokens),
    ]);
  };
  return {
    samples: Array.from({ length: measured }, (_, at) => model(at)).flat(),
    next: model(measured).slice(0, 2),
  };
}

/** The share of new models whose time the 90 % interval holds, and the median error, over imagined machines. */
export function simulateFit(measured: number, machines: number, random: Random) {
  let held = 0;
  const errors: number[] = [];
  for (let run = 0; run < machines; run++) {
    const { samples, next } = imaginedModels(random, measured);
    const speed = new SpeedModel(samples, {});
    for (const sample of next) {
      const { seconds, low, high } = speed.predict(sample);
      if (low <= sample.seconds && sample.seconds <= high) held++;
      errors.push(Math.abs(seconds / sample.seconds - 1));
    }
  }
  errors.sort((a, b) => a - b);
  return {
    measured,
    machines,
    coverage: held / errors.length,
    medianError: errors[errors.length >> 1] ?? NaN,
  };
}
