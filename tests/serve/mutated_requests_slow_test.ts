/** Ten thousand mutated requests: whatever they do to a gateway and a model's server, both serve on. */
import assert from "node:assert/strict";
import { seededRandom } from "../../lib/stats/random.ts";
import { fakeCore, serveFace, token } from "../openai/fake_core.ts";
import { serviceModel } from "../../lib/serve/served_models.ts";
import { setUp } from "./set_up.ts";

const REQUESTS = 5000;
const AT_A_TIME = 64;
const QUIET_MS = 300;

const chat = {
  model: "tiny",
  messages: [{ role: "user", content: "Hello wörld 😀" }],
  max_tokens: 4,
  temperature: 0.5,
  stop: ["x"],
  stream: false,
  response_format: { type: "json_schema", json_schema: { schema: { type: "object" } } },
};
const headers =
  `Host: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nConnection: close\r\n`;
const withBody = (path: string, body: unknown) => {
  const text = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\n${headers}Content-Length: ${
    new TextEncoder().encode(text).length
  }\r\n\r\n${text}`;
};
const seeds = [
  withBody("/v1/chat/completions", chat),
  withBody("/v1/chat/completions", { ...chat, stream: true, stream_options: { include_usage: true } }),
  withBody("/v1/completions", { model: "tiny", prompt: "Once" }),
  withBody("/v1/feedback", { id: "req-1", good: true }),
  `POST /v1/chat/completions HTTP/1.1\r\n${headers}Transfer-Encoding: chunked\r\n\r\n5\r\n{"mod\r\n0\r\n\r\n`,
  `GET /v1/models/tiny?x=1 HTTP/1.1\r\n${headers}\r\n`,
  `OPTIONS /v1/models HTTP/1.1\r\n${headers}Origin: http://localhost\r\n\r\n`,
];
const encoder = new TextEncoder();
const bits = [
  "\r\n",
  "\0",
  "[",
  "{",
  '"',
  "\\",
  "ÿ",
  "9",
  "-1",
  "null",
  "1e999",
  " ",
  ":",
  "__proto__",
  "\ud800",
];

/** Half of them with the whole text mutated, half with the body alone and its right length. */
function mutatedRequest(text: string, random: () => number): Uint8Array {
  const [head = "", body = ""] = text.split("\r\n\r\n");
  if (random() < 0.5 || !head.includes("Content-Length")) return encoder.encode(mutated(text, random));
  const bytes = encoder.encode(mutated(body, random));
  const start = encoder.encode(
    `${head.replace(/Content-Length: .*/, `Content-Length: ${bytes.length}`)}\r\n\r\n`,
  );
  return Uint8Array.from([...start, ...bytes]);
}

/** One to three changes: a byte, a piece that is gone, doubled or new. */
function mutated(text: string, random: () => number): string {
  const whole = (below: number) => Math.floor(random() * below);
  let out = text;
  for (let changes = 1 + whole(3); changes > 0; changes--) {
    const at = whole(out.length);
    const end = at + 1 + whole(12);
    const piece = out.slice(at, end);
    const instead =
      [String.fromCharCode(whole(256)), "", piece + piece, bits[whole(bits.length)] ?? ""][whole(4)];
    out = out.slice(0, at) + instead + out.slice(end);
  }
  return out;
}

/** Sends the bytes; ends when the server has closed, or has nothing more to say. */
async function send(port: number, bytes: Uint8Array): Promise<void> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const timer = setTimeout(() => socket.close(), QUIET_MS);
  try {
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
    const buffer = new Uint8Array(4096);
    while (await socket.read(buffer) !== null);
    clearTimeout(timer);
    socket.close();
  } catch {
    // The server or the timer closed it.
  }
}

Deno.test("10,000 mutated requests leave the gateway and a model's server serving", async () => {
  const random = seededRandom("mutated requests");
  const core = fakeCore(() => ["fine"]);
  await using engine = await serveFace(core);
  const answer = { id: "x", choices: [{ index: 0, message: { content: "fine" }, finish_reason: "stop" }] };
  await using upstream = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => Response.json(answer),
  );
  const endpoint = { name: "fake", baseUrl: `http://127.0.0.1:${upstream.addr.port}/v1` };
  const names = { id: "tiny", names: [], candidate: "tiny@fake", capabilities: [] };
  await using it = await setUp({
    served: [serviceModel({ ...names, endpoint, modelId: "tiny", slots: 64 })],
    access: { apiKey: token },
    timeoutMs: 2000,
  });
  const before = Deno.memoryUsage().rss;
  for (const port of [it.port, Number(new URL(engine.origin).port)]) {
    let left = REQUESTS;
    const client = async () => {
      while (left-- > 0) {
        const seed = seeds[Math.floor(random() * seeds.length)] ?? "";
        await send(port, mutatedRequest(seed, random));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, client));
    const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ ...chat, response_format: undefined }),
      signal: AbortSignal.timeout(5000),
    });
    assert.equal(response.status, 200, await response.text());
  }
  assert.deepEqual(it.faults, []);
  assert.ok(
    it.records.length > 50 && core.jobs.length > 50,
    `${it.records.length} and ${core.jobs.length} reached a model`,
  );
  assert.equal(it.models.of("tiny@fake")?.breaker.state(), "closed");
  const grownMb = (Deno.memoryUsage().rss - before) / 1e6;
  assert.ok(grownMb < 200, `${grownMb} MB more, clients included`);
});
