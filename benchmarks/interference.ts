/**
 * On a small machine the instrument shares its cores with what it measures. This program requests, in turns,
 * a stream and a whole answer from a running llama.cpp server, and compares the decode speed that the SERVER
 * reports for each: reading a stream must not slow it down. An unread stream, whose bytes wait in the kernel
 * until the answer is complete, shows what streaming costs the server itself; curl, which parses nothing,
 * shows what any reader costs.
 *
 *     llama-server -m MODEL.gguf --port 8099
 *     deno run --allow-net --allow-env --allow-read --allow-sys --allow-run=curl benchmarks/interference.ts http://127.0.0.1:8099/v1 [ROUNDS]
 */
import process from "node:process";
import { z } from "zod";
import { timedRequest } from "../lib/endpoint/timed_request.ts";
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { meanOf } from "../lib/stats/mean.ts";
import { comparePaired } from "../lib/stats/paired.ts";

const [baseUrl = "http://127.0.0.1:8099/v1", rounds = "30"] = Deno.args;
const clock = () => performance.now();
const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000;
const { post, close } = timedClient({ clock, fetch });

const question = "Write a long story about a lighthouse.";
const maxTokens = 128;

interface Decoded {
  /** Decode time per token as the server reports it, in ms. */
  readonly tokenMs: number;
  /** The share of a core that this process used meanwhile. */
  readonly cpuPercent: number;
}

async function podium(stream: boolean): Promise<Decoded> {
  const [startMs, startCpu] = [clock(), cpuMs()];
  const trace = await timedRequest(
    { name: "llama-cpp", baseUrl },
    {
      model: "any",
      messages: [{ role: "user", content: question }],
      maxTokens,
      temperature: 0,
      fixedOutput: true,
    },
    { clock, post, timeoutMs: 120_000, stream },
  );
  const { decodeMs, outputTokens } = trace.server ?? {};
  if (trace.status !== "ok" || !decodeMs || !outputTokens) {
    throw new Error(`no timings from ${baseUrl}: ${trace.reason ?? "is it llama.cpp's server?"}`);
  }
  return { tokenMs: decodeMs / outputTokens, cpuPercent: (100 * (cpuMs() - startCpu)) / (clock() - startMs) };
}

const timings = z.object({ timings: z.object({ predicted_ms: z.number(), predicted_n: z.number() }) });
const streamBody = JSON.stringify({
  model: "any",
  messages: [{ role: "user", content: question }],
  max_tokens: maxTokens,
  temperature: 0,
  ignore_eos: true,
  stream: true,
});

/** The timings that the server reports in the last event of a stream. */
function timingsIn(stream: string): Decoded {
  const last = stream.split("\n").findLast((line) => line.includes('"timings"'));
  const reported = timings.parse(JSON.parse(last?.slice("data: ".length) ?? "null")).timings;
  return { tokenMs: reported.predicted_ms / reported.predicted_n, cpuPercent: 0 };
}

async function curl(): Promise<Decoded> {
  const args = ["-sN", `${baseUrl}/chat/completions`, "-d", streamBody];
  const { stdout } = await new Deno.Command("curl", { args }).output();
  return timingsIn(new TextDecoder().decode(stdout));
}

/** Requests a stream, and reads nothing of it for longer than it can take. */
async function unread(): Promise<Decoded> {
  const url = new URL(`${baseUrl}/chat/completions`);
  using socket = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
  const head = `POST ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n` +
    `content-type: application/json\r\ncontent-length: ${streamBody.length}\r\n\r\n`;
  await socket.write(new TextEncoder().encode(head + streamBody));
  const slowestMs = Math.max(...Object.values(seen).flat().map(({ tokenMs }) => tokenMs), 20) * maxTokens;
  await new Promise((resolve) => setTimeout(resolve, 1.5 * slowestMs + 300));
  return timingsIn(await new Response(socket.readable).text());
}

const ways = { streamed: () => podium(true), whole: () => podium(false), curl, unread };
type Way = keyof typeof ways;
const names: readonly Way[] = ["streamed", "whole", "curl", "unread"];

const seen: Record<Way, Decoded[]> = { streamed: [], whole: [], curl: [], unread: [] };
for (const name of names) await ways[name]();
for (let round = 0; round < Number(rounds); round++) {
  // Each way is first, second, third and last equally often.
  for (let i = 0; i < names.length; i++) {
    const name = names[(round + i) % names.length];
    if (name !== undefined) seen[name].push(await ways[name]());
  }
}
close();

function compare(a: Way, b: Way): string {
  const pairs = seen[a].map(({ tokenMs }, i) => ({
    prompt: "lighthouse",
    a: tokenMs,
    b: seen[b][i]?.tokenMs ?? NaN,
  }));
  const { ratio, ci95, n } = comparePaired(pairs);
  const interval = ci95 === null ? "" : ` (95 %: ${ci95.map((edge) => edge.toFixed(3)).join(" to ")})`;
  return `${ratio?.toFixed(3)}${interval}, ${n} rounds`;
}

const cpu = meanOf(seen.streamed.map(({ cpuPercent }) => cpuPercent));
console.log("time per token, as the server reports it");
console.log(`  read by Podium over whole:       ${compare("streamed", "whole")}`);
console.log(`  streamed unread over whole:      ${compare("unread", "whole")}`);
console.log(`  read by curl over whole:         ${compare("curl", "whole")}`);
console.log(`  read by Podium over unread:      ${compare("streamed", "unread")}`);
console.log(`  read by Podium over curl:        ${compare("streamed", "curl")}`);
console.log(`processor time of this process while streaming: ${cpu.toFixed(1)} % of a core`);
