/** README's first script, outside the repository: two models, a table, and an ECDF as SVG. */
import assert from "node:assert/strict";
import { startFake } from "../fake_endpoint.ts";
import { join } from "node:path";
import { assertMeasured, root, runFirstScript } from "./run_script.ts";

Deno.test("README shows the first script", async () => {
  const script = await Deno.readTextFile(join(root, "tests", "facade", "first_script.ts"));
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const shown = /```ts\n([^`]*import \{ bench \}[^`]*)```/.exec(readme)?.[1] ?? "";
  assert.equal(shown.replace('"./podium/mod.ts"; // the path of your copy', '"../../mod.ts";'), script);
});

Deno.test("the first script has at most 20 lines and measures two models of a service", async () => {
  const fake = startFake({ models: { quick: { ttftMs: 2, itlMs: 1 }, slow: { ttftMs: 8, itlMs: 2 } } });
  const result = await runFirstScript(["quick", "slow"], { FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl });
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
