/** The engine's face as clients see it, with the official client and by hand; no model behind it. */
import assert from "node:assert/strict";
import type { CallDelta } from "../../lib/endpoint/answer_chunk.ts";
import { AnswerReader } from "../../lib/endpoint/answer_reader.ts";
import type { AnswerPiece } from "../../lib/openai/answer.ts";
import OpenAI from "openai";
import { ApiError } from "../../lib/openai/api_error.ts";
import { fakeCore, serveFace, token } from "./fake_core.ts";

const messages = [{ role: "user" as const, content: "Hello" }];
const chat = { model: "tiny", messages };

Deno.test("the official client lists, chats, completes and streams", async () => {
  const core = fakeCore(() => ["Hel", "lo ", "wörld 😀"]);
  await using face = await serveFace(core);
  const client = new OpenAI({ baseURL: `${face.origin}/v1`, apiKey: token, maxRetries: 0 });

  const models = (await client.models.list()).data;
  assert.deepEqual(models.map(({ id, owned_by }) => ({ id, owned_by })), [{
    id: "tiny:q4",
    owned_by: "podium",
  }]);

  const answer = await client.chat.completions.create({ ...chat, max_completion_tokens: 9 });
  assert.equal(answer.choices[0]?.message.content, "Hello wörld 😀");
  assert.equal(answer.choices[0]?.finish_reason, "stop");
  assert.equal(answer.usage?.prompt_tokens_details?.cached_tokens, 5);
  assert.equal(core.jobs[0]?.maxTokens, 9);

  const completion = await client.completions.create({ model: "TINY:Q4", prompt: "Once" });
  assert.equal(completion.choices[0]?.text, "Hello wörld 😀");
  assert.equal(core.jobs[1]?.maxTokens, 16);

  const stream = await client.chat.completions.create({
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? null), [
    "Hel",
    "lo ",
    "wörld 😀",
    null,
    null,
  ]);
  assert.equal(chunks[0]?.choices[0]?.delta.role, "assistant");
  assert.equal(chunks[3]?.choices[0]?.finish_reason, "stop");
  assert.deepEqual(chunks[4]?.usage, {
    prompt_tokens: 7,
    completion_tokens: 3,
    total_tokens: 10,
    prompt_tokens_details: { cached_tokens: 5 },
  });
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
});

Deno.test("the last chunk carries the engine's own times, with and without usage", async () => {
  await using face = await serveFace(fakeCore(() => ["x"]));
  const timings = { cache_n: 5, prompt_n: 2, prompt_ms: 12.346, predicted_n: 3, predicted_ms: 20 };
  const last = (text: string) => JSON.parse(text.split("\n\n").at(-3)?.slice("data: ".length) ?? "");
  for (const stream_options of [undefined, { include_usage: true }]) {
    const response = await face.post("/v1/completions", {
      model: "tiny",
      prompt: "x",
      stream: true,
      stream_options,
    });
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    const text = await response.text();
    assert.ok(text.endsWith("data: [DONE]\n\n"));
    assert.deepEqual(last(text).timings, timings);
    assert.equal("usage" in last(text), stream_options !== undefined);
  }
  const whole = await (await face.post("/v1/chat/completions", chat)).json();
  assert.deepEqual(whole.timings, timings);
});

const tool = { type: "function", function: { name: "get_time", parameters: { type: "object" } } };

