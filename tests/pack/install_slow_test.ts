/** What is packed for npm, Homebrew and winget agrees with the project; the launcher and `init` give the same program. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import project from "../../deno.json" with { type: "json" };

const root = fileURLToPath(new URL("../../", import.meta.url));

async function inFolder(work: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "podium install " });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function output(program: string, args: readonly string[], cwd = root): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

const hashOf = async (path: string) => createHash("sha256").update(await Deno.readFile(path)).digest("hex");

/** What winget's schemas require, by type of manifest. */
const REQUIRED = {
  version: ["PackageIdentifier", "PackageVersion", "DefaultLocale", "ManifestType", "ManifestVersion"],
  installer: ["PackageIdentifier", "PackageVersion", "Installers", "ManifestType", "ManifestVersion"],
  defaultLocale: [
    "PackageIdentifier",
    "PackageVersion",
    "PackageLocale",
    "Publisher",
    "PackageName",
    "License",
    "ShortDescription",
    "ManifestType",
    "ManifestVersion",
  ],
};

Deno.test("pack:npm fills version and hash into the formula, and into winget's manifests once there is a zip", () =>
  inFolder(async (folder) => {
    const without = await output(Deno.execPath(), ["task", "-q", "pack:npm", folder]);
    assert.doesNotMatch(without, /winget/);
    const zip = join(folder, "podium-windows-x64.zip");
    await Deno.writeTextFile(zip, "a program");
    const written = (await output(Deno.execPath(), ["task", "-q", "pack:npm", folder])).trim().split("\n");
    const [tarball = "", ...files] = written;
    assert.equal(basename(tarball), `podium-bench-${project.version}.tgz`);
    assert.equal(files.length, 4);

    const formula = await Deno.readTextFile(join(folder, "packaging", "podium.rb"));
    assert.ok(formula.includes(`sha256 "${await hashOf(tarball)}"`));
    assert.ok(formula.includes(`/v${project.version}/podium-bench-${project.version}.tgz"`));

    const manifests = await Promise.all(
      files.filter((path) => path.endsWith(".yaml")).map(async (path) => ({
        path,
        text: await Deno.readTextFile(path),
      })),
    );
    for (const { path, text } of manifests) {
      assert.doesNotMatch(text, /@[A-Z0-9_]+@/, path);
      const manifest = parse(text);
      const type: keyof typeof REQUIRED = manifest.ManifestType;
      for (const field of REQUIRED[type]) assert.ok(manifest[field] !== undefined, `${path}: ${field}`);
      assert.equal(manifest.PackageVersion, project.version);
      const kind = { version: "", installer: ".installer", defaultLocale: ".locale.en-US" }[type];
      assert.equal(basename(path), `${manifest.PackageIdentifier}${kind}.yaml`);
      if (type !== "installer") continue;
      assert.equal(manifest.Installers[0].InstallerSha256, (await hashOf(zip)).toUpperCase());
      assert.match(manifest.Installers[0].InstallerUrl, new RegExp(`/v${project.version}/`));
    }

    await output("tar", ["-xzf", tarball, "-C", folder]);
    const packed = join(folder, "package", "project");
    const { imports } = JSON.parse(await Deno.readTextFile(join(packed, "deno.json")));
    assert.deepEqual([imports["playwright-core"], imports["fast-check"]], [undefined, undefined]);
    // Its lock file is frozen: were it not in step with its deno.json, nothing would run.
    assert.match(await output(Deno.execPath(), ["task", "-q", "models", "--help"], packed), /models/);
  }));

Deno.test("the launcher lists each command that people use with its description, on Deno and on Node", async () => {
  const deno = await output(Deno.execPath(), ["run", "-A", "scripts/podium.mjs", "--help"]);
  for (const name of ["bench", "quality", "doctor", "init"] as const) {
    assert.match(deno, new RegExp(`^  ${name} +${project.tasks[name].description}$`, "m"));
  }
  assert.doesNotMatch(deno, /bench:|test:/);
  assert.equal(await output("node", ["scripts/podium.mjs", "--help"]), deno);
});

Deno.test("a folder of one's own has the tasks, keeps what is in it, and maps the import name", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "models.json"), "mine");
    const told = await output(Deno.execPath(), ["task", "-q", "init", folder]);
    assert.match(told, /Kept as it was: models\.json\./);
    assert.equal(await Deno.readTextFile(join(folder, "models.json")), "mine");
    await Deno.remove(join(folder, "models.json"));
    await output(Deno.execPath(), ["task", "-q", "init", folder]);
    assert.match(await output(Deno.execPath(), ["task", "-q", "models", "list"], folder), /^ *smollm2-135m/m);
    // The notes job's rules are code of this folder, and need no model.
    assert.match(
      await output(
        Deno.execPath(),
        ["task", "-q", "quality", "capture", "--models", "extractive-notes"],
        folder,
      ),
      /^Next: deno task report --open /m,
    );
    await output(Deno.execPath(), ["check", "-q", "adapters/extractive_notes.ts"], folder);
    await Deno.writeTextFile(
      join(folder, "mine.ts"),
      'import { models } from "podium"; console.log(String(await models()));',
    );
    assert.match(
      await output(Deno.execPath(), ["run", "-q", "-A", "mine.ts"], folder),
      /^The registry holds/,
    );
  }));
