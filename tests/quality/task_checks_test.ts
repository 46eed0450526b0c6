/** Task checks: what counts as right, wrong and off format, and what more text could not change. */
import assert from "node:assert/strict";
import { checksSchema } from "../../lib/prompts/checks.ts";
import { type CheckedPrompt, type CheckResult, runCheck, scoreAnswer } from "../../lib/quality/check.ts";
import { namedLabels } from "../../lib/quality/label_score.ts";
import { compareFields } from "../../lib/quality/record_score.ts";

const nothing: CheckedPrompt = { messages: [], reference: null };

function parsed(json: unknown) {
  const [check] = checksSchema.parse([json]);
  if (check === undefined) throw new Error("no check");
  return check;
}

/** `right`, or how it failed: `off format` or `wrong`, with `final` where more text could not help. */
function verdict({ passed, offFormat, final }: CheckResult): string {
  return passed ? "right" : `${offFormat ? "off format" : "wrong"}${final ? ", final" : ""}`;
}

Deno.test("label: the one label that an answer names, however it is written", () => {
  const labels = ["bug", "feature_request", "billing", "bug report"];
  const named: [answer: string, labels: string[]][] = [
    ["billing", ["billing"]],
    ["Billing.", ["billing"]],
    ["**Billing**", ["billing"]],
    ["Label: billing", ["billing"]],
    ['{"label": "billing", "reason": "not a bug"}', ["billing"]],
    ['```json\n{"category": "Feature Request"}\n```', ["feature_request"]],
    ["\\boxed{bug}", ["bug"]],
    ["This is a feature request.", ["feature_request"]],
    ["A Bug Report", ["bug report"]],
    ["debugging", []],
    ["either bug or billing", ["bug", "billing"]],
    ["I can't tell", []],
  ];
  for (const [answer, expected] of named) assert.deepEqual(namedLabels(answer, labels), expected, answer);
  assert.deepEqual(namedLabels("A refund of a kind", ["A", "B"]), ["A"], "one letter keeps its case");
  assert.deepEqual(namedLabels("a refund of a kind", ["A", "B"]), []);
  assert.deepEqual(namedLabels("这是投诉。", ["投诉", "咨询"]), ["投诉"]);
  assert.deepEqual(namedLabels("C++ it is", ["C", "C++"]), ["C++"], "the longest label counts");
});

Deno.test("label: right, wrong and off format are three things; alone takes no sentence", () => {
  const check = parsed({ kind: "label", expected: "bug", labels: ["bug", "billing"] });
  const of = (answer: string) => verdict(runCheck(check, answer, nothing));
  assert.deepEqual(of("Bug"), "right");
  assert.deepEqual(of("billing"), "wrong, final");
  assert.deepEqual(of("bug or billing"), "off format, final");
  assert.deepEqual(of("The customer"), "off format");
  const alone = parsed({ kind: "label", expected: "bug", labels: ["bug", "billing"], alone: true });
  assert.deepEqual(verdict(runCheck(alone, "It is a bug", nothing)), "off format");
  assert.deepEqual(verdict(runCheck(alone, "Category: bug", nothing)), "right");
});

Deno.test("record: fields by value, with tolerance and dates; nothing wrong passes", () => {
  const expected = { id: "R-7", total: 1250.5, due: "2026-04-03", paid: false, note: null };
  const rules = { total: { tolerance: 0.01 }, due: { as: "date" as const }, id: { ignore_case: true } };
  const states = (given: Record<string, unknown>) => compareFields(expected, given, rules);
  const right = { id: "right", total: "right", due: "right", paid: "right", note: "right" };
  assert.deepEqual(states({ id: "r-7", total: "€1.250,50", due: "3. April 2026", paid: false }), right);
  assert.deepEqual(states({ id: "R-7", total: 1250.505, due: "03.04.2026", paid: false, note: "" }), right);
  assert.deepEqual(states({ id: "R-8", total: 1250.52, due: "4 April 2026", paid: true, note: "none" }), {
    id: "wrong",
    total: "wrong",
    due: "wrong",
    paid: "wrong",
    note: "wrong",
  });
  assert.deepEqual(states({ total: null, due: "" }), {
    id: "missing",
    total: "missing",
    due: "missing",
    paid: "missing",
    note: "right",
  });
  assert.deepEqual(compareFields({ total: 5 }, { total: "5 or 6" }, {}), { total: "wrong" }, "two numbers");
  assert.deepEqual(compareFields({ total: -5 }, { total: "5" }, {}), { total: "wrong" }, "the sign counts");
  assert.deepEqual(
    compareFields({ code: "007" }, { code: 7 }, {}),
    { code: "right" },
    "a number is its value",
  );
  assert.deepEqual(
    compareFields({ code: "007" }, { code: "7" }, {}),
    { code: "wrong" },
    "a text is its letters",
  );
  assert.deepEqual(compareFields({ day: "2026-04-03" }, { day: "03/04/26" }, { day: { as: "date" } }), {
    day: "right",
  });
  const marks = (given: string) => compareFields({ mark: "**" }, { mark: given }, {});
  assert.deepEqual([marks(" **"), marks("```")], [{ mark: "right" }, { mark: "wrong" }]);
});

