/** The commands of README and docs that need no model and no network are run as they stand there. */
import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { findModel, loadRegistry } from "../lib/catalog/registry.ts";
import { RECORDED_RUN } from "../scripts/pack/tree.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** README and docs, by their name. */
async function pages(): Promise<Map<string, string>> {
  const paths = [join(root, "README.md")];
  for await (const { name } of Deno.readDir(join(root, "docs"))) {
    if (name.endsWith(".md")) paths.push(join(root, "docs", name));
  }
  const texts = paths.map(async (path) => [relative(root, path), await Deno.readTextFile(path)] as const);
  return new Map(await Promise.all(texts));
}

/** Every `deno task …` of a page, from fences and from code between backticks, continued lines joined. */
function commands(text: string): string[] {
  const joined = text.replaceAll(/\\\n\s*/g, "");
  return [...joined.matchAll(/deno task ([^`\n|;]+)/g)]
    .map(([, rest = ""]) => rest.replace(/\s+#.*$/, "").replace(/\s{2,}.*$/, "").trim());
}

/** What needs no model, no network and changes nothing but the folder of runs. */
const runnable = [
  /^models (list|fit|cache)\b(?!.*\bNAME\b)/,
  new RegExp(`^report ${RECORDED_RUN}$`),
  new RegExp(`^race --replay ${RECORDED_RUN}( --by \\w+)?$`),
  /^race --simulate [-\w.,\s]+$/,
  /^test:arrows$/,
];

Deno.test("commands of the pages that need no model end well", async () => {
  const wanted = new Set<string>();
  for (const text of (await pages()).values()) {
    for (const command of commands(text)) {
      if (runnable.some((shape) => shape.test(command))) wanted.add(command);
    }
  }
  assert.ok(wanted.size >= 6, `only these were found: ${[...wanted].join("; ")}`);
  const out = await Deno.makeTempDir({ prefix: "podium-docs-" });
  try {
    const copy = join(out, RECORDED_RUN);
    await Deno.mkdir(copy);
    for await (const { name } of Deno.readDir(join(root, "reports", RECORDED_RUN))) {
      await Deno.copyFile(join(root, "reports", RECORDED_RUN, name), join(copy, name));
    }
    const failed: string[] = [];
    for (const command of wanted) {
      const args = command.split(/\s+/);
      const elsewhere = /^(report|race)$/.test(args[0] ?? "") ? ["--out", out] : [];
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["task", "--quiet", ...args, ...elsewhere],
        cwd: root,
        env: { NO_COLOR: "1" },
        stdout: "null",
      }).output();
      if (code !== 0) {
        failed.push(`${command}: exit code ${code}, ${new TextDecoder().decode(stderr).trim()}`);
      }
    }
    assert.deepEqual(failed, []);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("every model that a command of the pages names is in the registry", async () => {
  const registry = await loadRegistry(join(root, "models.json"));
  const unknown: string[] = [];
  let seen = 0;
  for (const [page, text] of await pages()) {
    for (const command of commands(text)) {
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
