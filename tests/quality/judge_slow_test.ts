/** The models that the registries ship are no judges: with the real ones, the trial has to say so. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { Judge } from "../../lib/quality/judge.ts";
import { tryJudge } from "../../lib/quality/judge_trial.ts";
import { rubrics } from "../../lib/quality/rubric.ts";
import { openJudge } from "../../scripts/quality/run_judge.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** As many pairs as a trial needs, over the shortest notes. */
async function shortAnchors() {
  const set = await loadPromptSet(join(root, "prompts", "meeting_notes.json"));
  const length = ({ messages }: (typeof set.prompts)[number]) => messages.at(-1)?.content.length ?? 0;
  return { ...set, prompts: set.prompts.toSorted((a, b) => length(a) - length(b)).slice(0, 8) };
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
