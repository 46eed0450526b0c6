/** Our reader of streams: held against the SDK's own on the same bytes, and against dialects it must bear. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../lib/endpoint/bytes.ts";
import { AnswerError, AnswerReader } from "../../lib/endpoint/answer_reader.ts";
import { openaiClient } from "../../lib/endpoint/openai_client.ts";

const encoder = new TextEncoder();

interface Told {
  content: string;
  chunks: number;
  finishReason: string | null;
  outputTokens: number | null;
}

/** What the SDK's parser makes of a body. */
async function bySdk(pieces: readonly Uint8Array[]): Promise<Told> {
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const headers = { "content-type": "text/event-stream" };
  const client = openaiClient(
    { name: "stub", baseUrl: "http://127.0.0.1:1/v1" },
    { fetch: () => Promise.resolve(new Response(body, { headers })) },
  );
  const told: Told = { content: "", chunks: 0, finishReason: null, outputTokens: null };
  const stream = await client.chat.completions.create({ model: "m", messages: [], stream: true });
  for await (const chunk of stream) {
    const content = chunk.choices[0]?.delta.content ?? "";
    told.content += content;
    if (content !== "") told.chunks++;
    told.finishReason = chunk.choices[0]?.finish_reason ?? told.finishReason;
    told.outputTokens = chunk.usage?.completion_tokens ?? told.outputTokens;
  }
  return told;
}

function byUs(pieces: readonly Uint8Array[]): Told {
  const reader = new AnswerReader("text/event-stream");
  for (const [i, piece] of pieces.entries()) reader.feed(piece, i);
  reader.end(pieces.length);
  return {
    content: reader.content,
    chunks: reader.chunks.length,
    finishReason: reader.finishReason,
    outputTokens: reader.usage?.outputTokens ?? null,
  };
}

const words = fc.array(fc.string({ unit: "grapheme", minLength: 0, maxLength: 12 }), {
  minLength: 1,
  maxLength: 20,
});

const bodies = fc.record({
  words,
  newline: fc.constantFrom("\n", "\r\n"),
  comments: fc.boolean(),
  usage: fc.option(fc.nat(10_000), { nil: null }),
  names: fc.boolean(),
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 }),
});

function bodyOf({ words, newline, comments, usage, names }: {
  words: string[];
  newline: string;
  comments: boolean;
  usage: number | null;
  names: boolean;
}): Uint8Array {
  const events: unknown[] = words.map((content) => ({
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  }));
  events.push({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  if (usage !== null) events.push({ choices: [], usage: { prompt_tokens: 1, completion_tokens: usage } });
  const lines = events.map((event) =>
    [comments ? ": ping" : "", names ? "id: 7" : "", `data: ${JSON.stringify(event)}`, "", ""]
      .filter((line, i) => i > 1 || line !== "").join(newline)
  );
  return encoder.encode(`${lines.join("")}data: [DONE]${newline}${newline}`);
}

Deno.test("our reader tells what the SDK's own parser tells, however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(bodies, async ({ cuts, ...shape }) => {
      const bytes = bodyOf(shape);
      const edges = [
        0,
        ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b),
        bytes.length,
      ];
      const pieces = edges.slice(1).map((to, i) => bytes.slice(edges[i] ?? 0, to)).filter((piece) =>
        piece.length > 0
      );
      assert.deepEqual(byUs(pieces), await bySdk(pieces));
    }),
    { numRuns: 200 },
  );
});

const chunk = (content: string) => JSON.stringify({ choices: [{ delta: { content } }] });

function read(...texts: string[]): AnswerReader {
  const reader = new AnswerReader("text/event-stream");
  for (const [i, text] of texts.entries()) reader.feed(encoder.encode(text), 10 * (i + 1));
  reader.end(1000);
  return reader;
}

Deno.test("an event takes the stamp of the bytes that completed it", () => {
  const reader = read(
    `data: ${chunk("a")}\n`,
    `\ndata: ${chunk("b")}\n\ndata: ${chunk("c").slice(0, 9)}`,
    `${chunk("c").slice(9)}\n\n`,
    "data: [DONE]\n\n",
  );
  assert.deepEqual(reader.chunks.map(({ atMs }) => atMs), [20, 20, 30]);
  assert.equal(reader.lastMs, 40);
});

Deno.test("nothing counts after [DONE]", () => {
  const reader = read(
    `data: ${chunk("a")}\n\ndata: [DONE]\n\ndata: ${chunk("b")}\n\n`,
    `data: ${chunk("c")}\n\n`,
  );
  assert.equal(reader.content, "a");
});

Deno.test("the last blank line may be missing", () => {
  assert.equal(read(`data: ${chunk("a")}\n\n`, "data: [DONE]").content, "a");
});

Deno.test("an end that was not announced is no end", () => {
  assert.throws(() => read(`data: ${chunk("a")}\n\n`), /ended without \[DONE\] or a finish reason/);
  assert.throws(() => read(`data: ${chunk("a")}\n\ndata: {"choi`), /not JSON/);
  assert.throws(() => read(""), /empty answer/);
});

Deno.test("one choice of several counts", () => {
  const both = JSON.stringify({
    choices: [{ index: 1, delta: { content: "no" } }, { index: 0, delta: { content: "yes" } }],
  });
  assert.equal(read(`data: ${both}\n\ndata: [DONE]\n\n`).content, "yes");
});

