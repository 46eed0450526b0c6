/** What the notebooks' test takes for a fault in an executed notebook. */
import assert from "node:assert/strict";
import { judgeExecuted } from "../../scripts/notebook/judge.ts";

const html = (content: string, number?: number) => ({
  output_type: "display_data",
  data: { "text/html": content },
  metadata: number === undefined ? {} : { podium_output: number },
});
const figure = "<figure><svg></svg><figcaption>Latency, n = 3</figcaption></figure>";
const cell = (outputs: unknown[], metadata: Record<string, unknown> = {}) => ({
  cell_type: "code",
  execution_count: 1,
  source: ["await work();\n", "more();"],
  outputs,
  metadata,
});
const judge = (...cells: unknown[]) => judgeExecuted({ cells });

Deno.test("a notebook in good order has no faults", () => {
  assert.deepEqual(
    judge(
      { cell_type: "markdown", source: "# Title", metadata: {} },
      cell([html("<p>Hello</p>", 1)]),
      cell([html(figure, 2), html("<table></table>", 3)], { figures: 1 }),
      cell([], { quiet: true }),
      cell([{ output_type: "stream", name: "stdout", text: ["a\n"] }]),
    ),
    [],
  );
});

Deno.test("each fault is one line that names the cell", () => {
  const where = 'cell 1 ("await work();")';
  assert.deepEqual(judge(cell([])), [`${where}: shows nothing`]);
  assert.deepEqual(judge(cell([html("<p> </p>", 1)])), [`${where}: shows nothing`]);
  assert.deepEqual(judge({ ...cell([]), execution_count: null }), [`${where}: was not run`]);
  assert.deepEqual(judge(cell([html("<p>Hello</p>", 1)], { figures: 1 })), [
    `${where}: 0 figures, 1 promised`,
  ]);
  assert.deepEqual(judge(cell([html(figure, 1), html(figure, 2)], { figures: 1 })), [
    `${where}: 2 figures, 1 promised`,
  ]);
  assert.deepEqual(judge(cell([html("a", 1)]), cell([html("b", 3)])), [
    'cell 2 ("await work();"): output 2 was lost before output 3',
  ]);
  assert.deepEqual(judge(cell([html("a", 1)], { late_outputs: 2 })), [
    `${where}: 2 outputs came after the cell was done; await its last display`,
  ]);
  assert.deepEqual(
    judge(cell([{ output_type: "error", ename: "Error", evalue: "no\nmore", traceback: [] }])),
    [`${where}: Error: no`],
  );
});

Deno.test("a figure without a drawing or a caption is none", () => {
  for (const bad of [figure.replace("<svg></svg>", ""), figure.replace("Latency, n = 3", " ")]) {
    assert.match(
      judge(cell([html(`${bad} text`, 1)], { figures: 1 })).join(),
      /0 figures, 1 promised/,
    );
  }
});
