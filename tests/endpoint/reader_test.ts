/** The reader of streams, compared with the SDK's on the same bytes, and with a slow, obvious reader. */
import assert from "node:assert/strict";
import fc from "fast-check";
import OpenAI from "openai";
import { AnswerError, AnswerReader } from "../../lib/endpoint/answer_reader.ts";

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
  const client = new OpenAI({
    baseURL: "http://127.0.0.1:1/v1",
    apiKey: "none",
    fetch: () => Promise.resolve(new Response(body, { headers })),
  });
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
    content: reader.text().content,
    chunks: reader.chunkCount,
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

Deno.test("the reader and the SDK's own parser agree, wherever the bytes are cut", async () => {
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
  assert.deepEqual(reader.text().chunks.map(({ atMs }) => atMs), [20, 20, 30]);
  assert.equal(reader.lastMs, 40);
});

Deno.test("nothing counts after [DONE]", () => {
  const reader = read(
    `data: ${chunk("a")}\n\ndata: [DONE]\n\ndata: ${chunk("b")}\n\n`,
    `data: ${chunk("c")}\n\n`,
  );
  assert.equal(reader.text().content, "a");
});

Deno.test("the last blank line may be missing", () => {
  assert.equal(read(`data: ${chunk("a")}\n\n`, "data: [DONE]").text().content, "a");
});

Deno.test("an answer without an announced end has not ended well", () => {
  assert.throws(() => read(`data: ${chunk("a")}\n\n`), /ended without \[DONE\] or a finish reason/);
  assert.throws(() => read(`data: ${chunk("a")}\n\ndata: {"choi`), /not JSON/);
  assert.throws(() => read(""), /empty answer/);
});

Deno.test("of several choices, one counts", () => {
  const both = JSON.stringify({
    choices: [{ index: 1, delta: { content: "no" } }, { index: 0, delta: { content: "yes" } }],
  });
  assert.equal(read(`data: ${both}\n\ndata: [DONE]\n\n`).text().content, "yes");
});

Deno.test("chunks of unknown kind are ignored, those of a wrong shape are errors", () => {
  assert.equal(
    read(`data: {"object":"ping"}\n\ndata: ${chunk("a")}\n\ndata: [DONE]\n\n`).text().content,
    "a",
  );
  for (const wrong of ['{"choices":5}', '{"choices":[{"delta":{"content":5}}]}', "[]", '"text"', "{"]) {
    assert.throws(() => read(`data: ${wrong}\n\ndata: [DONE]\n\n`), AnswerError, wrong);
  }
});

Deno.test("errors of every shape are reported in the endpoint's words", () => {
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

Deno.test("an invalid usage is left out, and the answer is kept", () => {
  for (
    const usage of [null, "many", { completion_tokens: -1 }, { completion_tokens: 1.5 }, { prompt_tokens: 3 }]
  ) {
    const event = JSON.stringify({ choices: [], usage });
    const reader = read(`data: ${chunk("a")}\n\ndata: ${event}\n\ndata: [DONE]\n\n`);
    assert.equal(reader.usage, null);
    assert.equal(reader.text().content, "a");
  }
});

Deno.test("content in parts is joined", () => {
  const parts = JSON.stringify({
    choices: [{ message: { content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] } }],
  });
  const reader = new AnswerReader("application/json");
  reader.feed(encoder.encode(parts), 1);
  reader.end(2);
  assert.equal(reader.text().content, "ab");
});

Deno.test("a whole answer whose content type is a stream is read as a whole answer", () => {
  const reader = new AnswerReader("text/event-stream");
  for (const text of ["\n", ' {"choices":[{"message":', '{"content":"a"}}]}']) {
    reader.feed(encoder.encode(text), 7);
  }
  reader.end(8);
  assert.equal(reader.text().content, "a");
  assert.equal(reader.streamed, false);
});

Deno.test("what is neither events nor JSON is reported at once, whatever its content type", () => {
  for (const type of ["text/html", null]) {
    const reader = new AnswerReader(type);
    assert.throws(() => reader.feed(encoder.encode("<html><body>Login"), 1), /neither events nor JSON/);
  }
});

/**
 * A slow, obvious reader of a stream: all bytes at once, line by line, each event as JSON. It knows the rules, and
 * nothing of pieces, states and speed.
 */
function slowlyRead(bytes: Uint8Array) {
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\n|\r/);
  lines.push("", ""); // the last blank line may be missing
  let [content, reasoning, chunks] = ["", "", 0];
  let finishReason: string | null = null;
  let outputTokens: number | null = null;
  let event: { name: string; data: string[] } = { name: "", data: [] };
  const result = (error: string | null) => ({
    content,
    reasoning,
    chunks,
    finishReason,
    outputTokens,
    error,
  });
  for (const line of lines) {
    if (line !== "") {
      const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === "data") event.data.push(value);
      if (field === "event") event.name = value;
      continue;
    }
    const { name, data } = event;
    event = { name: "", data: [] };
    const text = data.join("\n").trim();
    if (text === "") continue;
    if (text === "[DONE]") return result(null);
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      return result(name === "error" ? "reported" : "not JSON");
    }
    const choice = json.choices?.[0];
    outputTokens = json.usage?.completion_tokens ?? outputTokens;
    finishReason = choice?.finish_reason || finishReason;
    const said = choice?.delta?.content ?? choice?.text ?? "";
    const thought = choice?.delta?.reasoning_content ?? "";
    content += said;
    reasoning += thought;
    if (said !== "" || thought !== "") chunks++;
    const failed = json.code >= 400 || json.base_resp?.status_code > 0 ||
      /error|insuff/.test(finishReason ?? "");
    if (name === "error" || json.error || json.object === "error" || choice?.error || failed) {
      return result("reported");
    }
  }
  return result(finishReason === null ? "no end" : null);
}

