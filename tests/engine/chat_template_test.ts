/** The model's own template is rendered as its authors wrote it; a model without one gets a plain one. */
import assert from "node:assert/strict";
import { chatTemplate } from "../../lib/engine/chat_template.ts";

const tokens = { bos: "<s>", eos: "</s>" };
const conversation = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello" },
  { role: "assistant", content: "Hi." },
  { role: "user", content: "Who are you?" },
] as const;

Deno.test("the model's own Jinja template gets messages, tokens and the generation prompt", () => {
  const source = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{{ eos_token }}" +
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
  const template = chatTemplate(source, tokens);
  assert.equal(template.kind, "own");
  assert.equal(
    template.render(conversation),
    "<s>[system]Be brief.</s>[user]Hello</s>[assistant]Hi.</s>[user]Who are you?</s>[assistant]",
  );
});

Deno.test("where a template refuses system messages, their text opens the first user message", () => {
  const source =
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}" +
    "{% endif %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}";
  const template = chatTemplate(source, tokens);
  assert.equal(
    template.render(conversation),
    "[user]Be brief.\n\nHello[assistant]Hi.[user]Who are you?",
  );
  assert.throws(() => template.render([{ role: "system", content: "alone" }]), /no system role/);
});

Deno.test("a model without a template gets the speakers' names, and an answer ends where the next one speaks", () => {
  for (const absent of [undefined, "", "  \n"]) {
    const template = chatTemplate(absent, tokens);
    assert.equal(template.kind, "plain");
    assert.equal(
      template.render(conversation),
      "Be brief.\n\nUser: Hello\n\nAssistant: Hi.\n\nUser: Who are you?\n\nAssistant:",
    );
    assert.deepEqual(template.stops, ["\nUser:"]);
  }
});

Deno.test("a template that is not Jinja is a clear fault of the file", () => {
  assert.throws(() => chatTemplate("{% for %}", tokens), /SyntaxError|Expected|Unexpected|Parser/);
});
