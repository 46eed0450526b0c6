import assert from "node:assert/strict";
import { parseRegistry } from "../../lib/catalog/registry.ts";
import { diffRegistries } from "../../lib/catalog/registry_diff.ts";

const list = (models: Record<string, unknown>) => parseRegistry(JSON.stringify(models), "list");

Deno.test("new models, new variants and changed figures are told, blanks of the other list are not", () => {
  const here = list({
    a: {
      other_names: ["a-instruct"],
      context_tokens: 2048,
      license: "MIT",
      chat: { tools: false },
      variants: [{ name: "q4", size_bytes: 10 }, { name: "q8", size_bytes: 20 }],
    },
    mine: {},
  });
  const there = list({
    "a-instruct": {
      context_tokens: 4096,
      chat: { tools: true },
      variants: [{ name: "Q4", size_bytes: 11 }, { name: "q6", size_mb: 15 }],
    },
    b: { variants: [{ name: "q4" }] },
  });
  const told = diffRegistries(here, there).map(({ kind, name, field, here, there }) =>
    [kind, name, field, here, there].filter((one) => one !== null).join(" ")
  );
  assert.deepEqual(told, [
    "changed a context_tokens 2048 4096",
    "changed a chat.tools false true",
    "changed a:q4 size_bytes 10 11",
    "new variant a:q6 15 MB",
    "new model b q4",
    "only here mine",
  ]);
});

Deno.test("every figure of the newer models in the shipped registry names its source", async () => {
  const registry = parseRegistry(await Deno.readTextFile("models.json"), "models.json");
  const newer = registry.models.filter(({ fieldSources }) => fieldSources.variants !== undefined);
  assert.ok(newer.length >= 20);
  for (const model of newer) {
    const stated = {
      license: true,
      parameters_b: model.parametersB !== null,
      active_parameters_b: model.activeParametersB !== null,
      context_tokens: model.contextTokens !== null,
      kv_bytes_per_token: model.kvBytesPerToken !== null,
      foundry_alias: model.foundryAlias !== null,
      chat: Object.keys(model.chat).length > 0,
    };
    const without = Object.entries(stated).filter(([field, is]) => is && !model.fieldSources[field]);
    assert.deepEqual(without, [], model.alias);
    assert.ok(model.variants.every(({ untried }) => untried), model.alias);
  }
});
