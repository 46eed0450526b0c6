/** Every command that README, docs, teaching kit and notebooks print exists, with its flags, models and files. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { findModel, loadRegistry } from "../lib/catalog/registry.ts";
import project from "../deno.json" with { type: "json" };
import { commandsOf, pages, printedCommands, root, shellWords } from "./docs_commands.ts";

/** What a task's --help lists; a golden test holds these files against the programs. */
interface Help {
  /** By flag: whether a value follows. */
  readonly flags: ReadonlyMap<string, boolean>;
}

async function readHelp(): Promise<Map<string, Help>> {
  const helps = new Map<string, Help>();
  const folder = join(root, "tests", "golden", "expected", "help");
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(join(folder, name));
    const flags = [...text.matchAll(/^\s+(?:-\w, )?(--[a-z][a-z-]*)(?: ([<[]).*)?/gm)]
      .map(([, flag = "", value]) => [flag, value === "<"] as const);
    // A task without commander says what it takes in its first line.
    const usage = [...(/^Usage: .*$/m.exec(text)?.[0] ?? "").matchAll(/(--[a-z][a-z-]*)( [A-Z])?/g)]
      .map(([, flag = "", value]) => [flag, value !== undefined] as const);
    helps.set(name.replace(/\.txt$/, ""), { flags: new Map([...usage, ...flags, ["--help", false]]) });
  }
  return helps;
}

/** What is wrong with a command: an unknown task, subcommand or flag, or a flag without its value. Null if nothing is. */
function faultOf(words: readonly string[], helps: ReadonlyMap<string, Help>): string | null {
  const [task = "", second] = words;
  if (!(task in project.tasks)) return `there is no task ${task}`;
  // Tasks of tests take what `deno test` takes, or names.
  if (!helps.has(task.replaceAll(":", "-"))) return null;
  const parts = [...helps.keys()].filter((name) => name.startsWith(`${task}-`) && !name.includes(":"));
  const hasParts = parts.some((name) => !(name.replace("-", ":") in project.tasks));
  let help = helps.get(task.replaceAll(":", "-"));
  let rest = words.slice(1);
  if (hasParts && second !== undefined && !/^[-…]|^COMMAND$/.test(second)) {
    help = helps.get(`${task}-${second}`);
    if (help === undefined) return `${task} has no command ${second}`;
    rest = words.slice(2);
  }
  for (const [at, word] of rest.entries()) {
    if (!word.startsWith("--")) continue;
    const [flag = "", inline] = word.split("=");
    const takesValue = help?.flags.get(flag);
    if (takesValue === undefined) return `${words.slice(0, 2).join(" ")} has no flag ${flag}`;
    const next = rest[at + 1];
    // A flag that ends a code span is mentioned, not used.
    if (takesValue && inline === undefined && next?.startsWith("--")) return `${flag} has no value`;
  }
  return null;
}

Deno.test("every printed command names a task, a subcommand and flags that exist", async () => {
  const helps = await readHelp();
  const commands = await printedCommands();
  assert.ok(commands.length > 250, `only ${commands.length} commands were found`);
  const faults = commands.map(({ page, words }) => [page, words.join(" "), faultOf(words, helps)] as const)
    .filter(([, , fault]) => fault !== null);
  assert.deepEqual(faults, []);
});

Deno.test("commands are found in blocks and between backticks, up to comments and pipes", () => {
  const page = [
    "`deno task doctor` | and `FOO=1 deno task race --by ttft`, not `podium` or `import podium`",
    "```",
    'deno task chat NAME --prompt "a; b"   # comment',
    "  deno task pack DIR                      # or: --runs RUN",
    '$env:BAR = "2"; deno task bench > r.json',
    "podium quality check \\",
    "  RUN",
    ".\\start.ps1 fleet stop",
    "```",
  ].join("\n");
  assert.deepEqual(commandsOf("x.md", page).map(({ words, env }) => [words.join("_"), env]), [
    ["doctor", {}],
    ["race_--by_ttft", { FOO: "1" }],
    ["chat_NAME_--prompt_a; b", {}],
    ["pack_DIR", {}],
    ["bench", { BAR: "2" }],
    ["quality_check_RUN", {}],
    ["fleet_stop", {}],
  ]);
});

Deno.test("every command that a program names in its comments and messages exists, with its flags", async () => {
  const helps = await readHelp();
  const faults: string[] = [];
  let seen = 0;
  const read = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
      const path = `${folder}/${name}`;
      if (isDirectory) await read(path);
      else if (name.endsWith(".ts")) {
        for (
          const [, rest = ""] of (await Deno.readTextFile(join(root, path))).matchAll(
            /deno task ([a-z][^`"$\n|()]*)/g,
          )
        ) {
          seen++;
          const words = shellWords(rest.replace(/[.,:;]+(?=\s|$).*/, ""));
          const fault = faultOf(words, helps);
          // Prose may go on behind the name of a task.
          if (fault !== null && !fault.includes(" has no command ")) {
            faults.push(`${path}: ${words.join(" ")}: ${fault}`);
          }
        }
      }
    }
  };
  for (const folder of ["lib", "scripts", "benchmarks", "adapters"]) await read(folder);
  assert.ok(seen > 100, `only ${seen} were found`);
  assert.deepEqual(faults, []);
});

Deno.test("every model that a command of the pages names is in the registry", async () => {
  const registry = await loadRegistry(join(root, "models.json"));
  const unknown: string[] = [];
  let seen = 0;
  const texts = await pages();
  for (const { page, words } of await printedCommands()) {
    const command = words.join(" ");
    const text = texts.get(page) ?? "";
    const lists = [
      /--models "?([^\s"]+)/.exec(command)?.[1]?.split(",") ?? [],
      /^models pull ([^-]+.*)$/.exec(command)?.[1]?.split(/\s+/) ?? [],
      [/^chat ([^\s]+)/.exec(command)?.[1] ?? ""],
    ].flat();
    for (const item of lists) {
      const name = (item.split("@")[0] ?? "").split(":")[0] ?? "";
      // Capitals stand for a name of the reader's; an endpoint may have models that the registry doesn't.
      if (name === "" || /^[^a-z]*$|^[-.…]|^hf$/.test(name) || /@(?!embedded|foundry)/.test(item)) continue;
      seen++;
      // A page may show how to register a model of one's own.
      if (text.includes(`"alias": "${name}"`)) continue;
      if (findModel(registry, name) === undefined) unknown.push(`${page}: ${command}: ${name}`);
    }
  }
  assert.ok(seen > 10, "hardly a model was seen: the test reads nothing");
  assert.deepEqual(unknown, []);
});

Deno.test("every file of the project that the pages name in code is there", async () => {
  const missing: string[] = [];
  let seen = 0;
  for (const [page, text] of await pages()) {
    for (
      const [path] of text.matchAll(
        /(?<![\w/.-])(?:lib|scripts|tests|prompts|notebooks|docs)\/[\w./-]*\.(?:ts|json|md|py)\b/g,
      )
    ) {
      seen++;
      const there = await Deno.stat(join(root, path)).then(() => true, () => false);
      if (!there && !/NAME|NN_/.test(path)) missing.push(`${page}: ${path}`);
    }
  }
  assert.ok(seen > 10, "hardly a file was seen: the test reads nothing");
  assert.deepEqual(missing, []);
});
