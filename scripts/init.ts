/**
 * After an install a person needs a folder of their own: a registry, jobs and lessons that may be changed,
 * and the import name "podium" for scripts. It asks before it copies, and overwrites nothing.
 *
 *   podium init                 in this folder
 *   podium init my-models       in a new one
 */
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import project from "../deno.json" with { type: "json" };
import { UserError } from "../lib/errors.ts";
import { bareCommand, printJson, ROOT, runTask } from "./cli.ts";
import { type Shared, shared } from "./options.ts";
import { makeCopies } from "./notebook/copies.ts";

interface Made {
  readonly folder: string;
  readonly written: string[];
  /** Files that existed before and stay unchanged. */
  readonly kept: string[];
}

async function init(folder: string): Promise<Made> {
  if (relative(ROOT, await realPath(folder)) === "") {
    throw new UserError(`${folder} is Podium itself, which has all of it: give another folder`);
  }
  const made: Made = { folder, written: [], kept: [] };
  const copied = [
    "models.json",
    "deno.lock",
    "package.json",
    ...await filesOf("prompts"),
    ...await filesOf("adapters"),
  ];
  for (const path of copied) {
    await writeIfAbsent(made, path, await Deno.readTextFile(join(ROOT, path)));
  }
  await writeIfAbsent(made, "deno.json", `${JSON.stringify(ownConfig(), null, 2)}\n`);
  await makeCopies(join(ROOT, "notebooks"), join(folder, "notebooks"));
  return made;
}

/** Deno resolves every import by the configuration of the program that runs, so Podium's own imports are listed too. */
function ownConfig() {
  const at = pathToFileURL(ROOT).href;
  return {
    nodeModulesDir: "none",
    // Podium's own code is checked together with what imports it, and needs the options that it was written with.
    compilerOptions: project.compilerOptions,
    allowScripts: project.allowScripts,
    tasks: Object.fromEntries(ownTasks(at)),
    imports: { ...project.imports, podium: `${at}/mod.ts`, "podium/": `${at}/` },
  };
}

/** The tasks for people, run with Podium's code on the files of this folder. */
function ownTasks(at: string) {
  return Object.entries(project.tasks).filter(([name, { command }]) =>
    /^deno run .*\.ts$/.test(command) && !/^(pack|init|bench:)/.test(name) && !/test:/.test(name)
  ).map(([name, task]) => [name, { ...task, command: task.command.replace(/\S+\.ts$/, `${at}/$&`) }]);
}

async function filesOf(folder: string): Promise<string[]> {
  const files = await Array.fromAsync(Deno.readDir(join(ROOT, folder)));
  return files.filter(({ isFile }) => isFile).map(({ name }) => `${folder}/${name}`).sort();
}

async function writeIfAbsent({ folder, written, kept }: Made, path: string, text: string): Promise<void> {
  const file = join(folder, path);
  await Deno.mkdir(dirname(file), { recursive: true });
  try {
    await Deno.writeTextFile(file, text, { createNew: true });
    written.push(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    kept.push(path);
  }
}

async function realPath(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  return await Deno.realPath(folder);
}

function initText({ folder, written, kept }: Made): string {
  const here = folder === "." ? "this folder" : folder;
  return [
    `${here} has a registry (models.json), jobs (prompts/), custom models (adapters/), lessons (notebooks/), and the import name "podium" (deno.json).`,
    ...(kept.length === 0 ? [] : [`Kept as it was: ${kept.join(", ")}.`]),
    ...(written.length === 0 && kept.length > 0 ? ["Nothing was missing."] : []),
    `Next: ${
      folder === "." ? "" : `cd ${folder}, then `
    }deno task bench, or deno task notebook for the lessons.`,
    `Documentation: ${join(ROOT, "README.md")}`,
  ].join("\n");
}

const command = bareCommand("init")
  .usage("[FOLDER] [options]")
  .argument("[folder]", "where to put it", ".")
  .addOptions(shared("json"));

await runTask(command, async (folder: string, { json }: Shared<"json">) => {
  const made = await init(folder);
  if (json) printJson(made);
  else console.log(initText(made));
  return 0;
});
