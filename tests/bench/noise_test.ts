import assert from "node:assert/strict";
import { busiestFinder } from "../../lib/bench/busiest_program.ts";
import { disturbance, machineReader, machineUse, readUse, useRecord } from "../../lib/bench/noise.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { idleReading } from "../../benchmarks/simulated.ts";
import { type FakeBehaviour, fakeMachine, fakeSummary } from "./fakes.ts";

/** Two candidates, and another program that uses a core in the given window and slows one of them down. */
async function besideRival(
  window: { from: number; to: number },
  cpuS: number | null = 0,
  rounds = 8,
  slowed = 5,
): Promise<Summary> {
  const busy = (atMs: number) => atMs >= window.from && atMs < window.to;
  const used = (atMs: number) => Math.max(0, Math.min(atMs, window.to) - window.from) / 1000;
  const fragile: FakeBehaviour = { ttftMs: 40, itlMs: 9, slowdown: (atMs) => busy(atMs) ? slowed : 1, cpuS };
  // Some spread: without any there is no interval.
  const steady: FakeBehaviour = { cpuS, slowdown: (atMs) => 1 + 0.004 * Math.sin(atMs) };
  return await fakeSummary(
    { fragile, steady },
    { rounds },
    (time) => ({ readMachine: fakeMachine(time, used) }),
  );
}

const latency = (summary: Summary) => summary.comparisons.find(({ metric }) => metric === "latency_s");

Deno.test("a program that is busy for a while doesn't change the verdict: its blocks are left out and made up for", async () => {
  const quiet = await besideRival({ from: Infinity, to: Infinity });
  assert.equal(quiet.blocks.disturbed, 0);
  const disturbed = await besideRival({ from: 2000, to: 4000 }, 0, 8, 1.5);
  assert.ok(disturbed.blocks.disturbed > 1);
  assert.equal(disturbed.blocks.timed, 24 + disturbed.blocks.disturbed, "made up for");
  assert.ok(Math.abs((latency(disturbed)?.ratio ?? 0) - (latency(quiet)?.ratio ?? 1)) < 0.01);
  assert.equal(latency(disturbed)?.verdict, latency(quiet)?.verdict);
  assert.equal(latency(disturbed)?.n, 24);
  assert.ok(disturbed.warnings.some(({ code }) => code === "noise"));
  for (const row of disturbed.candidates) {
    assert.equal(row.latency_s.n, 24, "left out for all candidates together");
    assert.equal(row.with_disturbed?.latency_s.n, disturbed.blocks.timed, "the full set stands beside");
  }
});

Deno.test("disturbed blocks that were not slower count, and the summary says so", async () => {
  const summary = await besideRival({ from: 2000, to: 4000 }, 0, 8, 1);
  assert.ok(summary.blocks.disturbed >= 5);
  assert.equal(summary.blocks.treatment, "harmless");
  assert.ok(Math.abs((summary.blocks.slowdown ?? 0) - 1) < 0.01);
  assert.notEqual(latency(summary)?.verdict, "undecided");
  const warning = summary.warnings.find(({ code }) => code === "noise");
  assert.match(
    warning?.message ?? "",
    /1\.00 times as long .*: all of them count, since they were not slower/,
  );
});

Deno.test("a candidate that causes the disturbance itself is not excused for it", async () => {
  // It is slightly faster while nothing else runs, and slower with the disturbance that comes with it.
  const summary = await besideRival({ from: 1000, to: 5000 }, 0, 16, 6);
  assert.equal(summary.blocks.treatment, "left out");
  assert.ok((summary.blocks.slowdown ?? 0) > 1.5);
  const found = latency(summary);
  assert.ok((found?.ratio ?? 1) < 1, "without the disturbed blocks it is faster");
  assert.equal(found?.verdict, "undecided");
  assert.match(
    found?.why ?? "",
    /0\.8\d × without the disturbed blocks, 1\.\d\d × with them: a candidate may/,
  );
});

Deno.test("beside a program that is busy all the time there is no verdict, and the summary says why", async () => {
  const summary = await besideRival({ from: 0, to: Infinity });
  assert.equal(summary.blocks.disturbed, summary.blocks.timed);
  assert.equal(latency(summary)?.verdict, "undecided");
  assert.ok((latency(summary)?.n ?? 0) > 0, "the figures still stand");
  const warning = summary.warnings.find(({ code }) => code === "noise");
  assert.match(warning?.message ?? "", /too many to leave out: .* there is no verdict/);
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

Deno.test("a browser on processors that the candidates leave free disturbs nothing", () => {
  const use = { wallMs: 1000, ownS: 0.05, enginesS: 6, othersS: 0.9, stealS: 0 };
  assert.equal(disturbance(use, { freeCores: 2 }), null);
  assert.equal(
    disturbance(use, { freeCores: 0.5 }),
    "other programs used 0.90 cores, 0.40 more than were free",
  );
});

Deno.test("free processors are those beyond the threads of the candidate that works", async () => {
  const readMachine = () => Promise.resolve({ ...idleReading(0), cores: 8 });
  const user = (threads: number | null) => ({ threads, cpuS: () => Promise.resolve(0) });
  const free = async (...threads: (number | null)[]) =>
    (await readUse(readMachine, threads.map(user))).freeCores;
  assert.equal(await free(6, 2), 2, "they take turns: the largest counts");
  assert.equal(await free(6, null), 0, "a service that doesn't tell its threads may use all");
  assert.equal(await free(12), 0);
});

Deno.test("the program that was busy is named, with its share", async () => {
  let looks = 0;
  let nowMs = 0;
  const run = () => {
    looks++;
    const stdout = "1 12.0 /sbin/init\n77 98.5 /usr/lib/My Browser/browser\n5 300.0 /usr/bin/deno\n";
    return Promise.resolve({ code: 0, stdout, stderr: "" });
  };
  const find = busiestFinder(run, () => nowMs, "darwin");
  assert.deepEqual(await find([5]), { program: "browser", cores: 0.985 });
  nowMs = 1000;
  await find([5]);
  assert.equal(looks, 1, "a look costs time itself: at most one in five seconds");
  nowMs = 6000;
  await find([5]);
  assert.equal(looks, 2);
  assert.equal(await busiestFinder(() => Promise.resolve(null), () => 0, "linux")([]), null);
  const reading = (atMs: number, busyS: number) => ({
    machine: { atMs, ownS: 0, busyS, stealS: null, frequencyMhz: null, temperatureC: null },
    enginesS: 0,
    freeCores: 0,
  });
  const busiest = { program: "browser", cores: 0.985 };
  const record = useRecord(reading(0, 0), reading(1000, 1), 1000, { busiest });
  assert.equal(record.disturbed, "browser and other programs used 1.00 cores (browser: 0.98)");
  assert.deepEqual(record.busiest, busiest);
  assert.equal(useRecord(reading(0, 0), reading(1000, 0), 1000, { busiest }).busiest, undefined);
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
