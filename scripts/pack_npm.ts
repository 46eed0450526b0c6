/**
 * WHY: `npx podium-bench bench` needs a package. It holds the launcher and the project as it is, without tests and
 * recorded runs; package.json is made here, so that versions stand in deno.json alone.
 *
 *   deno task pack:npm            writes podium-bench-VERSION.tgz
 *   deno task pack:npm FOLDER     into another folder
 *   npm install -g ./podium-bench-VERSION.tgz
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import project from "../deno.json" with { type: "json" };
import { UserError } from "../lib/errors.ts";
import { runProgram } from "../lib/program.ts";
import { bareCommand, runCli } from "./cli.ts";
import { copyFile, projectFiles } from "./pack/tree.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
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

/** What an installed Podium does not use. */
const LEFT_OUT = /^(\.|tests\/|reports\/|benchmarks\/|docs\/images\/)/;

async function pack(folder: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "podium-npm-" });
  try {
    const to = join(dir, "package");
    for (const path of await projectFiles(root)) {
      if (!LEFT_OUT.test(path)) await copyFile(join(root, path), join(to, "project", path));
    }
    for (const path of ["README.md", "LICENSE"]) await Deno.copyFile(join(root, path), join(to, path));
    await Deno.copyFile(join(root, "scripts", "podium.mjs"), join(to, "podium.mjs"));
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
  "where to put it",
  ".",
);

await runCli(async () => {
  command.action(async (folder: string) => console.log(await pack(folder)));
  await command.parseAsync(Deno.args, { from: "user" });
  return 0;
});
