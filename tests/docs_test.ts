/** What README and docs promise: every link, task, flag and code span is sound. */
import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

async function* pages(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.startsWith(".") || entry.name === "reports" || entry.name === "node_modules") continue;
    if (entry.name === "podium-pack") continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* pages(path);
    else if (entry.name.endsWith(".md")) yield path;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** GitHub's anchor of a heading. */
const anchor = (heading: string) =>
  heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(/\s/g, "-");

const headings = (text: string) => [...text.matchAll(/^#+\s+(.*)$/gm)].map((match) => anchor(match[1] ?? ""));

Deno.test("every relative link in the pages leads somewhere", async () => {
  const dead: string[] = [];
  let seen = 0;
  for await (const page of pages(root)) {
    const text = (await Deno.readTextFile(page)).replaceAll(/```[\s\S]*?```/g, "").replaceAll(
      /`[^`\n]*`/g,
      "",
    );
    for (const match of text.matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)) {
      const target = match[1] ?? match[2] ?? "";
      if (/^[a-z]+:/.test(target)) continue;
      seen++;
      const [file = "", fragment] = target.split("#");
      const path = file === "" ? page : join(dirname(page), decodeURIComponent(file));
      const name = `${relative(root, page)}: ${target}`;
      if (!await exists(path)) dead.push(name);
      else if (fragment !== undefined && path.endsWith(".md")) {
        if (!headings(await Deno.readTextFile(path)).includes(fragment)) dead.push(name);
      }
    }
  }
  assert.ok(seen > 0, "no link was seen: the test reads nothing");
  assert.deepEqual(dead, []);
});

Deno.test("every file of the project that a code span names is there", async () => {
  const gone: string[] = [];
  let seen = 0;
  for await (const page of pages(root)) {
    const spans = (await Deno.readTextFile(page)).matchAll(
      /`((?:lib|scripts|tests|benchmarks|notebooks|prompts|docs|adapters|packaging)\/[\w./-]+\.\w+|mod\.ts|deno\.json)`/g,
    );
    for (const [, file = ""] of spans) {
      seen++;
      // NN and NAME stand for any number and name.
      if (!/NN|NAME/.test(file) && !await exists(join(root, file))) {
        gone.push(`${relative(root, page)}: ${file}`);
      }
    }
  }
  assert.ok(seen > 30, "hardly a file was named: the test reads nothing");
  assert.deepEqual(gone, []);
});

Deno.test("every page of docs is reached from the README by links", async () => {
  const seen = new Set<string>();
  const follow = async (page: string) => {
    if (seen.has(page)) return;
    seen.add(page);
    for (const [, target = ""] of (await Deno.readTextFile(page)).matchAll(/\]\(([^)\s#:]+\.md)/g)) {
      const path = join(dirname(page), target);
      if (await exists(path)) await follow(path);
    }
  };
  await follow(join(root, "README.md"));
  const lost: string[] = [];
  for await (const page of pages(join(root, "docs"))) if (!seen.has(page)) lost.push(relative(root, page));
  assert.deepEqual(lost, []);
});

Deno.test("every code span and code block is closed, on the line on which it begins", async () => {
  const broken: string[] = [];
  let seen = 0;
  for await (const page of pages(root)) {
    const { spans, faults } = codeSpans(await Deno.readTextFile(page));
    seen += spans;
    broken.push(...faults.map((fault) => `${relative(root, page)}:${fault}`));
  }
  assert.ok(seen > 100, "hardly a code span was seen: the test reads nothing");
  assert.deepEqual(broken, []);
});

Deno.test("a code span that is broken over two lines, or never closed, is found", () => {
  assert.deepEqual(codeSpans("one `a` and ``b ` c``").faults, []);
  assert.deepEqual(codeSpans("```\nlet a = `x\n```").faults, []);
  assert.deepEqual(codeSpans("fine\n`foundry service\nstatus`").faults.length, 2);
  assert.deepEqual(codeSpans("```\nnever closed").faults, ["1: code block is never closed"]);
});

/** Counts the code spans of a page; a span opens and closes with the same number of backticks, on one line. */
function codeSpans(text: string): { spans: number; faults: string[] } {
  const faults: string[] = [];
  let spans = 0;
  let fence: { mark: string; line: number } | null = null;
  for (const [at, line] of text.split("\n").entries()) {
    const mark = /^\s*(`{3,})/.exec(line)?.[1];
    if (fence !== null) {
      if (mark?.startsWith(fence.mark) && line.trim() === mark) fence = null;
      continue;
    }
    if (mark !== undefined && !line.trim().slice(mark.length).includes("`")) {
      fence = { mark, line: at + 1 };
      continue;
    }
    // In prose a backslash takes a backtick its meaning; inside a span it has none.
    const rest = line.replaceAll("\\`", "").replaceAll(/(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)/g, () => {
      spans++;
      return "";
    });
    if (rest.includes("`")) faults.push(`${at + 1}: code span is not closed: ${line.trim().slice(0, 60)}`);
  }
  if (fence !== null) faults.push(`${fence.line}: code block is never closed`);
  return { spans, faults };
}

/** One permission as the table words it: nothing, everything, or what it is limited to. */
function worded(command: string, kind: "read" | "write" | "net" | "run"): string {
  const flag = kind === "run"
    ? /--allow-run(?:=(\S+))?(?=\s)/.exec(command)
    : new RegExp(`\\s-(?:[RWESN]*${kind[0]?.toUpperCase()}[RWESN]*(?=\\s)|${kind[0]?.toUpperCase()}=(\\S+))`)
      .exec(command);
  if (flag === null) return "–";
  if (flag[1] === undefined) return "yes";
  return flag[1] === "127.0.0.1" ? "loopback" : flag[1].split(",").join(", ");
}

Deno.test("the table of permissions says what deno.json grants to every task", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  const page = await Deno.readTextFile(join(root, "docs", "permissions.md"));
  const section = /# What each task may do\n([\s\S]*?)\n## /.exec(page)?.[1] ?? "";
  const rows = section.split("\n").filter((line) => /^\| (?!task |---)/.test(line))
    .map((line) => line.split("|").slice(1, 6).map((cell) => cell.replaceAll("`", "").trim()));
  const named = new Map(
    rows.flatMap(([names = "", ...cells]) => names.split(", ").map((name) => [name, cells])),
  );
  const lies: string[] = [];
  let seen = 0;
  for (const [task, { command }] of Object.entries<{ command: string }>(tasks)) {
    // A task that starts other tasks has no permissions of its own, nor have Deno's own tools.
    if (!/^deno (run|test) /.test(command)) continue;
    const cells = named.get(task) ??
      (task.startsWith("workshop:") ? named.get("other workshop mirrors") : undefined);
    if (cells === undefined) {
      lies.push(`${task}: has no row`);
      continue;
    }
    seen++;
    for (const [at, kind] of (["read", "write", "net", "run"] as const).entries()) {
      const granted = worded(command, kind);
      if (cells[at] !== granted) {
        lies.push(`${task}, ${kind}: the table says ${cells[at]}, deno.json ${granted}`);
      }
    }
  }
  assert.ok(seen > 10, "hardly a task was seen: the test reads nothing");
  assert.deepEqual(lies, []);
});

Deno.test("README's tree names every folder and file at the top, every part of lib, and no other", async () => {
  const readme = await Deno.readTextFile(join(root, "README.md"));
  const tree = /## Where things are\n\n```\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const named = new Set(
    tree.split("\n").map((line) => line.split(/\s+/)[0] ?? "").filter((name) => name !== ""),
  );
  for (const name of named) assert.ok(await exists(join(root, name)), `${name} is in the tree and not there`);
  const wanted: string[] = [];
  for (const folder of ["", "lib/"]) {
    for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
      if (name.startsWith(".") || /^(README|LICENSE|node_modules$|podium-pack$)/.test(name)) continue;
      if (isDirectory) wanted.push(`${folder}${name}/`);
      else if (folder === "") wanted.push(name);
    }
  }
  const parts = [...named].some((name) => name.startsWith("lib/"));
  assert.deepEqual(wanted.filter((name) => !named.has(name) && !(parts && name === "lib/")), []);
});

