/** The figures of tasks: scikit-learn's on a sample of answers, and what each task's own figures count. */
import assert from "node:assert/strict";
import { z } from "zod";
import { parsePromptSet, type Prompt } from "../../lib/prompts/prompts.ts";
import { type GivenCall } from "../../lib/quality/calls_score.ts";
import { scoreAnswer } from "../../lib/quality/check.ts";
import { macroF1 } from "../../lib/quality/macro_f1.ts";
import type { AnswerQuality } from "../../lib/quality/quality_schema.ts";
import { taskFiguresOf } from "../../lib/quality/task_figures.ts";
import type { TaskFigures } from "../../lib/quality/task_schema.ts";
import { seededRandom } from "../../lib/stats/random.ts";

interface Case {
  readonly id: string;
  readonly checks: readonly unknown[];
  /** Several where the case was asked several times. */
  readonly answers: readonly (string | { readonly calls: readonly GivenCall[] })[];
}

/** Scores answers as `quality check` does, and returns the figures of the first task. */
function figuresOf<Task extends TaskFigures["task"]>(cases: readonly Case[], task: Task) {
  const { prompts } = parsePromptSet(
    cases.map(({ id, checks }) => ({ id, prompt: id, checks })),
    "sample",
  );
  const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  const answers = cases.flatMap(({ id, answers }) =>
    answers.map((answer, at) => answerOf(byId.get(id), answer, at))
  );
  const figures = taskFiguresOf(answers, byId).find((one) => one.task === task);
  assert.ok(figures);
  return figures as Extract<TaskFigures, { task: Task }>;
}

function answerOf(prompt: Prompt | undefined, answer: Case["answers"][number], round: number): AnswerQuality {
  assert.ok(prompt);
  const [text, calls] = typeof answer === "string" ? [answer, []] : ["", answer.calls];
  const { passed, score, checks } = scoreAnswer(text, prompt.checks, prompt, 0.8, calls);
  return {
    id: `${prompt.id}/${round}`,
    candidate: "one",
    prompt_id: prompt.id,
    round,
    state: text === "" && calls.length === 0
      ? "no_answer"
      : passed
      ? "right"
      : checks.some(({ offFormat }) => offFormat)
      ? "off_format"
      : "wrong",
    score,
    passed,
    failure: null,
    checks: checks.map(({ outcome, ...check }) => ({ ...check, ...(outcome && { outcome }) })),
  };
}

async function readJson<T>(path: string, shape: z.ZodType<T>): Promise<T> {
  return shape.parse(JSON.parse(await Deno.readTextFile(new URL(`metrics/${path}`, import.meta.url))));
}

Deno.test("classify: the figures are scikit-learn's on the same answers", async () => {
  const { labels, answers } = await readJson(
    "labels.json",
    z.object({
      labels: z.array(z.string()),
      answers: z.array(z.object({ id: z.string(), expected: z.string(), answer: z.string() })),
    }),
  );
  const golden = await readJson(
    "scikit_learn.json",
    z.object({
      accuracy: z.number(),
      macro_f1: z.number(),
      precision: z.array(z.number()),
      recall: z.array(z.number()),
      f1: z.array(z.number()),
      support: z.array(z.number()),
      confusion: z.array(z.array(z.number())),
    }),
  );
  const cases = answers.map(({ id, expected, answer }) => ({
    id,
    checks: [{ kind: "label", expected, labels }],
    answers: [answer],
  }));
  const found = figuresOf(cases, "classify");
  const near = (a: number | null, b: number | undefined) =>
    assert.ok(Math.abs((a ?? 0) - (b ?? NaN)) < 1e-12);
  near(found.right.rate, golden.accuracy);
  near(found.macro_f1.value, golden.macro_f1);
  found.labels.forEach(({ precision, recall, f1 }, at) => {
    near(precision.rate, golden.precision[at]);
    near(recall.rate, golden.recall[at]);
    near(f1, golden.f1[at]);
    assert.equal(recall.n, golden.support[at]);
  });
  assert.deepEqual(found.confusion.given, [...labels, "(off format)"]);
  // scikit-learn's matrix has a row for the answers without a label too, all zeros.
  assert.deepEqual(found.confusion.counts, golden.confusion.slice(0, -1));
  assert.deepEqual(found.baseline, { what: "always billing", share: 20 / 60 });
  const [low, high] = found.macro_f1.ci95 ?? [1, 0];
  assert.ok(low < golden.macro_f1 && golden.macro_f1 < high && high - low < 0.35);
});

