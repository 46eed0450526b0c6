/** Every `foundry …` command that Podium prints, and that its pages and lessons name, is in the reference of its generation. */
import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { cliCommand } from "../../lib/services/foundry_cli.ts";
import recorded from "./foundry_commands.json" with { type: "json" };

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const { "up to 0.8": older, "0.10": newer, course, same } = recorded;
const known = [...older, ...newer, ...course].toSorted((a, b) => b.length - a.length);

/** The commands in a text: after "foundry" and a space, as many words as a known command has; the rest are arguments. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w./-])foundry (?!command)((?:[a-z]+ ?){1,3})/g)].map(([, words = ""]) =>
    known.find((command) => `${words.trim()} `.startsWith(`${command} `)) ?? words.trim()
  );
}

async function* files(folder: string, ending: RegExp): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* files(join(folder, name), ending);
    else if (ending.test(name)) yield join(folder, name);
  }
}

/** Lines of pages and lessons whose code spans name a command, and lines of code that are no comment. */
async function* lines(): AsyncGenerator<
  { readonly where: string; readonly line: string }
> {
  const pages = await Array.fromAsync(files(join(root, "docs"), /\.md$/));
  for (
    const path of [
      join(root, "README.md"),
      ...pages,
      ...await Array.fromAsync(files(join(root, "notebooks"), /\d_.*\.ts$/)),
    ]
  ) {
    for (const [at, text] of (await Deno.readTextFile(path)).split("\n").entries()) {
      const line = [...text.matchAll(/`([^`]*)`/g)].map(([, span]) => span).join("\n");
      yield { where: `${relative(root, path)}:${at + 1}`, line };
    }
  }
  for (const folder of ["lib", "scripts"]) {
    for await (const path of files(join(root, folder), /\.ts$/)) {
      if (path.endsWith("foundry_cli.ts")) continue; // the table of both generations, tested below
      for (const [at, text] of (await Deno.readTextFile(path)).split("\n").entries()) {
        if (/^\s*(\/?\*|\/\/)/.test(text) || !/["'`].*foundry |^\s*`?.*foundry .*`/.test(text)) continue;
        yield { where: `${relative(root, path)}:${at + 1}`, line: text };
      }
    }
  }
}

Deno.test("each action is a command of its generation", () => {
  const actions: Parameters<typeof cliCommand>[1][] = [
    "start",
    "status",
    "run",
    "download",
    "load",
    "cached",
    "catalogue",
    "cache folder",
  ];
  const has = (words: Parameters<typeof cliCommand>[0], list: readonly string[]) => {
    for (const action of actions) {
      assert.ok(list.includes(cliCommand(words, action).replace("foundry ", "")), `${words}: ${action}`);
    }
  };
  has("service", older);
  has("server", newer);
  has(null, newer);
});

Deno.test("every command of the pages and messages is known, and comes with its twin of the other generation", async () => {
  const faults: string[] = [];
  let seen = 0;
  for await (const { where, line } of lines()) {
    const commands = commandsIn(line);
    seen += commands.length;
    for (const command of commands) {
      if (!known.includes(command)) faults.push(`${where}: foundry ${command} is in no reference`);
      if (course.includes(command) && !where.includes("workshop")) {
        faults.push(`${where}: foundry ${command} is the course's word only`);
      }
      const twin = same.find((pair) => pair.includes(command))?.find((each) => each !== command);
      if (twin !== undefined && !commands.includes(twin)) {
        faults.push(`${where}: foundry ${command} without foundry ${twin}`);
      }
    }
  }
  assert.ok(seen > 15, `only ${seen} commands were seen: the test reads nothing`);
  assert.deepEqual(faults, []);
});

Deno.test("arguments are no part of a command, and an unknown one is seen", () => {
  assert.deepEqual(commandsIn("foundry model run phi-4-mini, foundry run NAME, foundry cache pwd"), [
    "model run",
    "run",
    "cache pwd",
  ]);
});
