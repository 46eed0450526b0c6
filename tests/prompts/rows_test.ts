import assert from "node:assert/strict";
import fc from "fast-check";
import { formatCsv } from "../../lib/csv.ts";
import { UserError } from "../../lib/errors.ts";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { decodeData, parseJsonLines, parseTable } from "../../lib/prompts/rows.ts";
import { inTempFolder } from "./temp_folder.ts";

const latin = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

Deno.test("whatever text stands in a table, it comes back, with the line it is on", () => {
  const cell = fc.string({ unit: fc.constantFrom("a", "é", '"', ",", ";", "\n", "\t", "'", "{{a}}", " ") });
  fc.assert(fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 8 }), (cells) => {
    const full = cells.map(([one, other]) => [`x${one}`, other]);
    const text = formatCsv(["a", "b"], full);
    const { columns, rows } = parseTable(text, "t.csv");
    assert.deepEqual(columns, ["a", "b"]);
    assert.deepEqual(rows.map(({ values }) => [values["a"], values["b"]]), full);
    for (const { place, values } of rows) {
      const line = Number(/line (\d+)/.exec(place)?.[1]);
      // The line begins as the cell does, behind a quotation mark or an apostrophe.
      const start = String(values["a"]).split("\n")[0]?.slice(0, 2) ?? "";
      assert.ok(text.split("\n")[line - 1]?.replaceAll('""', '"').includes(start), `${place} of ${text}`);
    }
  }));
});

Deno.test("tables of every country and program are read: separators, marks, encodings", () => {
  const bytes: [string, Uint8Array, number?][] = [
    ["t.csv", new TextEncoder().encode("\uFEFFtext,label\r\nGrüße,ok\r\n")],
    ["t.csv", new TextEncoder().encode("text;label\nGrüße;ok\n;\n")],
    ["t.tsv", new TextEncoder().encode("text\tlabel\nGrüße\tok")],
    ["t.csv", latin("text,label\nGr\xfc\xdfe,ok\n"), 1],
    [
      "t.csv",
      new Uint8Array([0xff, 0xfe, ...[..."text,label\nGrüße,ok"].flatMap((c) => [c.charCodeAt(0), 0])]),
    ],
  ];
  for (const [name, data, guessed = 0] of bytes) {
    const notes: string[] = [];
    const text = decodeData(data, name, (line) => notes.push(line));
    const { rows } = parseTable(text, name, name.endsWith(".tsv") ? "\t" : undefined);
    assert.deepEqual(rows.map(({ values }) => values), [{ text: "Grüße", label: "ok" }]);
    assert.equal(notes.length, guessed);
  }
});

Deno.test("what is not text is refused with what to do", () => {
  assert.throws(() => decodeData(latin("PK\x03\x04"), "t.xlsx"), /workbook .*save the sheet as "CSV UTF-8"/);
  assert.throws(() => decodeData(latin("%PDF-1.7"), "d.pdf"), /PDF: save its text/);
  assert.throws(() => decodeData(latin("a\x81b"), "t.csv"), /is not UTF-8/);
});

Deno.test("a damaged table is one message with rows and lines", () => {
  const wrong: [string, RegExp][] = [
    ["a,a\n1,2\n", /the columns 1 and 2 are both called "a"/],
    ["a,,c\n1,2,3\n", /column 2 has no name/],
    [
      'a,b\n1,2\n3,4,5\n"x\ny",2,3\n',
      /row 2 \(line 3\) has 3 cells and the header 2.*row 3 \(line 4\) has 3/,
    ],
    ['a,b\n1,"2\n3,4\n', /quotation mark that opens a cell on line 2 is never closed/],
  ];
  for (const [text, says] of wrong) assert.throws(() => parseTable(text, "t.csv"), says);
  // A quotation mark inside a cell, as in inches, opens nothing.
  assert.equal(parseTable('a,b\n5" pipe,2\nx,3\n', "t.csv").rows[0]?.values["a"], '5" pipe');
  const many = Array.from({ length: 30 }, () => "1,2,3").join("\n");
  assert.throws(() => parseTable(`a,b\n${many}`, "t.csv"), /row 8 .*; and 22 more$/);
});

Deno.test("JSON Lines name the lines that are none", () => {
  assert.throws(
    () => parseJsonLines('{"a":1}\n[2]\n{"a":\n', "x.jsonl"),
    (error) =>
      error instanceof UserError &&
      /line 2 is \[2\], expected an object; line 3 is not JSON/.test(error.message),
  );
});

Deno.test("a folder of text files is a table: its files in their order, folders as labels", () =>
  inTempFolder(async (folder) => {
    for (const name of ["bug/10.txt", "bug/9.txt", "billing/1.md"]) {
      await Deno.mkdir(`${folder}/cases/${name.split("/")[0]}`, { recursive: true });
      await Deno.writeTextFile(`${folder}/cases/${name}`, `text of ${name}`);
    }
    await Deno.writeTextFile(`${folder}/cases/.hidden.txt`, "no");
    await Deno.writeTextFile(
      `${folder}/job.yaml`,
      'cases: cases\ntask: classify\nprompt: "Which? {{text}}"\nexpected: "{{folder}}"\nid: "{{folder}}-{{file}}"\n',
    );
    const { prompts, labels } = await loadPromptSet(`${folder}/job.yaml`);
    assert.deepEqual(prompts.map(({ id, label }) => [id, label]), [
      ["billing-1", "billing"],
      ["bug-9", "bug"],
      ["bug-10", "bug"],
    ]);
    assert.deepEqual(labels, ["billing", "bug"]);
    assert.equal((await loadPromptSet(`${folder}/cases`)).prompts.length, 3);
  }));
