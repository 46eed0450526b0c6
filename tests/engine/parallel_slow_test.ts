/** Several answers at once in one engine: each as it would be alone, none waits for another, and one that ends early harms none. */
import assert from "node:assert/strict";
import type { RunningEngine } from "../../lib/engine/supervisor.ts";
import { realClock } from "../../scripts/cli.ts";
import { post, realEngine } from "./real_model.ts";

const questions = ["Write one sentence about the sea.", "What is a volcano?", "List three colours."];

const body = (content: string, more: Record<string, unknown> = {}) => ({
  model: "smollm2",
  temperature: 0,
  max_tokens: 48,
  stream: true,
  messages: [{ role: "user", content }],
  ...more,
});

/** When the answer's pieces came, and the text. */
async function streamed(engine: RunningEngine, request: Record<string, unknown>, signal?: AbortSignal) {
  const response = await post(engine, "/chat/completions", request, signal);
  const at: number[] = [];
  let text = "";
  for await (const part of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    for (const event of part.split("\n\n").filter((line) => line.startsWith("data: {"))) {
      const piece: string | undefined = JSON.parse(event.slice("data: ".length)).choices[0]?.delta.content;
      if (piece === undefined || piece === "") continue;
      at.push(realClock());
      text += piece;
    }
  }
  return { text, firstMs: at[0] ?? NaN, lastMs: at.at(-1) ?? NaN };
}

/** Sums over several rows may round otherwise, so an answer may turn off after a while; it begins alike. */
function sameStart(a: string, b: string): void {
  assert.ok(a.length > 20, a);
  assert.equal(a.slice(0, 20), b.slice(0, 20));
}

for (const direct of [true, false]) {
  Deno.test(`${direct ? "directly" : "by node-llama-cpp"}: two answers at once are those given alone, and a third waits`, async () => {
    await using engine = await realEngine({ parallel: 2, direct, threads: 1, contextTokens: 512 });
    assert.deepEqual([engine.settings.parallel, engine.contextTokens], [2, 512]);
    const alone: string[] = [];
    for (const question of questions) alone.push((await streamed(engine, body(question))).text);
    const together = await Promise.all(questions.map((question) => streamed(engine, body(question))));
    for (const [at, { text }] of together.entries()) sameStart(text, alone[at] ?? "");
    const [first, second, third] = together.toSorted((a, b) => a.firstMs - b.firstMs);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    assert.ok(second.firstMs < first.lastMs, "the second begins before the first is done");
    assert.ok(third.firstMs > Math.min(first.lastMs, second.lastMs), "the third waits for a place");
  });
}

Deno.test("a client that leaves, a schema and a prompt that begins like an earlier one don't disturb the others", async () => {
  await using engine = await realEngine({ parallel: 3, threads: 1, contextTokens: 512 });
  const [question = ""] = questions;
  const alone = await streamed(engine, body(question));
  const gone = new AbortController();
  const schema = { type: "object", properties: { colour: { enum: ["red", "blue"] } }, required: ["colour"] };
  const format = { type: "json_schema", json_schema: { name: "colour", schema } };
  const leaving = streamed(engine, body("Tell a long story.", { max_tokens: 400 }), gone.signal).catch(() =>
    null
  );
  const [first, formed] = await Promise.all([
    streamed(engine, body(question)),
    streamed(engine, body("Name a colour, as JSON.", { response_format: format })),
    new Promise((resolve) => setTimeout(resolve, 100)).then(() => gone.abort()),
  ]);
  await leaving;
  sameStart(first.text, alone.text);
  assert.match(JSON.parse(formed.text).colour, /^(red|blue)$/);
  const response = await post(engine, "/chat/completions", body(question, { stream: false }));
  const { usage } = await response.json();
  assert.equal(
    usage.prompt_tokens_details.cached_tokens,
    usage.prompt_tokens - 1,
    "the sequence that held the same prompt is found again",
  );
});