const wrong: [
  name: string,
  path: string,
  body: unknown,
  status: number,
  param: string | null,
  message: RegExp,
][] = [
  ["not JSON", "/v1/chat/completions", "{oops", 400, null, /not JSON/],
  ["not an object", "/v1/chat/completions", "[]", 400, null, /must be a JSON object/],
  ["no messages", "/v1/chat/completions", { model: "tiny" }, 400, "messages", /'messages'/],
  ["empty messages", "/v1/chat/completions", { ...chat, messages: [] }, 400, "messages", /'messages'/],
  ["no model", "/v1/chat/completions", { messages }, 400, "model", /'model'/],
  [
    "another model",
    "/v1/chat/completions",
    { ...chat, model: "gpt" },
    404,
    "model",
    /'gpt' is not loaded.*'tiny:q4'/,
  ],
  [
    "text for a number",
    "/v1/chat/completions",
    { ...chat, temperature: "hot" },
    400,
    "temperature",
    /temperature/,
  ],
  ["too hot", "/v1/chat/completions", { ...chat, temperature: 2.5 }, 400, "temperature", /temperature/],
  ["no tokens", "/v1/chat/completions", { ...chat, max_tokens: 0 }, 400, "max_tokens", /max_tokens/],
  [
    "part of a token",
    "/v1/completions",
    { model: "tiny", prompt: "x", max_tokens: 1.5 },
    400,
    "max_tokens",
    /max/,
  ],
  ["two answers", "/v1/chat/completions", { ...chat, n: 2 }, 400, "n", /one answer per request/],
  [
    "a tool without a type",
    "/v1/chat/completions",
    { ...chat, tools: [{}] },
    400,
    "tools.0.type",
    /function/,
  ],
  [
    "a tool twice",
    "/v1/chat/completions",
    { ...chat, tools: [tool, tool] },
    400,
    "tools",
    /'get_time' twice/,
  ],
  [
    "a choice that is not among the tools",
    "/v1/chat/completions",
    { ...chat, tools: [tool], tool_choice: { type: "function", function: { name: "other" } } },
    400,
    "tool_choice",
    /'other', which is not among the tools/,
  ],
  [
    "a choice without tools",
    "/v1/chat/completions",
    { ...chat, tool_choice: "required" },
    400,
    "tool_choice",
    /tools/,
  ],
  [
    "tools and a format",
    "/v1/chat/completions",
    { ...chat, tools: [tool], response_format: { type: "json_object" } },
    400,
    "response_format",
    /combined with tools/,
  ],
  [
    "a tool's message without its call",
    "/v1/chat/completions",
    { ...chat, messages: [{ role: "tool", content: "12:00" }] },
    400,
    "messages.0.tool_call_id",
    /missing/,
  ],
  [
    "21 alternatives",
    "/v1/chat/completions",
    { ...chat, logprobs: true, top_logprobs: 21 },
    400,
    "top_logprobs",
    /20/,
  ],
  [
    "a picture",
    "/v1/chat/completions",
    {
      ...chat,
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }],
    },
    400,
    "messages.0.content",
    /text/,
  ],
  [
    "an unknown role",
    "/v1/chat/completions",
    {
      ...chat,
      messages: [{ role: "robot", content: "x" }],
    },
    400,
    "messages.0.role",
    /role/,
  ],
  [
    "a strange format",
    "/v1/chat/completions",
    { ...chat, response_format: { type: "xml" } },
    400,
    "response_format.type",
    /json_schema/,
  ],
  [
    "a list of prompts",
    "/v1/completions",
    { model: "tiny", prompt: ["a", "b"] },
    400,
    "prompt",
    /one string/,
  ],
  ["a number as prompt", "/v1/completions", { model: "tiny", prompt: 5 }, 400, "prompt", /one string/],
  [
    "stop that is a number",
    "/v1/completions",
    { model: "tiny", prompt: "x", stop: 5 },
    400,
    "stop",
    /string/,
  ],
];
for (const [name, path, body, status, param, message] of wrong) {
  Deno.test(`refused in OpenAI's shape: ${name}`, async () => {
    await using face = await serveFace(fakeCore(() => ["never"]));
    const response = await face.post(path, body);
    const { error } = await response.json();
    assert.equal(response.status, status, error.message);
    assert.equal(error.type, "invalid_request_error");
    assert.equal(error.param, param);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
  });
}

