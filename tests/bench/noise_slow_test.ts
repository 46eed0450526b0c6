/** Beside a really busy process, on this machine, the blocks are flagged. */
import assert from "node:assert/strict";
import { busiestFinder } from "../../lib/bench/busiest_program.ts";
import { machineReader } from "../../lib/bench/noise.ts";
import { runBench } from "../../lib/bench/run.ts";
import { runProgram } from "../../lib/program.ts";
import { realClock, realSleep } from "../../scripts/cli.ts";
import { fakeCandidate, MemorySink, runInfoOf, VirtualTime } from "./fakes.ts";

Deno.test("a run beside a busy program sees every block disturbed", async () => {
  const rival = new Deno.Command(Deno.execPath(), {
    args: ["eval", "console.log('busy'); for (;;);"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const reader = rival.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const time = new VirtualTime();
    // The candidate's own time is virtual; each request also takes real time, in which the rival works.
    const fake = fakeCandidate("a", time);
    const candidate = {
      ...fake,
      async open(signal: AbortSignal) {
        const open = await fake.open(signal);
        return {
          ...open,
          async request(...asked: Parameters<typeof open.request>) {
            await realSleep(300);
            return await open.request(...asked);
          },
        };
      },
    };
    const sink = new MemorySink();
    await runBench({
      info: runInfoOf([candidate], { rounds: 1 }),
      candidates: [candidate],
      sink,
      clock: time.clock,
      sleep: time.sleep,
      readMachine: machineReader(realClock),
      findBusiest: busiestFinder(runProgram, realClock, Deno.build.os),
      signal: new AbortController().signal,
    });
    const blocks = sink.samples.filter((record) => record.kind === "machine");
    assert.ok(blocks.length >= 3);
    if (Deno.build.os === "linux") assert.ok(blocks.some(({ busiest }) => busiest?.program === "deno"));
    for (const { disturbed, others_cpu_s } of blocks) {
      assert.match(disturbed ?? "quiet", /other programs used|hypervisor/, `others: ${others_cpu_s} s`);
    }
  } finally {
    rival.kill("SIGKILL");
    await rival.status;
  }
});
