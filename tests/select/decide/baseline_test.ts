import assert from "node:assert/strict";
import { parsePromptSet } from "../../../lib/prompts/prompts.ts";
import { constantBaseline } from "../../../lib/select/decide/baseline.ts";

Deno.test("where labels are equally frequent, the constant answer is right as often as one of them occurs", () => {
  const labels = ["bug", "billing"];
  const { prompts } = parsePromptSet({
    labels,
    task: "classify",
    prompts: Array.from({ length: 20 }, (_, at) => ({ prompt: `Ticket ${at}`, expected: labels[at % 2] })),
  }, "even");
  const scores = [
    ...constantBaseline(
      prompts,
      prompts.map(({ id }) => ({ prompt: id, text: `{"label": "${labels[id.length % 2]}"}` })),
    )?.values() ?? [],
  ];
  assert.equal(scores.length, 20);
  assert.equal(scores.filter((score) => score === 1).length, 10);
});