Deno.test("nulls and unknown fields, as clients send them, are let through", async () => {
  const core = fakeCore(() => ["ok"]);
  await using face = await serveFace(core);
  const body = {
    ...chat,
    messages: [
      { role: "developer", content: [{ type: "text", text: "Be " }, { type: "text", text: "brief." }] },
      ...messages,
    ],
    temperature: null,
    seed: null,
    stop: null,
    n: 1,
    tools: [],
    user: "somebody",
    stream_options: null,
    parallel_tool_calls: true,
  };
  const response = await face.post("/v1/chat/completions", body);
  assert.equal(response.status, 200, await response.text());
  assert.deepEqual(core.jobs[0]?.input, {
    kind: "messages",
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hello" }],
  });
  assert.equal(core.jobs[0]?.sampling.temperature, 1);
});

Deno.test("only this machine's own programs that know the token get in", async () => {
  await using face = await serveFace(fakeCore(() => ["x"]));
  const cases: [RequestInit & { key?: string }, number, string][] = [
    [{ key: "wrong" }, 401, "invalid_api_key"],
    [{ headers: {} }, 401, "invalid_api_key"],
    [
      { headers: { authorization: `Bearer ${token}`, origin: "https://evil.example" } },
      403,
      "forbidden_origin",
    ],
  ];
  for (const [init, status, code] of cases) {
    const response = await face.send("/v1/models", init);
    assert.equal(response.status, status);
    assert.equal((await response.json()).error.code, code);
  }
  const own = { headers: { authorization: `Bearer ${token}`, origin: "http://localhost:8888" } };
  const allowed = await face.send("/v1/models", own);
  assert.equal(allowed.status, 200);
  await allowed.body?.cancel();
});

