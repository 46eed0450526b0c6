/** A learner's copies: changed ones are never touched, unchanged ones follow the shipped notebooks. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeCopies, writeCopy } from "../../scripts/notebook/copies.ts";
import { notebookNames } from "../../scripts/notebook/files.ts";

/** A folder with one notebook, and what a learner and Podium do with it. */
async function withNotebook(
  work: (notebooks: string, does: {
    ship: (code: string) => Promise<void>;
    copy: () => Promise<string>;
    edit: (from: string, to: string) => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const notebooks = await Deno.makeTempDir();
  const path = join(join(notebooks, "mine"), "01_x.ipynb");
  try {
    await work(notebooks, {
      ship: (code) =>
        Deno.writeTextFile(
          join(notebooks, "01_x.ts"),
          `// %% [markdown]\n// # First steps\n\n// %%\n${code}\n`,
        ),
      copy: () => Deno.readTextFile(path),
      edit: async (from, to) => Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace(from, to)),
    });
  } finally {
    await Deno.remove(notebooks, { recursive: true });
  }
}

Deno.test("an unchanged copy follows the shipped notebook, outputs or not", async () => {
  await withNotebook(async (notebooks, { ship, copy, edit }) => {
    await ship("1 + 1;");
    assert.deepEqual(await makeCopies(notebooks, join(notebooks, "mine")), []);
    await edit('"outputs": []', '"outputs": [{ "output_type": "stream", "name": "stdout", "text": "2" }]');
    await ship("2 + 2;");
    assert.deepEqual(await makeCopies(notebooks, join(notebooks, "mine")), []);
    assert.match(await copy(), /2 \+ 2;/);
  });
});

Deno.test("a changed copy is left alone, named where Podium's is newer, and can be reset", async () => {
  await withNotebook(async (notebooks, { ship, copy, edit }) => {
    await ship("1 + 1;");
    await makeCopies(notebooks, join(notebooks, "mine"));
    await edit("1 + 1;", "40 + 2;");
    assert.deepEqual(await makeCopies(notebooks, join(notebooks, "mine")), []);
    await ship("2 + 2;");
    assert.deepEqual(await makeCopies(notebooks, join(notebooks, "mine")), ["01_x"]);
    assert.match(await copy(), /40 \+ 2;/);
    await writeCopy(notebooks, join(notebooks, "mine"), "01_x");
    assert.match(await copy(), /2 \+ 2;/);
    assert.deepEqual(await makeCopies(notebooks, join(notebooks, "mine")), []);
  });
});

Deno.test("the start page links every notebook by its title", async () => {
  await withNotebook(async (notebooks, { ship }) => {
    await ship("1 + 1;");
    await makeCopies(notebooks, join(notebooks, "mine"));
    const page = await Deno.readTextFile(join(join(notebooks, "mine"), "START.md"));
    assert.match(page, /\[First steps\]\(01_x\.ipynb\)/);
  });
});

Deno.test("START says of every shipped notebook what it is about and how long it takes; no .ts twin is copied", async () => {
  const notebooks = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "notebooks");
  const copies = await Deno.makeTempDir();
  try {
    await makeCopies(notebooks, copies);
    const page = await Deno.readTextFile(join(copies, "START.md"));
    const names = await notebookNames(notebooks);
    for (const name of names) {
      assert.match(
        page,
        new RegExp(`\\| \\[[^\\]]+\\]\\(${name}\\.ipynb\\) \\| \\d+ \\| \\S.{20,}[.?!] \\|`),
        name,
      );
    }
    const shown = (await Array.fromAsync(Deno.readDir(copies))).map(({ name }) => name);
    assert.deepEqual(
      shown.filter((name) => !name.startsWith(".")).sort(),
      ["START.md", ...names.map((name) => `${name}.ipynb`)].sort(),
    );
  } finally {
    await Deno.remove(copies, { recursive: true });
  }
});
