/** Predicted speed: known worlds, where the truth is a formula, and the intervals' promise over many of them. */
import assert from "node:assert/strict";
import { type SpeedFeatures, SpeedModel, type SpeedSample } from "../../lib/catalog/speed.ts";
import { type Random, seededRandom, standardNormal } from "../../lib/stats/random.ts";

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

/** A machine with a speed of its own, on which every format costs something else. */
function world(random: Random) {
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

/** Measured models of some formats and sizes, and one that is left out. */
function draw(random: Random, measured: number) {
  const sampleOf = world(random);
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

for (const measured of [2, 4, 8]) {
  Deno.test(`with ${measured} measured models the 90 % intervals hold 90 % of new models, in 300 worlds`, () => {
    const random = seededRandom(`speed ${measured}`);
    let held = 0;
    const errors: number[] = [];
    for (let run = 0; run < 300; run++) {
      const { samples, next } = draw(random, measured);
      const speed = new SpeedModel(samples, {});
      for (const sample of next) {
        const { seconds, low, high } = speed.predict(sample);
        if (low <= sample.seconds && sample.seconds <= high) held++;
        errors.push(Math.abs(seconds / sample.seconds - 1));
      }
    }
    const share = held / 600;
    assert.ok(share >= 0.87, `coverage ${share}`);
    const median = errors.sort((a, b) => a - b)[300] ?? 1;
    assert.ok(median < 0.2, `median error ${median}`);
  });
}

Deno.test("an interval is wider for a format that was never measured, and for another size", () => {
  const sampleOf = world(seededRandom("one machine"));
  const samples = [1e8, 2e8, 4e8].flatMap((bytes, at) => [
    sampleOf(`a${at}`, "Q8_0", bytes, "decode", 300),
    sampleOf(`b${at}`, "Q4_K", bytes, "decode", 300),
  ]);
  const speed = new SpeedModel(samples);
  const width = (format: string, bytes: number) => {
    const { low, high } = speed.predict(sampleOf("new", format, bytes, "decode", 300));
    return high / low;
  };
  assert.ok(width("Q5_0", 2e8) > width("Q8_0", 2e8) * 1.3, "another format");
  assert.ok(width("Q8_0", 2e10) > width("Q8_0", 2e8) * 1.1, "a hundred times the size");
});

Deno.test("a machine of which nothing was measured gets a very wide interval; one model is not its own witness", () => {
  const sampleOf = world(seededRandom("alone"));
  const sample = sampleOf("only", "Q8_0", 1e8, "decode", 300);
  const { low, high } = new SpeedModel([]).predict(sample);
  assert.ok(high / low > 10, `${high / low}`);
  assert.deepEqual(new SpeedModel([sample]).leftOut().map(({ predicted }) => predicted), [null]);
});

Deno.test("a model that is left out does not help to predict itself", () => {
  const random = seededRandom("left out");
  const { samples } = draw(random, 5);
  const wrong = samples.map((one) => one.model === "m0" ? { ...one, seconds: one.seconds * 10 } : one);
  const found = new SpeedModel(wrong).leftOut().find(({ sample }) => sample.model === "m0");
  assert.ok(found?.predicted !== null && found !== undefined);
  assert.ok(found.predicted.seconds < found.sample.seconds / 4);
});
