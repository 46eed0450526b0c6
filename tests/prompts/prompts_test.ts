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
    [5, /the document is 5, expected an array of prompts/],
    [[], /the document is \[\]/],
    [["fine", ""], /1 is ""/],
    [{ prompts: [{ id: "a b", prompt: "x" }] }, /prompts\.0\.id is "a b", expected up to 64 letters/],
    [[{ id: "a", prompt: "x" }, { id: "a", prompt: "y" }], /the id "a" occurs twice/],
    [[{ prompt: "" }, { prompt: "x", id: "!" }], /0\.prompt is "".*1\.id is "!"/],
    [[{ prompt: "x", aspect: ["y"] }], /aspect/],
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
