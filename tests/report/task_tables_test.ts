/** Tables of tasks: they say what quality.json says, and fit a terminal whatever the names. */
import assert from "node:assert/strict";
import { passRate } from "../../lib/quality/pass_rate.ts";
import type { CandidateQuality } from "../../lib/quality/quality_schema.ts";
import { countStates } from "../../lib/quality/quality_schema.ts";
import type { TaskFigures } from "../../lib/quality/task_schema.ts";
import { fittedTable } from "../../lib/report/fitted_table.ts";
import { markdownTaskTables, taskMarkup, taskPlots } from "../../lib/report/task_section.ts";
import { confusionTables, taskTables } from "../../lib/report/task_tables.ts";

const rate = (right: number, n: number) => passRate(Array.from({ length: n }, (_, at) => at < right ? 1 : 0));

function candidate(id: string, tasks: CandidateQuality["tasks"]): CandidateQuality {
  return {
    id,
    answers: 6,
    failures: 0,
    ...countStates([]),
    pass_rate: rate(3, 6),
    score: { n: 6, mean: 0.5, ci95: null },
    checks: [],
    by_length: [],
    tasks: tasks ?? [],
    ratings: [],
  };
}

const classify: TaskFigures = {
  task: "classify",
  check: "label",
  cases: 6,
  right: rate(3, 6),
  baseline: { what: "always <billing>", share: 0.5 },
  macro_f1: { value: 0.61, ci95: [0.2, 0.9] },
  labels: [],
  confusion: {
    expected: ["<billing>", "bug"],
    given: ["<billing>", "bug", "(off format)", "(no answer)"],
    counts: [[2, 0, 1, 0], [1, 1, 0, 1]],
  },
};

Deno.test("a comparison of candidates ends with the constant answer; a matrix has recall and precision", () => {
  const quality = { candidates: [candidate("small", [classify]), candidate("large", [classify])] };
  const [table] = taskTables(quality);
  assert.deepEqual(table?.head, ["Candidate", "Accuracy", "Macro-F1", "Off format", "No answer"]);
  assert.deepEqual(table?.rows, [
    ["small", "3/6 (19–81 %)", "0.61 (0.20–0.90)", "1", "1"],
    ["large", "3/6 (19–81 %)", "0.61 (0.20–0.90)", "1", "1"],
    ["always <billing>", "3/6", "", "", ""],
  ]);
  const [matrix] = confusionTables(quality);
  assert.deepEqual(matrix?.rows, [
    ["<billing>", "2", "·", "1", "·", "67 %"],
    ["bug", "1", "1", "·", "1", "33 %"],
    ["precision", "67 %", "100 %", "", "", ""],
  ]);
  const page = String(taskMarkup(quality));
  assert.ok(page.includes("&lt;billing&gt;") && !page.includes("<billing>"));
  assert.equal(taskPlots(quality).length, 2);
  assert.equal(taskMarkup({ candidates: [] }), null);
});

Deno.test("fields are right, wrong or missing by candidate; long names become letters with a key", () => {
  const extract: TaskFigures = {
    task: "extract",
    check: "record",
    cases: 3,
    right: rate(1, 3),
    baseline: null,
    json: rate(3, 3),
    fits: null,
    fields: [{ field: "total", right: 1, wrong: 2, missing: 0, rate: rate(1, 3) }],
  };
  const long = Array.from(
    { length: 4 },
    (_, at) => candidate(`model-${at}-with-a-long-name:q4_k_m`, [extract]),
  );
  const [, fields] = markdownTaskTables({ candidates: long });
  assert.deepEqual(fields?.head, ["Field", "A", "B", "C", "D"]);
  assert.equal(fields?.key[1], "B = model-1-with-a-long-name:q4_k_m");
  assert.deepEqual(fields?.rows, [["total", ...Array(4).fill("1 / 2 / 0")]]);
});

Deno.test("a model that could not be asked says so instead of figures", () => {
  const able = candidate("able", [classify]);
  const states = { ...able.states, unsupported: 6 };
  const rows = taskTables({ candidates: [able, { ...candidate("old", []), states }] })[0]?.rows;
  assert.deepEqual(rows?.[1], ["old", "unsupported", "", "", ""]);
});

Deno.test("whatever the names and cells, no line is wider than the terminal", () => {
  const names = ["smollm2-135m-instruct:q4_1+format=schema@llama-server", "gemma", "Ünïcode-名前:q8_0"];
  for (const width of [60, 80, 100, 140]) {
    for (const columns of [1, 3, 8, 30]) {
      const head = ["Check", ...Array.from({ length: columns }, (_, at) => `${names[at % 3]}#${at}`)];
      const rows = names.map((name) => [name, ...Array<string>(columns).fill("123/456 (12–34 %)")]);
      const lines = fittedTable(head, rows, width).split("\n");
      assert.ok(lines.every((line) => line.length <= width), `${width} ${columns}`);
      assert.ok(lines.join("").includes("123/456"));
    }
  }
});
