/** A pack's manifest sees every change, and the tree that is packed holds the project and nothing else. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { filesBelow, verifyPack, writeManifest } from "../../scripts/pack/manifest.ts";
import { copyFile, copyTree, RECORDED_RUN, startPs1, startSh } from "../../scripts/pack/tree.ts";

async function inFolder(work: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "podium-pack-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function write(folder: string, files: Readonly<Record<string, string>>) {
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(join(folder, path, ".."), { recursive: true });
    await Deno.writeTextFile(join(folder, path), text);
  }
}

const about = { podium: "1", deno: "2", os: "linux", arch: "x86_64", python: null, models: [] };

Deno.test("a pack that was copied whole has no faults; new files are none", () =>
  inFolder(async (folder) => {
    await write(folder, { "a.txt": "one", "sub/b.txt": "two" });
    await writeManifest(folder, about, await filesBelow(folder));
    await write(folder, { "podium/reports/new/run.json": "{}" });
    assert.deepEqual(await verifyPack(folder), { files: 2, faults: [] });
  }));

Deno.test("a changed, a cut and a missing file are named", () =>
  inFolder(async (folder) => {
    await write(folder, { "a.txt": "one", "b.txt": "two", "sub/c.txt": "three" });
    await writeManifest(folder, about, await filesBelow(folder));
    await write(folder, { "a.txt": "eno", "b.txt": "tw" });
    await Deno.remove(join(folder, "sub", "c.txt"));
    const { faults } = await verifyPack(folder);
    assert.equal(faults.length, 3);
    assert.match(faults[0] ?? "", /^a\.txt: its SHA-256 is [0-9a-f]{64}, packed was [0-9a-f]{64}$/);
    assert.equal(faults[1], "b.txt: 2 bytes, packed were 3");
    assert.equal(faults[2], "sub/c.txt: missing");
  }));

Deno.test("a folder that is no pack is the user's mistake, in one line", () =>
  inFolder(async (folder) => {
    await assert.rejects(verifyPack(folder), (error) =>
      error instanceof UserError && /doesn't exist/.test(error.message));
    for (const text of ["", "{}", '{"schema_version": 1']) {
      await write(folder, { "pack.json": text });
      await assert.rejects(
        verifyPack(folder),
        (error) =>
          error instanceof UserError && /is not a pack's manifest/.test(error.message),
      );
    }
  }));

Deno.test("the tree goes without repository, caches and runs, and never into itself", () =>
  inFolder(async (folder) => {
    const from = join(folder, "project");
    await write(from, {
      "deno.json": "{}",
      ".gitignore": "x",
      ".git/config": "x",
      ".venv/big": "x",
      "node_modules/a/index.js": "x",
      "lib/a.ts": "x",
      "notebooks/.ipynb_checkpoints/a.ipynb": "x",
      "reports/.gitkeep": "",
      [`reports/${RECORDED_RUN}/run.json`]: "{}",
      "reports/2026-11-21T00-00-00-mine/run.json": "{}",
      "room/pack.json": "{}",
    });
    const to = join(from, "room", "podium");
    await copyTree(from, to, [join(from, "room")]);
    assert.deepEqual(await filesBelow(to), [
      ".gitignore",
      "deno.json",
      "lib/a.ts",
      "reports/.gitkeep",
      `reports/${RECORDED_RUN}/run.json`,
    ]);
  }));

Deno.test("a file that is there is not copied again, a changed one is", () =>
  inFolder(async (folder) => {
    const [from, to] = [join(folder, "from"), join(folder, "deep", "to")];
    await Deno.writeTextFile(from, "one");
    await copyFile(from, to);
    const first = (await Deno.stat(to)).ino;
    await copyFile(from, to);
    assert.equal((await Deno.stat(to)).ino, first);
    await Deno.writeTextFile(from, "other");
    await copyFile(from, to);
    assert.equal(await Deno.readTextFile(to), "other");
  }));

Deno.test("the recorded run that is packed is the one in the project", async () => {
  assert.ok((await Deno.stat(join("reports", RECORDED_RUN, "run.json"))).isFile);
});

Deno.test("start scripts name everything by its place beside them", () => {
  for (const [script, here] of [[startSh, '"$here/'], [startPs1, '"$here\\']] as const) {
    for (const part of ["deno", "packages", "models", "podium"]) {
      assert.ok(script.includes(`${here}${part}`), part);
    }
    assert.match(script, /PIP_NO_INDEX/);
    assert.doesNotMatch(script.replace("#!/usr/bin/env bash", ""), /\/(home|usr|tmp|root)\b|C:\\/);
  }
});
