/** Calls in the forms that models write, found however the text is cut. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type CallForm, CallReader, type WrittenPiece } from "../../lib/engine/call_reader.ts";

const names = ["get_weather", "get_time"];

function read(form: CallForm, pieces: readonly string[]) {
  const reader = new CallReader(form, names, () => "id");
  return told([...pieces.flatMap((text) => reader.push(text)), ...reader.end()]);
}

/** Text and calls as a client puts them together. */
function told(pieces: readonly WrittenPiece[]) {
  const calls: { name: string; arguments: string }[] = [];
  let text = "";
  for (const piece of pieces) {
    if ("text" in piece) text += piece.text;
    else {
      const { index, name, arguments: part } = piece.call;
      const call = calls[index ?? 0] ??= { name: "", arguments: "" };
      call.name += name;
      call.arguments += part;
    }
  }
  return { text: text.trim(), calls: calls.map((call) => `${call.name} ${compact(call.arguments)}`) };
}

const compact = (json: string) => JSON.stringify(JSON.parse(json));
const paris = 'get_weather {"city":"Paris"}';
const time = 'get_time {"zone":"UTC","at":[1,{"x":"}"}]}';
const timeJson = '{"name": "get_time", "arguments": {"zone": "UTC", "at": [1, {"x": "}"}]}}';

const cases: [CallForm, string, { text?: string; calls: string[] }][] = [
  ["hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', {
    calls: [paris],
  }],
  [
    "hermes",
    `Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>\n<tool_call>\n${timeJson}\n</tool_call>`,
    { text: "Let me see.", calls: [paris, time] },
  ],
  ["hermes", "Use <tool> and <b>, not a call < 3", { text: "Use <tool> and <b>, not a call < 3", calls: [] }],
  ["hermes", "<tool_call>no JSON</tool_call>", { text: "<tool_call>no JSON</tool_call>", calls: [] }],
  ["hermes", '<tool_call>{"arguments": {"city": "Paris"}, "name": "get_weather"}</tool_call>', {
    calls: [paris],
  }],
  ["hermes", '<tool_call>{"name": "get_weather"}</tool_call>', { calls: ["get_weather {}"] }],
  ["hermes", '<tool_call>{"name": "other", "arguments": {}}</tool_call>', { calls: ["other {}"] }],
  [
    "hermes",
    '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
    { calls: [paris] },
  ],
  ["mistral", `[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}, ${timeJson}]`, {
    calls: [paris, time],
  }],
  ["mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', { calls: [paris] }],
  [
    "mistral",
    '[TOOL_CALLS]get_weather{"city": "Paris"}[TOOL_CALLS]get_time[CALL_ID]abc123XYZ[ARGS]{"zone":"UTC","at":[1,{"x":"}"}]}',
    {
      calls: [paris, time],
    },
  ],
  ["json", '{"name": "get_weather", "parameters": {"city": "Paris"}}', { calls: [paris] }],
  ["json", ' {"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}', {
    calls: [paris],
  }],
  ["json", '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}', {
    calls: [paris],
  }],
  ["json", `<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}; ${timeJson}`, {
    calls: [paris, time],
  }],
  ["json", `{"name": "get_weather", "arguments": {"city": "Paris"}}\n${timeJson}`, { calls: [paris, time] }],
  ["json", '{"name": "Bob", "age": 3}', { text: '{"name": "Bob", "age": 3}', calls: [] }],
  ["json", '{"label": "bug"}', { text: '{"label": "bug"}', calls: [] }],
  ["json", 'It is {"name": "get_time"} here', { text: 'It is {"name": "get_time"} here', calls: [] }],
  ["json", 'Sure:\n```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```', {
    text: "Sure:",
    calls: [paris],
  }],
  ["json", '```json\n{"label": "bug"}\n```', { text: '```json\n{"label": "bug"}\n```', calls: [] }],
  ["json", "```tool_code\nprint(get_weather(city='Paris'))\n```", { calls: [paris] }],
  ["json", '```tool_code\nget_time(zone="UTC", at=[1], on=True)\n```', {
    calls: ['get_time {"zone":"UTC","at":[1],"on":true}'],
  }],
  [
    "gemma",
    "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>",
    { calls: [paris] },
  ],
  [
    "gemma",
    "<start_function_call>call:get_time{zone:<escape>a:b, {c}<escape>,at:[1,2],deep:{on:true}}<end_function_call>",
    { calls: ['get_time {"zone":"a:b, {c}","at":[1,2],"deep":{"on":true}}'] },
  ],
];

for (const [form, text, { text: said = "", calls }] of cases) {
  Deno.test(`${form}: ${text.slice(0, 70).replaceAll("\n", "\\n")}`, () => {
    assert.deepEqual(read(form, [text]), { text: said, calls });
    assert.deepEqual(read(form, [...text]), { text: said, calls }, "one character at a time");
    const cuts = fc.array(fc.nat(text.length), { maxLength: 6 });
    fc.assert(fc.property(cuts, (at) => {
      const ends = [...at.toSorted((a, b) => a - b), text.length];
      const pieces = ends.map((end, i) => text.slice(i === 0 ? 0 : ends[i - 1], end));
      assert.deepEqual(read(form, pieces), { text: said, calls });
    }));
  });
}

Deno.test("a name is told before its arguments, and arguments as they come", () => {
  const reader = new CallReader("hermes", names, () => "id7");
  const [first] = reader.push('<tool_call>{"name": "get_weather", ');
  assert.deepEqual(first, { call: { index: 0, id: "id7", name: "get_weather", arguments: "" } });
  assert.deepEqual(reader.push('"arguments": {"city": "Pa'), [
    { call: { index: 0, id: "", name: "", arguments: '{"city": "Pa' } },
  ]);
  assert.equal(reader.calls, 1);
  assert.deepEqual(reader.end(), [], "an answer that is cut keeps what came of the call");
});

Deno.test("text that may still become a call is held back, and given out at the end", () => {
  const reader = new CallReader("hermes", names, () => "id");
  assert.deepEqual(reader.push("Hi <tool"), [{ text: "Hi " }]);
  assert.deepEqual(reader.end(), [{ text: "<tool" }]);
});
