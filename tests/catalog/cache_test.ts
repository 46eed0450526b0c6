import assert from "node:assert/strict";
import { filesNamed, listStored, moveStore, removeStored, verifyStored } from "../../lib/catalog/cache.ts";
import { pull } from "../../lib/catalog/pull.ts";
import { type Model, parseRegistry, type Variant } from "../../lib/catalog/registry.ts";
import { defaultStore, locate, openStore, readReceipt } from "../../lib/catalog/store.ts";
import { statIfThere } from "../../lib/catalog/files.ts";
import { scratch, sha256, surroundings, tinyGguf } from "./fixtures.ts";

const one = tinyGguf(50_000, 1);
const two = tinyGguf(90_000, 2);

/** A store with two models; the second has no stated hash. */
async function filled() {
  const folder = await scratch();
  await Deno.writeFile(`${folder.dir}/one`, one);
  await Deno.writeFile(`${folder.dir}/two`, two);
  const source = (name: string) => [{ kind: "file", path: `${folder.dir}/${name}` }];
  const registry = parseRegistry(
    JSON.stringify([
      {
        name: "one",
        other_names: ["first"],
        variants: [{ name: "q4", file: "one.gguf", sha256: sha256(one), sources: source("one") }],
      },
      { name: "two", variants: [{ name: "q8", file: "two.gguf", sources: source("two") }] },
    ]),
    "m",
  );
  const store = await openStore(`${folder.dir}/store`);
  for (const entry of registry.models) {
    for (const variant of entry.variants) await pull(store, entry, variant, surroundings().options);
  }
  const first = (alias: string): [Model, Variant] => {
    const entry = registry.models.find((model) => model.alias === alias);
    const variant = entry?.variants[0];
    if (entry === undefined || variant === undefined) throw new Error(alias);
    return [entry, variant];
  };
  return { folder, registry, store, first, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

Deno.test("the list tells what lies where, and whose it is", async () => {
  await using at = await filled();
  await Deno.mkdir(`${at.store.dir}/stray`);
  await Deno.writeTextFile(`${at.store.dir}/stray/old.gguf`, "x");
  await Deno.writeTextFile(`${at.store.dir}/one/other.gguf.part`, "abc");
  const files = await listStored(at.store, at.registry);
  assert.deepEqual(files.map(({ named, state, sizeBytes }) => [named?.model.alias, state, sizeBytes]), [
    ["two", "ready", two.length],
    ["one", "ready", one.length],
    [undefined, "unfinished", 3],
    [undefined, "ready", 1],
  ]);
  assert.deepEqual(await listStored(await openStore(`${at.folder.dir}/empty`), at.registry), []);
});

Deno.test("a changed file is found by verify, and not handed out by locate", async () => {
  await using at = await filled();
  const [entry, variant] = at.first("one");
  const path = await locate(at.store, entry, variant);
  assert.ok(path !== null);
  const bytes = await Deno.readFile(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await Deno.writeFile(path, bytes);
  await Deno.utime(path, new Date(1), new Date(1));
  const statuses = async () =>
    Object.fromEntries(
      await Promise.all(
        (await listStored(at.store, at.registry)).map(async (file) =>
          [file.named?.model.alias, (await verifyStored(file)).status] as const
        ),
      ),
    );
  assert.deepEqual(await statuses(), { one: "changed", two: "recorded" });
  await assert.rejects(
    locate(at.store, entry, variant),
    /is not the file that the registry names.*remove one --yes/,
  );
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await Deno.writeFile(path, bytes);
  assert.deepEqual(await statuses(), { one: "ok", two: "recorded" });
});

Deno.test("a file copied in by hand is hashed and taken in; a lost receipt is written again", async () => {
  await using at = await filled();
  const [entry, variant] = at.first("one");
  const path = await locate(at.store, entry, variant);
  assert.ok(path !== null);
  for (const torn of [null, '{"schema_ver']) {
    if (torn === null) await Deno.remove(`${path}.receipt.json`);
    else await Deno.writeTextFile(`${path}.receipt.json`, torn);
    assert.equal(await locate(at.store, entry, variant), path);
    assert.equal((await readReceipt(path))?.checked_against, "registry");
  }
});

Deno.test("using a model is remembered by its day", async () => {
  await using at = await filled();
  const [entry, variant] = at.first("one");
  const before = (await listStored(at.store, at.registry)).find(({ named }) => named?.model === entry)
    ?.lastUsed;
  await locate(at.store, entry, variant);
  const after = (await listStored(at.store, at.registry)).find(({ named }) => named?.model === entry)
    ?.lastUsed;
  assert.ok(before && after && after >= before);
});

Deno.test("files are named by any name of their model, by variant, or by path", async () => {
  await using at = await filled();
  const files = await listStored(at.store, at.registry);
  for (const name of ["one", "FIRST", "one:q4", "one/one.gguf", "one/"]) {
    assert.deepEqual(filesNamed(files, at.registry, at.store, name).map(({ named }) => named?.model.alias), [
      "one",
    ], name);
  }
  assert.throws(
    () => filesNamed(files, at.registry, at.store, "twoo"),
    /store holds no file of "twoo"; did you mean two\?/,
  );
});

Deno.test("remove takes a file and all that belongs to it, and nothing else", async () => {
  await using at = await filled();
  const files = await listStored(at.store, at.registry);
  await removeStored(at.store, filesNamed(files, at.registry, at.store, "one"));
  assert.equal(await statIfThere(`${at.store.dir}/one`), null);
  assert.deepEqual((await listStored(at.store, at.registry)).map(({ named }) => named?.model.alias), ["two"]);
});

Deno.test("a moved folder is found from the old place, and can move back", async () => {
  await using at = await filled();
  const [entry, variant] = at.first("one");
  const old = at.store.dir;
  const moved = await moveStore(at.store, `${at.folder.dir}/elsewhere`);
  assert.equal((await openStore(old)).dir, moved.dir);
  const path = await locate(await openStore(old), entry, variant);
  assert.ok(path !== null && path.startsWith(moved.dir));
  assert.deepEqual(await Deno.readFile(path), new Uint8Array(one));
  const back = await moveStore(moved, old);
  assert.equal((await openStore(old)).dir, back.dir);
  assert.equal((await openStore(`${at.folder.dir}/elsewhere`)).dir, back.dir);
  assert.equal((await listStored(back, at.registry)).length, 2);
  await assert.rejects(moveStore(back, `${old}/inside`), /contains the other/);
  await assert.rejects(moveStore(back, old), /are already in/);
});

Deno.test("the folder is the user's cache folder on each system", () => {
  const env = new Map([["HOME", "/h"], ["LOCALAPPDATA", "/local"]]);
  const places = ["linux", "darwin", "windows"].map((os) => defaultStore(env, os).replaceAll("\\", "/"));
  assert.deepEqual(places, [
    "/h/.cache/podium/models",
    "/h/Library/Caches/podium/models",
    "/local/podium/models",
  ]);
});
