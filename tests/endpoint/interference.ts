/**
 * WHY: on a small machine the instrument shares its cores with what it measures. This program asks a running
 * llama.cpp server in turns for a stream and for the whole answer at once, and compares the decode speed that
 * the SERVER reports of each. Reading a stream must not slow it down.
 *
 *     llama-server -m MODEL.gguf --port 8099
 *     deno run --allow-net --allow-env --allow-read --allow-sys tests/endpoint/interference.ts http://127.0.0.1:8099/v1 [PAIRS]
 */
import process from "node:process";
import { timedRequest } from "../../lib/endpoint/request.ts";
import { rawTransport } from "../../lib/endpoint/transport.ts";
import { comparePaired } from "../../lib/stats/paired.ts";

const [baseUrl = "http://127.0.0.1:8099/v1", pairs = "30"] = Deno.args;
const clock = () => performance.now();
const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000;
const { fetch: rawFetch, close } = rawTransport({ clock, fetch });

/** Decode time a token as the server tells it, in ms, and our own share of a core meanwhile. */
async function decode(stream: boolean): Promise<{ tokenMs: number; cpuPercent: number }> {
  const [startMs, startCpu] = [clock(), cpuMs()];
  const trace = await timedRequest(
    { name: "llama-cpp", baseUrl },
    {
      model: "any",
      messages: [{ role: "user", content: "Write a long story about a lighthouse." }],
      maxTokens: 128,
      temperature: 0,
      fixedOutput: true,
    },
    { clock, fetch: rawFetch, timeoutMs: 120_000, stream },
  );
  const { decodeMs, outputTokens } = trace.server ?? {};
  if (trace.status !== "ok" || !decodeMs || !outputTokens) {
    throw new Error(`no timings from ${baseUrl}: ${trace.reason ?? "is it llama.cpp's server?"}`);
  }
  return { tokenMs: decodeMs / outputTokens, cpuPercent: (100 * (cpuMs() - startCpu)) / (clock() - startMs) };
}

for (const stream of [true, false]) await decode(stream);
const found = [];
let cpu = 0;
for (let i = 0; i < Number(pairs); i++) {
  const streamFirst = i % 2 === 0;
  const first = await decode(streamFirst);
  const second = await decode(!streamFirst);
  const [streamed, whole] = streamFirst ? [first, second] : [second, first];
  found.push({ prompt: "lighthouse", a: streamed.tokenMs, b: whole.tokenMs });
  cpu += streamed.cpuPercent / Number(pairs);
}
close();
const { ratio, ci95, n } = comparePaired(found);
const interval = ci95 === null ? "" : ` (95 %: ${ci95.map((edge) => edge.toFixed(3)).join(" to ")})`;
console.log(`time a token, streamed over whole: ${ratio?.toFixed(3)}${interval}, ${n} pairs`);
console.log(`our processor time while streaming: ${cpu.toFixed(1)} % of a core`);
