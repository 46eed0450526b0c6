/** The layout's promises that no compiler holds: who may import whom, and what lib/ never touches. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { dirname, join, relative } from "node:path";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Which folders of lib/ each folder may import; `.` stands for the files directly in lib/. */
const allowed: Record<string, readonly string[]> = {
  ".": [],
  stats: [],
  prompts: ["."],
  catalog: [".", "stats", "prompts"],
  endpoint: [".", "stats", "prompts"],
  engine: [".", "stats", "prompts", "catalog", "endpoint"],
  bench: [".", "stats", "prompts", "catalog", "endpoint", "engine"],
  quality: [".", "stats", "prompts", "catalog", "endpoint", "engine", "bench"],
  select: [".", "stats", "prompts", "catalog", "endpoint", "engine", "bench", "quality"],
  serve: [".", "stats", "prompts", "catalog", "endpoint", "engine", "bench", "quality", "select"],
  plot: [".", "stats", "prompts", "catalog", "endpoint", "engine", "bench", "quality", "select", "serve"],
  report: [
    ".",
    "stats",
    "prompts",
    "catalog",
    "endpoint",
    "engine",
    "bench",
    "quality",
    "select",
    "serve",
    "plot",
  ],
};

/** What lib/ must be handed instead of taking it. The engine's own program is the one place that is a program. */
const forbidden: readonly { pattern: RegExp; why: string }[] = [
  { pattern: /\bconsole\./, why: "lib/ never prints" },
  { pattern: /\bDeno\.env\b|\bprocess\.env\b/, why: "lib/ never reads the environment" },
  { pattern: /\bDeno\.jupyter\b/, why: "Deno.jupyter throws outside the kernel" },
  { pattern: /\bDate\.now\(|\bperformance\.now\(/, why: "the clock is handed in" },
  { pattern: /\bMath\.random\(/, why: "the random source is handed in" },
];
/** Programs that live in lib/ because they run in a process of their own. */
const programs = new Set([
  "lib/engine/process.ts",
  "lib/engine/adapter_process.ts",
  "lib/engine/adapter_worker.ts",
]);

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* sources(path);
    else if (entry.name.endsWith(".ts")) yield path;
  }
}

const posix = (path: string) => relative(root, path).replaceAll("\\", "/");

/** Comments out, so that an example in a doc comment breaks no rule. */
const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");

function importsOf(text: string): string[] {
  const found = code(text).matchAll(/(?:from\s+|import\s*\(\s*|import\s+)["']([^"']+)["']/g);
  return [...found].map((match) => match[1] ?? "");
}

Deno.test("imports in lib/ follow the arrows", async () => {
  const broken: string[] = [];
  let seen = 0;
  for await (const file of sources(join(root, "lib"))) {
    const name = posix(file);
    const parts = name.split("/");
    const folder = parts.length === 2 ? "." : parts[1] ?? "";
    const may = allowed[folder];
    assert.ok(may !== undefined, `${name}: folder ${folder} has no place in the layout`);
    for (const specifier of importsOf(await Deno.readTextFile(file))) {
      if (!specifier.startsWith(".")) continue;
      seen++;
      const target = posix(join(dirname(file), specifier)).split("/");
      // The project's own configuration: its version, and the engine's.
      if (target.join("/") === "deno.json") continue;
      const targetFolder = target[0] !== "lib" ? "outside lib" : target.length === 2 ? "." : target[1] ?? "";
      if (targetFolder !== folder && !may.includes(targetFolder)) {
        broken.push(`${name} imports ${target.join("/")}`);
      }
    }
  }
  assert.ok(seen > 0, "no import was seen: the test reads nothing");
  assert.deepEqual(broken, []);
});

Deno.test("nothing imports scripts or notebooks", async () => {
  const broken: string[] = [];
  for (const folder of ["lib", "tests"]) {
    for await (const file of sources(join(root, folder))) {
      for (const specifier of importsOf(await Deno.readTextFile(file))) {
        if (!specifier.startsWith(".")) continue;
        const target = posix(join(dirname(file), specifier));
        if (/^(scripts|notebooks)\//.test(target) && folder === "lib") {
          broken.push(`${posix(file)} -> ${target}`);
        }
      }
    }
  }
  assert.deepEqual(broken, []);
});

Deno.test("lib/ takes nothing from its surroundings", async () => {
  const broken: string[] = [];
  for await (const file of sources(join(root, "lib"))) {
    if (programs.has(posix(file))) continue;
    const text = code(await Deno.readTextFile(file));
    for (const { pattern, why } of forbidden) {
      if (pattern.test(text)) broken.push(`${posix(file)}: ${why}`);
    }
  }
  assert.deepEqual(broken, []);
});
