/** Tool calls through the gateway, with the official client and a fake model that calls tools. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { setUp, until } from "./set_up.ts";

const tools: OpenAI.ChatCompletionTool[] = [{
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Weather in Paris?" }];
const calls = [
  { name: "get_weather", arguments: '{"city":"Paris"}' },
  { name: "get_weather", arguments: '{"city":"Lyon"}' },
];
const clientOf = ({ origin }: { origin: string }) =>
  new OpenAI({ baseURL: `${origin}/v1`, apiKey: "none", maxRetries: 0 });

Deno.test("calls come back whole and streamed, and their results go to the model", async () => {
  await using it = await setUp({ models: { one: { calls } } });
  const client = clientOf(it);
  const asked = { model: "one", messages, tools };
  const whole = await client.chat.completions.create(asked);
  const [choice] = whole.choices;
  assert.equal(choice?.finish_reason, "tool_calls");
  const made = choice.message.tool_calls?.flatMap((one) => one.type === "function" ? one.function : []) ?? [];
  assert.deepEqual(made, calls);
  const final = await client.chat.completions.stream(asked).finalMessage();
  const streamed = final.tool_calls?.flatMap((one) => one.type === "function" ? one.function : []) ?? [];
  assert.deepEqual(streamed.map(({ name, arguments: text }) => ({ name, arguments: text })), calls);
  const [first] = choice.message.tool_calls ?? [];
  assert.ok(first);
  const result = { role: "tool" as const, tool_call_id: first.id, content: "sunny" };
  const told = await client.chat.completions.create({
    model: "one",
    messages: [...messages, choice.message, result],
  });
  assert.equal(told.choices[0]?.finish_reason, "stop");
  const sent = Object(it.fakes.one?.log.at(-1)?.body).messages;
  assert.deepEqual(sent.at(-1), result);
  assert.equal(sent.at(-2).tool_calls.length, 2);
});

Deno.test("a client that goes away in the middle of a call ends it; an answer of calls alone is a success", async () => {
  await using it = await setUp({ models: { one: { calls, fault: { kind: "hang", afterChunks: 2 } } } });
  const stream = await clientOf(it).chat.completions.create({ model: "one", messages, tools, stream: true });
  for await (const { choices } of stream) if (choices[0]?.delta.tool_calls !== undefined) break;
  await until(() => it.records.length === 1);
  assert.deepEqual(it.records.map(({ status }) => status), [499]);
  await using able = await setUp({ models: { one: { calls } } });
  await clientOf(able).chat.completions.create({ model: "auto", messages, tools });
  await until(() => able.records.length === 1);
  assert.equal(able.records[0]?.fault, null);
  assert.ok((able.records[0]?.ttftMs ?? 0) > 0);
});

Deno.test("where the first model breaks, the next one gets the tools too", async () => {
  const broken = { fault: { kind: "http" as const, status: 500, body: "no" } };
  await using it = await setUp({ models: { broken, good: { calls } } });
  const answer = await clientOf(it).chat.completions.create({ model: "auto", messages, tools });
  assert.equal(answer.choices[0]?.message.tool_calls?.length, 2);
  assert.deepEqual(Object(it.fakes.good?.log[0]?.body).tools, tools);
});

Deno.test("log-probabilities are passed on as they are requested", async () => {
  await using it = await setUp({ models: { one: {} } });
  const asked = { model: "one", messages, logprobs: true, top_logprobs: 3 };
  await clientOf(it).chat.completions.create(asked);
  const { logprobs, top_logprobs } = Object(it.fakes.one?.log[0]?.body);
  assert.deepEqual([logprobs, top_logprobs], [true, 3]);
});
