/** From names to a finished run, against a fake endpoint in this process. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { findCandidates, measure, type SessionPlan, valuesOf } from "../../lib/bench/session.ts";
import { UserError } from "../../lib/errors.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { withService } from "./service.ts";

const plan: SessionPlan = {
  prompts: singlePrompt("Say hello."),
  rounds: 2,
  warmup: 1,
  maxTokens: 8,
  temperature: 0,
  prefix: "cold",
  seed: 1,
  timeoutS: 30,
};

Deno.test("without names one variant a model is taken from the service, the CPU's first", async () => {
  const ids = ["phi-4-mini-cuda-gpu:4", "phi-4-mini-generic-cpu:5", "other-generic-cpu:1", "third"];
  await withService(Object.fromEntries(ids.map((id) => [id, {}])), async (around) => {
    const found = await findCandidates(null, { around, most: 2 });
    found.close();
    assert.deepEqual(found.candidates.map(({ info }) => info.model_id), [ids[1], ids[2]]);
  });
});

Deno.test("a model named twice is measured twice, and its values are at hand", async () => {
  await withService({ "phi-4-mini": { tokens: 5 } }, async (around, out) => {
    const found = await findCandidates(["phi-4-mini", "phi-4-mini"], { around });
    const measured = await measure(found, plan, { around, out, now: new Date(0), random: () => 0.5 });
    found.close();
    assert.equal(measured.status, "completed");
    const [one, twin] = measured.summary.candidates;
    assert.match(twin?.id ?? "", /#2$/);
    assert.equal(valuesOf(measured, one?.id ?? "", "latency_s").length, one?.requests.ok);
    assert.deepEqual(valuesOf(measured, "nobody", "latency_s"), []);
    assert.equal((await Deno.stat(join(measured.folder, "summary.json"))).isFile, true);
  });
});

Deno.test("a model that can't be had is a row with its reason, and the others are measured", async () => {
  await withService({ "phi-4-mini": {} }, async (around, out) => {
    const found = await findCandidates(["smollm2-135m", "phi-4-mini"], { around });
    const { summary } = await measure(found, plan, { around, out, now: new Date(0), random: () => 0.5 });
    found.close();
    assert.deepEqual(summary.candidates.map(({ status }) => status), ["failed", "ok"]);
    assert.match(summary.candidates[0]?.reason ?? "", /smollm2-135m-instruct is not here/);
  });
});

Deno.test("where nothing can be had there is one message, the first model's own", async () => {
  await withService({ "phi-4-mini": {} }, async (around) => {
    await assert.rejects(findCandidates(["smollm2-135m"], { around }), (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.exitCode, 1);
      assert.match(error.message, /smollm2-135m-instruct is not here/);
      return true;
    });
    await assert.rejects(findCandidates(["nonsense"], { around }), /nonsense/);
  });
});
