/** Request settings with a real model: one engine for several candidates, and what its template can't do. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readAnswers, readRunInfo, readSamples } from "../../lib/bench/read_run.ts";
import { runSession } from "../../lib/bench/session.ts";
import { openStore } from "../../lib/catalog/store.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { realModel } from "../engine/real_model.ts";
import { withService } from "./service.ts";

Deno.test("formats of a real model are compared on one loaded model; thinking is unsupported, with the reason", async () => {
  const path = await realModel();
  await withService({}, async (resources, out) => {
    const set = singlePrompt("Is Paris in France? Answer in JSON.");
    const schema = { type: "object", properties: { yes: { type: "boolean" } }, required: ["yes"] };
    const prompts = {
      ...set,
      prompts: set.prompts.map((one) => ({ ...one, settings: { schema, maxTokens: 16 } })),
    };
    const file = JSON.stringify(path);
    const names = [`${file}:format=schema`, `${file}:format=free`, `${file}:thinking=off`];
    const store = await openStore(join(out, "models"));
    const plan = { prompts, rounds: 1, warmup: 0 };
    const run = await runSession({ names, engine: { gpu: "off" }, plan }, { ...resources, store }, {
      out,
      now: new Date(0),
      random: () => 0.5,
    });
    const { candidates, plan: planned } = await readRunInfo(run.folder);
    assert.deepEqual(candidates.map(({ request }) => request), [{ format: "schema" }, { format: "free" }, {
      thinking: "off",
    }]);
    assert.equal(planned.max_tokens, 16);
    const memory = new Map<string, number>();
    for await (const record of readSamples(run.folder)) {
      if (record.kind === "candidate") {
        assert.match(record.reason, /^unsupported: .*has no 'enable_thinking'/);
      }
      if (record.kind === "memory") memory.set(record.candidate, record.resident_mb);
    }
    assert.equal(memory.size, 2);
    const [first = 0, second = 1] = [...memory.values()];
    assert.ok(Math.abs(first / second - 1) < 0.1, "the same process");
    const answers = await Array.fromAsync(readAnswers(run.folder));
    const constrained = answers.find(({ candidate }) => candidate.endsWith("format=schema"));
    assert.equal(typeof JSON.parse(constrained?.content ?? "").yes, "boolean");
    assert.ok(answers.every(({ candidate }) => !candidate.endsWith("thinking=off")));
  });
});
