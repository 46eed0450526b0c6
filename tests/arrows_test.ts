/** The layout's promises that no compiler holds: who may import whom, no circles, and what lib/ never touches. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { dirname, join, relative } from "node:path";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * The folders of lib/, from the ground up: a folder may import from lines above its own, and what `beside` names
 * on its own line. `lib` stands for the files directly in lib/.
 */
const layers: readonly { readonly folders: readonly string[]; readonly beside?: Record<string, string[]> }[] =
  [
    { folders: ["lib"] },
    { folders: ["lib/stats", "lib/prompts"] },
    // The server's side of the protocol reads the message types that the client's side defines.
    { folders: ["lib/catalog", "lib/endpoint", "lib/openai"], beside: { "lib/openai": ["lib/endpoint"] } },
    { folders: ["lib/services", "lib/engine", "lib/adapter", "lib/selfcheck"] },
    { folders: ["lib/bench"] },
    { folders: ["lib/quality"] },
    { folders: ["lib/select/race"] },
    { folders: ["lib/select/decide"] },
    { folders: ["lib/select/route"] },
    { folders: ["lib/serve", "lib/fleet"] },
    { folders: ["lib/plot"] },
    { folders: ["lib/report"] },
    { folders: ["lib/web"] },
    // What the public functions return: results that show themselves.
    { folders: ["lib/results"] },
    { folders: ["mod.ts"] },
  ];

/** `lib/engine/direct/x.ts` belongs to `lib/engine`; only select's parts are folders of their own. */
function folderOf(file: string): string {
  const [top = "", second = "", third = ""] = file.split("/");
  if (top !== "lib") return file === "mod.ts" ? file : top;
  if (second.endsWith(".ts")) return top;
  return second === "select" && !third.endsWith(".ts") ? `${top}/${second}/${third}` : `${top}/${second}`;
}

function mayImport(folder: string, target: string): boolean {
  if (folder === target) return true;
  const level = layers.findIndex(({ folders }) => folders.includes(folder));
  const below = layers.findIndex(({ folders }) => folders.includes(target));
  assert.ok(level >= 0, `${folder} has no place in the layout`);
  return below >= 0 && (below < level || layers[level]?.beside?.[folder]?.includes(target) === true);
}

/** What lib/ must be handed instead of taking it. */
const forbidden: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: /\bconsole\./, why: "lib/ never prints" },
  { pattern: /\bDeno\.env\b|\bprocess\.env\b/, why: "lib/ never reads the environment" },
  { pattern: /\bDeno\.jupyter\b/, why: "Deno.jupyter throws outside the kernel" },
  { pattern: /\bDate\.now\(|\bperformance\.now\(/, why: "the clock is handed in" },
  { pattern: /\bMath\.random\(/, why: "the random source is handed in" },
];
/** Programs that live in lib/ because they run in a process of their own. */
const programs = new Set([
  "lib/engine/engine_program.ts",
  "lib/engine/text_program.ts",
  "lib/adapter/adapter_program.ts",
  "lib/adapter/adapter_worker.ts",
  "lib/selfcheck/fake_endpoint.ts",
  "lib/quality/code/test_program.ts",
]);

const posix = (path: string) => relative(root, path).replaceAll("\\", "/");

async function sources(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await sources(path));
    else if (name.endsWith(".ts")) found.push(path);
  }
  return found;
}

/** Comments out, so that an example in a doc comment breaks no rule. */
const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");

const PROGRAM_FOLDERS = ["scripts", "benchmarks", "notebooks"];
const exists = (path: string) => Deno.stat(join(root, path)).then(() => true, () => false);

const files = (await Promise.all(
  ["lib", "adapters", "tests", ...PROGRAM_FOLDERS].map(sources),
)).flat().concat(await exists("mod.ts") ? ["mod.ts"] : []);
const texts = new Map<string, string>();
for (const file of files) texts.set(file, await Deno.readTextFile(join(root, file)));

