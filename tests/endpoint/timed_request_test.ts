/** One timed request against every dialect and fault of the fake endpoint, over the socket and over fetch. */
import assert from "node:assert/strict";
import { startFake } from "../fake_endpoint.ts";
import { ask, askFake, CARRIERS } from "./helpers.ts";

for (const carrier of CARRIERS) {
  Deno.test(`${carrier}: a plain stream is whole, counted and stamped`, async () => {
    const trace = await askFake({ ttftMs: 5, itlMs: 2, tokens: 4 }, carrier);
    assert.equal(trace.reason, null);
    assert.equal(trace.status, "ok");
    assert.equal(trace.content, " t1 t2 t3 t4");
    assert.equal(trace.chunks.length, 4);
    assert.equal(trace.finishReason, "stop");
    assert.deepEqual(trace.usage, { promptTokens: 2, outputTokens: 4, cachedTokens: 0, reasoningTokens: 0 });
    assert.equal(trace.httpStatus, 200);
    assert.equal(trace.streamed, true);
    assert.equal(trace.dueMs, trace.sentMs);
    const stamps = [trace.sentMs, trace.headersMs ?? NaN, ...trace.chunks.map((c) => c.atMs), trace.endMs];
    assert.deepEqual(stamps, stamps.toSorted((a, b) => a - b));
  });

  Deno.test(`${carrier}: the key is sent, and never shown`, async () => {
    const apiKey = "hunter2-hunter2";
    const fine = await askFake({ apiKey }, carrier, { apiKey });
    assert.equal(fine.status, "ok");
    const wrong = await askFake({ apiKey: "another" }, carrier, { apiKey });
    assert.equal(wrong.reason, "HTTP 401: Incorrect API key provided: [key]");
    assert.equal(wrong.httpStatus, 401);
    assert.ok(!JSON.stringify(wrong).includes("hunter2"));
  });

  Deno.test(`${carrier}: a service that is down is a failed trace, not an exception`, async () => {
    const fake = startFake();
    await fake.stop();
    const trace = await ask(fake.baseUrl, carrier);
    assert.equal(trace.status, "failed");
    assert.equal(trace.reason, `no answer from ${fake.baseUrl}: connection refused`);
    assert.equal(trace.httpStatus, null);
  });

  Deno.test(`${carrier}: a connection cut in the middle is partial, never ok`, async () => {
    for (const framing of ["chunked", "close"] as const) {
      const trace = await askFake(
        { tokens: 6, itlMs: 1, framing, fault: { kind: "cut", afterChunks: 3 } },
        carrier,
      );
      assert.equal(trace.status, "partial", framing);
      assert.equal(trace.chunks.length, 3);
      assert.match(trace.reason ?? "", /closed|connection|ended/);
    }
    const early = await askFake({ fault: { kind: "cut", afterChunks: 0 } }, carrier);
    assert.equal(early.status, "failed");
  });

  Deno.test(`${carrier}: silence ends at the time-out, with what had arrived`, async () => {
    const options = { timeoutMs: 80 };
    const started = await askFake(
      { tokens: 6, itlMs: 1, fault: { kind: "hang", afterChunks: 2 } },
      carrier,
      options,
    );
    assert.equal(started.status, "partial");
    assert.equal(started.chunks.length, 2);
    assert.equal(started.reason, "timed out after 0.08 s, in the middle of the answer");
    const silent = await askFake({ ttftMs: 60_000 }, carrier, options);
    assert.equal(silent.status, "failed");
    assert.equal(silent.reason, "no text within 0.08 s");
    const never = await askFake({ ttftMs: 60_000 }, carrier, { ...options, stream: false });
    assert.equal(never.status, "failed");
    assert.equal(never.reason, "no answer within 0.08 s");
  });

  Deno.test(`${carrier}: a request that is given up is dropped, so that the server can stop`, async () => {
    const fake = startFake({ tokens: 1000, itlMs: 2 });
    await ask(fake.baseUrl, carrier, { timeoutMs: 30, request: { maxTokens: 1000 } });
    while (fake.log[0]?.outcome === "open") await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(fake.log[0]?.outcome, "client went");
    await fake.stop();
  });

  Deno.test(`${carrier}: aborting throws the caller's reason`, async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 20);
    await assert.rejects(askFake({ ttftMs: 60_000 }, carrier, { signal: controller.signal }), reason);
    await assert.rejects(askFake({}, carrier, { signal: controller.signal }), reason);
  });

  Deno.test(`${carrier}: an HTTP error carries status and the endpoint's words`, async () => {
    const body = JSON.stringify({ error: { message: "model\nnot loaded", type: "x", code: null } });
    const trace = await askFake({ fault: { kind: "http", status: 400, body } }, carrier);
    assert.equal(trace.reason, "HTTP 400: model not loaded");
    assert.equal(trace.httpStatus, 400);
    const plain = await askFake({ fault: { kind: "http", status: 500, body: "went wrong" } }, carrier);
    assert.equal(plain.reason, "HTTP 500: went wrong");
    const bare = await askFake({ fault: { kind: "http", status: 503, body: "" } }, carrier);
    assert.match(bare.reason ?? "", /^HTTP 503/);
  });

  Deno.test(`${carrier}: one call is one request on the wire`, async () => {
    const fake = startFake({ fault: { kind: "http", status: 500, body: "{}" } });
    await ask(fake.baseUrl, carrier);
    assert.equal(fake.log.length, 1);
    await fake.stop();
  });

  Deno.test(`${carrier}: a server that ignores "stream" is recognised`, async () => {
    const trace = await askFake({ streaming: "json", tokens: 3 }, carrier);
    assert.equal(trace.status, "ok");
    assert.equal(trace.streamed, false);
    assert.equal(trace.content, " t1 t2 t3");
    assert.equal(trace.chunks.length, 1);
    assert.equal(trace.usage?.outputTokens, 3);
  });

  Deno.test(`${carrier}: not asking for a stream works on both routes`, async () => {
    for (const route of ["chat", "completions"] as const) {
      const trace = await askFake({ tokens: 3 }, carrier, { stream: false, route });
      assert.equal(trace.status, "ok");
      assert.equal(trace.route, route);
      assert.equal(trace.content, " t1 t2 t3");
    }
  });
}

