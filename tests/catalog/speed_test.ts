/** Predicted speed: known worlds, where the truth is a formula, and the intervals' promise over many of them. */
import assert from "node:assert/strict";
import { imaginedMachine, imaginedModels, simulateFit } from "../../benchmarks/fit_simulation.ts";
import { SpeedModel } from "../../lib/catalog/speed.ts";
import { seededRandom } from "../../lib/stats/random.ts";

for (const measured of [2, 4, 8]) {
  Deno.test(`with ${measured} measured models the 90 % intervals hold 90 % of new models, in 300 worlds`, () => {
    const { coverage, medianError } = simulateFit(measured, 300, seededRandom(`speed ${measured}`));
    assert.ok(coverage >= 0.87, `coverage ${coverage}`);
    assert.ok(medianError < 0.2, `median error ${medianError}`);
  });
}

Deno.test("an interval is wider for a format that was never measured, and for another size", () => {
  const sampleOf = imaginedMachine(seededRandom("one machine"));
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
  const sampleOf = imaginedMachine(seededRandom("alone"));
  const sample = sampleOf("only", "Q8_0", 1e8, "decode", 300);
  const { low, high } = new SpeedModel([]).predict(sample);
  assert.ok(high / low > 10, `${high / low}`);
  assert.deepEqual(new SpeedModel([sample]).leftOut().map(({ predicted }) => predicted), [null]);
});

Deno.test("a model that is left out does not help to predict itself", () => {
  const random = seededRandom("left out");
  const { samples } = imaginedModels(random, 5);
  const wrong = samples.map((one) => one.model === "m0" ? { ...one, seconds: one.seconds * 10 } : one);
  const found = new SpeedModel(wrong).leftOut().find(({ sample }) => sample.model === "m0");
  assert.ok(found?.predicted !== null && found !== undefined);
  assert.ok(found.predicted.seconds < found.sample.seconds / 4);
});
