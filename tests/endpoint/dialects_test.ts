/** What real servers send, from public bug reports: read right, or reported as a failure, never as a good figure. */
import assert from "node:assert/strict";
import { tpotS } from "../../lib/bench/metrics.ts";
import { toRequestRecord } from "../../lib/bench/record_request.ts";
import { AnswerError, AnswerReader } from "../../lib/endpoint/answer_reader.ts";
import { ResponseParser } from "../../lib/endpoint/http1.ts";
import { askFake } from "./helpers.ts";

/** Choices by index. */
for (
  const [name, behaviour] of Object.entries({
    "Foundry Local 0.x numbers choices by chunk": { choiceIndex: "by chunk" as const },
    "TGI starts at 1": { choiceIndex: 1 },
    "choices start at 7, one event per token, with usage": { choiceIndex: 7, usage: "every" as const },
  })
) {
  Deno.test(`${name}: the answer is whole`, async () => {
    const trace = await askFake({ tokens: 4, ...behaviour });
    assert.equal(trace.status, "ok", trace.reason ?? "");
    assert.equal(trace.content, " t1 t2 t3 t4");
    assert.equal(trace.chunks.length, 4);
    assert.equal(trace.finishReason, "stop");
  });
}

const encoder = new TextEncoder();
const chunk = (choice: object, rest: object = {}) => JSON.stringify({ choices: [choice], ...rest });
const delta = (content: string) => chunk({ index: 0, delta: { content } });
const stop = chunk({ index: 0, delta: {}, finish_reason: "stop" });

/** Reads a stream of these documents. @throws {AnswerError} */
function read(...documents: string[]) {
  const reader = new AnswerReader("text/event-stream");
  reader.feed(encoder.encode(documents.map((json) => `data: ${json}\n\n`).join("")), 1);
  reader.end(2);
  return { ...reader.text(), finishReason: reader.finishReason };
}

/** Reads one whole document. @throws {AnswerError} */
function readDocument(value: unknown) {
  const reader = new AnswerReader("application/json");
  reader.feed(encoder.encode(JSON.stringify(value)), 1);
  reader.end(2);
  return reader.text();
}

Deno.test("indices that are missing, null or text are one choice all the same; of several, index 0 counts", () => {
  for (const index of [undefined, null, "0", -1, 1.5]) {
    assert.equal(read(chunk({ index, delta: { content: "a" } }), "[DONE]").content, "a", String(index));
  }
  const several = JSON.stringify({
    choices: [{ index: 2, delta: { content: "no" } }, { index: 0, delta: { content: "yes" } }],
  });
  assert.equal(read(several, "[DONE]").content, "yes");
});

/** Errors inside a 200. */
const errors: Record<string, unknown> = {
  "FastChat": { text: "**NETWORK ERROR**", error_code: 50004 },
  "vLLM": { object: "error", message: "CUDA error: out of memory", type: "InternalServerError", code: 500 },
  "OpenAI": { error: { message: "no memory", type: "server_error" } },
  "text": { error: "no memory" },
  "the key last": { id: "x", choices: [], created: 1, error: { message: "no memory" } },
  "OpenRouter, in the choice": { choices: [{ error: { code: 502, message: "no memory" } }] },
  "in the delta": { choices: [{ delta: { error: { message: "no memory" } } }] },
  "a finish reason": { choices: [{ delta: {}, finish_reason: "error" }] },
  "vLLM's abort": { choices: [{ delta: {}, finish_reason: "abort" }] },
  "sglang's abort": { choices: [{ delta: {}, finish_reason: { type: "abort", message: "no memory" } }] },
  "Anthropic": { type: "error", error: { type: "overloaded_error", message: "no memory" } },
  "FastAPI": { detail: "no memory" },
  "FastAPI's list": { detail: [{ loc: ["body"], msg: "no memory" }] },
  "code and message alone": { code: 500, message: "no memory" },
  "a list of errors": { errors: [{ message: "no memory" }] },
  "success false": { success: false, message: "no memory" },
  "other keys": { error_code: 336, error_msg: "no memory" },
  "err": { err: "no memory" },
  "a message alone": { error_message: "no memory" },
  "Triton": { status_code: 500, msg: "no memory" },
  "a failed status": { status: "failed", reason: "no memory" },
  "wrapped": { data: { error: { message: "no memory" } } },
  "an empty object": { error: {} },
  "a number": { error: 500 },
  "MiniMax": { choices: null, base_resp: { status_code: 1004, status_msg: "no memory" } },
  "code and message beside an empty list": { choices: [], code: 500, message: "no memory" },
  "Azure's gateway": { statusCode: 429, message: "no memory" },
  "Tencent": { Response: { Error: { Code: "InternalError", Message: "no memory" } } },
  "Apigee": { fault: { faultstring: "no memory" } },
  "Cloudflare": { success: false, errors: [{ code: 3040, message: "no memory" }] },
  "Laravel": { errors: { model: ["no memory"] } },
  "Java": { errorMessage: "no memory", errorType: "OutOfMemoryError" },
  "Dify": { event: "error", code: "completion_request_error", message: "no memory" },
  "Zhipu's finish": { choices: [{ delta: {}, finish_reason: "network_error" }] },
  "DeepSeek's finish": { choices: [{ delta: {}, finish_reason: "insufficient_system_resource" }] },
  "TensorRT's finish": { choices: [{ delta: {}, finish_reason: "timed_out" }] },
  "Gemini's finish": { choices: [{ delta: {}, finish_reason: "MALFORMED_FUNCTION_CALL" }] },
  "beside text": { choices: [{ delta: { content: "a" } }], error: { message: "no memory" } },
};