const dialects: Record<string, Parameters<typeof startFake>[0]> = {
  "CRLF": { newline: "\r\n" },
  "CR alone": { newline: "\r" },
  "comments": { comments: true },
  "odd chunking": { splitBytes: 7, tokens: 3 },
  "no [DONE]": { done: false },
  "no finish reason": { finishReason: null },
  "closed after the answer": { closeAfter: true },
  "framed by the connection": { framing: "close" },
  "delta and message": { messageToo: true },
  "usage on every chunk": { usage: "every" },
  "the wrong content type": { contentType: "text/plain" },
};

for (const [name, behaviour] of Object.entries(dialects)) {
  Deno.test(`dialect: ${name}`, async () => {
    for (const route of ["chat", "completions"] as const) {
      const trace = await askFake({ tokens: 5, ...behaviour }, "socket", { route });
      assert.equal(trace.reason, null);
      const tokens = name === "odd chunking" ? 3 : 5;
      assert.equal(trace.chunks.length, tokens);
      assert.equal(trace.usage?.outputTokens, tokens);
      assert.equal(trace.streamed, true);
    }
  });
}

Deno.test("a stall is seen where it was, not averaged away", async () => {
  const fake = startFake({ tokens: 12, itlMs: 2, stall: { atToken: 7, ms: 60 } });
  const trace = await ask(fake.baseUrl, "socket");
  const gaps = (times: readonly number[]) => times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
  const seen = gaps(trace.chunks.map(({ atMs }) => atMs));
  const made = gaps(fake.log[0]?.chunkMs ?? []);
  assert.equal(seen.indexOf(Math.max(...seen)), made.indexOf(Math.max(...made)));
  await fake.stop();
});

Deno.test("without usage there is no usage, not a zero", async () => {
  const trace = await askFake({ usage: "never" });
  assert.equal(trace.status, "ok");
  assert.equal(trace.usage, null);
});

Deno.test("usage without details leaves them unknown", async () => {
  const trace = await askFake({ usage: "no-details" });
  assert.deepEqual(trace.usage, {
    promptTokens: 2,
    outputTokens: 8,
    cachedTokens: null,
    reasoningTokens: null,
  });
});

Deno.test("reasoning is kept apart from content, under either name", async () => {
  for (const field of ["reasoning_content", "reasoning"] as const) {
    const trace = await askFake({ reasoning: { tokens: 2, field }, tokens: 2 });
    assert.equal(trace.reasoning, " r1 r2");
    assert.equal(trace.content, " t1 t2");
    assert.deepEqual(trace.chunks.map((c) => [c.contentChars, c.reasoningChars]), [[0, 3], [0, 3], [3, 0], [
      3,
      0,
    ]]);
  }
});

