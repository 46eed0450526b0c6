/** Random-effects meta-analysis: R's metafor on the same studies, and coverage where the truth is known. */
import assert from "node:assert/strict";
import { metaAnalysis, type Study } from "../../lib/stats/meta_analysis.ts";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";

const study = (effect: number, error: number): Study => ({ effect, error });

/**
 * Made with metafor 3.8.1 (Debian's r-cran-metafor) in R 4.2.2:
 *
 *     m <- rma(yi, sei = se, method = "REML", test = "adhoc", control = list(threshold = 1e-12, maxiter = 1000))
 *
 * The mean, its error and interval, tau² and I².
 */
const golden: Readonly<Record<string, { studies: Study[]; found: readonly number[] }>> = {
  "devices that differ": {
    studies: [
      study(0.12, 0.05),
      study(0.31, 0.08),
      study(-0.05, 0.06),
      study(0.22, 0.04),
      study(0.40, 0.10),
      study(0.18, 0.07),
      study(0.27, 0.05),
      study(0.02, 0.09),
    ],
    found: [
      0.1793083188,
      0.0510285148,
      0.0586450552,
      0.2999715824,
      0.0151529697,
      0.8045925014,
    ],
  },
  "devices that are alike": {
    studies: [
      study(0.10, 0.05),
      study(0.11, 0.06),
      study(0.09, 0.05),
      study(0.105, 0.07),
      study(0.095, 0.04),
    ],
    found: [0.0982553438, 0.0229002732, 0.0346739925, 0.1618366951, 0, 0],
  },
  "errors of very different size": {
    studies: [
      [-1.2, 0.02],
      [0.3, 0.3],
      [2.1, 0.15],
      [0.9, 0.01],
      [-0.4, 0.5],
      [1.7, 0.08],
      [0.05, 0.2],
      [0.6, 0.05],
      [-0.9, 0.12],
      [1.1, 0.3],
      [0.2, 0.07],
      [0.8, 0.04],
    ].map(([effect = 0, error = 0]) => study(effect, error)),
    found: [
      0.4478086452,
      0.2868090956,
      -0.1834539180,
      1.0790712084,
      0.9478357169,
      0.9982022679,
    ],
  },
};

for (const [name, { studies, found }] of Object.entries(golden)) {
  Deno.test(`metafor says the same: ${name}`, () => {
    const ours = metaAnalysis(studies);
    assert.ok(ours !== null);
    const { effect, error, ci95, tau2, i2 } = ours;
    for (const [at, value] of [effect, error, ...ci95, tau2, i2].entries()) {
      assert.ok(Math.abs(value - (found[at] ?? NaN)) < 1e-8, `figure ${at}: ${value}, metafor ${found[at]}`);
    }
  });
}

Deno.test("one study says nothing about others, two predict no third, and errors must be positive", () => {
  assert.equal(metaAnalysis([study(1, 0.1)]), null);
  assert.equal(metaAnalysis([study(0.2, 0.1), study(0.5, 0.05)])?.prediction95, null);
  assert.throws(() => metaAnalysis([study(0, 0), study(1, 1)]), RangeError);
});

/** Shares of simulated fleets whose interval misses the mean, and whose prediction misses the next device. */
function misses(
  devices: number,
  tau: number,
  fleets: number,
): { readonly mean: number; readonly next: number } {
  const random = seededRandom(`meta ${devices} ${tau}`);
  const missed = { mean: 0, next: 0 };
  for (let fleet = 0; fleet < fleets; fleet++) {
    const studies = Array.from({ length: devices }, () => {
      const error = 0.02 + 0.08 * random();
      return study(0.3 + tau * standardNormal(random) + error * standardNormal(random), error);
    });
    const found = metaAnalysis(studies);
    if (found === null || found.prediction95 === null) throw new Error("there are enough devices");
    const outside = ([low, high]: readonly [number, number], value: number) => value < low || value > high;
    if (outside(found.ci95, 0.3)) missed.mean++;
    if (outside(found.prediction95, 0.3 + tau * standardNormal(random))) missed.next++;
  }
  return missed;
}

Deno.test("intervals over 10, 20 and 50 devices miss in at most 5 %, for the mean and for the next device", () => {
  // A true 5 % gives more than 28 of 300 with a probability of 0.001.
  for (const devices of [10, 20, 50]) {
    for (const tau of [0.05, 0.2]) {
      const { mean, next } = misses(devices, tau, 300);
      assert.ok(mean <= 28, `mean over ${devices} devices, tau ${tau}: ${mean} of 300`);
      assert.ok(next >= 4 && next <= 28, `next of ${devices} devices, tau ${tau}: ${next} of 300`);
    }
  }
});