/** The project's files that a file imports, statically, dynamically or for a type alone. */
function importsIn(file: string, text: string): string[] {
  const found = code(text).matchAll(
    /(?:from\s+|import\s*\(\s*|import\s+)["']([^"']+)["']/g,
  );
  return [...found].map((match) => match[1] ?? "").flatMap((specifier) =>
    specifier === "podium"
      ? ["mod.ts"]
      : specifier.startsWith("podium/")
      ? [specifier.slice("podium/".length)]
      : specifier.startsWith(".")
      ? [posix(join(root, file, "..", specifier))]
      : []
  );
}
const imports = new Map([...texts].map(([file, text]) => [file, importsIn(file, text)]));

Deno.test("imports in lib/ and mod.ts follow the arrows", () => {
  let seen = 0;
  const broken: string[] = [];
  for (const [file, targets] of imports) {
    if (!file.startsWith("lib/") && file !== "mod.ts") continue;
    for (const target of targets) {
      seen++;
      // The project's own configuration: its version, and the engine's.
      if (target === "deno.json") continue;
      if (!mayImport(folderOf(file), folderOf(target))) broken.push(`${file} imports ${target}`);
    }
  }
  assert.ok(seen > 300, `only ${seen} imports were seen: the test does not read the code`);
  assert.deepEqual(broken, []);
});

/** Imports of a program's file from outside its folder, and of a test from anywhere but the tests. */
function strayImports(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const isStray = (file: string, target: string) => {
    const [[own = ""], [folder = ""]] = [file.split("/"), target.split("/")];
    // The tests share their helpers; a file of tests is nobody's helper.
    if (folder === "tests") return own !== "tests" || target.endsWith("_test.ts");
    if (!PROGRAM_FOLDERS.includes(folder) || own === folder || own === "tests") return false;
    // A lesson may use worlds that the benchmarks simulate, and a benchmark is a task like the scripts.
    return !(own === "notebooks" && folder === "benchmarks") &&
      !(own === "benchmarks" && folder === "scripts");
  };
  return [...graph].flatMap(([file, targets]) =>
    targets.filter((target) => isStray(file, target)).map((target) => `${file} imports ${target}`)
  );
}

Deno.test("nothing imports a test, and only their own folder and the tests import a program's files", () => {
  const ofTests = [...imports].filter(([file]) => file.startsWith("tests/"));
  const fromTests = ofTests.flatMap(([, targets]) => targets.filter((one) => one.startsWith("tests/")));
  assert.ok(ofTests.length > 150 && fromTests.length > 100, "the tests' own imports are not read");
  assert.deepEqual(strayImports(imports), []);
});

Deno.test("an import of a test is found in each folder, and so is one of a script", () => {
  const broken: [file: string, target: string][] = [
    ["lib/bench/run.ts", "tests/bench/fakes.ts"],
    ["mod.ts", "tests/fake_endpoint.ts"],
    ["scripts/bench.ts", "tests/bench/command.ts"],
    ["tests/bench/run_test.ts", "tests/bench/session_test.ts"],
    ["lib/bench/run.ts", "scripts/cli.ts"],
    ["notebooks/01_first.ts", "scripts/cli.ts"],
  ];
  const allowed: [file: string, target: string][] = [
    ["tests/bench/run_test.ts", "tests/bench/fakes.ts"],
    ["tests/bench/run_test.ts", "scripts/cli.ts"],
    ["benchmarks/race.ts", "scripts/cli.ts"],
    ["notebooks/01_first.ts", "benchmarks/race_cost.ts"],
  ];
  assert.deepEqual(
    [...broken, ...allowed].flatMap(([file, target]) => strayImports(new Map([[file, [target]]]))),
    broken.map(([file, target]) => `${file} imports ${target}`),
  );
});

Deno.test("imports of every kind are read: of values, of types alone, dynamic, and by the package's name", () => {
  const read = (text: string) => importsIn("tests/bench/x_test.ts", text);
  assert.deepEqual(
    read(
      `import { a } from "./fakes.ts";
       import type { B } from "../fake_endpoint.ts";
       import "./command.ts";
       export * from '../../scripts/cli.ts';
       await import("../../lib/bench/run.ts");
       import { bench } from "podium";
       import { c } from "podium/tests/serve/set_up.ts";
       /* import "./comment.ts" */ // import "./comment.ts"
       import { d } from "zod";`,
    ),
    [
      "tests/bench/fakes.ts",
      "tests/fake_endpoint.ts",
      "tests/bench/command.ts",
      "scripts/cli.ts",
      "lib/bench/run.ts",
      "mod.ts",
      "tests/serve/set_up.ts",
    ],
  );
});

Deno.test("no two types that are exported share a name", () => {
  const homes = new Map<string, string[]>();
  for (const file of files.filter((one) => !one.startsWith("tests/"))) {
    const found = code(texts.get(file) ?? "").matchAll(
      /^export (?:abstract )?(?:interface|type|class) (\w+)/gm,
    );
    for (const [, name = ""] of found) homes.set(name, [...homes.get(name) ?? [], file]);
  }
  assert.ok(homes.size > 300, `only ${homes.size} types were seen: the test does not read the code`);
  assert.deepEqual([...homes].filter(([, where]) => where.length > 1), []);
});

/**
 * Words that named several things at once, each with where it may still stand because it is the field's own. A
 * candidate is no arm, contender, desk, entry or seat, an endpoint no backend and no upstream.
 */
const retired: Readonly<Record<string, readonly string[]>> = {
  // A bandit's.
  arm: ["lib/select/route/", "lib/results/routing_evidence.ts", "scripts/route/"],
  arms: [
    "lib/select/route/",
    "lib/results/scored_run.ts",
    "lib/serve/gateway.ts",
    "scripts/route/",
    "benchmarks/router",
  ],
  // An English word that a pattern looks for.
  around: ["lib/quality/invented.ts"],
  asking: [],
  // ggml's functions.
  backend: ["lib/engine/direct/"],
  contender: [],
  contenders: [],
  desk: [],
  desks: [],
  // Of a folder, a legend, a log, and of the lists in which services name their models.
  entry: [
    "lib/catalog/",
    "lib/openai/model_server.ts",
    "lib/plot/figure.ts",
    "lib/selfcheck/",
    "lib/serve/gateway.ts",
    "lib/services/",
    "benchmarks/peers.ts",
  ],
  packing: [],
  seat: [],
  seats: [],
  upstream: [],
  weigh: [],
  weighing: [],
  weighs: [],
  // Simulated ones.
  world: ["lib/select/race/simulation.ts", "lib/plot/race.ts", "scripts/race/execute.ts", "benchmarks/"],
  worlds: ["benchmarks/"],
};

/** `modelEntry` and `MODEL_ENTRY` are made of `model` and `entry`. */
const wordsOf = (name: string) =>
  [...name.matchAll(/[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g)].map(([word]) => word.toLowerCase());

/** The names in code: no comments, no strings, and of template literals what they compute. */
const namesIn = (text: string) =>
  new Set(
    code(text).replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, "")
      .replaceAll(/`(?:[^`\\]|\\.)*`/g, (one) => one.match(/\$\{[^}]*\}/g)?.join(" ") ?? "")
      .match(/[A-Za-z_$][\w$]*/g) ?? [],
  );

Deno.test("retired words name nothing, in code and in the names of files", () => {
  const found = files.filter((file) => !/^(tests|notebooks|adapters)\//.test(file)).flatMap((file) =>
    [...namesIn(texts.get(file) ?? ""), file.split("/").at(-1)?.replace(/\.ts$/, "") ?? ""].flatMap((name) =>
      wordsOf(name).filter((word) =>
        Object.hasOwn(retired, word) && !retired[word]?.some((allowed) => file.startsWith(allowed))
      ).map((word) => `${file}: ${name} (${word})`)
    )
  );
  assert.deepEqual(found, []);
  const unused = Object.entries(retired).flatMap(([word, allowed]) =>
    allowed.filter((place) =>
      !files.some((file) =>
        file.startsWith(place) &&
        [...namesIn(texts.get(file) ?? "")].some((name) => wordsOf(name).includes(word))
      )
    ).map((place) => `${word} in ${place}`)
  );
  assert.deepEqual(unused, [], "permissions that nothing needs any more");
});

Deno.test("an exported type says what it holds, not that it is a place, a look or something asked", () => {
  const vague = files.filter((file) => !file.startsWith("tests/")).flatMap((file) =>
    [...code(texts.get(file) ?? "").matchAll(/^export (?:abstract )?(?:interface|type|class) (\w+)/gm)]
      .map(([, name = ""]) => name)
      .filter((name) =>
        /^(Ask(ed|ing)|Look|Places?|Room|Outcome|World|Job)$|(Place|Asked|Asking|Look)$/.test(name)
      )
      .map((name) => `${file}: ${name}`)
  );
  // `Job` is the facade's one class of that name.
  assert.deepEqual(vague, ["lib/results/job.ts: Job"]);
});

Deno.test("every function, constant and class that is exported has a user elsewhere, or an example that runs", () => {
  const users = new Map<string, Set<string>>();
  for (const [file, text] of texts) {
    for (const name of code(text).match(/[A-Za-z_$][\w$]*/g) ?? []) {
      users.set(name, (users.get(name) ?? new Set()).add(file));
    }
  }
  const idle = files.filter((file) => /^(lib|scripts|benchmarks)\//.test(file)).flatMap((file) =>
    [
      ...(texts.get(file) ?? "").matchAll(
        /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?export (?:async )?(?:function\*?|const|class) (\w+)/g,
      ),
    ]
      .filter(([, comment = "", name = ""]) => (users.get(name)?.size ?? 0) < 2 && !/```ts\n/.test(comment))
      .map(([, , name]) => `${file}: ${name}`)
  );
  assert.deepEqual(idle, []);
});

