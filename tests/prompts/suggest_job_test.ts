import assert from "node:assert/strict";
import { parseTable } from "../../lib/prompts/rows.ts";
import { columnFacts, guessJob, jobFile } from "../../lib/prompts/suggest_job.ts";

const facts = (text: string) => columnFacts(parseTable(text, "t.csv"));

Deno.test("columns are understood by what they hold and what they are called", () => {
  const guesses: [string, ReturnType<typeof guessJob>][] = [
    [
      "Nr;Mail;Team\n1;The printer is on fire again;it\n2;My chair broke and I fell;facility\n3;The lamp flickers all day;it\n",
      { task: "classify", text: "Mail", expected: ["Team"], id: "Nr" },
    ],
    [
      "question,answer\nHow many days has a week?,7\nWho wrote Hamlet?,Shakespeare\n",
      { task: "answer", text: "question", expected: ["answer"], id: null },
    ],
    [
      `text,summary\n${"a long text ".repeat(40)},${"a summary ".repeat(8)}\n`,
      { task: "summarize", text: "text", expected: ["summary"], id: null },
    ],
    ["note\nBuy milk\nCall Ana\n", { task: "free", text: "note", expected: [], id: null }],
  ];
  for (const [text, guess] of guesses) assert.deepEqual(guessJob(facts(text)), guess);
});

Deno.test("a job for extraction has a schema with the columns' types, null where rows have no value, and rules", () => {
  const job = jobFile(
    "t.csv",
    "t",
    facts("mail,Total Amount,due\nPay 12.50 by May,12.50,2026-05-03\nPay 7,7,\n"),
    {
      task: "extract",
      text: "mail",
    },
  );
  assert.deepEqual(job["expected"], { total_amount: "{{Total Amount}}", due: "{{due}}" });
  assert.deepEqual(job["schema"], {
    type: "object",
    properties: { total_amount: { type: "number" }, due: { type: ["string", "null"] } },
    required: ["total_amount", "due"],
    additionalProperties: false,
  });
  assert.deepEqual(job["fields"], { total_amount: { tolerance: 0.005 }, due: { as: "date" } });
});

Deno.test("a column of JSON records gives the fields to ask for, their schema and their rules", () => {
  const rows = [{ total: 12.5, due: "2026-05-03", to: null }, { total: 7, due: "3.5.2026", to: "Ana" }]
    .map((record, at) => ({ number: at + 1, place: "", values: { mail: `mail ${at}`, record } }));
  const columns = columnFacts({ source: "t.jsonl", columns: ["mail", "record"], rows });
  const job = jobFile("t.jsonl", "t", columns, { task: "extract", text: "mail", expected: ["record"] });
  assert.equal(job["expected"], "{{record}}");
  assert.match(String(job["prompt"]), /with the fields total, due, to\./);
  assert.deepEqual(job["schema"], {
    type: "object",
    properties: { total: { type: "number" }, due: { type: "string" }, to: { type: ["null", "string"] } },
    required: ["total", "due", "to"],
    additionalProperties: false,
  });
  assert.deepEqual(job["fields"], {
    total: { tolerance: 0.005 },
    due: { as: "date" },
    to: { ignore_case: true },
  });
});
