/** A pack's manifest sees every change, and the tree that is packed holds the project and nothing else. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { filesBelow, verifyPack, writeManifest } from "../../scripts/pack/manifest.ts";
import {
  copyFile,
  copyProject,
  projectFiles,
  RECORDED_RUN,
  startPs1,
  startSh,
} from "../../scripts/pack/tree.ts";

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
          error instanceof UserError &&
          /the manifest .*pack\.json is damaged: .*; copy the pack again/.test(error.message),
      );
    }
    await write(folder, { "pack.json": '{"schema_version": 2}' });
    await assert.rejects(
      verifyPack(folder),
      /newer version of Podium \(schema 2; .* up to 1\): update Podium, or copy the pack again/,
    );
  }));

const mine = {
  "deno.json": "{}",
  ".gitignore": "ignored/\n",
  "lib/a.ts": "x",
  "reports/.gitkeep": "",
  [`reports/${RECORDED_RUN}/run.json`]: "{}",
};
const notMine = {
  ".env": "API_KEY=secret",
  ".npmrc": "//host/:_authToken=secret",
  "lib/.env.local": "secret",
  "notes.txt": "secret",
  "ignored/a": "x",
  ".venv/big": "x",
  "node_modules/a/index.js": "x",
  "reports/2026-11-21T00-00-00-mine/run.json": "{}",
  "room/podium/lib/a.ts": "old",
};

async function git(folder: string, ...args: string[]) {
  const { success, stderr } = await new Deno.Command("git", { args: ["-C", folder, ...args] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

Deno.test("the project's tracked files are packed alone: no secret, no run of one's own, no link", () =>
  inFolder(async (folder) => {
    const from = join(folder, "project");
    await write(from, mine);
    await git(folder, "init", "-q", from);
    if (Deno.build.os !== "windows") await Deno.symlink("/etc/hostname", join(from, "link"));
    await git(from, "add", ".");
    await write(from, { ...notMine, "lib/gone.ts": "x" });
    await git(from, "add", "lib/gone.ts");
    await Deno.remove(join(from, "lib/gone.ts"));
    await write(from, { "lib/a.ts": "changed" });
    const to = join(from, "room", "podium");
    const run = { "run.json": "{}", "imports/a.csv": "x", "annotation/ana-fluency.csv": "y" };
    await write(join(folder, "elsewhere", "r1"), run);
    await write(folder, { "teacher.json": '[{"name": "hers"}]' });
    await copyProject(from, to, join(folder, "teacher.json"), [
      { name: "r1", folder: join(folder, "elsewhere", "r1") },
    ]);
    const expected = [
      ...Object.keys(mine),
      "models.json",
      ...Object.keys(run).map((path) => `reports/r1/${path}`),
    ];
    assert.deepEqual(await filesBelow(to), expected.sort());
    assert.equal(
      await Deno.readTextFile(join(to, "models.json")),
      '[{"name": "hers"}]',
      "the registry as given",
    );
    assert.equal(await Deno.readTextFile(join(to, "lib/a.ts")), "changed", "as it is here, not as committed");
  }));

Deno.test("from a pack its own files are packed again; a folder that is neither is refused", () =>
  inFolder(async (folder) => {
    await write(join(folder, "podium"), mine);
    await writeManifest(folder, about, await filesBelow(folder));
    await write(join(folder, "podium"), notMine);
    assert.deepEqual((await projectFiles(join(folder, "podium"))).sort(), Object.keys(mine).sort());
    await Deno.remove(join(folder, "pack.json"));
    await assert.rejects(
      projectFiles(join(folder, "podium")),
      (error) => error instanceof UserError && /neither a git checkout .* nor a pack/.test(error.message),
    );
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

Deno.test("every package that JupyterLab needs is pinned with the SHA-256 of its files", async () => {
  const text = await Deno.readTextFile(join("notebooks", "jupyter", "requirements.txt"));
  const pins = text.split("\n").filter((line) => !/^(#|\s*$)/.test(line)).join("\n").split(/\n(?=\S)/);
  assert.ok(pins.length > 80, `${pins.length} packages`);
  for (const pin of pins) {
    assert.match(
      pin,
      /^[\w.-]+==[\w.]+( ; [^\\]+)? \\\n(\s+--hash=sha256:[0-9a-f]{64}( \\\n|$))+$/,
      pin.slice(0, 80),
    );
  }
});

Deno.test("the recorded run that is packed is the one in the project", async () => {
  assert.ok((await Deno.stat(join("reports", RECORDED_RUN, "run.json"))).isFile);
});

Deno.test("start scripts name everything by its place beside them", () => {
  for (const [script, here] of [[startSh, '"$here/'], [startPs1, '"$here\\']] as const) {
    for (const part of ["deno", "packages", "models", "podium"]) {
      assert.ok(script.includes(`${here}${part}`), part);
    }
    assert.match(script, /PATH = ?"\$here.deno[:;]\$here.bin[:;]|PATH="\$here.deno:\$here.bin:/);
    assert.match(script, /PIP_NO_INDEX/);
    assert.doesNotMatch(script.replace("#!/usr/bin/env bash", ""), /\/(home|usr|tmp|root)\b|C:\\/);
  }
});
