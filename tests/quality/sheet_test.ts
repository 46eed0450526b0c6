/** A sheet goes out blinded and shuffled, and comes back whole and unchanged, or not at all. */
import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { UserError } from "../../lib/errors.ts";
import { byteOrderMark, csvLines, formatCsv, parseCsv } from "../../lib/csv.ts";
import { ratingsOf, readSheet } from "../../lib/quality/import.ts";
import { addRatings, readRatings } from "../../lib/quality/ratings.ts";
import { rubrics } from "../../lib/quality/rubric.ts";
import { formatSheet, makeSheet, readSheetKeys, writeSheet } from "../../lib/quality/sheet.ts";

const prompts = ["p1", "p2"].map((id) => ({
  id,
  messages: [{ role: "user" as const, content: `=HYPERLINK("${id}")\nSay\t"yes", please;` }],
  aspects: ["says yes"],
}));
const answer = (id: string, candidate: string, prompt_id: string, content: string) => ({
  id,
  candidate,
  prompt_id,
  phase: "timed" as const,
  round: 1,
  content,
  reasoning: "",
});
const answers = [
  answer("1", "alpha", "p1", "-1+cmd|' /C calc'!A0"),
  answer("2", "beta", "p1", 'Yes,\n\nit "is"; truly.'),
  answer("3", "alpha", "p2", "@SUM(A1)"),
  answer("4", "beta", "p2", "@SUM(A1)"),
  answer("5", "alpha", "p1", "  "),
];
const options = { runId: "run", annotator: "ana", rubric: "fluency" as const };
const sheet = makeSheet(answers, prompts, options);

function marked(scores: readonly (readonly (string | number)[])[]): string {
  const rows = sheet.items.map(({ item, prompt, aspects, answer }, at) => [
    item,
    prompt,
    aspects,
    answer,
    ...(scores[at] ?? []).map(String),
    "",
  ]);
  return byteOrderMark + formatCsv([...header], rows);
}
const header = ["item", "prompt", "aspects", "answer", "fluency", "relevance", "correctness", "comment"];
const whole = [[1, 2, 3], [4, 5, 1], [2, 3, 4]];
const read = (text: string, partial = false) => readSheet(text, [sheet.key], { name: "s.csv", partial });

Deno.test("the sheet names no candidate; the same text is one item; empty answers are left out", () => {
  const text = formatSheet(sheet.items, rubrics.fluency);
  assert.ok(!text.includes("alpha") && !text.includes("beta"));
  assert.equal(sheet.items.length, 3);
  assert.deepEqual(sheet.key.items.map(({ answers }) => answers.length).sort(), [1, 1, 2]);
  assert.ok(text.startsWith(byteOrderMark));
});

Deno.test("no cell of a sheet runs as a formula", () => {
  const [, ...rows] = parseRaw(formatSheet(sheet.items, rubrics.fluency));
  for (const cell of rows.flat()) assert.ok(!/^[=+\-@\t\r]/.test(cell), cell);
});