Deno.test("chunks of unknown kind are passed over, those of a wrong shape are errors", () => {
  assert.equal(read(`data: {"object":"ping"}\n\ndata: ${chunk("a")}\n\ndata: [DONE]\n\n`).content, "a");
  for (const wrong of ['{"choices":5}', '{"choices":[{"delta":{"content":5}}]}', "[]", '"text"', "{"]) {
    assert.throws(() => read(`data: ${wrong}\n\ndata: [DONE]\n\n`), AnswerError, wrong);
  }
});

Deno.test("errors in every dress are told in the endpoint's words", () => {
  for (
    const event of [
      'data: {"error":{"message":"no memory"}}',
      'data: {"error":"no memory"}',
      'event: error\ndata: {"error":{"message":"no memory","code":500}}',
      "event: error\ndata: no memory",
    ]
  ) {
    assert.throws(() => read(`${event}\n\n`), /the endpoint reported an error: .*no memory/);
  }
});

Deno.test("a usage that is none is left out, the answer stands", () => {
  for (
    const usage of [null, "many", { completion_tokens: -1 }, { completion_tokens: 1.5 }, { prompt_tokens: 3 }]
  ) {
    const event = JSON.stringify({ choices: [], usage });
    const reader = read(`data: ${chunk("a")}\n\ndata: ${event}\n\ndata: [DONE]\n\n`);
    assert.equal(reader.usage, null);
    assert.equal(reader.content, "a");
  }
});

Deno.test("content in parts is joined", () => {
  const parts = JSON.stringify({
    choices: [{ message: { content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] } }],
  });
  const reader = new AnswerReader("application/json");
  reader.feed(encoder.encode(parts), 1);
  reader.end(2);
  assert.equal(reader.content, "ab");
});

Deno.test("a whole answer that calls itself a stream is read as what it is", () => {
  const reader = new AnswerReader("text/event-stream");
  for (const text of ["\n", ' {"choices":[{"message":', '{"content":"a"}}]}']) {
    reader.feed(encoder.encode(text), 7);
  }
  reader.end(8);
  assert.equal(reader.content, "a");
  assert.equal(reader.streamed, false);
});

Deno.test("what is neither events nor JSON is told at once, whatever it calls itself", () => {
  for (const type of ["text/html", null]) {
    const reader = new AnswerReader(type);
    assert.throws(() => reader.feed(encoder.encode("<html><body>Login"), 1), /neither events nor JSON/);
  }
});

/** Documents as servers write them: one skeleton for a stretch of them, now and then another. */
const documents = fc.array(
  fc.record({
    skeleton: fc.constantFrom<(content: string) => unknown>(
      (content) => ({ id: "a", choices: [{ index: 0, delta: { content }, finish_reason: null }] }),
      (content) => ({ id: "a", choices: [{ index: 0, delta: { content, reasoning_content: "hm" } }] }),
      (content) => ({ id: "a", choices: [{ index: 0, delta: { reasoning: content } }] }),
      (content) => ({ choices: [{ index: 0, delta: { content }, message: { content } }] }),
      (content) => ({ choices: [{ index: 1, delta: { content } }] }),
      (content) => ({ choices: [{ delta: { content }, finish_reason: "stop" }] }),
      (content) => ({ choices: [{ delta: { content } }], usage: { completion_tokens: 3 } }),
      (content) => ({ prompt: { content }, choices: [] }),
      (content) => ({ error: { message: content }, choices: [{ delta: { content } }] }),
      (content) => ({ choices: [{ text: content }] }),
      (content) => ({ prompt: { content }, choices: [{ text: "a" }] }),
      (content) => ({ choices: [{ text: "a" }], content }),
    ),
    words: fc.array(
      fc.oneof(
        fc.string(),
        fc.string({ unit: "grapheme" }),
        fc.constantFrom(
          '"',
          "\\",
          '"content":"x"',
          '","content":"y',
          "",
          "\n",
          "a",
          "content",
          '"}}],"usage":{"',
        ),
      ),
      { minLength: 1, maxLength: 6 },
    ),
    indent: fc.constantFrom(0, 1),
  }),
  { maxLength: 8 },
);

/** All that a reader tells of a stream that comes in these pieces. */
function toldOf(pieces: readonly Uint8Array[]) {
  const reader = new AnswerReader("text/event-stream");
  try {
    for (const piece of pieces) reader.feed(piece, 1);
    reader.end(2);
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    return { error: error.message };
  }
  const { content, reasoning, chunks, finishReason, usage } = reader;
  return { content, reasoning, chunks, finishReason, usage };
}

Deno.test("events that look alike are told by their bytes as they are told one byte at a time", () => {
  fc.assert(
    fc.property(documents, fc.constantFrom("\n", "\r\n"), fc.boolean(), (stretches, newline, together) => {
      const events = stretches.flatMap(({ skeleton, words }) =>
        words.map((word) => encoder.encode(`data: ${JSON.stringify(skeleton(word))}${newline}${newline}`))
      );
      events.push(encoder.encode(`data: [DONE]${newline}${newline}`));
      const whole = concat(events);
      const bytewise = Array.from(whole, (byte) => Uint8Array.of(byte));
      assert.deepEqual(toldOf(together ? [whole] : events), toldOf(bytewise));
    }),
    { numRuns: 500 },
  );
});

Deno.test("what an event began with in an earlier piece counts, however well known the rest looks", () => {
  const known = [chunk("a"), chunk("b")].map((json) => `data: ${json}\n\n`);
  assert.throws(() => read(...known, "event: error\n", `data: ${chunk("c")}\n\n`), /reported an error/);
  assert.throws(() => read(...known, "data: {\n", `data: ${chunk("c")}\n\n`), /not JSON/);
  assert.equal(read(...known, ": comm", `data: ${chunk("c")}\n\ndata: [DONE]\n\n`).content, "ab");
});
