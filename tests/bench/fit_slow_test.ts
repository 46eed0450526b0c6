/** The probe and the predicted memory against a real model in a real engine. */
import assert from "node:assert/strict";
import { realModel } from "../engine/real_model.ts";
import { probeModels } from "../../lib/bench/speed_probe.ts";
import { readGgufLayout } from "../../lib/catalog/gguf_layout.ts";
import { ENGINE_USE, memoryParts, residentBytes } from "../../lib/catalog/memory.ts";
import { startEngine } from "../../lib/engine/supervisor.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const clock = () => performance.now();
const engine = { denoPath: Deno.execPath(), env: Deno.env, clock, fetch };

Deno.test("a probe of a real model measures decoding and two prompt lengths", async () => {
  const lines: string[] = [];
  const samples = await probeModels({
    models: [{ name: "smollm2:q4_1", path: await realModel("smollm2") }],
    threads: 1,
    seconds: 60,
    at: "2026-11-29T00:00:00Z",
    note: (line) => lines.push(line),
  }, { ...engine, random: seededRandom("probe"), signal: new AbortController().signal });
  const shown = samples.map(({ kind, threads, tokens }) =>
    `${kind} ${threads} ${tokens > 200 ? "long" : "short"}`
  );
  assert.deepEqual(shown, ["prefill 1 short", "decode 1 short", "prefill 1 long", "decode 1 long"]);
  const [short, , long] = samples;
  assert.ok(short !== undefined && long !== undefined && long.seconds > short.seconds);
  assert.equal(short.features.layers, 30);
  assert.match(lines.join("\n"), /smollm2:q4_1: [\d.]+ tokens\/s with 1 thread/);
});

Deno.test("the predicted resident size of a real model is within 15 %", async () => {
  const modelPath = await realModel("smollm2");
  const layout = await readGgufLayout(modelPath);
  for (const change of [{}, { contextTokens: 1024, kvCache: "q8_0", mmap: false }] as const) {
    const use = { ...ENGINE_USE, ...change };
    const running = await startEngine({
      ...engine,
      modelPath,
      modelId: "it",
      gpu: "off",
      threads: 1,
      contextTokens: use.contextTokens,
      kvCache: use.kvCache,
      batchTokens: use.batchTokens,
      mmap: use.mmap,
    });
    try {
      const { residentMb } = await running.stats();
      const predicted = residentBytes(memoryParts(layout, use, Deno.build.arch), use) / 1e6;
      assert.ok(Math.abs(predicted / residentMb - 1) < 0.15, `${predicted} against ${residentMb} MB`);
    } finally {
      await running.stop();
    }
  }
});
