/** The same answers, the same scores as promptfoo: its own assertions, run by `metrics/promptfoo.mjs`. */
import assert from "node:assert/strict";
import { z } from "zod";
import { parseChecks } from "../../lib/prompts/checks.ts";
import { readAssertions } from "../../lib/prompts/promptfoo_checks.ts";
import { scoreAnswer } from "../../lib/quality/check.ts";

const sample = z.array(
  z.object({ id: z.string(), answer: z.string(), assert: z.unknown(), check: z.unknown() }),
);

async function readJson<T>(path: string, shape: z.ZodType<T>): Promise<T> {
  return shape.parse(JSON.parse(await Deno.readTextFile(new URL(`metrics/${path}`, import.meta.url))));
}

Deno.test("each check passes where promptfoo's assertion passes", async () => {
  const cases = await readJson("assertions.json", sample);
  const golden = await readJson("promptfoo.json", z.record(z.string(), z.boolean()));
  const different = cases.filter(({ id, answer, check }) =>
    scoreAnswer(answer, parseChecks([check], id), { messages: [], reference: null }).passed !== golden[id]
  );
  assert.deepEqual(different, []);
  assert.equal(cases.length, Object.keys(golden).length);
});

Deno.test("an assertion about Markdown's marks finds them in the answer as it is", () => {
  const passes = (type: string, answer: string) => {
    const { checks } = readAssertions([{ type, value: "```" }], new Set());
    return scoreAnswer(answer, parseChecks(checks, type), { messages: [], reference: null }).passed;
  };
  const [fenced, plain] = ["```\n1\n```", "1"];
  assert.deepEqual([passes("contains", fenced), passes("contains", plain)], [true, false]);
  assert.deepEqual([passes("not-contains", fenced), passes("not-contains", plain)], [false, true]);
});
