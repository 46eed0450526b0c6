/** The recorded lessons in docs/lessons: they say what the notebooks say today, and nothing of the machine that ran them. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parsePercent, toIpynb } from "../../scripts/notebook/files.ts";
import { lessonFaults, lessonOf, pathsIn, writeLesson } from "../../scripts/notebook/lessons.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const lessons = join(root, "docs", "lessons");

Deno.test("docs/lessons says what the notebooks say today (else: deno task notebook export)", async () => {
  assert.deepEqual(await lessonFaults(join(root, "notebooks"), lessons), []);
});

Deno.test("the recorded lessons are small, and each figure has a ground of its own", async () => {
  let bytes = 0;
  for (const folder of [lessons, join(lessons, "images")]) {
    for await (const { name, isFile } of Deno.readDir(folder)) {
      if (!isFile) continue;
      const text = await Deno.readTextFile(join(folder, name));
      bytes += text.length;
      if (name.endsWith(".svg")) assert.match(text, /^<svg[^>]*>\s*<rect [^>]*fill="#ffffff"/, name);
    }
  }
  assert.ok(bytes < 3_000_000, `${bytes} bytes`);
});

const source = `// %% [markdown]
// # Title
//
// See [fidelity](../docs/fidelity.md).

// %% figures=1
run.table();

// %% jupyter={"source_hidden": true}
// Solution 1
1 + 1;
`;

/** The source, executed: a table and a figure, then a number. */
function executed() {
  const notebook = JSON.parse(toIpynb(parsePercent(source, "01_x.ts")));
  const html = (text: string) => ({ output_type: "display_data", data: { "text/html": text } });
  notebook.cells[1].outputs = [
    html(
      "<table><caption>n = 2</caption><thead><tr><th>model</th><th style='text-align:right'>s</th></tr></thead>" +
        "<tbody><tr><td>a|b_c `x` &lt;i&gt;</td><td>1</td></tr></tbody></table>",
    ),
    html(
      '<figure><svg viewBox="0 0 420 100"><text>x</text></svg><figcaption><strong>Times.</strong> n = 2</figcaption></figure>',
    ),
  ];
  notebook.cells[2].outputs = [{ output_type: "execute_result", data: { "text/plain": "2" } }];
  return notebook;
}

Deno.test("tables, figures, folded solutions and text become Markdown that can't be taken for markup", () => {
  const { text, figures } = lessonOf("01_x", parsePercent(source, "01_x.ts"), executed());
  assert.match(text, /\| a&#124;b_c &#96;x&#96; &#60;i&#62; \| 1 \|\n\n_n = 2_/);
  assert.match(text, /\| --- \| --: \|/);
  assert.match(text, /!\[Times\]\(images\/01-1\.svg\)\n\n\*\*Times\.\*\* n = 2/);
  assert.match(
    text,
    /<details><summary>Solution 1<\/summary>\n\n```typescript[\s\S]*```text\n2\n```[\s\S]*<\/details>/,
  );
  assert.match(text, /\[fidelity\]\(\.\.\/fidelity\.md\)/);
  assert.match(figures.get("01-1.svg") ?? "", /width="700" height="195"/);
});

Deno.test("an edited notebook, a lost figure, a stray file and a path of a machine are faults", async () => {
  const folder = await Deno.makeTempDir();
  const [notebooks, out] = [join(folder, "notebooks"), join(folder, "lessons")];
  try {
    await Deno.mkdir(notebooks);
    const ship = (text: string) => Deno.writeTextFile(join(notebooks, "01_x.ts"), text);
    await ship(source);
    assert.match((await lessonFaults(notebooks, out)).join(), /01_x\.md is missing/);
    await writeLesson(out, "01_x", lessonOf("01_x", parsePercent(source, "01_x.ts"), executed()));
    assert.deepEqual(await lessonFaults(notebooks, out), []);

    for (const edited of [source.replace("# Title", "# Another title"), source.replace("1 + 1", "1 + 2")]) {
      await ship(edited);
      assert.match((await lessonFaults(notebooks, out)).join(), /not what the notebook says today/);
    }
    await ship(source);
    await Deno.rename(join(out, "images", "01-1.svg"), join(out, "images", "old.svg"));
    assert.deepEqual(await lessonFaults(notebooks, out), [
      `${join("images", "old.svg")} belongs to no lesson`,
      `${join("images", "01-1.svg")} is missing`,
    ]);
    await Deno.rename(join(out, "images", "old.svg"), join(out, "images", "01-1.svg"));
    const page = join(out, "01_x.md");
    await Deno.writeTextFile(
      page,
      (await Deno.readTextFile(page)).replace("n = 2", "kept in /home/ana/runs now"),
    );
    assert.deepEqual(await lessonFaults(notebooks, out), [
      "01_x.md names a folder of a machine: /home/ana/runs",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("addresses and relative paths are no folders of a machine", () => {
  assert.deepEqual(pathsIn("http://127.0.0.1:80/v1, reports/2026, a/b, and /v1/models"), []);
  assert.deepEqual(pathsIn(String.raw`C:\Users\ana\x and (/tmp/y)`), [String.raw`C:\Users\ana\x`, "/tmp/y"]);
});