/** As a spreadsheet sees the cells: the apostrophe in front is still there. */
function parseRaw(text: string): string[][] {
  return parseCsv(text.replaceAll(/(^|,|"|\n)'/g, "$1\u2063'")).map((row) =>
    row.map((cell) => cell.replace("\u2063", ""))
  );
}

Deno.test("each annotator meets another order, the same annotator the same one", () => {
  const many = Array.from({ length: 30 }, (_, at) => answer(`${at}`, "alpha", "p1", `Answer ${at}`));
  const order = (annotator: string) =>
    makeSheet(many, prompts, { ...options, annotator }).items.map(({ answer }) => answer).join();
  assert.equal(order("ana"), order("ana"));
  assert.notEqual(order("ana"), order("ben"));
});

Deno.test("a filled-in sheet comes back as ratings of every answer behind an item", () => {
  const ratings = ratingsOf(read(marked(whole)));
  assert.equal(ratings.length, 4);
  assert.ok(
    ratings.every(({ rater, rubric, source }) =>
      rater === "ana" && rubric === "fluency" && source === "person"
    ),
  );
});

Deno.test("what spreadsheets do to a file is understood: semicolons, CRLF, 4.0, a lost apostrophe, no mark", () => {
  const rows = parseCsv(marked(whole));
  const other = rows.map((row, at) =>
    row.map((cell, column) => {
      const text = at > 0 && column >= 4 && column < 7 ? `${cell},0` : cell.replaceAll("\n", "\r\n");
      return `"${text.replaceAll('"', '""')}"`;
    }).join(";")
  ).join("\r\n");
  assert.equal(ratingsOf(read(other)).length, 4);
});

/** The sheet with its first column alone sorted: items beside other items' answers. */
function swapped(text: string): string {
  const [head = [], first = [], second = [], ...rest] = parseCsv(text);
  const [one = "", ...answerOne] = first;
  const [two = "", ...answerTwo] = second;
  return formatCsv(head, [[two, ...answerOne], [one, ...answerTwo], ...rest]);
}

Deno.test("texts that a spreadsheet retyped are reported by row and cost no score", () => {
  const retyped: [string, string][] = [
    ["007", "7"],
    ["1/2", "01-Feb"],
    ["1E5", "1.00E+05"],
    ["3.10", "3.1"],
    [
      "TRUE",
      "WAHR",
    ],
    ["0.50", "0,5"],
  ];
  const given = retyped.map(([content], at) => answer(`${at}`, "alpha", "p1", content));
  const small = makeSheet(given, prompts, options);
  const after = new Map(retyped);
  const rows = small.items.map((
    { item, prompt, aspects, answer },
  ) => [item, prompt, aspects, after.get(answer) ?? answer, "4", "4", "5", "", "", ""]);
  const text = formatCsv([...header, "", ""], rows);
  const filled = readSheet(text, [small.key], { name: "s.csv" });
  assert.equal(ratingsOf(filled).length, retyped.length);
  assert.equal(filled.changed.length, retyped.length);
  assert.match(filled.changed[0] ?? "", /^line 2[0-9]* \(i\w{8}\)$/);
});

Deno.test("columns are found by title: trailing empty ones, moved ones and columns of one's own", () => {
  const rows = parseCsv(marked(whole));
  const changed: ((row: readonly string[], at: number) => string[])[] = [
    (row) => [...row, "", "", ""],
    (row) => row.toReversed(),
    (row, at) => [at === 0 ? "my notes" : "hm", ...row],
    (row, at) => row.toSpliced(1, 3).map((cell) => at === 0 ? cell.toUpperCase() : cell),
  ];
  for (const change of changed) {
    const [head = [], ...rest] = rows.map(change);
    const filled = read(formatCsv(head, rest));
    assert.deepEqual([...filled.marks.values()].map(({ scores }) => Object.values(scores)), whole);
  }
});

Deno.test("every fault is named by its line, and nothing is taken", () => {
  const lines = csvLines(marked(whole).slice(1)).starts;
  const faulty: [string, RegExp][] = [
    [
      marked([[6, 2, 3], ...whole.slice(1)]),
      new RegExp(`line ${lines[1]}: fluency is 6, expected a whole number from 1 to 5`),
    ],
    [
      marked([[1, 2, ""], ...whole.slice(1)]),
      new RegExp(`line ${lines[1]}: half-filled, correctness is missing`),
    ],
    [
      marked([whole[0] ?? [], ["", "", ""], whole[2] ?? []]),
      new RegExp(`line ${lines[2]}: no score \\(--partial`),
    ],
    [marked([[1, 2, 3.5], ...whole.slice(1)]), /correctness is 3.5/],
    [marked([[0, 2, "good"], ...whole.slice(1)]), /fluency is 0/],
    [
      marked(whole).replace(/^i\w{8}/m, "i00000000"),
      /this run has no item i00000000; .*1 of 3 rows are missing/,
    ],
    [formatCsv([...header], parseCsv(marked(whole)).slice(1, -1)), /1 of 3 rows are missing/],
    [
      marked(whole).replace("relevance", "relevancy"),
      /line 1: no column relevance; the columns are item, prompt/,
    ],
    [swapped(marked(whole)), /i\w{8} has the answer of i\w{8}: sort whole rows/],
    ["item,score\nx,1\n", /no row belongs to a sheet of this run/],
    ["", /no row belongs/],
  ];
  for (const [text, message] of faulty) {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof Error && error.name === "UserError");
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"), "one line");
      return true;
    });
  }
  const doubled = marked(whole) + marked(whole).split("\n").slice(1).join("\n");
  assert.throws(() => read(doubled), /occurs twice/);
});

Deno.test("with partial, rows without a score are left out, half-filled ones still refused", () => {
  const text = marked([whole[0] ?? [], ["", "", ""], whole[2] ?? []]);
  assert.equal(read(text, true).unrated, 1);
  assert.throws(() => read(marked([["", 2, 3], ...whole.slice(1)]), true), /half-filled/);
});

Deno.test("any text survives the way through a sheet", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), (texts) => {
    const cells = texts.map((text) => text.replaceAll("\0", ""));
    assert.deepEqual(
      parseCsv(formatCsv(["a"], cells.map((cell) => [cell, "x"]))).slice(1),
      cells.map((cell) => [cell, "x"]),
    );
  }));
});

