/** Tools in chat templates: which form of calls a template teaches, and what it gets to render. */
import assert from "node:assert/strict";
import { callGrammar } from "../../lib/engine/call_grammar.ts";
import { chatTemplate, renderParts } from "../../lib/engine/chat_template.ts";
import { withListedTools } from "../../lib/engine/listed_tools.ts";
import { ApiError } from "../../lib/openai/api_error.ts";
import type { ChatMessage } from "../../lib/endpoint/trace.ts";

const tokens = { bos: "<s>", eos: "</s>" };
const made = (source: string) => chatTemplate(source, tokens, "x.gguf").template;

/** Short templates in the manner of the families. */
const hermes = `{%- if tools %}<|im_start|>system
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
Answer with <tool_call>{"name": <function-name>, "arguments": <args>}</tool_call><|im_end|>
{%- endif %}
{%- for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{%- endfor %}
<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>
{% endif %}`;
const llama =
  `{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>
{% if loop.first and tools %}{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}{% endif %}
{%- if message.tool_calls %}{"name": "{{ message.tool_calls[0].function.name }}", "parameters": {{ message.tool_calls[0].function.arguments | tojson }}}
{%- else %}{{ message.content }}{% endif %}<|eot_id|>{% endfor %}`;
const mistral =
  `{{ bos_token }}{% if tools %}[AVAILABLE_TOOLS]{{ tools | map(attribute="function") | list | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for message in messages %}{% if message.tool_calls %}
{%- if message.tool_calls[0].id | length != 9 %}{{ raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}{% endif -%}
[TOOL_CALLS][{% for call in message.tool_calls %}{{ call.function | tojson }}{% endfor %}]{{ eos_token }}
{%- elif message.role == "tool" %}[TOOL_RESULTS]{"content": "{{ message.content }}", "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]
{%- else %}[INST]{{ message.content }}[/INST]{% endif %}{% endfor %}`;
const without =
  "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<assistant>";

const tools = [{
  name: "get_weather",
  description: "Weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
}];
const history: ChatMessage[] = [
  { role: "user", content: "Weather in Paris?" },
  {
    role: "assistant",
    content: "",
    tool_calls: [{ id: "call_0123456789ab", name: "get_weather", arguments: '{"city":"Paris"}' }],
  },
  { role: "tool", content: "sunny", tool_call_id: "call_0123456789ab" },
];

Deno.test("a template shows by what it renders whether it takes tools, and how calls are written", () => {
  const forms = [hermes, llama, mistral, without, ""].map((source) => made(source).callForm);
  assert.deepEqual(forms, ["hermes", "json", "mistral", null, null]);
});

Deno.test("a template that writes calls in a form that is not read counts as one without tools", () => {
  const xml =
    "{{ tools | tojson }}{% for m in messages %}{% for c in m.tool_calls or [] %}<tool_call>\n<function={{ c.function.name }}>{% endfor %}{% endfor %}";
  assert.equal(made(xml).callForm, null);
});

Deno.test("calls and results of earlier answers are rendered by the model's own template", () => {
  assert.match(
    made(hermes).render(history, { tools }),
    /<tool_call>\n\{"name": "get_weather", "arguments": \{"city": "Paris"\}\}\n<\/tool_call>/,
  );
  assert.match(
    made(llama).render(history, { tools }),
    /\{"name": "get_weather", "parameters": \{"city": "Paris"\}\}/,
  );
  const rendered = made(mistral).render(history, { tools });
  const [, id] = /"call_id": "([a-z0-9]{9})"/.exec(rendered) ?? [];
  assert.equal(id, "3456789ab", "ids are shortened to what the template takes");
});

Deno.test("a variable such as enable_thinking reaches the template, and is known to be read or not", () => {
  const [template, plain] = [made(hermes), made(without)];
  const asked = history.slice(0, 1);
  assert.match(template.render(asked, { variables: { enable_thinking: false } }), /<think>\n\n<\/think>/);
  assert.doesNotMatch(template.render(asked), /<think>/);
  assert.ok(template.reads("enable_thinking") && !plain.reads("enable_thinking"));
});

