/** The two forms of a notebook: what the percent form says, and that no pair has drifted apart. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkSyntax, derive, notebookNames, parsePercent, toIpynb } from "../../scripts/notebook/files.ts";

const here = dirname(fileURLToPath(import.meta.url));
const notebooks = join(here, "..", "..", "notebooks");

Deno.test("every .ipynb is what its .ts says, without outputs", async () => {
  for (const name of await notebookNames(notebooks)) {
    const stored = await Deno.readTextFile(join(notebooks, `${name}.ipynb`));
    assert.ok(
      stored === await derive(notebooks, name),
      `${name}.ipynb and ${name}.ts differ: edit the .ts and run deno task notebooks:sync`,
    );
  }
});

Deno.test("no .ipynb is without its .ts", async () => {
  const names = await notebookNames(notebooks);
  for await (const { name } of Deno.readDir(notebooks)) {
    if (name.endsWith(".ipynb")) {
      assert.ok(names.includes(name.replace(/\.ipynb$/, "")), `${name} has no source`);
    }
  }
});

Deno.test("every cell of every notebook is TypeScript by itself", async () => {
  for (const name of await notebookNames(notebooks)) await checkSyntax(notebooks, name);
});

Deno.test("cells, their kinds and their options are read", () => {
  const text = [
    "// A head that belongs to no cell.",
    "// %% [markdown]",
    "// # Title",
    "//",
    "// - a *list*",
    "",
    '// %% figures=1 jupyter={"source_hidden": true, "outputs_hidden": true}',
    "const a = 1;",
    "",
    "a;",
    "",
  ].join("\r\n");
  assert.deepEqual(parsePercent(text, "x.ts"), [
    { type: "markdown", source: "# Title\n\n- a *list*", metadata: {} },
    {
      type: "code",
      source: "const a = 1;\n\na;",
      metadata: { figures: 1, jupyter: { source_hidden: true, outputs_hidden: true } },
    },
  ]);
});

Deno.test("a percent file that can't be read says where and why", () => {
  assert.throws(() => parsePercent("const a = 1;", "x.ts"), /x\.ts: no line starts a cell/);
  assert.throws(
    () => parsePercent("// %% [markdown]\n// Text\nlet a;", "x.ts"),
    /x\.ts, cell at line 1: a markdown cell holds only comment lines, not "let a;"/,
  );
  assert.throws(
    () => parsePercent("// %%\n// %% figures=one", "x.ts"),
    /line 2: option "figures=one" is not/,
  );
  assert.throws(() => parsePercent("// %% hidden", "x.ts"), /option "hidden" is not key=JSON/);
});

Deno.test("property: the .ipynb holds the source of every cell, and no output", () => {
  const line = fc.stringMatching(/^[a-z]{1,9}$/);
  fc.assert(
    fc.property(fc.array(fc.array(line, { minLength: 1, maxLength: 4 }), { minLength: 1 }), (bodies) => {
      const text = bodies.map((lines) => `// %%\n${lines.join("\n")}\n`).join("\n");
      const notebook = JSON.parse(toIpynb(parsePercent(text, "x.ts")));
      assert.deepEqual(
        notebook.cells.map((cell: { source: string[] }) => cell.source.join("")),
        bodies.map((lines) => lines.join("\n")),
      );
      for (const cell of notebook.cells) {
        assert.deepEqual(cell.outputs, []);
        assert.equal(cell.execution_count, null);
      }
    }),
  );
});

Deno.test("a cell with a syntax error is found before it is run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "01_x.ts"), "// %%\nconst a = 1;\n\n// %%\nconst b = (\n");
    await assert.rejects(checkSyntax(folder, "01_x"), /01_x, cell 2: SyntaxError: /);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
