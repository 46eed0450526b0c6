import assert from "node:assert/strict";
import { costPer1000, energyMeter, energyOf } from "../../lib/bench/energy.ts";
import type { MachineRecord } from "../../lib/bench/records.ts";
import { useRecord } from "../../lib/bench/noise.ts";
import { idleReading } from "../../benchmarks/simulated.ts";
import { requestRecord } from "./fakes.ts";

const machine = (block: number, package_j?: number): MachineRecord => ({
  kind: "machine",
  block,
  at_ms: 0,
  wall_ms: 0,
  own_cpu_s: 0,
  engines_cpu_s: null,
  others_cpu_s: null,
  steal_s: null,
  frequency_mhz: null,
  temperature_c: null,
  disturbed: null,
  ...(package_j === undefined ? {} : { package_j }),
});

const request = (block: number, candidate: string, ms: number) =>
  requestRecord({ block, candidate, prompt_id: `p${block}`, sent_ms: 100, end_ms: 100 + ms });

Deno.test("a block's joules are shared by time, and only blocks with a counter count", () => {
  const meter = energyMeter();
  for (const record of [request(1, "a", 100), request(1, "b", 300), machine(1, 40)]) meter.add(record);
  for (const record of [request(2, "a", 100), request(2, "b", 100), machine(2)]) meter.add(record);
  assert.deepEqual([...meter.joulesPerRequest()], [["a", 10], ["b", 30]]);
  assert.equal(energyMeter().joulesPerRequest().size, 0);
});

Deno.test("a counter that started again, or is not there, tells nothing", () => {
  const reading = (energyJ?: number) => ({
    machine: {
      ...idleReading(0),
      ...(energyJ === undefined ? {} : { energyJ }),
    },
    enginesS: 0,
    freeCores: 0,
  });
  assert.equal(useRecord(reading(5), reading(7.5), 0).package_j, 2.5);
  assert.equal(useRecord(reading(7), reading(1), 0).package_j, undefined);
  assert.equal(useRecord(reading(), reading(1), 0).package_j, undefined);
});

Deno.test("a faster model is the cheaper one", () => {
  const at = (mean: number) =>
    energyOf({ tokens: { output_mean: 100 }, output_tokens_per_s: { mean } }, 15)?.joulesPerAnswer ?? 0;
  assert.ok(at(100) < at(50));
  assert.equal(costPer1000(at(50), 0.3), 0.0025);
});