const tour = () => Deno.readTextFile(join(root, "docs", "tour.md"));

/** The project's TypeScript files, relative to its root. */
async function programFiles(folder = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (/^(\.|node_modules$|podium-pack$|reports$)/.test(name)) continue;
    if (isDirectory) found.push(...await programFiles(path));
    else if (name.endsWith(".ts")) found.push(path);
  }
  return found;
}

Deno.test("the tour names every folder, the arrows that a test holds, and has at most 250 lines", async () => {
  const text = await tour();
  const arrows = /```\nstats[\s\S]*?```/.exec(text)?.[0] ?? "";
  const folders = async (folder: string) => {
    const entries = await Array.fromAsync(Deno.readDir(join(root, folder)));
    return entries.filter(({ name, isDirectory }) =>
      isDirectory && !/^(\.|node_modules$|podium-pack$)/.test(name)
    )
      .map(({ name }) => name);
  };
  for (const name of await folders("")) {
    assert.ok(name === "lib" || text.includes(`\`${name}\``), `the tour lacks ${name}`);
  }
  for (const name of await folders("lib")) {
    assert.ok(text.includes(`\`lib/${name}`), `the table of folders lacks lib/${name}`);
    assert.match(arrows, new RegExp(`\\b${name}\\b`), `the arrows lack ${name}`);
  }
  assert.ok(text.trimEnd().split("\n").length <= 250, "the tour is too long for half an hour");
});