for (const [name, json] of Object.entries(errors)) {
  Deno.test(`an error in mid-stream, then [DONE], is a failure: ${name}`, async () => {
    const trace = await askFake({
      tokens: 6,
      usage: "every",
      fault: { kind: "error", afterChunks: 2, message: "", json, done: true },
    });
    assert.equal(trace.status, "partial");
    assert.match(trace.reason ?? "", /^the endpoint reported an error: ./);
    assert.throws(() => readDocument(json), AnswerError, "as a whole document too");
  });
}

Deno.test("a server that dies after its last token, before [DONE], has not answered", async () => {
  for (const json of [errors.MiniMax, errors.OpenAI, errors["DeepSeek's finish"]]) {
    for (const afterChunks of [0, 1, 6]) {
      const fault = { kind: "error" as const, afterChunks, message: "", json, done: true };
      const trace = await askFake({ tokens: 6, usage: "every", fault });
      assert.equal(trace.status, afterChunks === 0 ? "failed" : "partial");
      assert.match(trace.reason ?? "", /^the endpoint reported an error: .*(?:no memory|insufficient)/);
    }
  }
});

Deno.test('an error on a line of its own, without "data:", is a failure too', () => {
  for (
    const line of [
      'error: {"code":500,"message":"no memory","type":"server_error"}',
      '{"error":"no memory"}',
      '{"error":{"message":"no memory"}}',
      "event: error\ndata: [DONE]",
    ]
  ) {
    const reader = new AnswerReader("text/event-stream");
    assert.throws(
      () => reader.feed(encoder.encode(`data: ${delta("a")}\n\n${line}\n\ndata: [DONE]\n\n`), 1),
      /the endpoint reported an error: /,
      line,
    );
  }
  const reader = new AnswerReader("text/event-stream");
  reader.feed(
    encoder.encode(`data: ${delta("a")}\n\nerrors: 0\nnonsense\n{not JSON\n7\n\ndata: [DONE]\n\n`),
    1,
  );
  reader.end(2);
  assert.equal(reader.text().content, "a");
});

Deno.test("what only resembles an error is none", () => {
  for (
    const rest of [
      { error: null },
      { error: false },
      { error: "" },
      { error_code: 0 },
      { error_code: null },
      { err: null, error_message: "" },
      { status: "success", status_code: 200 },
      { success: true },
      { errors: [], error_count: 2, code: "0" },
      { code: 0, message: "Success", base_resp: { status_code: 0, status_msg: "" } },
      { object: "chat.completion.chunk", code: null, message: null },
    ]
  ) {
    const json = chunk({ index: 0, delta: { content: "a" } }, rest);
    assert.equal(read(json, "[DONE]").content, "a", json);
  }
  assert.equal(read('{"object":"ping"}', '{"type":"ping"}', delta("a"), stop).content, "a");
  assert.equal(read(delta('the error: {"error":{}}'), stop).content, 'the error: {"error":{}}');
});

Deno.test("a document of 100,000 levels is a broken answer, not a fault of the reader", async () => {
  const deep = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
  const list = deep("[", "]");
  for (
    const body of [`"content":[${deep('{"text":[', "]}")}]`, `"reasoning_details":${list}`, `"x":${list}`]
  ) {
    assert.throws(() => read(`{"choices":[{"delta":{${body}}}]}`), AnswerError, body.slice(0, 20));
  }
  for (const json of [`{"error":${list}}`, `{"detail":${list}}`, list]) {
    assert.throws(() => read(delta("a"), json, stop), AnswerError, json.slice(0, 20));
    const trace = await askFake({ fault: { kind: "http", status: 500, body: json } });
    assert.equal(trace.status, "failed");
    assert.match(trace.reason ?? "", /^HTTP 500/);
  }
});

/** Ends. */
Deno.test("a finish reason that means nothing is no end", async () => {
  for (const finish of ["", null, "null", "none", " "]) {
    assert.throws(() => read(delta("a"), chunk({ delta: {}, finish_reason: finish })), /without \[DONE\]/);
  }
  const trace = await askFake({ finishReason: "", done: false });
  assert.equal(trace.status, "partial");
  assert.equal(trace.finishReason, null);
  assert.equal((await askFake({ finishReason: "" })).status, "ok", "[DONE] after content ends an answer");
});

