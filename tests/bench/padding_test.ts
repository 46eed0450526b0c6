import assert from "node:assert/strict";
import { contextFor } from "../../lib/bench/context_size.ts";
import { trueLengths } from "../../lib/bench/prompt_lengths.ts";
import { distractorText, originalOf, paddedSet } from "../../lib/bench/padding.ts";
import { parsePromptSet } from "../../lib/prompts/prompts.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { fakeCandidate, VirtualTime } from "./fakes.ts";

const document = "The blue locker opens with the word pelican.";
const cases = Array.from(
  { length: 4 },
  (_, at) => ({ id: `q${at + 1}`, prompt: `${document}\n\nWhich word?` }),
);
const plain = parsePromptSet(cases, "lockers");
const set = { ...plain, prompts: plain.prompts.map((prompt) => ({ ...prompt, documents: [document] })) };
const scale = { fixed: 20, perCharacter: 0.25 };

Deno.test("each case is as long as wanted at each length, and its document stands at another place each time", () => {
  const { set: padded, tooLong } = paddedSet(set, [200, 1000], scale, 1);
  assert.deepEqual(padded.prompts.map(({ id }) => id).slice(0, 5), [
    "q1-200",
    "q2-200",
    "q3-200",
    "q4-200",
    "q1-1000",
  ]);
  assert.equal(tooLong.size, 0);
  for (const { messages, targetTokens = 0 } of padded.prompts) {
    const [{ content = "" } = {}] = messages;
    const tokens = scale.fixed + scale.perCharacter * (content ?? "").length;
    assert.ok(Math.abs(tokens - targetTokens) < 3, `${tokens} of ${targetTokens}`);
    assert.ok(content?.endsWith("Which word?"), "the task comes last");
  }
  const places = padded.prompts.slice(4).map(({ messages }) => {
    const content = messages[0]?.content ?? "";
    return Math.floor(4 * content.indexOf(document) / content.length);
  });
  assert.deepEqual(places.toSorted(), [0, 1, 2, 3], "one in each quarter of the text");
  assert.deepEqual(paddedSet(set, [200, 1000], scale, 1).set, padded, "seeded");
  assert.notEqual(paddedSet(set, [200, 1000], scale, 2).set.sha256, padded.sha256);
});

Deno.test("a case that is longer than a length by itself is missing there, and counted", () => {
  const { set: padded, tooLong } = paddedSet(set, [30, 200], scale, 1);
  assert.equal(padded.prompts.length, 4);
  assert.deepEqual([...tooLong], [[30, 4]]);
});

Deno.test("the text around a case never holds the answer", () => {
  const text = distractorText(20_000, seededRandom("x"), ["Lanterns", "pears"]);
  assert.doesNotMatch(text, /lanterns|pears|\d/i);
  assert.ok(text.length >= 20_000);
});

Deno.test("a recorded padded prompt is found again with its checks, unless its text or case changed", () => {
  const [padded] = paddedSet(set, [200], scale, 1).set.prompts;
  assert.ok(padded !== undefined);
  const { targetTokens: _, messages, ...rest } = padded;
  const recorded = { ...rest, messages, target_tokens: 200 };
  assert.equal(originalOf(recorded, set)?.id, "q1-200");
  assert.equal(originalOf({ ...recorded, messages: [] }, set), null);
  assert.equal(originalOf({ ...recorded, target_tokens: undefined }, set), null);
});

Deno.test("lengths are true by the tokenizer of the candidate, whatever its tokens are", async () => {
  // Here a token is a word, which no usual scale knows.
  const live = fakeCandidate("a", new VirtualTime(), { msPerPromptToken: 0 });
  const notes: string[] = [];
  const resources = { signal: new AbortController().signal, note: (line: string) => notes.push(line) };
  const prompts = await trueLengths(
    { candidates: [live], named: [] },
    { prompts: set },
    [100, 400],
    resources,
  );
  for (const { messages, targetTokens = 0 } of prompts.prompts) {
    const words = (messages[0]?.content ?? "").split(/\s+/).length + 2;
    assert.ok(Math.abs(words - targetTokens) < 0.03 * targetTokens + 6, `${words} words of ${targetTokens}`);
  }
  assert.deepEqual(notes, []);
});

Deno.test("the context is as large as the length that was asked for", () => {
  const messages = [{ role: "user" as const, content: "word ".repeat(8000) }];
  assert.equal(contextFor([{ messages, targetTokens: 8000 }], 128), 9216);
});
