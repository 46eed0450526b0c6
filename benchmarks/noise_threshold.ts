/**
 * The noise guard calls a block disturbed from a share of a core that other programs use. This measures
 * what such shares do to the embedded engine on this machine, so that the threshold is no guess: a rival that
 * keeps a core busy for a part of each tenth of a second runs beside the engine, in random order of parts,
 * and what others really used is read by the guard itself.
 *
 *     deno run --allow-read --allow-env --allow-sys --allow-net --allow-run benchmarks/noise_threshold.ts MODEL.gguf
 *
 * Prints decode speed by what others used, relative to the quiet requests. About two minutes; the machine
 * should otherwise be idle.
 */
import { machineReader, machineUse } from "../lib/bench/noise.ts";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { timedRequest } from "../lib/endpoint/timed_request.ts";
import { type RunningEngine, startEngine } from "../lib/engine/supervisor.ts";
import { UserError } from "../lib/errors.ts";
import { quantile } from "../lib/stats/quantile.ts";
import { seededRandom, shuffle } from "../lib/stats/random.ts";
import { realClock, realSleep, runCli } from "../scripts/cli.ts";

const PARTS = [0, 0, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const REPEATS = 6;
/** Upper ends of the classes that are printed, in cores. */
const CLASSES = [0.03, 0.06, 0.1, 0.15, 0.3, 0.6, 1.2, Infinity];

interface Sample {
  readonly othersCores: number;
  readonly tokensPerS: number;
}

async function withRival<T>(part: number, work: () => Promise<T>): Promise<T> {
  if (part === 0) return await work();
  const busy = `for (;;) { const t = performance.now(); while (performance.now() - t < ${100 * part}); ` +
    `await new Promise((r) => setTimeout(r, ${100 * (1 - part)})); }`;
  const rival = new Deno.Command(Deno.execPath(), { args: ["eval", busy], stdout: "null", stderr: "null" })
    .spawn();
  try {
    await realSleep(500);
    return await work();
  } finally {
    rival.kill("SIGKILL");
    await rival.status;
  }
}

const { post } = timedClient({ clock: realClock, fetch });

async function measure(engine: RunningEngine, nonce: number): Promise<Sample> {
  const read = machineReader(realClock);
  const [before, cpuBefore] = [await read(), (await engine.stats()).cpuS];
  const trace = await timedRequest(engine.endpoint, {
    model: "engine",
    messages: [{ role: "user", content: `Story ${nonce}: tell a long story about a fox.` }],
    maxTokens: 128,
    temperature: 0,
    fixedOutput: true,
  }, { clock: realClock, post, timeoutMs: 120_000 });
  const [after, cpuAfter] = [await read(), (await engine.stats()).cpuS];
  const { othersS, wallMs } = machineUse(before, after, cpuAfter - cpuBefore);
  const [first, last] = [trace.chunks[0], trace.chunks.at(-1)];
  if (trace.usage === null || othersS === null || first === undefined || last === undefined) {
    throw new UserError(`the engine gave no full answer: ${trace.reason ?? "no usage"}`, 1);
  }
  return {
    othersCores: othersS / (wallMs / 1000),
    tokensPerS: (trace.usage.outputTokens - 1) / ((last.atMs - first.atMs) / 1000),
  };
}

function print(threads: number, samples: readonly Sample[]): void {
  const quiet = samples.filter(({ othersCores }) => othersCores < (CLASSES[0] ?? 0));
  console.log(`\n${threads} threads, ${samples.length} requests, ${quiet.length} of them quiet`);
  if (quiet.length === 0) return console.log("the machine was never quiet: nothing to compare with");
  const reference = quantile(quiet.map(({ tokensPerS }) => tokensPerS), 0.5);
  let from = 0;
  for (const to of CLASSES) {
    const speeds = samples.filter(({ othersCores }) => othersCores >= from && othersCores < to)
      .map(({ tokensPerS }) => tokensPerS / reference);
    const range = `${from.toFixed(2)} to ${to === Infinity ? "…" : to.toFixed(2)} cores`;
    if (speeds.length > 0) {
      console.log(
        `others ${range}: speed ${quantile(speeds, 0.5).toFixed(2)} of quiet (lowest ${
          Math.min(...speeds).toFixed(2)
        }, ` +
          `n = ${speeds.length})`,
      );
    }
    from = to;
  }
}

await runCli(async () => {
  const [modelPath] = Deno.args;
  if (modelPath === undefined) throw new UserError("give the path of a GGUF file");
  const random = seededRandom(1);
  const cores = navigator.hardwareConcurrency;
  for (const threads of new Set([Math.max(1, cores - 1), cores])) {
    const engine = await startEngine({
      modelPath,
      modelId: "engine",
      gpu: "off",
      threads,
      denoPath: Deno.execPath(),
      env: Deno.env,
      clock: realClock,
    });
    try {
      await measure(engine, 0);
      const samples: Sample[] = [];
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        for (const part of shuffle(PARTS, random)) {
          samples.push(await withRival(part, () => measure(engine, samples.length + 1)));
        }
      }
      print(threads, samples);
    } finally {
      await engine.stop();
    }
  }
  return 0;
});