Deno.test("a stream that is cut is not whole, though usage came with every chunk", async () => {
  for (
    const fault of [
      { kind: "stop", afterChunks: 3 },
      { kind: "cut", afterChunks: 3 },
    ] as const
  ) {
    for (const framing of ["chunked", "close"] as const) {
      const trace = await askFake({ tokens: 6, usage: "every", framing, fault });
      assert.equal(trace.status, "partial", `${fault.kind}, ${framing}`);
      assert.equal(trace.chunks.length, 3);
    }
  }
});

Deno.test("[DONE] without content, and a finish without content, are empty answers", async () => {
  assert.equal((await askFake({ tokens: 0 })).reason, "empty answer");
  assert.equal((await askFake({ tokens: 0, finishReason: null })).reason, "empty answer");
  assert.throws(() => read(chunk({ delta: { role: "assistant", content: "" } })), /empty answer/);
});

Deno.test("a whole document needs no finish reason, but no failed one either", () => {
  const answer = (finish_reason: unknown) => ({ choices: [{ message: { content: "a" }, finish_reason }] });
  for (
    const finish of [undefined, null, "", "stop", "length", "eos", "eos_token", "STOP", "content_filter"]
  ) {
    assert.equal(readDocument(answer(finish)).content, "a");
  }
  for (const finish of ["error", "abort"]) assert.throws(() => readDocument(answer(finish)), AnswerError);
  assert.throws(() => readDocument([{ error: { code: 400, message: "bad" } }]), AnswerError);
});

/** Reasoning. */
Deno.test("reasoning under other keys, as text, object or parts", () => {
  const bodies: Record<string, unknown>[] = [
    { reasoning_content: "hm" },
    { reasoning: "hm" },
    { reasoning_text: "hm" },
    { thinking: "hm" },
    { reasoning: { content: "hm" } },
    { reasoning_details: [{ type: "reasoning.text", text: "hm" }] },
    { reasoning: "hm", reasoning_details: [{ type: "reasoning.text", text: "hm" }] },
    { content: [{ type: "thinking", thinking: [{ type: "text", text: "hm" }] }] },
    { content: [{ type: "thinking", thinking: "hm" }] },
    { content: [{ type: "reasoning", text: "hm" }] },
    { content: [{ text: "hm", thought: true }] },
  ];
  for (const body of bodies) {
    const { content, reasoning, chunks } = read(chunk({ delta: body }), delta("Yes."), stop);
    assert.deepEqual([content, reasoning], ["Yes.", "hm"], JSON.stringify(body));
    assert.deepEqual(chunks.map((one) => [one.contentChars, one.reasoningChars]), [[0, 2], [4, 0]]);
  }
});

Deno.test("thinking sent as content parts is reasoning, streamed and whole", async () => {
  for (const stream of [true, false]) {
    const trace = await askFake({ tokens: 2, reasoning: { tokens: 2, field: "parts" } }, "socket", {
      stream,
    });
    assert.deepEqual([trace.content, trace.reasoning], [" t1 t2", " r1 r2"]);
  }
});

Deno.test("reasoning that is counted but not streamed gives no time per token", async () => {
  const place = {
    id: "a",
    candidate: "a",
    prompt_id: "p",
    phase: "timed",
    round: 1,
    block: 1,
    prefix: "as is",
  } as const;
  const tpotOf = async (behaviour: Parameters<typeof askFake>[0]) => {
    const trace = await askFake({ tokens: 5, itlMs: 2, ...behaviour });
    return tpotS(toRequestRecord(place, trace, 0));
  };
  assert.equal(await tpotOf({ hiddenReasoningTokens: 400 }), null);
  assert.ok(await tpotOf({}) !== null);
  assert.ok(await tpotOf({ reasoning: { tokens: 3, field: "reasoning" } }) !== null, "it was streamed");
});

/** Transport. */
Deno.test("two equal Transfer-Encoding lines are one", async () => {
  const trace = await askFake({ repeatTransferEncoding: true });
  assert.equal(trace.status, "ok", trace.reason ?? "");
});

Deno.test("chunked once, however often it is said; another coding is refused", () => {
  const answer = (...lines: string[]) => {
    const parser = new ResponseParser();
    const head = ["HTTP/1.1 200 OK", ...lines].join("\r\n");
    const body = parser.feed(encoder.encode(`${head}\r\n\r\n2\r\nok\r\n0\r\n\r\n`));
    return parser.done && new TextDecoder().decode(body);
  };
  const chunked = "Transfer-Encoding: chunked";
  assert.equal(answer(chunked, "transfer-encoding: Chunked"), "ok");
  assert.equal(answer(chunked, chunked, chunked), "ok");
  assert.equal(answer("Transfer-Encoding: chunked , chunked"), "ok");
  assert.throws(() => answer("Transfer-Encoding: gzip", chunked), /unknown transfer encoding/);
});