Deno.test("classify: repeats share the weight of their case; all right has an interval", () => {
  const check = [{ kind: "label", expected: "a", labels: ["a", "b"] }];
  const found = figuresOf([
    { id: "one", checks: check, answers: ["a", "b", "b", "b"] },
    { id: "two", checks: check, answers: ["a"] },
  ], "classify");
  assert.deepEqual([found.right.passed, found.right.n], [1.25, 2]);
  assert.deepEqual(found.confusion.counts, [[2, 3], [0, 0]]);
  // a: 2 × 1.25 hits over 2 expected + 1.25 given; b: given, never expected.
  assert.ok(Math.abs((found.macro_f1.value ?? 0) - 2.5 / 3.25 / 2) < 1e-12);
  const perfect = macroF1(
    Array.from({ length: 20 }, (_, at) => ({ case_id: `c${at}`, expected: "a", given: "a" })),
    ["a", "b"],
  );
  assert.equal(perfect.value, 1);
  assert.ok((perfect.ci95?.[0] ?? 1) < 0.9, "twenty right answers are no proof");
});

Deno.test("classify: the interval of macro-F1 covers the truth about as often as it says", () => {
  const labels = ["a", "b", "c"];
  const random = seededRandom("coverage");
  // Recall 0.8, the errors spread over the other labels: by symmetry every F1 is 0.8 in the long run.
  const draw = (n: number) =>
    Array.from({ length: n }, (_, at) => {
      const expected = labels[at % 3] ?? "";
      const wrong = labels.filter((label) => label !== expected)[random() < 0.5 ? 0 : 1] ?? null;
      return { case_id: `c${at}`, expected, given: random() < 0.8 ? expected : wrong };
    });
  const worlds = 100;
  const covered = Array.from({ length: worlds }, () => macroF1(draw(45), labels).ci95 ?? [0, 0])
    .filter(([low, high]) => low <= 0.8 && 0.8 <= high).length;
  assert.ok(covered >= 86, `${covered} of ${worlds}`);
});

Deno.test("extract: exact records, and right, wrong and missing by field", () => {
  const schema = { type: "object", properties: { total: { type: "number" } }, required: ["total"] };
  const checks = [{ kind: "record", schema, expected: { total: 5, due: "2026-04-03" } }];
  const found = figuresOf([
    { id: "a", checks, answers: ['{"total": 5, "due": "2026-04-03"}'] },
    { id: "b", checks, answers: ['{"total": 6, "due": "2026-04-03"}'] },
    { id: "c", checks, answers: ['{"due": "2026-04-03"}'] },
    { id: "d", checks, answers: ["Sorry."] },
  ], "extract");
  assert.deepEqual([found.right.passed, found.json.passed, found.fits?.passed, found.right.n], [1, 3, 2, 4]);
  assert.deepEqual(
    found.fields.map(({ field, right, wrong, missing }) => [field, right, wrong, missing]),
    [["total", 1, 1, 2], ["due", 3, 0, 1]],
  );
  assert.deepEqual(found.baseline, { what: "always the most frequent record", share: 1 });
});

Deno.test("tools: selection, arguments and no call have their own denominators", () => {
  const call = (name: string, args: unknown) => ({ name, arguments: JSON.stringify(args) });
  const needs = (...expected: unknown[]) => [{ kind: "calls", expected }];
  const rome = { name: "weather", arguments: { city: "Rome" } };
  const found = figuresOf([
    { id: "right", checks: needs(rome), answers: [{ calls: [call("weather", { city: "Rome" })] }] },
    { id: "argument", checks: needs(rome), answers: [{ calls: [call("weather", { city: "Oslo" })] }] },
    { id: "other", checks: needs(rome), answers: [{ calls: [call("alarm", {})] }] },
    { id: "text", checks: needs(rome), answers: ['{"name": "weather", "arguments": {"city": "Rome"}}'] },
    { id: "both", checks: needs(rome, { name: "alarm" }), answers: [{ calls: [call("alarm", {})] }] },
    { id: "none", checks: needs(), answers: ["Hello!"] },
    { id: "eager", checks: needs(), answers: [{ calls: [call("alarm", {})] }] },
  ], "tools");
  const counts = ({ passed, n }: { passed: number; n: number }) => `${passed} of ${n}`;
  assert.deepEqual(
    [found.right, found.selection, found.arguments, found.no_call, found.several].map(counts),
    ["2 of 7", "2 of 5", "1 of 2", "1 of 2", "0 of 1"],
  );
  assert.deepEqual(found.confusion, {
    expected: ["(no call)", "alarm + weather", "weather"],
    given: ["(no call)", "alarm + weather", "weather", "(off format)", "alarm"],
    counts: [[1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 2, 1, 1]],
  });
  assert.equal(found.baseline?.what, "always the same call of weather");
});

Deno.test("answer: right by its own check, quoted apart", () => {
  const checks = [{ kind: "answer", expected: ["42 days"] }, { kind: "quote" }];
  const found = figuresOf(
    [
      { id: "Keep keys for 42 days. How long?", checks, answers: ['42 days: "Keep keys for 42 days"'] },
      { id: "Keep cards for 42 days. How long?", checks, answers: ["42 days"] },
    ].map((one, at) => ({ ...one, id: `q${at}` })),
    "answer",
  );
  assert.equal(found.right.rate, 1);
  assert.equal(found.quoted?.n, 2);
});
