/** What is not right, grouped and beside what was expected. */
import assert from "node:assert/strict";
import { parseChecks } from "../../lib/prompts/checks.ts";
import { expectedText } from "../../lib/prompts/expected.ts";
import { errorCases } from "../../lib/quality/error_cases.ts";
import type { AnswerQuality, QualityReport } from "../../lib/quality/quality_schema.ts";
import { diffTexts } from "../../lib/text_diff.ts";

function answer(id: string, state: AnswerQuality["state"], check = "label"): AnswerQuality {
  const [candidate = "", prompt_id = "", round = "1"] = id.split("/");
  const passed = state === "right";
  const checks = [
    {
      name: "short",
      kind: "words",
      required: false,
      passed: false,
      credit: 0,
      supported: true,
      detail: "long",
    },
    { name: check, kind: "label", required: true, passed, credit: 0, supported: true, detail: `${id} found` },
  ];
  const failure = state === "failed" ? "timed out" : null;
  return { id, candidate, prompt_id, round: Number(round), state, score: 0, passed, failure, checks };
}

const report = (answers: AnswerQuality[], expected: Record<string, string> = {}): QualityReport => ({
  schema_version: 2,
  run_id: "r",
  prompt_set: { name: "s", sha256: "" },
  pass_mark: 0.8,
  length_source: "usage",
  candidates: [],
  answers,
  expected,
  agreement: [],
  warnings: [],
});

Deno.test("answers are grouped by state and by the required check that failed, the largest group first", () => {
  const found = errorCases(
    report([
      answer("a/1", "right"),
      answer("b/1", "wrong"),
      answer("a/2", "wrong"),
      answer("a/2/2", "wrong"),
      answer("b/2", "cut"),
      answer("a/3", "failed"),
    ]),
    new Map([["b/1", "bug"], ["a/2", "praise"], ["a/2/2", "bug"]]),
  );
  assert.deepEqual(found.differing, ["1"]);
  assert.equal(found.cases, 3);
  assert.deepEqual(found.groups.map(({ state, check, answers }) => [state, check, answers.length]), [
    ["wrong", "label", 2],
    ["cut", "label", 1],
    ["failed", "label", 1],
  ]);
  const [first, repeats] = found.groups[0]?.answers ?? [];
  assert.deepEqual([first?.case_id, first?.differs, first?.text, first?.detail], [
    "1",
    true,
    "bug",
    "b/1 found",
  ]);
  assert.deepEqual([repeats?.case_id, repeats?.count, repeats?.differs], ["2", 2, false]);
  assert.equal(found.groups[2]?.answers[0]?.detail, "timed out", "a failed request says why");
});

Deno.test("records are compared as JSON, whatever their layout", () => {
  const expected = JSON.stringify({ amount: 12.5, due: "2026-05-03" }, null, 2);
  const given = '```json\n{"amount": 12.5, "due": "2026-05-04"}\n```';
  const found = errorCases(report([answer("a/1", "wrong")], { "1": expected }), new Map([["a/1", given]]));
  const parts = found.groups[0]?.answers[0]?.diff?.filter(({ kind }) => kind !== "same");
  assert.deepEqual(parts, [
    { kind: "missing", text: '  "due": "2026-05-03"\n' },
    { kind: "extra", text: '  "due": "2026-05-04"\n' },
  ]);
});

Deno.test("a field that is right by value is no difference, and a label in JSON is not compared line by line", () => {
  const expected = JSON.stringify({ due: "2026-05-03", total: 12.5 }, null, 2);
  const wrong = answer("a/1", "wrong");
  const [short, record] = wrong.checks;
  assert.ok(short !== undefined && record !== undefined);
  const outcome = {
    kind: "record" as const,
    json: true,
    fits: null,
    fields: { due: "right" as const, total: "wrong" as const },
  };
  const found = errorCases(
    report([{ ...wrong, checks: [short, { ...record, outcome }] }, answer("a/2", "wrong")], {
      "1": expected,
      "2": "bug",
    }),
    new Map([["a/1", '{"due": "3 May 2026", "total": 125}'], ["a/2", '{\n  "label": "praise"\n}']]),
  );
  const [first, second] = found.groups[0]?.answers ?? [];
  assert.deepEqual(first?.diff?.filter(({ kind }) => kind !== "same").map(({ text }) => text.trim()), [
    '"total": 12.5',
    '"total": 125',
  ]);
  assert.equal(second?.diff, null);
});

Deno.test("a diff holds both texts, whatever they are", () => {
  for (
    const [a, b] of [["", ""], ["a b c", "a c d"], ["one\ntwo\n", "two\nthree"], ["", "x y"], [
      "same",
      "same",
    ]] as const
  ) {
    const parts = diffTexts(a, b) ?? [];
    const side = (skip: string) => parts.filter(({ kind }) => kind !== skip).map(({ text }) => text).join("");
    assert.equal(side("extra"), a);
    assert.equal(side("missing"), b);
  }
  assert.equal(diffTexts("w ".repeat(300), "w"), null, "too long to compare");
});

Deno.test("what is expected is in the checks that state it", () => {
  const text = (check: unknown) => expectedText(parseChecks([check], "case"));
  assert.equal(text({ kind: "label", expected: "bug", labels: ["bug", "praise"] }), "bug");
  assert.equal(text({ kind: "calls", expected: [] }), "no call");
  assert.equal(text({ kind: "calls", expected: [{ name: "f", arguments: { a: 1 } }] }), 'f({"a":1})');
  assert.equal(text({ kind: "answer", expected: ["42 days", "42"] }), "42 days or 42");
  assert.equal(text({ kind: "words", name: "w", max: 3 }), null);
});
