import assert from "node:assert/strict";
import { createRunFolder } from "../../lib/bench/folder.ts";
import { disturbance, machineReader, machineUse } from "../../lib/bench/noise.ts";
import { runBench } from "../../lib/bench/run.ts";
import { summarizeRun } from "../../lib/bench/summary.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { type FakeBehaviour, fakeCandidate, fakeMachine, runInfoOf, VirtualTime } from "./fakes.ts";

/** Two candidates, and another program that uses a core in the given window and slows one of them down. */
async function besideRival(
  window: { from: number; to: number },
  cpuS: number | null = 0,
  rounds = 8,
): Promise<Summary> {
  const time = new VirtualTime();
  const busy = (atMs: number) => atMs >= window.from && atMs < window.to;
  const used = (atMs: number) => Math.max(0, Math.min(atMs, window.to) - window.from) / 1000;
  const fragile: FakeBehaviour = { ttftMs: 40, itlMs: 9, slowdown: (atMs) => busy(atMs) ? 5 : 1, cpuS };
  const candidates = [fakeCandidate("fragile", time, fragile), fakeCandidate("steady", time, { cpuS })];
  const info = { ...runInfoOf(candidates, { rounds }), status: "completed" as const };
  const root = await Deno.makeTempDir();
  const folder = await createRunFolder(root, info);
  try {
    await runBench({
      info,
      candidates,
      sink: time.holding(folder),
      clock: time.clock,
      sleep: time.sleep,
      readMachine: fakeMachine(time, used),
      signal: new AbortController().signal,
    });
    return await summarizeRun(folder.path);
  } finally {
    folder.close();
    await Deno.remove(root, { recursive: true });
  }
}

const latency = (summary: Summary) => summary.comparisons.find(({ metric }) => metric === "latency_s");

Deno.test("a program that is busy for a while doesn't change the verdict: its blocks are left out and made up for", async () => {
  const quiet = await besideRival({ from: Infinity, to: Infinity });
  assert.equal(quiet.blocks.disturbed, 0);
  const disturbed = await besideRival({ from: 2000, to: 4000 });
  assert.ok(disturbed.blocks.disturbed > 1);
  assert.equal(disturbed.blocks.timed, 24 + disturbed.blocks.disturbed, "made up for");
  assert.ok(Math.abs((latency(disturbed)?.ratio ?? 0) - (latency(quiet)?.ratio ?? 1)) < 1e-6);
  assert.equal(latency(disturbed)?.verdict, latency(quiet)?.verdict);
  assert.equal(latency(disturbed)?.n, 24);
  assert.ok(disturbed.warnings.some(({ code }) => code === "noise"));
  for (const row of disturbed.candidates) {
    assert.equal(row.latency_s.n, 24, "left out for all candidates together");
    assert.equal(row.with_disturbed?.latency_s.n, disturbed.blocks.timed, "the full set stands beside");
  }
});

Deno.test("beside a program that is busy all the time there is no verdict, and the summary says why", async () => {
  const summary = await besideRival({ from: 0, to: Infinity });
  assert.equal(summary.blocks.disturbed, summary.blocks.timed);
  assert.equal(latency(summary)?.verdict, "undecided");
  assert.ok((latency(summary)?.n ?? 0) > 0, "the figures still stand");
  const warning = summary.warnings.find(({ code }) => code === "noise");
  assert.match(warning?.message ?? "", /no verdict is given/);
});

Deno.test("where a service doesn't tell its processor time, a busy program is seen in the pauses", async () => {
  const busy = await besideRival({ from: 0, to: Infinity }, null);
  assert.equal(busy.blocks.disturbed, busy.blocks.timed);
  const quiet = await besideRival({ from: Infinity, to: Infinity }, null);
  assert.equal(quiet.blocks.disturbed, 0);
  assert.ok(
    quiet.warnings.some(({ code }) => code === "noise-unknown"),
    "and that this is all that is known",
  );
});

Deno.test("what isn't known is no disturbance", () => {
  const reading = { atMs: 0, ownS: 0, busyS: 0, stealS: null, frequencyMhz: null, temperatureC: null };
  const use = machineUse(reading, { ...reading, atMs: 1000, busyS: 2 }, null);
  assert.equal(use.othersS, null);
  assert.equal(disturbance(use), null);
});

Deno.test("time that the hypervisor took is a disturbance", () => {
  const use = { wallMs: 1000, ownS: 0, enginesS: 1, othersS: 0, stealS: 0.4 };
  assert.equal(disturbance(use), "the hypervisor took 0.40 cores");
});

Deno.test("this machine can be read", async () => {
  const read = machineReader(() => performance.now());
  const before = await read();
  const until = performance.now() + 60;
  while (performance.now() < until);
  const use = machineUse(before, await read(), 0);
  assert.ok(use.ownS > 0, "our own work shows");
  assert.ok(use.othersS !== null && use.othersS >= 0);
});
