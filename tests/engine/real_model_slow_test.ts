/** A real model in its own process: what it says, counts, remembers and refuses. One engine for all steps. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { post, realEngine } from "./real_model.ts";

const messages = [{ role: "user" as const, content: "Write one sentence about the sea." }];
const greedy = { model: "smollm2", temperature: 0 };

for (const direct of [true, false]) {
  const way = direct ? "called directly" : "by way of node-llama-cpp";
  Deno.test(`a real model behind the OpenAI protocol, llama.cpp ${way}`, (t) => steps(t, direct));
}

async function steps(t: Deno.TestContext, direct: boolean): Promise<void> {
  await using engine = await realEngine({ direct });
  const { baseUrl = "", apiKey = "" } = {
    baseUrl: engine.endpoint.baseUrl,
    apiKey: engine.endpoint.apiKey ?? "",
  };
  const client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 0 });
  const chat = async (body: Record<string, unknown>) =>
    await (await post(engine, "/chat/completions", { ...greedy, messages, ...body })).json();

  await t.step("says how it was loaded", () => {
    assert.equal(engine.device, "cpu");
    assert.equal(engine.chatTemplate, "own");
    // Where the layout of the libraries is not the known one, the direct way is not taken.
    if (!direct || (Deno.build.os === "linux" && Deno.build.arch === "x86_64")) {
      assert.equal(engine.direct, direct);
    }
    assert.ok(engine.threads >= 1);
    assert.ok(engine.loadMs.modelMs > 0 && engine.loadMs.modelMs < engine.loadMs.totalMs);
  });

  await t.step(
    "answers, and the same again at temperature 0, from a warm prefix the second time",
    async () => {
      const cold = await chat({ max_tokens: 60 });
      const warm = await chat({ max_tokens: 60 });
      assert.match(cold.choices[0].message.content, /sea/i);
      assert.equal(warm.choices[0].message.content, cold.choices[0].message.content);
      assert.equal(cold.usage.prompt_tokens_details.cached_tokens, 0);
      assert.equal(warm.usage.prompt_tokens_details.cached_tokens, cold.usage.prompt_tokens - 1);
      assert.equal(warm.timings.prompt_n, 1);
      const other = await chat({
        messages: [{ role: "system", content: "7f3a" }, ...messages],
        max_tokens: 1,
      });
      const cached = other.usage.prompt_tokens_details.cached_tokens;
      assert.ok(cached <= 4, `a nonce in front makes the prefix cold, ${cached} tokens were cached`);
    },
  );

  await t.step("streams one piece a token, and the pieces are the whole answer", async () => {
    const whole = await chat({ max_tokens: 40 });
    const stream = await client.chat.completions.create({
      ...greedy,
      messages,
      max_tokens: 40,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    const texts = chunks.flatMap((chunk) => chunk.choices[0]?.delta.content ?? []);
    assert.equal(texts.join(""), whole.choices[0].message.content);
    assert.equal(texts.length, whole.usage.completion_tokens);
    assert.equal(chunks.at(-1)?.usage?.completion_tokens, whole.usage.completion_tokens);
    const finish = chunks.at(-2)?.choices[0]?.finish_reason;
    assert.equal(finish, whole.choices[0].finish_reason);
  });

  await t.step("stops at a stop string, at the limit, or at its own end", async () => {
    const whole = await chat({ max_tokens: 200 });
    assert.equal(whole.choices[0].finish_reason, "stop");
    const text: string = whole.choices[0].message.content;
    const end = text.slice(10, 22);
    const cut = await chat({ max_tokens: 200, stop: [end] });
    assert.equal(cut.choices[0].message.content, text.slice(0, text.indexOf(end)));
    assert.equal(cut.choices[0].finish_reason, "stop");
    const short = await chat({ max_completion_tokens: 3 });
    assert.equal(short.choices[0].finish_reason, "length");
    assert.equal(short.usage.completion_tokens, 3);
    assert.ok(text.startsWith(short.choices[0].message.content));
  });

  await t.step("gives exactly max_tokens tokens with ignore_eos", async () => {
    const fixed = await chat({ max_tokens: 120, ignore_eos: true });
    assert.equal(fixed.usage.completion_tokens, 120);
    assert.equal(fixed.choices[0].finish_reason, "length");
  });

  await t.step("repeats a sampled answer with the same seed, and only then", async () => {
    const sampled = (seed: number) => chat({ temperature: 1, seed, max_tokens: 30 });
    // The first answer warms the prefix: a batch of another shape rounds otherwise.
    await sampled(1);
    const [one, again, other] = [await sampled(7), await sampled(7), await sampled(8)];
    assert.equal(again.choices[0].message.content, one.choices[0].message.content);
    assert.notEqual(other.choices[0].message.content, one.choices[0].message.content);
  });

  await t.step("keeps to a JSON schema and to JSON", async () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer" } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    const person = [{ role: "user", content: "Invent a person: name and age, as JSON." }];
    const held = await chat({
      messages: person,
      max_tokens: 100,
      response_format: { type: "json_schema", json_schema: { name: "person", schema } },
    });
    assert.equal(held.choices[0].finish_reason, "stop");
    const value = JSON.parse(held.choices[0].message.content);
    assert.deepEqual(Object.keys(value), ["name", "age"]);
    assert.ok(Number.isInteger(value.age));
    const loose = await chat({ messages: person, max_tokens: 40, response_format: { type: "json_object" } });
    assert.ok(loose.choices[0].message.content.startsWith("{"));
  });

  await t.step("refuses a schema that no grammar can be built for, and goes on", async () => {
    const answerTo = (schema: unknown) =>
      post(engine, "/chat/completions", {
        ...greedy,
        messages,
        max_tokens: 24,
        response_format: { type: "json_schema", json_schema: { name: "hostile", schema } },
      });
    const values = (count: number) => ({ enum: Array.from({ length: count }, (_, i) => `value ${i}`) });
    const hostile = [
      values(20_000),
      { type: "string", minLength: 1e9 },
      { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } },
      ...[100, 20_000].map((levels) =>
        JSON.parse('{"type":"array","items":'.repeat(levels) + '{"type":"null"}' + "}".repeat(levels))
      ),
    ];
    for (const schema of hostile) {
      const startedAt = performance.now();
      const response = await answerTo(schema);
      const { error } = await response.json();
      assert.equal(response.status, 400, JSON.stringify(schema).slice(0, 80));
      assert.match(error.message, /response_format\.json_schema\.schema|nested more deeply/);
      assert.ok(performance.now() - startedAt < 10_000);
    }
    const largest = await (await answerTo(values(500))).json();
    assert.match(largest.choices[0].message.content, /^"value \d+"$/);
  });

  await t.step("keeps to a JSON schema at temperature 1 too", async () => {
    const schema = { type: "array", items: { enum: ["red", "green", 7] }, minItems: 4, maxItems: 4 };
    for (const seed of [1, 2, 3]) {
      const answer = await chat({
        temperature: 1,
        seed,
        max_tokens: 60,
        response_format: { type: "json_schema", json_schema: { name: "colours", schema } },
      });
      const colours = JSON.parse(answer.choices[0].message.content);
      assert.equal(colours.length, 4);
      assert.ok(colours.every((colour: unknown) => schema.items.enum.includes(colour as string)));
    }
  });

  await t.step("reads special tokens in a message as text", async () => {
    const tokensOf = async (content: string) =>
      (await chat({ messages: [{ role: "user", content }], max_tokens: 1 })).usage.prompt_tokens;
    const [none, hundred] = [await tokensOf(""), await tokensOf("<|im_end|>".repeat(100))];
    assert.ok(hundred - none >= 300, `${hundred - none} tokens for 100 special tokens in a message`);
  });

  await t.step("completes plain text", async () => {
    const completion = await client.completions.create({
      ...greedy,
      prompt: "The capital of France is",
      max_tokens: 4,
    });
    assert.match(completion.choices[0]?.text ?? "", /Paris/);
  });

  await t.step("refuses a prompt that is longer than its context, and goes on", async () => {
    const long = [{ role: "user", content: "sea ".repeat(engine.contextTokens) }];
    const response = await post(engine, "/chat/completions", { ...greedy, messages: long });
    assert.equal(response.status, 400);
    const { error } = await response.json();
    assert.equal(error.code, "context_length_exceeded");
    assert.match(error.message, new RegExp(`context holds ${engine.contextTokens}`));
    assert.equal((await chat({ max_tokens: 1 })).usage.completion_tokens, 1);
  });

  await t.step("stops computing when the client goes away, in the prompt or in the answer", async () => {
    const quiet = async () => {
      const before = (await engine.stats()).cpuS;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return (await engine.stats()).cpuS - before < 0.15;
    };
    const endless = { ...greedy, messages, max_tokens: 3500, ignore_eos: true, stream: true };
    const gone = new AbortController();
    const answer = await post(engine, "/chat/completions", endless, gone.signal);
    await answer.body?.getReader().read();
    gone.abort();
    while (!await quiet());
    const early = new AbortController();
    const long = [{ role: "user", content: "sea ".repeat(3000) }];
    const pending = post(
      engine,
      "/chat/completions",
      { ...endless, messages: long, stream: false },
      early.signal,
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    early.abort();
    await assert.rejects(pending);
    while (!await quiet());
    assert.equal((await chat({ max_tokens: 2 })).usage.completion_tokens, 2);
  });

  await t.step("serves several clients one after the other", async () => {
    const answers = await Promise.all([1, 2, 3].map(() => chat({ max_tokens: 20 })));
    const texts = new Set(answers.map((answer) => answer.choices[0].message.content));
    assert.equal(texts.size, 1);
  });

  await t.step("tells its memory and its processor time", async () => {
    const { residentMb, cpuS } = await engine.stats();
    assert.ok(residentMb > 98 && residentMb < 2000, `${residentMb} MB`);
    assert.ok(cpuS > 0.5, `${cpuS} s`);
  });

  await engine.stop();
  assert.deepEqual(await engine.exited, { code: 0, signal: null });
}
