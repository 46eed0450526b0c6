import assert from "node:assert/strict";
import { fileServer, join, models, registryFile, scratch, sha256, tinyGguf } from "./fixtures.ts";

const content = tinyGguf(100_000);

Deno.test("every subcommand has --help, and wrong usage ends with 2 and one line", async () => {
  const names = ["list", "fit", "pull", "cache", "verify", "remove", "clean", "move"];
  const helps = await Promise.all(names.map((name) => models([name, "--help"])));
  for (const { code, out } of helps) {
    assert.equal(code, 0);
    for (const flag of ["--json", "--registry", "--store"]) assert.ok(out.includes(flag), out);
  }
  const wrong = await Promise.all([["lst"], ["list", "--nope"], ["remove"], []].map((args) => models(args)));
  assert.deepEqual(wrong.map(({ code }) => code), [2, 2, 2, 2]);
});

Deno.test("a user's mistake is one line with the value and the remedy, no stack trace", async () => {
  await using folder = await scratch();
  await Deno.writeTextFile(`${folder.dir}/bad.json`, '[{"name": "a", "min_ram_gb": "8"}]');
  const store = ["--store", `${folder.dir}/store`];
  const cases: [string[], number, RegExp][] = [
    [
      ["pull", "phi4-mini", ...store],
      2,
      /^error: unknown model "phi4-mini"; did you mean phi-4-mini\?\n$/,
    ],
    [
      ["list", "--registry", `${folder.dir}/none.json`],
      2,
      /^error: can't read the registry .*none\.json: there is no such file/,
    ],
    [
      ["list", "--registry", `${folder.dir}/bad.json`],
      2,
      /bad\.json has 1 fault:\n\s+line 1, \[0\]\.min_ram_gb: found "8"; expected GB of RAM/,
    ],
    [["remove", "smollm2", ...store], 2, /^error: .* holds no file of "smollm2"/],
    [
      ["pull", "qwen2.5-0.5b", ...store],
      1,
      /error: qwen2\.5-0\.5b:q4_k_m could not be downloaded\..*127\.0\.0\.1:1/,
    ],
    [
      ["pull", "qwen2.5-0.5b", "--store", `${folder.dir}/bad.json/x`],
      1,
      /error: can't (read|write) .*--store/,
    ],
  ];
  const results = await Promise.all(
    cases.map(([args]) => models(args, { HF_ENDPOINT: "http://127.0.0.1:1" })),
  );
  for (const [index, { code, err }] of results.entries()) {
    const [args, expected, message] = cases[index] ?? [[], -1, /^$/];
    assert.match(err, message, args.join(" "));
    assert.equal(code, expected, args.join(" "));
    assert.doesNotMatch(err, /\n\s+at /, args.join(" "));
  }
});

Deno.test("pull, cache, verify, clean, remove: one JSON document each, and shown before done", async () => {
  await using server = fileServer({ content });
  await using folder = await scratch();
  const variant = {
    sha256: sha256(content),
    size_bytes: content.length,
    sources: [{ kind: "url", url: `${server.url}/f` }],
  };
  const registry = await registryFile(folder.dir, variant, {
    license: { id: "terms", name: "Some Terms", url: "https://t.test" },
  });
  const run = async (...args: string[]) => {
    const { code, out, err } = await models([
      ...args,
      "--registry",
      registry,
      "--store",
      `${folder.dir}/store`,
      "--json",
    ]);
    return { code, json: JSON.parse(out), err };
  };
  const pulled = await run("pull", "tiny");
  assert.equal(pulled.code, 0, pulled.err);
  assert.match(
    pulled.err,
    /not under an open licence\. Its terms: Some Terms, https:\/\/t\.test\nBy downloading and using it you accept/,
  );
  assert.equal(pulled.json.pulled[0].quantization, "Q4_1");
  assert.equal((await run("list")).json.models[0].variants[0].downloaded, true);
  const fit = await run("fit");
  assert.equal(fit.json.first, "tiny");
  assert.equal((await run("cache")).json.files[0].version, '"v1"');

  const path: string = pulled.json.pulled[0].path;
  assert.equal((await run("verify")).json.files[0].status, "ok");
  await Deno.writeFile(path, join(content.slice(0, -1), new Uint8Array(1)));
  const changed = await run("verify", "tiny");
  assert.deepEqual([changed.code, changed.json.files[0].status], [1, "changed"]);

  await Deno.writeTextFile(`${folder.dir}/store/tiny/stray.gguf`, "x");
  assert.deepEqual((await run("clean")).json.files.map(({ file }: { file: string }) => file), [
    "tiny/stray.gguf",
  ]);
  assert.equal((await run("clean", "--yes")).json.removed, true);
  assert.equal((await run("remove", "tiny")).json.removed, false);
  assert.ok((await Deno.stat(path)).isFile);
  assert.equal((await run("remove", "tiny", "--yes")).json.removed, true);
  assert.deepEqual((await run("cache")).json.files, []);
});
