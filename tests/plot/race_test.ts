import assert from "node:assert/strict";
import { costPlot, evidencePlot } from "../../lib/plot/race.ts";

Deno.test("the evidence figure names every candidate, the threshold, and where each line ended", () => {
  const points = [1, 2, 3, 4].flatMap((block) => [
    { block, candidate: "keeps <up>", evidence: 1 / block },
    ...block < 4 ? [{ block, candidate: "goes", evidence: 6 ** block }] : [],
  ]);
  const { svg } = evidencePlot(points, { threshold: 80, title: "Evidence", caption: "" });
  for (const text of ["keeps &lt;up&gt;", "leaves at 80", "goes: 216 of 80 after block 3"]) {
    assert.ok(svg.includes(text), text);
  }
  assert.ok(!svg.includes("NaN"));
});

Deno.test("evidence of next to nothing stays on the axis", () => {
  const points = [{ block: 1, candidate: "a", evidence: 1e-300 }, { block: 2, candidate: "a", evidence: 0 }];
  assert.ok(!/NaN|Infinity/.test(evidencePlot(points, { threshold: 40, title: "t", caption: "" }).svg));
});

Deno.test("the cost figure has a mark for every number, and says where there is none", () => {
  const rows = [{ world: "w1", requests: { race: 50, fixed: null } }, {
    world: "w2",
    requests: { race: 90, fixed: 132 },
  }];
  const { svg } = costPlot(rows, { title: "Cost", caption: "" });
  assert.ok(svg.includes("w1: race 50, fixed none.") && svg.includes("w2: race 90, fixed 132."));
  assert.ok(!svg.includes("NaN"));
});