Deno.test("line numbers are those of a text editor, whatever stands in the cells", () => {
  const cell = fc.string({ unit: fc.constantFrom("a", '"', "\n", ",", "'") });
  fc.assert(fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 6 }), (rows) => {
    const text = formatCsv(["h", "k"], rows);
    const starts = csvLines(text).starts;
    const lengths = rows.map((row) => formatCsv(["h"], [row]).split("\n").length - 2);
    assert.equal(starts.length, rows.length + 1);
    assert.deepEqual(
      starts.slice(1).map((start, at) => (starts[at + 2] ?? start + (lengths[at] ?? 0)) - start),
      lengths,
    );
  }));
});

async function inTempFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a sheet is never overwritten, and its key leads back", () =>
  inTempFolder(async (folder) => {
    const path = await writeSheet(folder, sheet);
    assert.equal((await readSheetKeys(folder))[0]?.annotator, "ana");
    await Deno.writeTextFile(path, marked(whole));
    await assert.rejects(() => writeSheet(folder, sheet), /already exists/);
    assert.equal(await Deno.readTextFile(path), marked(whole));
  }));

Deno.test("a key that an editor gave a byte order mark is read; newer and damaged ones are told apart", () =>
  inTempFolder(async (folder) => {
    await writeSheet(folder, sheet);
    const path = join(folder, "annotation", "ana-fluency.json");
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `\uFEFF${text}`);
    assert.deepEqual(await readSheetKeys(folder), [sheet.key]);
    await Deno.writeTextFile(path, text.replace('"schema_version": 1', '"schema_version": 2'));
    await assert.rejects(
      () => readSheetKeys(folder),
      /newer version of Podium \(schema 2; .* up to 1\): update/,
    );
    await Deno.writeTextFile(path, text.slice(0, -9));
    await assert.rejects(() => readSheetKeys(folder), /the key .*ana-fluency\.json is damaged: /);
  }));

Deno.test("ratings are added once, refused where they would overwrite, replaced where asked", () =>
  inTempFolder(async (folder) => {
    const ratings = ratingsOf(read(marked(whole)));
    assert.deepEqual(await addRatings(folder, ratings), { added: 4, same: 0, replaced: 0 });
    assert.deepEqual(await addRatings(folder, ratings), { added: 0, same: 4, replaced: 0 });
    const others = ratingsOf(read(marked([[5, 5, 5], ...whole.slice(1)])));
    await assert.rejects(() => addRatings(folder, others), /give --replace/);
    assert.deepEqual(await readRatings(folder), ratings);
    const { replaced } = await addRatings(folder, others, { replace: true });
    assert.ok(replaced > 0);
    assert.equal((await readRatings(folder)).length, 4);
  }));

Deno.test("ratings that are imported at the same time are all kept", () =>
  inTempFolder(async (folder) => {
    const all = ratingsOf(read(marked(whole)));
    const raters = ["ana", "ben", "eve", "kim", "max", "zoe"];
    const added = await Promise.all(
      raters.map((rater) => addRatings(folder, all.map((rating) => ({ ...rating, rater })))),
    );
    assert.ok(added.every((one) => one.added === all.length));
    const kept = await readRatings(folder);
    assert.equal(kept.length, raters.length * all.length);
    assert.deepEqual([...new Set(kept.map(({ rater }) => rater))].sort(), raters);
  }));

Deno.test("a folder that can't be written is one line with the remedy, and nothing is lost", () =>
  inTempFolder(async (folder) => {
    const path = join(folder, "ratings.jsonl");
    const all = ratingsOf(read(marked(whole)));
    await addRatings(folder, all);
    const before = await Deno.readTextFile(path);
    await Deno.remove(`${path}.lock`);
    await Deno.mkdir(`${path}.lock`);
    const more = all.map((rating) => ({ ...rating, rater: "ben" }));
    await assert.rejects(
      addRatings(folder, more),
      (error) =>
        error instanceof UserError && error.exitCode === 1 &&
        /can't write .*ratings\.jsonl.*is kept/.test(error.message),
    );
    assert.equal(await Deno.readTextFile(path), before);
  }));

Deno.test("ratings that an editor gave a byte order mark and other line ends are read, and added to", () =>
  inTempFolder(async (folder) => {
    const ratings = ratingsOf(read(marked(whole)));
    await addRatings(folder, ratings);
    const path = join(folder, "ratings.jsonl");
    const text = await Deno.readTextFile(path);
    for (const changed of [`\uFEFF${text}`, text.replaceAll("\n", "\r\n"), `\uFEFF${text.trimEnd()}`]) {
      await Deno.writeTextFile(path, changed);
      assert.deepEqual(await addRatings(folder, ratings), { added: 0, same: 4, replaced: 0 });
      assert.equal((await readRatings(folder)).length, 4);
    }
  }));

Deno.test("a damaged line of ratings is named", () =>
  inTempFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "ratings.jsonl"), '{"source":"person"}\n');
    await assert.rejects(() => readRatings(folder), /ratings\.jsonl, line 1 can't be read/);
  }));
