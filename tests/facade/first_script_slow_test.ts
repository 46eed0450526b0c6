/** README's first script, outside the repository: two models, a table, and an ECDF as SVG. */
import assert from "node:assert/strict";
import { startFake } from "../fake_endpoint.ts";
import { assertMeasured, runFirstScript } from "./run_script.ts";

Deno.test("the first script measures two real models", async () => {
  const models = ["smollm2-135m", "gemma-3-270m"];
  const result = await runFirstScript([], { PODIUM_SHORT: "1" });
  try {
    await assertMeasured(result, models);
  } finally {
    await Deno.remove(result.folder, { recursive: true });
  }
});

Deno.test("the first script has at most 20 lines and measures two models of a service", async () => {
  const fake = startFake({ models: { quick: { ttftMs: 2, itlMs: 1 }, slow: { ttftMs: 8, itlMs: 2 } } });
  const env = { FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl, PODIUM_SHORT: "1" };
  const result = await runFirstScript(["quick", "slow"], env);
  try {
    assert.ok(result.source.trimEnd().split("\n").length <= 20);
    await assertMeasured(result, ["quick", "slow"]);
  } finally {
    await fake.stop();
    await Deno.remove(result.folder, { recursive: true });
  }
});

Deno.test("the first script names a model that nobody knows", async () => {
  const fake = startFake({ models: { quick: {} } });
  const { folder, code, err } = await runFirstScript(["quick", "qwick"], {
    FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl,
  });
  await fake.stop();
  await Deno.remove(folder, { recursive: true });
  assert.equal(code, 1);
  assert.match(err, /UserError: .*qwick/);
});

Deno.test({
  name: "Ctrl-C ends the first script's measurement early and keeps what it has",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const fake = startFake({ models: { quick: { ttftMs: 300 }, slow: { ttftMs: 300 } } });
    const { folder, code, out, err } = await runFirstScript(
      ["quick", "slow"],
      { FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl },
      6000,
    );
    await fake.stop();
    await Deno.remove(folder, { recursive: true });
    assert.equal(code, 0, err);
    assert.match(err, /Ended early \(interrupted\)/);
    assert.match(out, /^quick\S* +ok +\d+ /m);
  },
});