Deno.test("a page's own host name that points at this machine is refused", async () => {
  await using face = await serveFace(fakeCore(() => ["x"]));
  const { hostname, port } = new URL(face.origin);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const head = `GET /v1/models HTTP/1.1\r\nhost: evil.example:${port}\r\nconnection: close\r\n` +
    `authorization: Bearer ${token}\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const answer = await new Response(connection.readable).text();
  assert.match(answer, /^HTTP\/1.1 403/);
  assert.match(answer, /forbidden_host/);
});

Deno.test("unknown routes and wrong methods are 404 in OpenAI's shape", async () => {
  await using face = await serveFace(fakeCore(() => ["x"]));
  for (
    const [path, method] of [["/v1/responses", "POST"], ["/v1/chat/completions", "GET"], [
      "/",
      "GET",
    ]] as const
  ) {
    const response = await face.send(path, { method });
    assert.equal(response.status, 404);
    assert.equal((await response.json()).error.code, "unknown_url");
  }
});

Deno.test("a failure inside is a 500 without a stack; inside a stream, its last event", async () => {
  await using face = await serveFace(fakeCore(() => new Error("ran out of ideas")));
  const whole = await face.post("/v1/chat/completions", chat);
  assert.equal(whole.status, 500);
  const { error } = await whole.json();
  assert.deepEqual(error, {
    message: "the engine failed: ran out of ideas",
    type: "server_error",
    param: null,
    code: "engine_error",
  });
  const stream = await (await face.post("/v1/chat/completions", { ...chat, stream: true })).text();
  assert.equal(stream, `data: ${JSON.stringify({ error })}\n\n`);
});

Deno.test("a refusal of the model's own, such as a full context, keeps its status", async () => {
  const core = fakeCore(() => ["x"]);
  const full = new ApiError(400, "too long", { param: "messages", code: "context_length_exceeded" });
  await using face = await serveFace({ model: core.model, prepare: () => Promise.reject(full) });
  for (const stream of [true, false]) {
    const response = await face.post("/v1/chat/completions", { ...chat, stream });
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error.code, "context_length_exceeded");
  }
});

Deno.test("a client that goes away ends its generation, streamed or not, and the next one is served", async () => {
  const core = fakeCore((job) => job.stop[0] === "go" ? ["done"] : "wait");
  await using face = await serveFace(core);
  // A request that comes in several pieces takes another way through the server than a small one.
  const long = [{ role: "user", content: "word ".repeat(50_000) }];
  const bodies = [chat, { ...chat, messages: long }].flatMap((body) => [
    { ...body, stream: true },
    { ...body, stream: false },
  ]);
  for (const [done, body] of bodies.entries()) {
    const gone = new AbortController();
    const init = { method: "POST", body: JSON.stringify(body), signal: gone.signal };
    const pending = face.send("/v1/chat/completions", init);
    if (body.stream) await (await pending).body?.getReader().read();
    else await until(() => core.jobs.length === done + 1);
    gone.abort();
    await pending.catch(() => {});
    await until(() => core.cancelled.length === done + 1);
  }
  const next = await (await face.post("/v1/chat/completions", { ...chat, stop: "go" })).json();
  assert.equal(next.choices[0].message.content, "done");
});

Deno.test("a client that goes away while it waits leaves the queue", async () => {
  const core = fakeCore((job) => job.stop[0] === "go" ? ["done"] : "wait");
  await using face = await serveFace(core);
  const first = new AbortController();
  const running = await face.send("/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...chat, stream: true }),
    signal: first.signal,
  });
  const second = new AbortController();
  const waiting = await face.send("/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...chat, stream: true }),
    signal: second.signal,
  });
  const inLine = async () => (await (await face.send("/podium/stats")).json()).waiting;
  await untilAsync(async () => await inLine() === 1);
  second.abort();
  await untilAsync(async () => await inLine() === 0);
  assert.deepEqual(core.cancelled, []);
  first.abort();
  await until(() => core.cancelled.length === 1);
  await running.body?.cancel().catch(() => {});
  await waiting.body?.cancel().catch(() => {});
});

Deno.test("the engine tells its memory, its processor time and its queue", async () => {
  await using face = await serveFace(fakeCore(() => ["x"]));
  await (await face.post("/v1/chat/completions", chat)).body?.cancel();
  assert.deepEqual(await (await face.send("/podium/stats")).json(), {
    resident_mb: 100,
    cpu_s: 1.5,
    waiting: 0,
    answered: 1,
  });
});

const until = (done: () => boolean) => untilAsync(() => Promise.resolve(done()));

async function untilAsync(done: () => Promise<boolean>): Promise<void> {
  while (!await done()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const call = (changes: Partial<CallDelta>): AnswerPiece => ({
  call: { index: 0, id: "", name: "", arguments: "", ...changes },
});
const calling: AnswerPiece[] = [
  call({ id: "a1", name: "get_time" }),
  call({ arguments: '{"zone":' }),
  call({ arguments: '"UTC"}' }),
  call({ index: 1, id: "b2", name: "get_time", arguments: "{}" }),
];

Deno.test("tools and the conversation about them reach the model", async () => {
  const core = fakeCore(() => ["ok"]);
  await using face = await serveFace(core);
  const made = { id: "a1", type: "function", function: { name: "get_time", arguments: "{}" } };
  const conversation = [
    ...messages,
    { role: "assistant", content: null, tool_calls: [made] },
    { role: "tool", tool_call_id: "a1", content: [{ type: "text", text: "12:00" }] },
  ];
  const body = { ...chat, messages: conversation, tools: [tool], tool_choice: "required" };
  assert.equal((await face.post("/v1/chat/completions", body)).status, 200);
  const [job] = core.jobs;
  assert.deepEqual(job?.tools, [{ name: "get_time", parameters: { type: "object" } }]);
  assert.equal(job.toolChoice, "required");
  assert.deepEqual(job.input.kind === "messages" && job.input.messages.slice(-2), [
    { role: "assistant", content: "", tool_calls: [{ id: "a1", name: "get_time", arguments: "{}" }] },
    { role: "tool", content: "12:00", tool_call_id: "a1" },
  ]);
  await face.post("/v1/chat/completions", { ...chat, tools: [tool], tool_choice: "none" });
  assert.deepEqual(core.jobs[1]?.tools, [], "what must not be called is not shown");
});

Deno.test("calls are answered in OpenAI's shape, whole and streamed", async () => {
  await using face = await serveFace(fakeCore(() => calling, { finishReason: "tool_calls" }));
  const body = { ...chat, tools: [tool] };
  const whole = await (await face.post("/v1/chat/completions", body)).json();
  assert.deepEqual(whole.choices[0], {
    index: 0,
    message: {
      role: "assistant",
      content: null,
      refusal: null,
      tool_calls: [
        { id: "a1", type: "function", function: { name: "get_time", arguments: '{"zone":"UTC"}' } },
        { id: "b2", type: "function", function: { name: "get_time", arguments: "{}" } },
      ],
    },
    logprobs: null,
    finish_reason: "tool_calls",
  });
  const streamed = await (await face.post("/v1/chat/completions", { ...body, stream: true })).text();
  const reader = new AnswerReader("text/event-stream");
  reader.feed(new TextEncoder().encode(streamed), 1);
  reader.end(2);
  assert.deepEqual(
    reader.text().toolCalls.map((one) => ({
      id: one.id,
      type: "function",
      function: { name: one.name, arguments: one.arguments },
    })),
    whole.choices[0].message.tool_calls,
  );
  assert.equal(reader.finishReason, "tool_calls");
  assert.equal(streamed.match(/"role":"assistant"/g)?.length, 1);
});

Deno.test("log-probabilities come with their text, whole and streamed", async () => {
  const tokens = [{ token: "Hé", logprob: -0.5, top: [{ token: "Hé", logprob: -0.5 }] }];
  const core = fakeCore(() => [{ text: "Hé", logprobs: tokens }]);
  await using face = await serveFace(core);
  const body = { ...chat, logprobs: true, top_logprobs: 1 };
  const whole = await (await face.post("/v1/chat/completions", body)).json();
  const shown = { token: "Hé", logprob: -0.5, bytes: [72, 195, 169] };
  assert.deepEqual(whole.choices[0].logprobs, {
    content: [{ ...shown, top_logprobs: [shown] }],
    refusal: null,
  });
  assert.equal(whole.choices[0].message.content, "Hé");
  assert.equal(core.jobs[0]?.logprobs, 1);
  const streamed = await (await face.post("/v1/chat/completions", { ...body, stream: true })).text();
  assert.ok(streamed.includes('"logprobs":{"content":[{"token":"Hé"'));
});

Deno.test("texts become vectors, as numbers or as the bytes that the official client asks for", async () => {
  const embed = (texts: readonly string[]) =>
    Promise.resolve({ vectors: texts.map((text) => [text.length, 0.5]), promptTokens: 7 });
  await using face = await serveFace({ ...fakeCore(() => []), embed });
  const body = { model: "tiny", input: ["ab", "c"] };
  const answer = await (await face.post("/v1/embeddings", body)).json();
  assert.deepEqual(answer.data, [
    { object: "embedding", index: 0, embedding: [2, 0.5] },
    { object: "embedding", index: 1, embedding: [1, 0.5] },
  ]);
  assert.deepEqual(answer.usage, { prompt_tokens: 7, total_tokens: 7 });
  const client = new OpenAI({ baseURL: `${face.origin}/v1`, apiKey: token, maxRetries: 0 });
  const { data } = await client.embeddings.create(body);
  assert.deepEqual(data.map(({ embedding }) => [...embedding]), [[2, 0.5], [1, 0.5]]);
  assert.equal((await face.post("/v1/embeddings", { ...body, model: "other" })).status, 404);
});

Deno.test("a model that writes text says that it makes no vectors", async () => {
  await using face = await serveFace(fakeCore(() => ["never"]));
  const response = await face.post("/v1/embeddings", { model: "tiny", input: "x" });
  assert.equal(response.status, 400);
  assert.match((await response.json()).error.message, /needs an embedding model/);
});
