/** One address before several models: listing, routing by name, passing through, and what can go wrong. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { listen } from "../../lib/engine/listen.ts";
import { gateway } from "../../lib/serve/gateway.ts";
import { type Backend, type BackendState, routesByName } from "../../lib/serve/routes.ts";
import { type FakeCore, fakeCore, serveFace, token } from "../engine/fake_core.ts";

const messages = [{ role: "user" as const, content: "Hello" }];

async function setUp(say: Parameters<typeof fakeCore>[0]) {
  const core = fakeCore(say);
  const engine = await serveFace(core);
  const states: Record<string, BackendState> = { one: { kind: "up" }, two: { kind: "up" } };
  const backend = (id: string, names: string[], baseUrl: string): Backend => ({
    id,
    names,
    endpoint: { name: "embedded", baseUrl, apiKey: token },
    modelId: "tiny:q4",
    about: { device: "cpu" },
    state: () => states[id] ?? { kind: "up" },
  });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nobody = `http://127.0.0.1:${closed.addr.port}/v1`;
  closed.close();
  const backends = [
    backend("one", ["one:q4", "shared"], `${engine.origin}/v1`),
    backend("two", ["shared"], nobody),
  ];
  const handler = gateway(routesByName(backends), { fetch, startedAt: 1_700_000_000, localOnly: true });
  const server = await listen(handler, "127.0.0.1", 0);
  const origin = `http://127.0.0.1:${server.port}`;
  return {
    core,
    states,
    origin,
    client: new OpenAI({ baseURL: `${origin}/v1`, apiKey: "none", maxRetries: 0 }),
    post: (body: unknown, init: RequestInit = {}) =>
      fetch(`${origin}/v1/chat/completions`, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
      }),
    async [Symbol.asyncDispose]() {
      await server.close();
      await engine[Symbol.asyncDispose]();
    },
  };
}

const lastJob = (core: FakeCore) => core.jobs.at(-1);

Deno.test("models are listed with what is known of them, and found by any of their names", async () => {
  await using it = await setUp(() => ["hi"]);
  const models = (await it.client.models.list()).data;
  assert.deepEqual(models, [
    { id: "one", object: "model", created: 1_700_000_000, owned_by: "embedded", device: "cpu" },
    { id: "two", object: "model", created: 1_700_000_000, owned_by: "embedded", device: "cpu" },
  ]);
  assert.equal((await it.client.models.retrieve("ONE:q4")).id, "one");
  for (const model of ["one", "One:Q4", "shared"]) {
    const answer = await it.client.chat.completions.create({ model, messages, max_tokens: 4, top_p: 0.5 });
    assert.equal(answer.choices[0]?.message.content, "hi");
    assert.equal(lastJob(it.core)?.model, "tiny:q4");
    assert.equal(lastJob(it.core)?.maxTokens, 4);
    assert.equal(lastJob(it.core)?.sampling.topP, 0.5);
  }
});

Deno.test("a stream comes through piece by piece, while the engine still works", async () => {
  await using it = await setUp(() => "wait");
  const gone = new AbortController();
  const stream = await it.client.chat.completions.create({ model: "one", messages, stream: true }, {
    signal: gone.signal,
  });
  const first = await stream[Symbol.asyncIterator]().next();
  assert.equal(first.value?.choices[0]?.delta.content, "first");
  assert.deepEqual(it.core.cancelled, []);
  gone.abort();
  await until(() => it.core.cancelled.length === 1);
});

Deno.test("a client that goes away ends the request behind the gateway, streamed or not", async () => {
  await using it = await setUp(() => "wait");
  for (const stream of [true, false]) {
    const jobs = it.core.jobs.length;
    const gone = new AbortController();
    const pending = it.post({ model: "one", messages, stream }, { signal: gone.signal });
    await until(() => it.core.jobs.length === jobs + 1);
    gone.abort();
    await pending.then((response) => response.body?.cancel(), () => {}).catch(() => {});
    await until(() => it.core.cancelled.length === jobs + 1);
  }
});

Deno.test("the engine's own refusals pass through with their status", async () => {
  await using it = await setUp(() => ["hi"]);
  const response = await it.post({ model: "one", messages: "none" });
  assert.equal(response.status, 400);
  const { error } = await response.json();
  assert.equal(error.param, "messages");
  assert.equal(error.message, "'messages' must be array, not string");
});

const wrong: [name: string, body: unknown, status: number, code: string | null, message: RegExp][] = [
  ["not JSON", "{oops", 400, null, /not JSON/],
  ["no model", { messages }, 400, null, /'model' must name/],
  ["an unknown model", { model: "gpt", messages }, 404, "model_not_found", /'gpt'.*one, two/],
  [
    "a backend that nobody listens on",
    { model: "two", messages },
    503,
    "model_unavailable",
    /'two' can't answer/,
  ],
];
for (const [name, body, status, code, message] of wrong) {
  Deno.test(`refused in OpenAI's shape: ${name}`, async () => {
    await using it = await setUp(() => ["hi"]);
    const response = await it.post(body);
    const { error } = await response.json();
    assert.equal(response.status, status);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
  });
}

Deno.test("a model whose engine ended is refused with the reason, shows in /healthz, and the other goes on", async () => {
  await using it = await setUp(() => ["hi"]);
  const healthy = await fetch(`${it.origin}/healthz`);
  assert.equal(healthy.status, 200);
  assert.equal((await healthy.json()).status, "ok");
  it.states.two = { kind: "down", reason: "its engine ended (SIGKILL)" };
  const ill = await fetch(`${it.origin}/healthz`);
  assert.equal(ill.status, 503);
  assert.deepEqual(await ill.json(), {
    status: "degraded",
    models: [{ id: "one", kind: "up" }, { id: "two", kind: "down", reason: "its engine ended (SIGKILL)" }],
  });
  const refused = await it.post({ model: "two", messages });
  assert.equal(refused.status, 503);
  assert.match((await refused.json()).error.message, /'two' can't answer now: its engine ended \(SIGKILL\)/);
  assert.equal(
    (await it.post({ model: "one", messages }).then((r) => r.json())).choices[0].message.content,
    "hi",
  );
});

Deno.test("pages of other sites are refused, and nobody needs a key", async () => {
  await using it = await setUp(() => ["hi"]);
  const response = await fetch(`${it.origin}/v1/models`, { headers: { origin: "https://evil.example" } });
  assert.equal(response.status, 403);
  assert.equal((await response.json()).error.code, "forbidden_origin");
  const missing = await fetch(`${it.origin}/v1/embeddings`, { method: "POST", body: "{}" });
  assert.equal(missing.status, 404);
  assert.equal((await missing.json()).error.code, "unknown_url");
});

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 2));
}