Deno.test("a file under 40 lines has two users: it would join a single one", async () => {
  const tasks = await Deno.readTextFile(join(root, "deno.json"));
  const lonely = files.filter((file) => {
    if (!/^(lib|scripts|benchmarks)\//.test(file) || programs.has(file) || tasks.includes(file)) return false;
    if ((texts.get(file) ?? "").split("\n").length - 1 >= 40) return false;
    return [...imports].filter(([user, targets]) => !user.startsWith("tests/") && targets.includes(file))
      .length < 2;
  });
  assert.deepEqual(lonely, []);
});

Deno.test("no files import each other in a circle, types included", () => {
  const circles = circlesIn(imports).map((circle) => circle.toSorted().join(" <-> "));
  assert.deepEqual(circles, []);
});

Deno.test("a circle of three files is found", () => {
  const graph = new Map([["a", ["b"]], ["b", ["c"]], ["c", ["a"]], ["d", ["a"]]]);
  assert.deepEqual(circlesIn(graph).map((circle) => circle.toSorted()), [["a", "b", "c"]]);
});

/** Groups of files that can reach each other (Tarjan 1972), those of one file left out. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string) => {
    order.set(file, order.size);
    low.set(file, order.size - 1);
    stack.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!order.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file) ?? 0, low.get(target) ?? 0));
    }
    if (low.get(file) !== order.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}

Deno.test("lib/ takes nothing from its surroundings", () => {
  const broken = files.filter((file) => file.startsWith("lib/") && !programs.has(file)).flatMap((file) => {
    const text = code(texts.get(file) ?? "");
    return forbidden.filter(({ pattern }) => pattern.test(text)).map(({ why }) => `${file}: ${why}`);
  });
  assert.deepEqual(broken, []);
});

Deno.test("long and short files are printed, for a second look", () => {
  const lines = files.filter((file) => /^(lib|scripts|benchmarks|mod\.ts)/.test(file))
    .map((file) => ({ file, lines: (texts.get(file) ?? "").split("\n").length - 1 }));
  const list = (title: string, some: typeof lines) =>
    console.log(
      `${title}: ${some.length}\n${some.map(({ file, lines }) => `  ${lines} ${file}`).join("\n")}`,
    );
  list("over 300 lines", lines.filter(({ lines }) => lines > 300));
  list("under 40 lines", lines.filter(({ lines }) => lines < 40));
  const total = (folder: string) =>
    lines.filter(({ file }) => file.startsWith(folder)).reduce((sum, { lines }) => sum + lines, 0);
  console.log(
    `lib/ ${total("lib/")} lines, scripts/ ${total("scripts/")}, benchmarks/ ${total("benchmarks/")}`,
  );
});
