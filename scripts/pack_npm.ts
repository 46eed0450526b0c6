/**
 * `npx podium-bench bench` needs a package. It holds the launcher and the project as it is, without tests and
 * recorded runs; package.json is made here, so that versions stand in deno.json alone.
 *
 *   deno task pack:npm            writes podium-bench-VERSION.tgz
 *   deno task pack:npm release    into a folder, with packaging/ for its version and hash
 *   npm install -g ./podium-bench-VERSION.tgz
 */
import { dirname, join } from "node:path";
import project from "../deno.json" with { type: "json" };
import { sha256Of } from "../lib/catalog/files.ts";
import { UserError } from "../lib/errors.ts";
import { runProgram } from "../lib/program.ts";
import { bareCommand, ROOT, runTask, sayNext } from "./cli.ts";
import { copyFile, projectFiles } from "./pack/tree.ts";

const NAME = "podium-bench";
/** The Deno that Podium is tested with. */
const DENO = "2.9.6";

const packageJson = {
  name: NAME,
  version: project.version,
  description:
    "Choose the local model for the job, on evidence: benchmarks, quality and selection of small chat models",
  keywords: ["llm", "benchmark", "local", "slm", "foundry-local", "llama.cpp", "evaluation"],
  license: project.license,
  type: "module",
  bin: { podium: "podium.mjs", [NAME]: "podium.mjs" },
  engines: { node: ">=20" },
  dependencies: { deno: DENO },
};

/** Files that an installed Podium does not use. */
const LEFT_OUT = /^(\.|tests\/|reports\/|benchmarks\/|packaging\/|docs\/images\/)/;

/** Packages of the tests alone: 22 MB that a user of Podium doesn't need. */
const TEST_PACKAGES = ["fast-check", "playwright-core"];

/** Takes the tests' packages out of deno.json and its lock file, which have to agree. */
async function leaveOutTestPackages(dir: string): Promise<void> {
  const edit = async (file: string, change: (value: ReturnType<typeof JSON.parse>) => void) => {
    const value = JSON.parse(await Deno.readTextFile(join(dir, file)));
    change(value);
    await Deno.writeTextFile(join(dir, file), `${JSON.stringify(value, null, 2)}\n`);
  };
  const isTests = (specifier: string) =>
    TEST_PACKAGES.some((name) => specifier.replace(/^npm:/, "").startsWith(`${name}@`));
  await edit("deno.json", ({ imports }) => TEST_PACKAGES.forEach((name) => delete imports[name]));
  await edit("deno.lock", ({ specifiers, npm, workspace }) => {
    for (const part of [specifiers, npm]) {
      Object.keys(part).filter(isTests).forEach((key) => delete part[key]);
    }
    workspace.dependencies = workspace.dependencies.filter((specifier: string) => !isTests(specifier));
  });
}

/**
 * Writes packaging/ into the folder, with this version and the hash of what lies there. The winget manifests need the
 * compiled program's zip; where there is none they are left out.
 */
async function writePackaging(folder: string, tarball: string): Promise<string[]> {
  const zip = join(folder, "podium-windows-x64.zip");
  const zipHash = await sha256Of(zip).catch(() => null);
  const values: Record<string, string> = {
    VERSION: project.version,
    DENO,
    TARBALL_SHA256: await sha256Of(tarball),
    ZIP_SHA256: zipHash?.toUpperCase() ?? "",
  };
  const written: string[] = [];
  for (const path of await projectFiles(ROOT)) {
    if (!/^packaging\/.*\.(rb|yaml)$/.test(path) || path.endsWith(".yaml") && zipHash === null) continue;
    const text = (await Deno.readTextFile(join(ROOT, path))).replaceAll(
      /@([A-Z0-9_]+)@/g,
      (all, name) => values[name] ?? all,
    );
    await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
    await Deno.writeTextFile(join(folder, path), text);
    written.push(join(folder, path));
  }
  return written;
}

async function pack(folder: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "podium-npm-" });
  try {
    const to = join(dir, "package");
    for (const path of await projectFiles(ROOT)) {
      if (!LEFT_OUT.test(path)) await copyFile(join(ROOT, path), join(to, "project", path));
    }
    await leaveOutTestPackages(join(to, "project"));
    for (const path of ["README.md", "LICENSE"]) await Deno.copyFile(join(ROOT, path), join(to, path));
    await Deno.copyFile(join(ROOT, "scripts", "podium.mjs"), join(to, "podium.mjs"));
    await Deno.writeTextFile(join(to, "package.json"), `${JSON.stringify(packageJson, null, 2)}\n`);
    await Deno.mkdir(folder, { recursive: true });
    const file = join(folder, `${NAME}-${project.version}.tgz`);
    // Windows 10 and later, macOS and Linux all have tar.
    const made = await runProgram(["tar", "-czf", file, "-C", dir, "package"], { timeoutMs: 60_000 });
    if (made?.code === 0) return file;
    throw new UserError(`tar could not write ${file}: ${made?.stderr.trim() ?? "there is no tar"}`, 1);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const command = bareCommand("pack:npm").usage("[FOLDER] [options]").argument(
  "[folder]",
  "where to put it; any folder but this one also gets the files of packaging/, with version and hash",
  ".",
);

await runTask(command, async (folder: string) => {
  const tarball = await pack(folder);
  console.log(tarball);
  if (folder === ".") sayNext(`npx -y ./${tarball} bench runs it, npm install -g ./${tarball} installs it`);
  else for (const path of await writePackaging(folder, tarball)) console.log(path);
  return 0;
});
