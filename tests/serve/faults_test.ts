/** Whatever happens behind it, every request gets an answer or an error in OpenAI's shape before its deadline. */
import assert from "node:assert/strict";
import fc from "fast-check";
import OpenAI from "openai";
import { rawExchange, setUp, until } from "./set_up.ts";

const messages = [{ role: "user", content: "Hello" }];
const raw = (text: string) => ({ fault: { kind: "raw" as const, base64: btoa(text) } });
const http = (status: number, body: string) => ({ fault: { kind: "http" as const, status, body } });

const garbage: [name: string, model: Parameters<typeof setUp>[0]["models"], status: number, code: string][] =
  [
    ["no HTTP at all", { bad: raw("hello there\r\n\r\n") }, 502, "upstream_error"],
    [
      "a page instead of events",
      { bad: raw("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<p/>") },
      502,
      "upstream_error",
    ],
    [
      "events that are none",
      { bad: raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 4\r\n\r\n<p/>") },
      502,
      "upstream_error",
    ],
    ["a closed connection", { bad: { fault: { kind: "refuse" } } }, 502, "upstream_error"],
    ["an error that is no JSON", { bad: http(500, "boom") }, 502, "upstream_error"],
    [
      "an error instead of the first event",
      {
        bad: raw(
          'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: {"error":{"message":"no"}}\n\n',
        ),
      },
      502,
      "upstream_error",
    ],
    ["silence", { bad: { ttftMs: 60_000 } }, 504, "upstream_timeout"],
  ];
for (const [name, models, status, code] of garbage) {
  Deno.test(`alone it is an error, with a model in reserve an answer: ${name}`, async () => {
    await using it = await setUp({ models: { ...models, good: { tokens: 2 } }, firstByteMs: 60 });
    const alone = await it.post({ model: "bad", messages, stream: true });
    assert.equal(alone.status, status);
    assert.equal((await alone.json()).error.code, code);
    const other = await it.post({ model: "auto", messages, stream: true });
    assert.equal(other.headers.get("x-podium-model"), "good");
    assert.match(other.headers.get("x-podium-reason") ?? "", /the one before it failed/);
    assert.match(await other.text(), / t2.*\[DONE\]/s);
    assert.deepEqual(it.faults, []);
  });
}

Deno.test("an error of the model's own, in OpenAI's shape, is passed on where nobody else can answer", async () => {
  const body =
    '{"error":{"message":"overloaded","type":"server_error","param":null,"code":"busy"},"extra":1}';
  await using it = await setUp({ models: { bad: http(503, body) } });
  const response = await it.post({ model: "bad", messages });
  assert.equal(response.status, 503);
  assert.equal(await response.text(), body);
  assert.equal(response.headers.get("x-podium-model"), "bad");
});

for (
  const [name, fault] of [["cut", { kind: "cut", afterChunks: 2 }], ["hang", {
    kind: "hang",
    afterChunks: 2,
  }]] as const
) {
  Deno.test(`a stream that breaks (${name}) ends in an error event, which the official client throws`, async () => {
    await using it = await setUp({ models: { bad: { tokens: 5, fault }, good: {} }, gapMs: 60 });
    const client = new OpenAI({ baseURL: `${it.origin}/v1`, apiKey: "none", maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: "auto",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
    });
    let text = "";
    await assert.rejects(async () => {
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    }, /the model's endpoint failed/);
    assert.equal(text, " t1 t2", "what had come is not lost, and nobody else says it again");
    assert.match(it.records[0]?.fault ?? "", /failed/);
  });
}

Deno.test("a client that doesn't read is let go in time, and its model is not blamed", async () => {
  const words = Array.from({ length: 4000 }, () => "word ".repeat(1000));
  // Long enough that a busy machine, on which the model itself pauses, is not taken for a silent model.
  await using it = await setUp({
    models: { one: { words, log: "nothing" } },
    gapMs: 1000,
    failuresToOpen: 1,
  });
  const body = JSON.stringify({ model: "one", messages, stream: true });
  using socket = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
  const head =
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
  await socket.write(new TextEncoder().encode(head + body));
  await until(() => it.records.length === 1);
  assert.equal(it.records[0]?.status, 499);
  assert.equal(it.records[0]?.fault, null);
  assert.equal(it.models.of("one@fake")?.breaker.state(), "closed");
  assert.equal(it.models.of("one@fake")?.queue.busy, 0);
  assert.deepEqual(it.faults, []);
});

Deno.test("a whole answer that breaks is asked of the next: nothing of it had been sent", async () => {
  const cut = raw(
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"choices":',
  );
  await using it = await setUp({ models: { bad: cut, good: { tokens: 1 } } });
  const response = await it.post({ model: "auto", messages });
  assert.equal((await response.json()).choices[0].message.content, " t1");
});

Deno.test("one that always fails is left alone, and says so; the deadline holds for all", async () => {
  await using it = await setUp({
    models: { bad: http(500, "boom"), slow: { ttftMs: 60_000 } },
    timeoutMs: 80,
  });
  for (let i = 0; i < 3; i++) await (await it.post({ model: "bad", messages })).body?.cancel();
  assert.equal(it.models.of("bad@fake")?.breaker.state(), "open");
  const refused = await it.post({ model: "bad", messages });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "5");
  assert.match((await refused.json()).error.message, /bad: it failed too often/);
  assert.equal((await it.get("/healthz")).status, 503);
  const late = await it.post({ model: "slow", messages });
  assert.equal(late.status, 504);
  await late.body?.cancel();
});

Deno.test("what a request alone can bring about takes no model from others", async () => {
  await using it = await setUp({ models: { one: { routes: ["completions"] } }, failuresToOpen: 1 });
  const response = await it.post({ model: "one", messages });
  assert.equal(response.status, 404);
  await response.body?.cancel();
  assert.equal(it.models.of("one@fake")?.breaker.state(), "closed");
});

Deno.test("more than may wait are told when to come back", async () => {
  await using it = await setUp({ models: { one: { ttftMs: 50 } }, slots: 1, waiting: 1 });
  const answers = await Promise.all(Array.from({ length: 5 }, () => it.post({ model: "one", messages })));
  const statuses = answers.map(({ status }) => status).sort();
  assert.deepEqual(statuses, [200, 200, 429, 429, 429]);
  for (const answer of answers) {
    const body = await answer.json();
    if (answer.status !== 429) continue;
    assert.equal(body.error.code, "queue_full");
    assert.match(answer.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
  }
  assert.equal(it.models.of("one@fake")?.breaker.state(), "closed");
});

Deno.test("500 clients at once, half of them at a model that fails: everybody gets an answer or an error", async () => {
  await using it = await setUp({
    models: { one: { ttftMs: 20, tokens: 3 }, bad: { fault: { kind: "cut", afterChunks: 0 } } },
    slots: 32,
    waiting: 100,
    timeoutMs: 8000,
  });
  const answers = await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    const response = await it.post({ model: i % 2 === 0 ? "one" : "bad", messages, stream: i % 3 === 0 });
    return { status: response.status, text: await response.text() };
  }));
  for (const { status, text } of answers) {
    if (status === 200) assert.match(text, /t3/);
    else {assert.ok(
        [429, 502, 503, 504].includes(status) && typeof JSON.parse(text).error.message === "string",
        text,
      );}
  }
  assert.ok(answers.some(({ status }) => status === 200));
  assert.deepEqual(it.faults, []);
  await until(() => it.models.all().every(({ queue }) => queue.busy === 0 && queue.waiting === 0));
});