/** The same of our reader, fed in pieces. */
function quicklyRead(pieces: readonly Uint8Array[]) {
  const reader = new AnswerReader("text/event-stream");
  let error: string | null = null;
  try {
    for (const [i, piece] of pieces.entries()) reader.feed(piece, i);
    reader.end(pieces.length);
  } catch (caught) {
    if (!(caught instanceof AnswerError)) throw caught;
    error = /^the endpoint reported/.test(caught.message)
      ? "reported"
      : /^not JSON/.test(caught.message)
      ? "not JSON"
      : "no end";
  }
  const { content, reasoning } = reader.text();
  const outputTokens = reader.usage?.outputTokens ?? null;
  return {
    content,
    reasoning,
    chunks: reader.chunkCount,
    finishReason: reader.finishReason,
    outputTokens,
    error,
  };
}

const word = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom('"', "\\", "data: [DONE]", "\n\n", "\r", "\u2028", "", '"}}]}', "日本", "🙂", "é"),
);

/** One event of a stream as lines; what is unknown to the protocol must make no difference. */
const streamEvent = fc.oneof(
  { weight: 8, arbitrary: word.map((content) => [`data: ${chunk(content)}`]) },
  { weight: 1, arbitrary: word.map((text) => [`data:${JSON.stringify({ choices: [{ index: 3, text }] })}`]) },
  {
    weight: 1,
    arbitrary: word.map((reasoning_content) => [
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { reasoning_content } }] })}`,
    ]),
  },
  { weight: 1, arbitrary: word.map((text) => [`: ${text.replaceAll(/[\r\n]/g, " ")}`]) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(["retry: 10"], ["id: 7"], ["event: ping", "data: {}"], ["nonsense"]),
  },
  { weight: 1, arbitrary: fc.nat(9).map((n) => [`data: {"choices":[],"usage":{"completion_tokens":${n}}}`]) },
  { weight: 1, arbitrary: fc.constant(["data: {", 'data: "choices":[]}']) },
);

const badEvent = fc.constantFrom<string[]>(
  ['data: {"error":{"message":"no memory"}}'],
  ['data: {"choices":[],"error":"no memory"}'],
  ['data: {"object":"error","message":"CUDA error","code":500}'],
  ['data: {"choices":[{"error":{"message":"no memory"}}]}'],
  ["event: error", 'data: {"code":1}'],
  ["event: error", "data: no memory"],
  ['data: {"choices":[{"delta":{"cont'],
  ['data: {"choices":[],"code":500,"message":"no memory"}'],
  ['data: {"choices":null,"base_resp":{"status_code":1004}}'],
  ['data: {"choices":[{"delta":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}'],
);

const ending = fc.constantFrom<string[][]>(
  [[`data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`], ["data: [DONE]"]],
  [[`data: {"choices":[{"delta":{},"finish_reason":"length"}]}`]],
  [[`data: {"choices":[{"delta":{},"finish_reason":""}]}`]],
  [["data: [DONE]"], [`data: ${chunk("too late")}`]],
  [],
);

const streams = fc.record({
  events: fc.array(streamEvent, { maxLength: 25 }),
  bad: fc.option(fc.record({ event: badEvent, at: fc.double({ min: 0, max: 1, noNaN: true }) }), { freq: 3 }),
  ending,
  newlines: fc.array(fc.constantFrom("\n", "\r\n", "\r"), { minLength: 1, maxLength: 5 }),
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 }),
  bytewise: fc.boolean(),
  lastBlank: fc.boolean(),
});

Deno.test("1,000 random streams are read as a slow, obvious reader reads them, wherever they are cut", () => {
  fc.assert(
    fc.property(streams, ({ events, bad, ending, newlines, cuts, bytewise, lastBlank }) => {
      const all = [...events, ...ending];
      if (bad !== null) all.splice(Math.round(bad.at * events.length), 0, bad.event);
      let line = 0;
      const lines = all.flatMap((event) => [...event, ""]);
      if (!lastBlank && lines.length > 0) lines.pop();
      const bytes = encoder.encode(lines.map((text) => text + newlines[line++ % newlines.length]).join(""));
      const edges = cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b);
      const pieces = bytewise
        ? Array.from(bytes, (byte) => Uint8Array.of(byte))
        : [0, ...edges].map((from, i) => bytes.slice(from, edges[i] ?? bytes.length));
      assert.deepEqual(quicklyRead(pieces), slowlyRead(bytes));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("what an event began with in an earlier piece counts", () => {
  const known = [chunk("a"), chunk("b")].map((json) => `data: ${json}\n\n`);
  assert.throws(() => read(...known, "event: error\n", `data: ${chunk("c")}\n\n`), /reported an error/);
  assert.throws(() => read(...known, "data: {\n", `data: ${chunk("c")}\n\n`), /not JSON/);
  assert.equal(read(...known, ": comm", `data: ${chunk("c")}\n\ndata: [DONE]\n\n`).text().content, "ab");
});
