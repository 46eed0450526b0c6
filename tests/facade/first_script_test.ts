/** README's first script is the one that the tests run. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { root } from "./run_script.ts";

Deno.test("README shows the first script", async () => {
  const script = await Deno.readTextFile(join(root, "tests", "facade", "first_script.ts"));
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const shown = /```ts\n([^`]*import \{ bench \}[^`]*)```/.exec(readme)?.[1] ?? "";
  assert.equal(shown.replace('"./podium/mod.ts"; // the path of your copy', '"../../mod.ts";'), script);
});
