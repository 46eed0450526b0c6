import assert from "node:assert/strict";
import fc from "fast-check";
import { UserError } from "../../lib/errors.ts";
import { loadPromptSet, parsePromptSet, singlePrompt } from "../../lib/prompts/prompts.ts";

Deno.test("the default set gives a race room: over 60 short cases of their own, the workshop's among them", async () => {
  const set = await loadPromptSet("prompts/default.json");
  assert.ok(set.prompts.length >= 60);
  assert.equal(new Set(set.prompts.map(({ sha256 }) => sha256)).size, set.prompts.length);
  const texts = set.prompts.map(({ messages }) => messages.at(-1)?.content ?? "");
  assert.ok(texts.includes("Explain retrieval augmented generation briefly."));
  assert.ok(texts.every((text) => text.length < 200));
  assert.ok(set.prompts.every(({ task, aspects }) => task !== null && aspects.length > 0));
  const checked = set.prompts.filter(({ checks }) => checks.length > 0);
  assert.ok(checked.length >= 60, "a quality run has enough to score");
});

Deno.test("the ten prompts of earlier runs keep their texts, so that those runs keep their meaning", async () => {
  const { plan } = JSON.parse(await Deno.readTextFile("reports/2026-11-21T07-30-18-gzss/run.json"));
  const set = await loadPromptSet("prompts/ten.json");
  assert.equal(set.sha256, plan.prompt_set.sha256);
});

Deno.test("the course's array of strings is read as it is", () => {
  const set = parsePromptSet(["One", "Two"], "mine");
  assert.deepEqual(set.prompts.map(({ id, messages }) => [id, messages]), [
    ["p1", [{ role: "user", content: "One" }]],
    ["p2", [{ role: "user", content: "Two" }]],
  ]);
  assert.equal(set.name, "mine");
});

Deno.test("the hash of a set follows what is asked, and nothing else", () => {
  const hash = (json: unknown) => parsePromptSet(json, "x").sha256;
  assert.equal(hash(["One"]), hash([{ prompt: "One", task: "code", aspects: ["x"] }]));
  assert.notEqual(hash(["One"]), hash(["Two"]));
  assert.notEqual(hash(["One", "Two"]), hash(["Two", "One"]));
  assert.equal(singlePrompt("One").prompts[0]?.sha256, parsePromptSet(["One"], "x").prompts[0]?.sha256);
});

Deno.test("every fault is named in one message: where, what it holds, what it takes", () => {
  const wrong: [unknown, RegExp][] = [
    [5, /the document is 5, expected a list of prompts, or an object/],
    [[], /the document is \[\]/],
    [["fine", ""], /\[1\] is ""/],
    [{ prompts: [{ id: "a b", prompt: "x" }] }, /prompts\[0\]\.id is "a b", expected up to 64 letters/],
    [[{ id: "a", prompt: "x" }, { id: "a", prompt: "y" }], /the id "a" occurs twice/],
    [[{ prompt: "" }, { prompt: "x", id: "!" }], /\[0\]\.prompt is "".*\[1\]\.id is "!"/],
    [[{ prompt: "x", aspect: ["y"] }], /\[0\] has the unknown key "aspect"/],
    // What other tools' files hold.
    [{ prompts: ["x"], evals: [] }, /the document has the unknown key "evals"/],
    [{ prompts: ["x"], providers: [], defaultTest: {} }, /unknown key "providers", "defaultTest"/],
    [
      { prompt: "x" },
      /prompts is missing, expected a list of prompts/,
    ],
    [[{ id: 7, prompt: "x" }], /\[0\]\.id is 7, expected a text in quotes, such as "7"/],
    [["x", { id: 1.5, prompt: "x" }], /\[1\]\.id is 1\.5/],
    [{ prompts: [{ id: null, prompt: "x" }] }, /prompts\[0\]\.id is null/],
    [
      [{ messages: [{ role: "user", content: [{ type: "text", text: "x" }] }] }],
      /\[0\]\.messages\[0\]\.content is \[.*, expected a text: parts such as images are not supported/,
    ],
    [[{ messages: [{ role: "user", content: null }] }], /\[0\]\.messages\[0\]\.content is null/],
    [[{ prompt: [{ type: "text", text: "x" }] }], /\[0\]\.prompt is \[/],
    [
      [{ messages: [{ role: "developer", content: "x" }] }],
      /\[0\]\.messages\[0\]\.role is "developer", expected system, user or assistant; "developer" is called system/,
    ],
    [[{ messages: [{ role: "tool", content: "x" }] }], /\[0\]\.messages\[0\]\.role is "tool"/],
    [[{ messages: [{ role: "User", content: "x" }] }], /\.role is "User"/],
    [
      [{ messages: [{ role: "user", content: "x", name: "a" }] }],
      /\[0\]\.messages\[0\] has the unknown key "name"/,
    ],
    [[{ messages: "x" }], /\[0\]\.messages is "x", expected a list of messages/],
  ];
  for (const [json, says] of wrong) {
    assert.throws(() => parsePromptSet(json, "bad.json"), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, says);
      assert.ok(error.message.startsWith("prompt set bad.json: ") && !error.message.includes("\n"));
      return true;
    });
  }
});

Deno.test("a file in another encoding is refused with its place; UTF-8 with a mark and UTF-16 are read", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const latin = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const read = async (bytes: Uint8Array) => {
    await Deno.writeFile(path, bytes);
    return (await loadPromptSet(path)).prompts[0]?.messages[0]?.content;
  };
  try {
    const wrong: [Uint8Array, RegExp][] = [
      [latin('[\n"one",\n"Grüße aus Köln"\n]'), /is not UTF-8 \(line 3, near .*Grüße/],
      [latin('["It\x92s 5 \x80"]'), /is not UTF-8 \(line 1, near .*It’s 5 €/],
      [latin('["caf\xe9"]'), /is not UTF-8 \(line 1, near .*café/],
      [new Uint8Array([0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d]), /is not UTF-8 \(line 1/],
    ];
    for (const [bytes, says] of wrong) await assert.rejects(() => read(bytes), says);
    const text = '["Grüße, \uFFFD"]';
    assert.equal(await read(new TextEncoder().encode(`\uFEFF${text}`)), "Grüße, \uFFFD");
    const utf16 = new Uint8Array(2 + 2 * text.length);
    const view = new DataView(utf16.buffer);
    [...`\uFEFF${text}`].forEach((letter, at) => view.setUint16(2 * at, letter.charCodeAt(0), true));
    assert.equal(await read(utf16), "Grüße, \uFFFD");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("whatever the JSON, the answer is a set or a UserError", () => {
  fc.assert(fc.property(fc.jsonValue(), (json) => {
    try {
      assert.ok(parsePromptSet(json, "any").prompts.length > 0);
    } catch (error) {
      assert.ok(error instanceof UserError);
    }
  }));
});

Deno.test("an empty prompt is refused", () => {
  assert.throws(() => singlePrompt("  "), /the prompt .* is empty: give a text/);
});