Deno.test("record: lists of items and of values, in order or not", () => {
  const expected = { items: [{ name: "pen", price: 2 }, { name: "ink", price: 9 }], tags: ["a", "b"] };
  const given = { items: [{ name: "ink", price: 9 }, { name: "pen", price: 3 }], tags: ["b", "a"] };
  assert.deepEqual(compareFields(expected, given, {}), {
    "items.length": "right",
    "items.*.name": "wrong",
    "items.*.price": "wrong",
    tags: "wrong",
  });
  const rules = {
    items: { any_order: true },
    tags: { any_order: true },
    "items.*.price": { tolerance: 1 },
  };
  assert.deepEqual(compareFields(expected, given, rules), {
    "items.length": "right",
    "items.*.name": "right",
    "items.*.price": "right",
    tags: "right",
  });
  assert.deepEqual(compareFields(expected, { items: [expected.items[0]] }, {}), {
    "items.length": "wrong",
    "items.*.name": "missing",
    "items.*.price": "missing",
    tags: "missing",
  });
  assert.deepEqual(compareFields({ a: { b: 1 } }, { a: 1 }, {}), { "a.b": "missing" });
});

Deno.test("record: one wrong amount is no pass, and off format is not wrong", () => {
  const schema = {
    type: "object",
    properties: { total: { type: "number" }, due: { type: "string", format: "date" } },
    required: ["total", "due"],
    additionalProperties: false,
  };
  const check = parsed({ kind: "record", schema, expected: { total: 12.5, due: "2026-04-03" } });
  const of = (answer: string) => runCheck(check, answer, nothing);
  assert.deepEqual(verdict(of('{"total": 12.5, "due": "2026-04-03"}')), "right");
  assert.deepEqual(verdict(of('Here:\n```json\n{"total": 12.5, "due": "2026-04-03"}\n```')), "right");
  assert.deepEqual(verdict(of('{"total": 12.6, "due": "2026-04-03"}')), "wrong, final");
  assert.deepEqual(verdict(of('{"total": 12.5, "due": "2026-0')), "off format");
  assert.deepEqual(verdict(of("[1]")), "off format");
  const form = of('{"total": "12.50", "due": "2026-04-03"}');
  assert.match(form.detail, /doesn't fit the schema: total/);
  assert.deepEqual(form.outcome, {
    kind: "record",
    json: true,
    fits: false,
    fields: { total: "right", due: "right" },
  }, "the value is right, its form is not");
  const off = of("no JSON").outcome;
  assert.deepEqual(off, {
    kind: "record",
    json: false,
    fits: false,
    fields: { total: "missing", due: "missing" },
  });
  const scored = scoreAnswer('{"total": 99, "due": "2026-04-03"}', [check], nothing, 0.1);
  assert.deepEqual([scored.passed, scored.score], [false, 0]);
});

Deno.test("calls: selection, arguments, no call and several calls are compared as calls", () => {
  const weather = { name: "get_weather", arguments: { city: ["Paris", "Paris, France"], unit: ["C", null] } };
  const alarm = { name: "set_alarm", arguments: { at: "07:00", days: [["mon", "tue"]] } };
  const call = (name: string, value: unknown) => ({ name, arguments: JSON.stringify(value) });
  const paris = call("get_weather", { city: " paris" });
  const early = call("set_alarm", { days: ["Mon", "tue"], at: "07:00" });
  const of = (expected: unknown[], calls: ReturnType<typeof call>[], answer = "", any_order = true) =>
    verdict(runCheck(parsed({ kind: "calls", expected, any_order }), answer, nothing, calls));
  assert.deepEqual(of([weather], [paris]), "right");
  assert.deepEqual(of([weather], [call("get_weather", { city: "Rome" })]), "wrong");
  assert.deepEqual(of([weather], [call("get_weather", { city: "Paris", unit: "F" })]), "wrong");
  assert.deepEqual(of([weather], [call("get_weather", { city: "Paris", extra: 1 })]), "wrong");
  assert.deepEqual(of([weather], [call("getWeather", { city: "Paris" })]), "wrong");
  assert.deepEqual(of([weather, alarm], [early, paris]), "right");
  assert.deepEqual(of([weather, alarm], [early, paris], "", false), "wrong");
  assert.deepEqual(of([weather, alarm], [paris]), "wrong");
  assert.deepEqual(of([weather], [paris, paris]), "wrong");
  assert.deepEqual(of([], [], "Hello!"), "right");
  assert.deepEqual(of([], [paris]), "wrong, final");
  assert.deepEqual(of([alarm], [call("set_alarm", { at: "07:00", days: ["tue", "mon"] })]), "wrong");
  assert.deepEqual(of([{ name: "f", arguments: { n: 2 } }], [call("f", { n: "2" })]), "wrong", "types count");
  assert.deepEqual(of([{ name: "f", arguments: { n: 2 } }], [call("f", { n: 2.0 })]), "right");
  assert.deepEqual(of([{ name: "now" }], [{ name: "now", arguments: "" }]), "right");
  assert.deepEqual(of([weather], [{ name: "get_weather", arguments: '{"city": ' }]), "off format");
  assert.deepEqual(
    of([weather], [], '{"name": "get_weather", "arguments": {"city": "Paris"}}'),
    "off format",
  );
  assert.deepEqual(of([weather], [], "It is sunny in Paris."), "wrong");
  const free = { name: "send", arguments: { text: "*", to: "Ana" } };
  assert.deepEqual(of([free], [call("send", { text: "Whatever.", to: "ana" })]), "right");
  assert.deepEqual(of([free], [call("send", { to: "Ana" })]), "wrong", "any value, but a value");
  const twins = [{ name: "f", arguments: { a: [1, 2] } }, { name: "f", arguments: { a: 1 } }];
  assert.deepEqual(of(twins, [call("f", { a: 1 }), call("f", { a: 2 })]), "right", "each call fits one");
});

Deno.test("an empty answer is right for no case, tool calls without text are an answer", () => {
  const none = parsed({ kind: "calls", expected: [] });
  assert.deepEqual(scoreAnswer("", [none], nothing).passed, false);
  const one = parsed({ kind: "calls", expected: [{ name: "now" }] });
  assert.deepEqual(scoreAnswer("", [one], nothing, 0.8, [{ name: "now", arguments: "{}" }]).passed, true);
});

Deno.test("an answer that fails the check of its task scores 0, whatever else it does", () => {
  const checks = [
    parsed({ kind: "answer", expected: ["42 days"] }),
    parsed({ kind: "words", name: "short", weight: 3, max: 5 }),
  ];
  assert.equal(scoreAnswer("30 days", checks, nothing).score, 0);
  assert.equal(scoreAnswer("Well, I would say it is 42 days", checks, nothing).score, 0.25);
  const free = parsed({ kind: "answer", expected: ["42 days"], required: false });
  assert.equal(scoreAnswer("30 days", [free, ...checks.slice(1)], nothing).score, 0.75);
});

Deno.test("answer: texts, numbers and choices", () => {
  const of = (check: Record<string, unknown>, answer: string) =>
    verdict(runCheck(parsed({ kind: "answer", ...check }), answer, nothing));
  assert.deepEqual(of({ expected: ["42 days"] }, "Keep it for forty-two days."), "right");
  assert.deepEqual(of({ expected: ["42 days"] }, "Keep it for 142 days."), "wrong");
  assert.deepEqual(of({ expected: ["blue folder", "folder B"] }, "In Folder B"), "right");
  assert.deepEqual(of({ expected: ["→"] }, "Up"), "wrong", "a phrase of marks alone");
  assert.deepEqual(of({ number: 0.25, tolerance: 0.01 }, "about 0.254 of them (section 3)"), "right");
  assert.deepEqual(of({ number: 12500 }, "€12.500"), "right");
  assert.deepEqual(of({ number: -4 }, "It was -4 degrees"), "right");
  assert.deepEqual(of({ number: 4 }, "It was -4 degrees"), "wrong");
  assert.deepEqual(of({ number: 4 }, "It was cold"), "off format");
  const choices = ["A", "B", "C"];
  assert.deepEqual(of({ expected: ["B"], choices }, "B)"), "right");
  assert.deepEqual(of({ expected: ["B"], choices }, "The answer is C."), "wrong, final");
  assert.deepEqual(of({ expected: ["B"], choices }, "B or C"), "off format, final");
});

Deno.test("quote: word for word in the documents, whatever the marks", () => {
  const check = parsed({ kind: "quote" });
  const documents = ["Keep the key for 42 days,\nthen return it to the front desk.", "Nothing else."];
  const messages = [{ role: "user" as const, content: `${documents[0]} Where does the key go?` }];
  const of = (answer: string) => verdict(runCheck(check, answer, { messages, reference: null, documents }));
  assert.deepEqual(of('To the desk: "return it to the front desk".'), "right");
  assert.deepEqual(of("“Keep the key […] return it to the Front Desk.”"), "right");
  assert.deepEqual(of("> then return it\n> to the front desk"), "right");
  assert.deepEqual(of('"return it to the back desk"'), "wrong, final");
  assert.deepEqual(of('"Where does the key go"'), "wrong, final", "the question is no document");
  assert.deepEqual(of('To the "desk".'), "wrong", "a word in quotes is no quotation");
  assert.deepEqual(of('"turn it to the front"'), "wrong, final", "whole words");
});
