import assert from "node:assert/strict";
import fc from "fast-check";
import { formatCsv, parseCsv } from "../lib/csv.ts";

const awkward = [
  "=1+1",
  "'=1",
  "''=1",
  "+49",
  "-x",
  "@SUM(A1)",
  "\ttab",
  "\rreturn",
  "a,b",
  'say "x"',
  "two\nlines",
  "x;=1+1",
  "x;'=1",
  "\n'-2",
  "\t\t=1",
  ";\t=1",
  "- a\n- b\n-c",
  "＝1;＝2\n－ a",
  "",
];
const cell = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...awkward));

Deno.test("any text survives CSV and back", () => {
  fc.assert(fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1 }), (rows) => {
    const [header, ...back] = parseCsv(formatCsv(["a", "b"], rows));
    assert.deepEqual(header, ["a", "b"]);
    assert.deepEqual(back, rows);
  }));
});

Deno.test("no cell of text can be run as a formula by a spreadsheet", () => {
  for (const text of ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\r=1", "＝1+1", "＋1", "－1", "＠x"]) {
    assert.match(formatCsv(["a"], [[text]]), /^a\n"?'/);
  }
});

Deno.test("nor where semicolons, tabs and line ends part the cells, as in many countries", () => {
  const attacks = [
    "x;=cmd|' /C calc'!A0",
    'x";=HYPERLINK(1)',
    "x;;+1",
    "x\n=1+1",
    "x\r\n@SUM(A1)",
    "x\n-2+3",
    "x\t=1",
    "x\n\t=1",
    "=1;=2\n=3",
    "'=1;'=2",
    "x;＝1+1",
    "x\n＠SUM(A1)",
  ];
  for (const text of attacks) {
    const written = formatCsv(["a", "b"], [["one", text]]);
    for (const part of written.split(/[;\t\r\n]/)) {
      assert.ok(!/^["]*[=+\-@＝＋－＠]/.test(part), `${JSON.stringify(text)}: ${JSON.stringify(part)}`);
    }
    assert.equal(parseCsv(written)[1]?.[1], text);
  }
  assert.equal(formatCsv(["a"], [["- one\n- two"]]), `a\n"'- one\n- two"\n`, "bullets stay bullets");
});

Deno.test("numbers stay numbers, negative ones too; null is an empty cell", () => {
  assert.equal(formatCsv(["a", "b", "c"], [[-1.5, null, true]]), "a,b,c\n-1.5,,true\n");
});
