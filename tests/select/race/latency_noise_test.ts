/** Noise that was put in comes out, whatever the prompts' own lengths. */
import assert from "node:assert/strict";
import { latencyNoise } from "../../../benchmarks/latency_noise.ts";
import { seededRandom, standardNormal } from "../../../lib/stats/random.ts";

Deno.test("known noise and a known share of slow requests are found again", () => {
  const random = seededRandom(7);
  const groups = Array.from({ length: 400 }, (_, prompt) =>
    Array.from(
      { length: 7 },
      () => (prompt + 1) * Math.exp(0.12 * standardNormal(random)) * (random() < 0.05 ? 3 : 1),
    ));
  const { noise, slowShare, n } = latencyNoise(groups);
  assert.equal(n, 2800);
  assert.ok(Math.abs(noise - 0.12) < 0.005, String(noise));
  assert.ok(Math.abs(slowShare - 0.05) < 0.01, String(slowShare));
});

Deno.test("equal latencies have no noise, and prompts that were asked once say nothing", () => {
  assert.deepEqual(latencyNoise([[2, 2, 2], [9]]), { noise: 0, slowShare: 0, n: 3 });
  assert.throws(() => latencyNoise([[1], [2]]), /no prompt was asked twice/);
});
