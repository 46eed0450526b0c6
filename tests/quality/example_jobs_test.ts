/** The example jobs of tasks: what they expect passes, and nothing near it. */
import assert from "node:assert/strict";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { scoreAnswer } from "../../lib/quality/check.ts";

Deno.test("extract: the expected record passes, in another form too; one wrong amount does not", async () => {
  const { prompts } = await loadPromptSet("prompts/extract.json");
  assert.equal(prompts.length, 15);
  for (const prompt of prompts) {
    const [check] = prompt.checks;
    assert.ok(check?.kind === "record");
    const passes = (record: object) => scoreAnswer(JSON.stringify(record), prompt.checks, prompt).passed;
    const { expected } = check;
    assert.ok(passes(expected), prompt.id);
    assert.ok(passes({ ...expected, supplier: String(expected["supplier"]).toUpperCase() }), prompt.id);
    assert.ok(!passes({ ...expected, total: Number(expected["total"]) + 0.1 }), prompt.id);
    assert.ok(!passes({ ...expected, note: "more" }), `${prompt.id}: the schema takes no other field`);
    const text = prompt.messages.at(-1)?.content ?? "";
    assert.ok(text.includes(String(expected["number"])), `${prompt.id}: the number is in the mail`);
  }
});

Deno.test("tools: the expected calls pass, a call where none is needed does not", async () => {
  const { prompts } = await loadPromptSet("prompts/tools.json");
  const kinds = prompts.map((prompt) => {
    const [check] = prompt.checks;
    assert.ok(check?.kind === "calls");
    const calls = check.expected.map(({ name, arguments: allowed }) => ({
      name,
      arguments: JSON.stringify(Object.fromEntries(
        Object.entries(allowed).map(([key, value]) => [key, Array.isArray(value) ? value[0] : value]),
      )),
    }));
    const passes = (given: typeof calls) => scoreAnswer("Done.", prompt.checks, prompt, 0.8, given).passed;
    assert.ok(passes(calls), prompt.id);
    assert.ok(!passes([...calls, { name: "set_timer", arguments: '{"minutes": 1}' }]), prompt.id);
    assert.equal(passes([]), calls.length === 0, prompt.id);
    return calls.length;
  });
  assert.deepEqual(kinds.toSorted(), [0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
});

Deno.test("answer: the right answers with their sentence pass, a sentence that is not there does not", async () => {
  const { prompts } = await loadPromptSet("prompts/answer.json");
  const passed = (id: string, answer: string) => {
    const prompt = prompts.find((one) => one.id === id);
    assert.ok(prompt);
    return scoreAnswer(answer, prompt.checks, prompt).passed;
  };
  assert.ok(passed("deposit", 'Fifty, or 50 euros: "50 euros in cash, which we keep in the blue box".'));
  assert.ok(!passed("deposit", '50 euros: "the deposit is 50 euros for every tool".'));
  assert.ok(!passed("deposit", "50 euros."), "without its source");
  assert.ok(passed("differ", 'The book: "If the two differ, the book is right."'));
  assert.ok(!passed("differ", 'The computer: "If the two differ, the book is right."'));
  assert.ok(passed("bicycles", "That is not in the handbook."));
  assert.ok(!passed("bicycles", "It costs 4 euros."));
});