Deno.test("several tokens in one chunk are one arrival", async () => {
  const trace = await askFake({ tokens: 6, tokensPerChunk: 3 });
  assert.equal(trace.chunks.length, 2);
  assert.equal(trace.usage?.outputTokens, 6);
});

Deno.test("characters that are cut by chunks are read whole", async () => {
  const words = ["Grüße, ", "日本", "🙂🙂", " fin"];
  const trace = await askFake({ words, splitBytes: 1 });
  assert.equal(trace.content, words.join(""));
});

Deno.test("an empty answer is a failure", async () => {
  const trace = await askFake({ tokens: 0 });
  assert.equal(trace.status, "failed");
  assert.equal(trace.reason, "empty answer");
});

Deno.test("an error in mid-stream is partial, with the endpoint's words", async () => {
  const trace = await askFake({
    tokens: 6,
    fault: { kind: "error", afterChunks: 2, message: "out of memory" },
  });
  assert.equal(trace.status, "partial");
  assert.equal(trace.chunks.length, 2);
  assert.equal(trace.reason, "the endpoint reported an error: out of memory");
});

Deno.test("the server's own figures are read: llama.cpp's and Ollama's", async () => {
  for (const timings of ["llama", "ollama"] as const) {
    const trace = await askFake({ timings, ttftMs: 4, itlMs: 1, tokens: 5 });
    assert.deepEqual(trace.server, {
      promptMs: 4,
      decodeMs: 4,
      promptTokens: 2,
      outputTokens: 5,
      cachedTokens: timings === "llama" ? 0 : null,
    });
  }
});

Deno.test("under a constant rate, latency counts from when it was due", async () => {
  const trace = await askFake({}, "socket", { dueMs: 1 });
  assert.equal(trace.dueMs, 1);
  assert.ok(trace.sentMs > 1);
});

Deno.test("a request says what was asked for, and no more", async () => {
  const fake = startFake({});
  const request = { seed: 7, stop: ["\n"], fixedOutput: true };
  for (const route of ["chat", "completions"] as const) await ask(fake.baseUrl, "socket", { request, route });
  await ask(fake.baseUrl, "socket", { stream: false });
  const common = {
    model: "fake",
    max_tokens: 64,
    temperature: 0,
    seed: 7,
    stop: ["\n"],
    ignore_eos: true,
    min_tokens: 64,
    stream: true,
    stream_options: { include_usage: true },
  };
  const messages = [{ role: "user", content: "Hello there" }];
  assert.deepEqual(fake.log.map(({ path, body }) => [path, body]), [
    ["/v1/chat/completions", { ...common, messages }],
    ["/v1/completions", { ...common, prompt: "Hello there" }],
    ["/v1/chat/completions", { model: "fake", max_tokens: 64, temperature: 0, messages }],
  ]);
  await fake.stop();
});

Deno.test("a folded system message opens the first user message; left-out fields are not sent", async () => {
  const fake = startFake({});
  const messages = [
    { role: "system" as const, content: "Be brief." },
    { role: "user" as const, content: "Hi" },
    { role: "assistant" as const, content: "Hello" },
    { role: "user" as const, content: "Bye" },
  ];
  const leaveOut = ["temperature", "seed", "max_tokens"] as const;
  await ask(fake.baseUrl, "socket", {
    request: { messages, seed: 7 },
    foldSystem: true,
    leaveOut,
    stream: false,
  });
  await ask(fake.baseUrl, "socket", { request: { messages: messages.slice(0, 1) }, foldSystem: true });
  const [first, second] = fake.log.map(({ body }) => body);
  assert.deepEqual(first, {
    model: "fake",
    max_completion_tokens: 64,
    messages: [
      { role: "user", content: "Be brief.\n\nHi" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "Bye" },
    ],
  });
  assert.ok(JSON.stringify(second).includes('"messages":[{"role":"user","content":"Be brief."}]'));
  await fake.stop();
});

Deno.test("no header describes the user or the system, whatever the environment holds", async () => {
  const fake = startFake({});
  Deno.env.set("OPENAI_CUSTOM_HEADERS", "X-Team: ours\nAuthorization: Bearer somebody-elses");
  Deno.env.set("OPENAI_API_KEY", "somebody-elses");
  await ask(fake.baseUrl, "socket");
  const headers = ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"];
  assert.deepEqual(Object.keys(fake.log[0]?.headers ?? {}).sort(), headers);
  assert.ok(!JSON.stringify(fake.log[0]?.headers).includes("somebody"));
  Deno.env.delete("OPENAI_CUSTOM_HEADERS");
  Deno.env.delete("OPENAI_API_KEY");
  await fake.stop();
});