Deno.test("every file that the tour names is there, and declares the functions named behind it", async () => {
  const files = await programFiles();
  const wrong: string[] = [];
  let seen = 0;
  // A link or a code span, then names in code: [x.ts](../lib/x.ts) `a`, `b` or `x.ts` `a`.
  const named = /(?:\]\(\.\.\/([\w./]+\.ts)\)|`([\w./]+\.ts)`)((?:(?:,|\s|and)*`#?[a-zA-Z]\w*`)*)/g;
  for (const [, link, span = "", names = ""] of (await tour()).matchAll(named)) {
    const file = link ?? span;
    if (/NN|NAME|^_/.test(file)) continue;
    const same = files.filter((path) => path === file || path.endsWith(`/${file}`));
    if (same.length === 0) wrong.push(`${file} is not there`);
    const code = (await Promise.all(same.map((path) => Deno.readTextFile(join(root, path))))).join("\n");
    for (const [, name = ""] of names.matchAll(/`#?(\w+)`/g)) {
      seen++;
      const declared = new RegExp(
        `\\b(?:function\\*?|const|class|interface|type) ${name}\\b|^  (?:static |abstract |async )*#?${name}\\(`,
        "m",
      );
      if (!declared.test(code)) wrong.push(`${file} declares no ${name}`);
    }
  }
  assert.ok(seen > 80, `only ${seen} functions were seen`);
  // A name without a file: somewhere.
  const all = (await Promise.all(files.map((path) => Deno.readTextFile(join(root, path))))).join("\n");
  for (const [, name = ""] of (await tour()).matchAll(/`#?([a-z]+[A-Z]\w*)`/g)) {
    if (!new RegExp(`\\b${name}\\b`).test(all)) wrong.push(`${name} is nowhere`);
  }
  assert.deepEqual(wrong, []);
});

Deno.test("README has fewer than 200 lines", async () => {
  const lines = (await Deno.readTextFile(join(root, "README.md"))).trimEnd().split("\n").length;
  assert.ok(lines < 200, `${lines} lines`);
});

/** Phrases that are no English, or name nobody: they had come in by translation. */
const foreign =
  /stands? beside|is borne|\bwhoever\b|\bof ours\b|figures can carry|nobody here|unless (?:it|they) (?:is|are) told|what came of|is no command/i;

Deno.test("no page, comment or message has a phrase that was translated word by word", async () => {
  const found: string[] = [];
  const look = async (path: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(join(root, path))) {
      const file = `${path}/${name}`;
      if (file === "notebooks/mine" || file === "docs/lessons") continue;
      if (isDirectory) await look(file);
      else if (/\.(ts|md)$/.test(name)) {
        const lines = (await Deno.readTextFile(join(root, file))).split("\n");
        lines.forEach((line, at) => foreign.test(line) && found.push(`${file}:${at + 1}: ${line.trim()}`));
      }
    }
  };
  for (const folder of ["lib", "scripts", "benchmarks", "docs", "notebooks", "packaging"]) await look(folder);
  for (const file of ["README.md", "mod.ts"]) {
    const text = await Deno.readTextFile(join(root, file));
    if (foreign.test(text)) found.push(file);
  }
  assert.deepEqual(found, []);
});