Deno.test("names of special tokens in tools and calls stay text", () => {
  const special = (text: string) => text.includes("<|im_end|>") ? ["<|im_end|>"] : [];
  const bad = [{ ...tools[0], name: "get_weather", description: "Ends with <|im_end|>" }];
  const parts = renderParts(made(hermes), [{ role: "user", content: "Hi" }], special, { tools: bad });
  const quoted = parts.filter(({ isTemplate }) => !isTemplate).map(({ text }) => text);
  assert.deepEqual(quoted, ["<|im_end|>"]);
  assert.ok(parts.map(({ text }) => text).join("").includes('"description": "Ends with <|im_end|>"'));
});

Deno.test("where the template has no tools, they are listed in the system message, results as the user's", () => {
  const messages = withListedTools([{ role: "system", content: "Be brief." }, ...history], tools);
  assert.deepEqual(messages.map(({ role }) => role), ["system", "user", "assistant", "user"]);
  const [system, , call, result] = messages.map(({ content }) => content);
  assert.match(system ?? "", /^Be brief\.\n\nYou can call these functions:\n\{"name":"get_weather"/);
  assert.equal(call, '{"name": "get_weather", "arguments": {"city":"Paris"}}');
  assert.equal(result, "Result of get_weather: sunny");
  assert.deepEqual(withListedTools(history.slice(0, 1), []), history.slice(0, 1));
});

const seen: unknown[] = [];
const grammarOf = (schema: unknown) => {
  seen.push(schema);
  return Promise.resolve(
    'root ::= "x"\nwhitespace-b-1-4-rule ::= [\\n]\ncomma-whitespace-b-1-4-rule ::= ","\n',
  );
};
const request = { tools, toolChoice: "auto", parallelCalls: true } as const;

Deno.test("a grammar holds what must be a call; free answers are free where the template teaches a form", async () => {
  assert.equal(await callGrammar(request, "hermes", grammarOf), null);
  const rootOf = async (
    form: Parameters<typeof callGrammar>[1],
    changes: Partial<Parameters<typeof callGrammar>[0]>,
  ) => (await callGrammar({ ...request, ...changes }, form, grammarOf))?.split("\n")[0];
  assert.equal(await rootOf(null, {}), 'root ::= call ("\\n" call){0,3} | [^{] .*');
  assert.equal(await rootOf(null, { toolChoice: { name: "get_weather" } }), "root ::= call");
  assert.equal(await rootOf("json", { toolChoice: "required" }), "root ::= call");
  assert.equal(
    await rootOf("hermes", { toolChoice: "required", parallelCalls: false }),
    'root ::= "<tool_call>\\n" call "\\n</tool_call>"',
  );
  assert.equal(
    await rootOf("mistral", { toolChoice: "required" }),
    'root ::= "[TOOL_CALLS][" call (", " call){0,3} "]"',
  );
  await assert.rejects(rootOf("gemma", { toolChoice: "required" }), ApiError);
  assert.match(await callGrammar(request, null, grammarOf) ?? "", /^whitespace-b-1-4-rule ::= \[ \]\?$/m);
});

Deno.test("optional arguments may be left out; a schema beyond a grammar becomes any object", async () => {
  const argumentsOf = async (parameters: Record<string, unknown>) => {
    seen.length = 0;
    await callGrammar({ ...request, tools: [{ name: "f", parameters }] }, null, grammarOf);
    const { oneOf } = Object(seen[0]);
    return oneOf.map((one: { properties: { arguments: { properties?: object } } }) =>
      one.properties.arguments
    );
  };
  const city = { type: "string" };
  const choices = await argumentsOf({ type: "object", properties: { city, unit: city }, required: ["city"] });
  assert.deepEqual(choices.map(({ properties }: { properties: object }) => Object.keys(properties)), [[
    "city",
  ], ["city", "unit"]]);
  const loose = { type: "object", additionalProperties: true };
  assert.deepEqual(
    await argumentsOf({
      type: "object",
      properties: { city: { type: "string", pattern: "^a" } },
      required: ["city"],
    }),
    [loose],
  );
});
