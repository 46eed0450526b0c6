/** One address before several models: the official client, what passes through, choosing, safety. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { rawExchange, setUp, until } from "./set_up.ts";

const messages = [{ role: "user" as const, content: "Hello" }];
const clientOf = (origin: string, apiKey = "none") =>
  new OpenAI({ baseURL: `${origin}/v1`, apiKey, maxRetries: 0 });

Deno.test("the official client lists, asks and streams, by any of a model's names", async () => {
  await using it = await setUp({ models: { one: { tokens: 3 }, two: {} } });
  const client = clientOf(it.origin);
  const listed = (await client.models.list()).data.map(({ id, owned_by }) => [id, owned_by]);
  assert.deepEqual(listed, [["one", "fake"], ["two", "fake"], ["auto", "podium"]]);
  assert.equal((await client.models.retrieve("ONE-too")).id, "one");
  for (const model of ["one", "One-Too", "one@fake", "auto"]) {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 9 });
    assert.equal(answer.choices[0]?.message.content, " t1 t2 t3");
    assert.equal(answer.usage?.completion_tokens, 3);
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), " t1 t2 t3");
    assert.equal(chunks.at(-1)?.usage?.completion_tokens, 3);
  }
  const completion = await client.completions.create({ model: "two", prompt: "Once", max_tokens: 2 });
  assert.equal(completion.choices[0]?.text, " t1 t2");
  assert.equal(completion.choices[0]?.finish_reason, "length");
});

Deno.test("what nobody here knows passes through, both ways, to the last digit", async () => {
  await using it = await setUp({
    models: { one: { timings: "llama", reasoning: { tokens: 2, field: "reasoning_content" } } },
  });
  const body =
    '{ "model":"one", "seed": 12345678901234567890, "x_new": {"model": "inner"}, "temperature":1.0, "messages":[{"role":"user","content":"\\"model\\": \\u00e9"}]}';
  const response = await it.post(body);
  const answer = await response.json();
  assert.equal(answer.timings.predicted_n, 10);
  assert.equal(answer.choices[0].message.reasoning_content, " r1 r2");
  const [entry] = it.fakes.one?.log ?? [];
  assert.equal(entry?.headers["content-length"], String(new TextEncoder().encode(body).length + 6));
  const seen = entry?.body;
  assert.ok(typeof seen === "object" && seen !== null && "model" in seen && "x_new" in seen);
  assert.equal(seen.model, "one-there");
  assert.deepEqual(seen.x_new, { model: "inner" });
  assert.equal(entry?.headers["authorization"], "Bearer upstream-secret");
  assert.equal(response.headers.get("x-podium-model"), "one");
  assert.equal(response.headers.get("x-podium-reason"), "named by the request");
});

Deno.test("a stream comes through while the model still works; a client that goes away ends the request", async () => {
  await using it = await setUp({ models: { one: { tokens: 3, fault: { kind: "hang", afterChunks: 1 } } } });
  const client = clientOf(it.origin);
  const chunks = await client.chat.completions.create({ model: "one", messages, stream: true });
  for await (const { choices } of chunks) if (choices[0]?.delta.content === " t1") break;
  await until(() => it.records.length === 1);
  assert.equal(it.models.of("one@fake")?.queue.busy, 0);
  assert.deepEqual(it.records.map(({ status }) => status), [499]);
  assert.equal(it.models.of("one@fake")?.breaker.state(), "closed");
});

Deno.test("the model's own refusals pass through with their status and words, without its key", async () => {
  const body =
    '{"error":{"message":"context too long: upstream-secret","type":"x","param":"messages","code":7}}';
  await using it = await setUp({ models: { one: { fault: { kind: "http", status: 400, body } } } });
  const response = await it.post({ model: "one", messages });
  assert.equal(response.status, 400);
  assert.deepEqual((await response.json()).error, {
    message: "context too long: [key]",
    type: "x",
    param: "messages",
    code: 7,
  });
});

const wrong: [name: string, body: unknown, status: number, code: string | null, message: RegExp][] = [
  ["not JSON", "{oops", 400, null, /not JSON/],
  ["no model", { messages }, 400, null, /'model' must name/],
  ["a stream that is none", { model: "one", stream: "yes" }, 400, null, /'stream' is true or false/],
  ["an unknown model", { model: "gpt", messages }, 404, "model_not_found", /'gpt'.*one, auto/],
];
for (const [name, body, status, code, message] of wrong) {
  Deno.test(`refused in OpenAI's shape: ${name}`, async () => {
    await using it = await setUp({ models: { one: {} } });
    const response = await it.post(body);
    const { error } = await response.json();
    assert.equal(response.status, status);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  });
}

Deno.test("auto says who answered and why, keeps a conversation's model, and learns from feedback", async () => {
  await using it = await setUp({ models: { plain: {}, code: {} }, mode: "by-intent" });
  const ask = async (content: string, headers: Record<string, string> = {}, metadata = {}) => {
    const response = await it.post({ model: "auto", metadata, messages: [{ role: "user", content }] }, {
      headers,
    });
    await response.body?.cancel();
    const header = (name: string) => response.headers.get(`x-podium-${name}`);
    return {
      model: header("model"),
      intent: header("intent"),
      reason: header("reason"),
      request: header("request"),
    };
  };
  const first = await ask("Refactor this function");
  assert.deepEqual([first.model, first.intent], ["code", "code"]);
  assert.doesNotMatch((await ask("Refactor this function")).reason ?? "", /keeps/, "asked anew, chosen anew");
  assert.equal((await ask("Hi", { "x-podium-intent": "code" })).intent, "code");
  assert.equal((await ask("Hallo", {}, { intent: "summarize" })).intent, "summarize");
  assert.equal((await ask("Hey", {}, { capability: "code", conversation: "c1" })).model, "code");
  assert.match((await ask("Other", { "x-podium-conversation": "c1" })).reason ?? "", /keeps its model/);
  const path = "/v1/feedback";
  const good = await it.post({ id: first.request, good: false }, { path });
  assert.equal(good.status, 200);
  await good.body?.cancel();
  const unknown = await it.post({ id: "req-x", good: true }, { path });
  assert.equal((await unknown.json()).error.code, "unknown_id");
  assert.equal(unknown.status, 404);
  const view = JSON.parse((await it.get("/v1/router")).text);
  assert.equal(view.routing.intents.code.arms["code@fake"].failures, 1);
  assert.deepEqual(view.arms.map(({ id, breaker }: { id: string; breaker: string }) => [id, breaker]), [
    ["plain@fake", "closed"],
    ["code@fake", "closed"],
  ]);
  const recent = view.recent.find(({ request }: { request: string }) => request === first.request);
  assert.deepEqual([recent.model, recent.success, recent.feedback], ["code@fake", true, "bad"]);
  assert.ok(!JSON.stringify(view).includes("Refactor"), "no prompt is kept");
});

Deno.test("an answer that is empty or too late is no success", async () => {
  await using it = await setUp({
    models: { mute: { tokens: 0 }, "slow-code": { ttftMs: 40 } },
    slo: { ttft_s: 0.01, e2e_s: null },
  });
  for (const capability of ["", "code"]) {
    const response = await it.post({
      model: "auto",
      stream: true,
      messages,
      metadata: { capability, conversation: "none" },
    });
    await response.text();
  }
  const { recent } = JSON.parse((await it.get("/v1/router")).text);
  assert.deepEqual(
    recent.map(({ success, outcome }: { success: boolean; outcome: string }) => [success, outcome]),
    [
      [false, "answered too late"],
      [false, "empty answer"],
    ],
  );
});

Deno.test("metrics are Prometheus' text; health tells who is down", async () => {
  await using it = await setUp({ models: { one: {} } });
  await (await it.post({ model: "one", messages })).text();
  const { text, headers } = await it.get("/metrics");
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^podium_requests_total\{model="one",status="200"\} 1$/m);
  assert.match(text, /^podium_output_tokens_total\{model="one"\} 8$/m);
  assert.match(text, /^podium_ttft_seconds_count\{model="one"\} 1$/m);
  assert.match(text, /^podium_breaker_state\{model="one"\} 0$/m);
  for (const line of text.split("\n").filter((one) => one !== "")) {
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? [\d.e+-]+)$/);
  }
  assert.equal((await it.get("/healthz")).status, 200);
});

Deno.test("web pages of other sites, and names that were pointed here, are refused", async () => {
  await using it = await setUp({ models: { one: {} } });
  const evil = await it.get("/v1/models", { origin: "https://evil.example" });
  assert.equal(evil.status, 403);
  assert.equal(JSON.parse(evil.text).error.code, "forbidden_origin");
  assert.equal(evil.headers.get("access-control-allow-origin"), null);
  const rebound = await rawExchange(
    it.port,
    "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
  );
  assert.match(rebound, /^HTTP\/1\.1 403 .*forbidden_host/s);
});

Deno.test("a named web page gets what a browser asks for, others don't", async () => {
  await using it = await setUp({ models: { one: {} }, access: { cors: ["https://chat.example"] } });
  const origin = { origin: "https://chat.example" };
  const preflight = await fetch(`${it.origin}/v1/chat/completions`, { method: "OPTIONS", headers: origin });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "https://chat.example");
  const listed = await it.get("/v1/models", origin);
  assert.equal(listed.headers.get("access-control-allow-origin"), "https://chat.example");
  assert.equal((await it.get("/v1/models", { origin: "https://other.example" })).status, 403);
});

Deno.test("where there is a key, nothing but health goes without it", async () => {
  await using it = await setUp({ models: { one: {} }, access: { apiKey: "a-long-secret", host: "0.0.0.0" } });
  for (const path of ["/v1/models", "/metrics", "/v1/router"]) {
    assert.equal((await it.get(path)).status, 401, path);
  }
  assert.equal((await it.get("/healthz")).status, 200);
  const wrongKey = clientOf(it.origin, "a-long-secreT").models.list();
  await assert.rejects(Promise.resolve(wrongKey), /401 wrong or missing API key/);
  assert.equal((await clientOf(it.origin, "a-long-secret").models.list()).data.length, 2);
});

Deno.test("curl speaks with it: chunks, a long body with 100-continue, kept connections", async () => {
  await using it = await setUp({ models: { one: { tokens: 2 } } });
  const body = JSON.stringify({
    model: "one",
    stream: true,
    messages: [{ role: "user", content: "x".repeat(2e6) }],
  });
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, body);
    const url = `${it.origin}/v1/chat/completions`;
    const args = ["-sS", "-N", "--data-binary", `@${file}`, "-H", "transfer-encoding: chunked", url, url];
    const { code, stdout, stderr } = await new Deno.Command("curl", { args }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(new TextDecoder().decode(stdout).match(/data: \[DONE\]/g)?.length, 2);
  } finally {
    await Deno.remove(file);
  }
});
