/** Tool calls: read as generated output, streamed and whole, and requested in OpenAI's shape. */
import assert from "node:assert/strict";
import { toAnswerRecord, toRequestRecord } from "../../lib/bench/record_request.ts";
import { AnswerReader } from "../../lib/endpoint/answer_reader.ts";
import { requestBody } from "../../lib/endpoint/generation_request.ts";
import { askFake, hello } from "./helpers.ts";

const tools = [{ name: "get_weather", description: "Today's weather", parameters: { type: "object" } }];
const calls = [
  { name: "get_weather", arguments: '{"city":"Paris"}' },
  { name: "get_time", arguments: "{}" },
];
const place = {
  id: "timed/1/p/m",
  candidate: "m",
  prompt_id: "p",
  phase: "timed",
  round: 1,
  block: 1,
  prefix: "as is",
} as const;

for (const stream of [true, false]) {
  Deno.test(`${stream ? "streamed" : "whole"} calls are the answer: every piece is a generated delta`, async () => {
    const trace = await askFake({ calls, ttftMs: 5, itlMs: 1 }, "socket", { stream, request: { tools } });
    assert.equal(trace.status, "ok", trace.reason ?? "");
    assert.deepEqual(trace.toolCalls, [
      { id: "call_1", ...calls[0] },
      { id: "call_2", ...calls[1] },
    ]);
    assert.equal(trace.content, "");
    assert.equal(trace.finishReason, "tool_calls");
    const chars = trace.chunks.reduce((sum, { contentChars }) => sum + contentChars, 0);
    assert.equal(chars, "get_weather".length + '{"city":"Paris"}'.length + "get_time".length + 2);
    if (stream) assert.equal(trace.chunks.length, 7);
    const record = toRequestRecord(place, trace, 0);
    assert.equal(record.calls, 2);
    assert.equal(record.first_content_chunk, 0);
    assert.deepEqual(toAnswerRecord(place, trace).tool_calls, trace.toolCalls);
  });

  Deno.test(`the function_call of older servers is read, ${stream ? "streamed" : "whole"}`, async () => {
    const one = calls.slice(0, 1);
    const fake = { calls: one, callForm: "function_call" as const };
    const trace = await askFake(fake, "socket", { stream, request: { tools } });
    assert.deepEqual(trace.toolCalls, [{ id: "", ...calls[0] }]);
    assert.equal(trace.status, "ok");
  });
}

Deno.test("without tools in the request the fake answers in words, and the record has no calls", async () => {
  const trace = await askFake({ calls, tokens: 2 });
  assert.equal(trace.content, " t1 t2");
  assert.equal(toRequestRecord(place, trace, 0).calls, undefined);
  assert.equal(toAnswerRecord(place, trace).tool_calls, undefined);
});

/** Deltas of servers that number or shape calls otherwise, and the calls that they mean. */
const dialects: Record<string, { deltas: unknown[][]; means: readonly [string, string, string][] }> = {
  "every call has index 0 and an id of its own (Gemini)": {
    deltas: [
      [{ index: 0, id: "a", function: { name: "f", arguments: "{}" } }],
      [{ index: 0, id: "b", function: { name: "g", arguments: "{}" } }],
    ],
    means: [["a", "f", "{}"], ["b", "g", "{}"]],
  },
  "no index, calls whole in one delta": {
    deltas: [[{ id: "", function: { name: "f", arguments: "{}" } }, {
      function: { name: "g", arguments: "{}" },
    }]],
    means: [["", "f", "{}"], ["", "g", "{}"]],
  },
  "a new id with every piece of one call": {
    deltas: [
      [{ index: 0, id: "a", function: { name: "f", arguments: "" } }],
      [{ index: 0, id: "b", function: { arguments: '{"x"' } }],
      [{ index: 0, id: "c", function: { arguments: ":1}" } }],
    ],
    means: [["a", "f", '{"x":1}']],
  },
  "the name in every piece": {
    deltas: [
      [{ index: 0, id: "a", function: { name: "f", arguments: "{" } }],
      [{ index: 0, function: { name: "f", arguments: "}" } }],
    ],
    means: [["a", "f", "{}"]],
  },
  "arguments as an object, and no function around them": {
    deltas: [[{ index: 0, id: "a", name: "f", arguments: { x: 1 } }]],
    means: [["a", "f", '{"x":1}']],
  },
  "pieces of two calls in turn": {
    deltas: [
      [{ index: 0, id: "a", function: { name: "f", arguments: "" } }],
      [{ index: 1, id: "b", function: { name: "g", arguments: "" } }],
      [{ index: 0, function: { arguments: "{}" } }, { index: 1, function: { arguments: "[]" } }],
    ],
    means: [["a", "f", "{}"], ["b", "g", "[]"]],
  },
};
for (const [name, { deltas, means }] of Object.entries(dialects)) {
  Deno.test(`calls: ${name}`, () => {
    const reader = new AnswerReader("text/event-stream");
    const event = (delta: unknown) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
    const text = deltas.map((tool_calls) => event({ tool_calls })).join("");
    reader.feed(new TextEncoder().encode(`${text}data: [DONE]\n\n`), 1);
    reader.end(2);
    const found = reader.text().toolCalls.map(({ id, name, arguments: text }) => [id, name, text]);
    assert.deepEqual(found, means);
  });
}

Deno.test("a request carries tools, the choice, calls and their results in OpenAI's shape", () => {
  const call = { id: "call_1", name: "get_weather", arguments: '{"city":"Paris"}' };
  const protocol = { route: "chat", stream: false, streamUsage: false } as const;
  const body = requestBody({
    ...hello,
    tools,
    toolChoice: { name: "get_weather" },
    messages: [
      { role: "user", content: "Weather in Paris?" },
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", content: "sunny", tool_call_id: "call_1" },
    ],
  }, protocol);
  assert.deepEqual(body.tools, [{ type: "function", function: tools[0] }]);
  assert.deepEqual(body.tool_choice, { type: "function", function: { name: "get_weather" } });
  assert.deepEqual(body.messages, [
    { role: "user", content: "Weather in Paris?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{
        id: "call_1",
        type: "function",
        function: { name: "get_weather", arguments: '{"city":"Paris"}' },
      }],
    },
    { role: "tool", content: "sunny", tool_call_id: "call_1" },
  ]);
  assert.equal(requestBody({ ...hello, toolChoice: "required" }, protocol).tool_choice, undefined);
});
