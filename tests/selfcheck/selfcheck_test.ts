/** The self-check: its arithmetic, and that it sees what it should on a fake endpoint. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Instrument,
  measureAccuracy,
  measureLoad,
  measureRate,
  SELFCHECK_MODELS,
} from "../../lib/selfcheck/measure.ts";
import {
  lastSelfcheck,
  saveSelfcheck,
  type SelfcheckResult,
  trustOf,
} from "../../lib/selfcheck/selfcheck.ts";
import { Histogram, TimingErrors } from "../../lib/selfcheck/timing_errors.ts";
import { startFake } from "../fake_endpoint.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { clock } from "../endpoint/helpers.ts";

Deno.test("a histogram's quantiles lie within half a percent of the nearest rank", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -5000, max: 5000, noNaN: true }), { minLength: 1 }), (values) => {
      const histogram = new Histogram();
      for (const value of values) histogram.add(value);
      const sizes = values.map(Math.abs).sort((a, b) => a - b);
      for (const p of [0, 0.5, 0.95, 0.99, 1]) {
        const exact = sizes[Math.max(1, Math.ceil(p * sizes.length)) - 1] ?? NaN;
        const found = histogram.quantile(p) ?? NaN;
        assert.ok(Math.abs(found - exact) <= 0.006 * exact + 0.001, `${found} for ${exact}`);
      }
      assert.equal(histogram.max, sizes.at(-1));
    }),
  );
  assert.equal(new Histogram().quantile(0.5), null);
  assert.throws(() => new Histogram().add(NaN), RangeError);
});

Deno.test("errors are counted against the delays really made", () => {
  const tally = new TimingErrors();
  // Made late by 3 ms, and seen 0.5 ms later still: 0.5 is ours.
  tally.add([53.5, 64, 73], [53, 63, 73]);
  assert.equal(tally.ttft.max, 0.5);
  assert.equal(tally.gap.n, 2);
  assert.equal(tally.gap.max, 1);
  assert.ok(Math.abs((tally.tpotPercent.max ?? 0) - 2.5) < 1e-9);
});

Deno.test("a request that failed or lost a chunk is a failure, not a small error", () => {
  const tally = new TimingErrors();
  tally.add(null, [1, 2]);
  tally.add([1], [1, 2]);
  tally.add([1], undefined);
  assert.deepEqual([tally.requests, tally.failed, tally.ttft.n], [3, 3, 0]);
});

async function onFake<T>(use: (instrument: Instrument) => Promise<T>): Promise<T> {
  const fake = startFake({ models: SELFCHECK_MODELS });
  const transport = timedClient({ clock, fetch });
  const told = { transport: "raw", cpuMs: () => 0, residentMb: () => 0 } as const;
  try {
    return await use({ baseUrl: fake.baseUrl, clock, fetch, post: transport.post, ...told });
  } finally {
    transport.close();
    await fake.stop();
  }
}

const signal = new AbortController().signal;

Deno.test("every measurement finds its requests again", async () => {
  await onFake(async (instrument) => {
    const accuracy = await measureAccuracy(instrument, {
      model: "steady",
      concurrency: 4,
      seconds: 0.2,
      signal,
    });
    assert.ok(accuracy.requests >= 4);
    assert.equal(accuracy.failed, 0);
    assert.equal(accuracy.ttft_error_ms.n, accuracy.requests);
    assert.equal(accuracy.gap_error_ms.n, accuracy.requests * (SELFCHECK_MODELS.steady.tokens - 1));
    assert.equal(accuracy.ttft_error_ms.p99, null);
    const rate = await measureRate(instrument, { concurrency: 2, seconds: 0.1, signal });
    assert.equal(rate.failed, 0);
    assert.ok(rate.requests_per_s > 0);
    const load = await measureLoad(
      instrument,
      { ratePerS: 100, seconds: 0.05, signal },
      async (requests, send) => {
        for (let i = 0; i < requests; i++) await send(clock());
      },
    );
    assert.equal(load.late_ms.n, 5);
  });
});

const spread = (p50: number, p99: number | null) => ({ n: 100, p50, p99, max: 9 });
const result: SelfcheckResult = {
  schema_version: 1,
  created_at: "2026-01-01T00:00:00.000Z",
  deno: "2.9.6",
  machine: { cpu: "a processor", cores: 2, os: "linux", arch: "x86_64" },
  others_cpu_percent: 2,
  steal_percent: 0.4,
  accuracy: [{
    transport: "raw",
    concurrency: 1,
    requests: 100,
    failed: 0,
    ttft_error_ms: spread(0.1, 0.25),
    gap_error_ms: spread(0.1, 0.2),
    tpot_error_percent: spread(0.1, 0.3),
    cpu_percent: 1,
  }],
  load: [{ asked_per_s: 50, delivered_per_s: 30, late_ms: spread(1, 2) }],
  rate: [],
  memory_mb: 100,
  trust: [],
};

Deno.test("what can be trusted follows from the figures", () => {
  assert.deepEqual(trustOf(result), [
    "a raw socket (plain http), 1 at a time: differences below 0.5 ms in TTFT or a gap, or 0.3 % in TPOT, may come from the instrument",
    "50 requests/s requested, 30 delivered: a constant rate can't be trusted here",
  ]);
  assert.match(
    trustOf({ ...result, others_cpu_percent: 55 })[0] ?? "",
    /^other programs used 55 % of a core/,
  );
  assert.match(trustOf({ ...result, steal_percent: 2.5 })[0] ?? "", /^the hypervisor took 2.5 % of a core/);
});

Deno.test("the last result is saved, and an unreadable one is null", async () => {
  const folder = await Deno.makeTempDir();
  assert.equal(await lastSelfcheck(folder), null);
  const path = await saveSelfcheck(folder, result);
  assert.deepEqual(await lastSelfcheck(folder), result);
  for (const text of ["{", '{"schema_version":9}']) {
    await Deno.writeTextFile(path, text);
    assert.equal(await lastSelfcheck(folder), null);
  }
  await Deno.remove(folder, { recursive: true });
});