Deno.test("a request is understood however its bytes are cut, and two may come at once", async () => {
  await using it = await setUp({ models: { one: { tokens: 1 } } });
  const body = '{"model":"one","messages":[]}';
  const request =
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n`;
  const twice = `${request}\r\n${body}${request}Connection: close\r\n\r\n${body}`;
  const answer = await rawExchange(it.port, twice);
  assert.equal(answer.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: twice.length - 1 }), async (at) => {
      using socket = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
      const bytes = new TextEncoder().encode(twice);
      await socket.write(bytes.subarray(0, at));
      await new Promise((resolve) => setTimeout(resolve, 0));
      await socket.write(bytes.subarray(at));
      const text = await new Response(socket.readable).text();
      assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
    }),
    { numRuns: 30 },
  );
});

Deno.test("a client that says nothing is let go", async () => {
  await using it = await setUp({ models: { one: {} }, limits: { idleMs: 1, headMs: 1 } });
  assert.equal(await rawExchange(it.port, "GET /v1/mod"), "");
});

/** Errors inside a 200, as a benchmark counts them too: see tests/endpoint/dialects_test.ts. */
const hidden: Record<string, unknown> = {
  "FastChat's error_code": { text: "**NETWORK ERROR**", error_code: 50004 },
  "vLLM's error object": { object: "error", message: "CUDA error", code: 500 },
  "an error whose key comes last": { id: "x", choices: [], error: { message: "no memory" } },
  "MiniMax's status": { choices: null, base_resp: { status_code: 1004, status_msg: "no memory" } },
  "DeepSeek's finish reason": { choices: [{ delta: {}, finish_reason: "insufficient_system_resource" }] },
  "code and message beside an empty list": { choices: [], code: 500, message: "no memory" },
  "an error in the choice": { choices: [{ error: { message: "no memory" } }] },
};
for (const [name, json] of Object.entries(hidden)) {
  Deno.test(`an error in mid-stream, then [DONE], opens the breaker like any other failure: ${name}`, async () => {
    const fault = { kind: "error" as const, afterChunks: 2, message: "", json, done: true };
    await using it = await setUp({ models: { bad: { tokens: 5, itlMs: 5, fault } }, failuresToOpen: 3 });
    for (let i = 0; i < 3; i++) {
      const response = await it.post({ model: "bad", messages, stream: true });
      assert.match(await response.text(), / t2/, "what came is passed on as it is");
    }
    await until(() => it.records.length === 3);
    assert.equal(it.models.of("bad@fake")?.breaker.state(), "open");
  });

  Deno.test(`the same as a whole answer is a reason to ask the next model: ${name}`, async () => {
    const text = JSON.stringify(json);
    const whole = raw(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    );
    await using it = await setUp({ models: { bad: whole, good: { tokens: 1 } } });
    const response = await it.post({ model: "auto", messages });
    assert.equal((await response.json()).choices[0].message.content, " t1");
    assert.equal(response.headers.get("x-podium-model"), "good");
  });
}

Deno.test("a stream without a finish that means one is broken off, though usage came with every chunk", async () => {
  for (const finishReason of ["", "null"]) {
    const model = { tokens: 3, finishReason, done: false, usage: "every" as const };
    await using it = await setUp({ models: { bad: model } });
    const response = await it.post({ model: "bad", messages, stream: true });
    assert.match(await response.text(), /ended its answer before it was complete/);
    assert.match(it.records[0]?.fault ?? "", /before it was complete/);
  }
});
