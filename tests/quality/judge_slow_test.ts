/** The models that the registries ship are no judges: with the real ones, the trial has to say so. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { Judge } from "../../lib/quality/judge.ts";
import { tryJudge } from "../../lib/quality/judge_trial.ts";
import { rubrics } from "../../lib/quality/rubric.ts";
import { startFake } from "../fake_endpoint.ts";
import { openJudge } from "../../scripts/quality/run_judge.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** As many pairs as a trial needs, over the shortest notes. */
async function shortAnchors() {
  const set = await loadPromptSet(join(root, "prompts", "meeting_notes.json"));
  const length = ({ messages }: (typeof set.prompts)[number]) => messages.at(-1)?.content.length ?? 0;
  return { ...set, prompts: set.prompts.toSorted((a, b) => length(a) - length(b)).slice(0, 7) };
}

for (const name of ["smollm2-135m-instruct", "gemma-3-270m"]) {
  Deno.test(`${name} is refused as a judge, with its figures`, async () => {
    const set = await shortAnchors();
    const store = Deno.env.get("PODIUM_STORE");
    const model = await openJudge(name, set, {
      registry: join(root, "models.json"),
      ...(store === undefined ? {} : { store }),
      timeout: 600,
      replyTokens: 64,
    });
    try {
      const trial = await tryJudge(new Judge(model.ask, rubrics.fluency), set.prompts);
      assert.equal(trial.accepted, false, JSON.stringify(trial));
      assert.ok(trial.pairs >= 8 && trial.replies > trial.pairs && trial.reason !== null);
    } finally {
      await model.close();
    }
  });
}

Deno.test("of several endpoints the judge's is asked; where it refuses system messages, they are folded", async () => {
  for (const systemMessage of ["refuse", "refuse with 500", "drop"] as const) {
    const one = startFake({ models: { m: {} } });
    const two = startFake({ models: { m: { systemMessage, words: ["{}"] } } });
    const model = await openJudge("m@two", await shortAnchors(), {
      endpoint: [`one=${one.baseUrl}`, `two=${two.baseUrl}`],
      registry: join(root, "models.json"),
      timeout: 10,
      replyTokens: 64,
    });
    try {
      const messages = [
        { role: "system" as const, content: "Be strict." },
        { role: "user" as const, content: "Rate it." },
      ];
      assert.equal(await model.ask(messages, { name: "reply", schema: { type: "object" } }), "{}");
      assert.equal(model.id, "m@two");
      const sent = Object(two.log.at(-1)?.body).messages;
      assert.deepEqual(sent, [{ role: "user", content: "Be strict.\n\nRate it." }]);
      assert.equal(one.log.length, 0);
    } finally {
      await model.close();
      await Promise.all([one.stop(), two.stop()]);
    }
  }
});
