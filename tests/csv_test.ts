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
  for (const text of ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\r=1"]) {
    assert.match(formatCsv(["a"], [[text]]), /^a\n"?'/);
  }
});

Deno.test("numbers stay numbers, negative ones too; null is an empty cell", () => {
  assert.equal(formatCsv(["a", "b", "c"], [[-1.5, null, true]]), "a,b,c\n-1.5,,true\n");
});
