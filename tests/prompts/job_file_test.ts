import assert from "node:assert/strict";
import fc from "fast-check";
import { UserError } from "../../lib/errors.ts";
import { chooseCases, shares } from "../../lib/prompts/choose_cases.ts";
import { loadPromptSet, parsePromptSet, type PromptSet, promptSetJson } from "../../lib/prompts/prompts.ts";
import { inTempFolder } from "./temp_folder.ts";

const plain = (set: PromptSet): unknown =>
  JSON.parse(JSON.stringify(set, (_, value) => value instanceof Map ? Object.fromEntries(value) : value));

/** A job over rows, in a folder of its own; `files` lie beside it. */
async function load(
  job: Record<string, unknown>,
  files: Record<string, string> = {},
  options: Parameters<typeof loadPromptSet>[1] = {},
): Promise<PromptSet> {
  let set: PromptSet | undefined;
  await inTempFolder(async (folder) => {
    for (const [name, text] of Object.entries({ ...files, "job.json": JSON.stringify(job) })) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    set = await loadPromptSet(`${folder}/job.json`, options);
  });
  assert.ok(set !== undefined);
  // What a run keeps of a set is the set.
  assert.deepEqual(plain(parsePromptSet(JSON.parse(promptSetJson(set)), set.name)), plain(set));
  return set;
}

const tickets = "nr,text,team\n1,Printer on fire,bug\n2,Invoice twice,Billing\n3,Please cancel,billing\n";

Deno.test("a table and a job file are cases with a check of the task, labels found in the column", async () => {
  const { prompts, labels, name, settings } = await load({
    cases: "t.csv",
    id: "T{{nr}}",
    task: "classify",
    prompt: "Which team? {{ text }}",
    system: "One word.",
    wordings: { short: "{{text}} ->", steps: { system: "Think.", prompt: "{{text}}?" } },
    expected: "{{team}}",
    settings: { max_tokens: 8, stop: "\n" },
  }, { "t.csv": tickets });
  assert.deepEqual(labels, ["bug", "Billing"]);
  assert.equal(name, "job");
  assert.deepEqual(settings, { maxTokens: 8, stop: ["\n"] });
  const [first, , third] = prompts;
  assert.deepEqual(first?.messages, [{ role: "system", content: "One word." }, {
    role: "user",
    content: "Which team? Printer on fire",
  }]);
  assert.equal(third?.id, "T3");
  assert.equal(third?.label, "Billing");
  assert.equal(third?.checks[0]?.kind === "label" && third.checks[0].expected, "Billing");
  assert.deepEqual(first?.wordings.get("short"), [{ role: "system", content: "One word." }, {
    role: "user",
    content: "Printer on fire ->",
  }]);
  assert.equal(first?.wordings.get("steps")?.[0]?.content, "Think.");
});

Deno.test("extract: a cell is read by the schema's type, an empty one is a field that the text doesn't state", async () => {
  const schema = {
    type: "object",
    properties: { amount: { type: "number" }, due: { type: ["string", "null"] } },
  };
  const { prompts } = await load({
    cases: "t.csv",
    task: "extract",
    prompt: "{{text}}",
    schema: "s.json",
    expected: { amount: "{{amount}}", due: "{{due}}" },
    fields: { amount: { tolerance: 0.01 }, due: { as: "date" } },
    settings: { response_format: "schema" },
  }, { "t.csv": "text,amount,due\na,12.50,2026-01-02\nb,7,\n", "s.json": JSON.stringify(schema) });
  const expected = prompts.map(({ checks: [check] }) => check?.kind === "record" && check.expected);
  assert.deepEqual(expected, [{ amount: 12.5, due: "2026-01-02" }, { amount: 7, due: null }]);
  assert.deepEqual(prompts[0]?.settings, { format: "schema", schema });
});

Deno.test("tools: calls from JSON in a cell, in OpenAI's shape or flat; an empty list is no call", async () => {
  const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }];
  const rows = [
    { ask: "Paris?", calls: [{ name: "weather", arguments: { city: ["Paris"] } }] },
    { ask: "Rome?", calls: '[{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}}]' },
    { ask: "Thanks!", calls: [] },
  ];
  const job = { cases: rows, task: "tools", prompt: "{{ask}}", tools, expected: "{{calls}}" };
  const { prompts } = await load(job);
  const expected = prompts.map(({ checks: [check] }) => check?.kind === "calls" && check.expected);
  assert.deepEqual(expected, [
    [{ name: "weather", arguments: { city: ["Paris"] } }],
    [{ name: "weather", arguments: { city: "Rome" } }],
    [],
  ]);
  assert.deepEqual(prompts.map(({ label }) => label), ["weather", "weather", "no call"]);
  assert.equal(prompts[0]?.tools[0]?.name, "weather");
  await assert.rejects(
    load({ ...job, cases: [{ ask: "x", calls: [{ name: "sum" }] }] }),
    /row 1, column calls: a call of "sum" is expected, and the tools are weather/,
  );
  // Arguments that are no JSON are not taken for none.
  await assert.rejects(
    load({ ...job, cases: [{ ask: "x", calls: [{ name: "weather", arguments: '{"city":' }] }] }),
    /row 1, column calls: .*expected\.0\.arguments/,
  );
});

Deno.test("answer: documents are files in the prompt, numbers are compared by value, lists are alternatives", async () => {
  const { prompts } = await load({
    cases: [{ q: "How long?", a: "42 days" }, { q: "How much?", a: 1200 }, {
      q: "Who?",
      a: '["Ana", "Ana Ruiz"]',
    }],
    task: "answer",
    documents: ["report.txt"],
    prompt: "{{document}}\n\n{{q}}",
    expected: "{{a}}",
    checks: [{ kind: "quote", name: "quotes the report" }],
  }, { "report.txt": "The report has {{q}} in it." });
  assert.equal(prompts[0]?.messages[0]?.content, "The report has {{q}} in it.\n\nHow long?");
  assert.deepEqual(prompts[0]?.documents, ["The report has {{q}} in it."]);
  assert.deepEqual(
    prompts.map(({ checks: [one] }) => one?.kind === "answer" && (one.expected ?? one.number)),
    [["42 days"], 1200, ["Ana", "Ana Ruiz"]],
  );
  assert.equal(prompts[0]?.checks[1]?.kind, "quote");
});

Deno.test("code brings its tests from a file, conversations their turns", async () => {
  const { prompts } = await load({
    cases: [{ ask: "add", file: "add.test.ts" }],
    task: "code",
    prompt: "Write {{ask}}.",
    tests: "{{file}}",
  }, { "add.test.ts": 'Deno.test("adds", () => {});' });
  assert.equal(
    prompts[0]?.checks[0]?.kind === "tests" && prompts[0].checks[0].tests.startsWith("Deno.test"),
    true,
  );
  const talk = await load({ cases: "t.csv", turns: ["{{one}}", "{{two}}", "{{three}}"] }, {
    "t.csv": "one,two,three\nHi,How?,Bye\nHello,Then?,\n",
  });
  assert.deepEqual(talk.prompts.map(({ messages, turns }) => [messages[0]?.content, ...turns]), [
    ["Hi", "How?", "Bye"],
    ["Hello", "Then?"],
  ]);
});

Deno.test("one message names rows and columns: missing, repeated, contradicting, unknown", async () => {
  const job = { cases: "t.csv", id: "{{nr}}", task: "classify", prompt: "{{text}}", expected: "{{team}}" };
  const wrong: [string, Record<string, unknown>, RegExp][] = [
    [
      "nr,text,team\n1,a,x\n2,,y\n3,c,\n",
      {},
      /row 2 \(line 3\), column text: no value; row 3 .*column team: no value/,
    ],
    [
      "nr,text,team\n1,a,x\n1,b,y\n",
      {},
      /row 2 \(line 3\), column nr: the id "1" is that of row 1 \(line 2\) too/,
    ],
    ["nr,text,team\n1,a,x\n2,b,y\n3,a,x\n", {}, /row 3 \(line 4\): the same case as row 1 \(line 2\)/],
    ["nr,text,team\n1,a,x\n2,b,y\n3,a,y\n", {}, /row 3 .*same text as row 1 .*\(x there, y here\)/],
    [
      "nr,text,team\n1,a,x\n2,b,z\n",
      { labels: ["x", "y"] },
      /row 2 .*column team: "z" is not one of the labels x, y/,
    ],
    ["nr,Text,team\n1,a,x\n", {}, /"prompt" of the job job names the column "text", .*\("Text"\?\)/],
    ["nr,text,team\n", {}, /t\.csv holds no case/],
    [tickets, { task: "clasify" }, /row 1 .*column team: "expected" needs a "task" .*not "clasify"/],
    [tickets, { settings: { max_token: 1 } }, /settings has the unknown key "max_token"/],
    [
      tickets,
      { settings: { response_format: "schema" } },
      /"response_format" is "schema", and there is no "schema"/,
    ],
    [tickets, { lables: ["a"] }, /job .*job\.json: the document has the unknown key "lables"/],
    [tickets, { cases: "none.csv" }, /can't read the prompt set .*none\.csv: there is no such file/],
    [tickets, { schema: "none.json" }, /can't read the schema .*none\.json/],
  ];
  for (const [table, change, says] of wrong) {
    await assert.rejects(load({ ...job, ...change }, { "t.csv": table }), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, says);
      return true;
    });
  }
  const notes: string[] = [];
  const table = "nr,text,team\n1,a,x\n2,,y\n3,a,x\n4,b,y\n";
  const { prompts } = await load({ ...job, faulty_rows: "skip" }, { "t.csv": table }, {
    note: (line) => notes.push(line),
  });
  assert.deepEqual(prompts.map(({ id }) => id), ["1", "4"]);
  assert.match(
    notes.join(),
    /t\.csv: 2 of 4 rows are left out: row 2 \(line 3\), column text: no value; row 3/,
  );
});

Deno.test("a task without what it compares with, and a rule for a field that is nowhere, are refused", async () => {
  const classify = { cases: "t.csv", task: "classify", prompt: "Which team? {{text}}" };
  await assert.rejects(load(classify, { "t.csv": tickets }), /"expected" is missing: the task "classify"/);
  await assert.rejects(
    load({ ...classify, task: "code" }, { "t.csv": tickets }),
    /"tests" is missing: the task "code"/,
  );
  await assert.rejects(
    load({
      ...classify,
      task: "extract",
      expected: { team: "{{team}}" },
      fields: { taem: { ignore_case: true } },
    }, {
      "t.csv": tickets,
    }),
    /"fields" has a rule for "taem", and the fields are "team"/,
  );
});

Deno.test("an expected argument that the tool doesn't have is refused, a document that nobody is shown is named", async () => {
  const tools = [{
    name: "read",
    parameters: { type: "object", properties: { sensor: { type: "string" } } },
  }];
  const calls = [{ name: "read", arguments: { sensr: "S7" } }];
  await assert.rejects(
    load({
      task: "tools",
      tools,
      cases: [{ text: "Read S7", calls }],
      prompt: "{{text}}",
      expected: "{{calls}}",
    }),
    /the argument "sensr" of "read" is expected, and its parameters are sensor/,
  );
  const notes: string[] = [];
  const answer = { task: "answer", documents: "d.txt", cases: [{ q: "How long?" }], expected: "2 days" };
  const note = (line: string) => notes.push(line);
  await load({ ...answer, prompt: "{{document}} {{q}}" }, { "d.txt": "It takes 2 days." }, { note });
  assert.deepEqual(notes, []);
  await load({ ...answer, prompt: "{{q}}" }, { "d.txt": "It takes 2 days." }, { note });
  assert.match(notes.join(), /no prompt has \{\{document\}\}/);
});

Deno.test("a row without a label is left out, and takes no other row along", async () => {
  const { prompts, labels } = await load(
    { cases: "t.csv", task: "classify", prompt: "{{text}}", expected: "{{team}}" },
    { "t.csv": `${tickets}4,No team,\n` },
    { skipFaulty: true },
  );
  assert.deepEqual([prompts.length, labels], [3, ["bug", "Billing"]]);
});

Deno.test("a template names columns, and a table without one says what is missing", () =>
  inTempFolder(async (folder) => {
    const path = `${folder}/t.csv`;
    await Deno.writeTextFile(path, tickets);
    await assert.rejects(
      loadPromptSet(path),
      /has the columns "nr", "text", "team", .*--template "…\{\{text\}\}…"/,
    );
    await assert.rejects(loadPromptSet(path, { template: "{{txt}}" }), /--template names the column "txt"/);
    await assert.rejects(
      loadPromptSet("prompts/ten.json", { template: "{{x}}" }),
      /--template fills in the rows of a table/,
    );
    const { prompts } = await loadPromptSet(path, { template: "Team of: {{text}}" });
    assert.deepEqual(prompts.map(({ id, checks }) => [id, checks.length]), [["c1", 0], ["c2", 0], ["c3", 0]]);
    await Deno.writeTextFile(path, tickets.replace("team", "label"));
    const labelled = await loadPromptSet(path, { template: "Team of: {{text}}" });
    assert.deepEqual(labelled.prompts.map(({ label }) => label), ["bug", "Billing", "Billing"]);
  }));

Deno.test("a draw keeps each label's share and the file's order, and the same seed draws the same", async () => {
  const cases = Array.from({ length: 200 }, (_, at) => ({
    t: `text ${at} ${"x".repeat((at * 7) % 50)}`,
    l: at % 20 === 0 ? "rare" : at % 2 === 0 ? "even" : "odd",
  }));
  const job = { cases, task: "classify", prompt: "{{t}}", expected: "{{l}}" };
  const drawn = async (options: Parameters<typeof load>[2]) => (await load(job, {}, options)).prompts;
  const ids = (prompts: PromptSet["prompts"]) => prompts.map(({ id }) => Number(id.slice(1)));
  const twenty = await drawn({ draw: 20, seed: 3 });
  assert.deepEqual(
    Object.entries(Object.groupBy(twenty, ({ label }) => label ?? "")).map(([l, of]) => [l, of?.length])
      .sort(),
    [
      ["even", 9],
      ["odd", 10],
      ["rare", 1],
    ],
  );
  assert.deepEqual(ids(twenty), ids(twenty).toSorted((a, b) => a - b));
  assert.deepEqual(ids(await drawn({ draw: 20, seed: 3 })), ids(twenty));
  assert.notDeepEqual(ids(await drawn({ draw: 20, seed: 4 })), ids(twenty));
  assert.deepEqual(ids(await drawn({ limit: 3 })), [1, 2, 3]);
  const short = await drawn({ shortest: 5 });
  const longest = Math.max(...short.map(({ messages }) => messages[0]?.content.length ?? 0));
  assert.ok(cases.filter(({ t }) => t.length < longest).length <= 5);
  await assert.rejects(load(job, {}, { draw: 2, limit: 2 }), /--limit and --draw exclude each other/);
});

Deno.test("where more cases are asked for than there are, one line says that all are taken", () => {
  const { prompts } = parsePromptSet(["a", "b", "c"], "x");
  for (
    const [choice, says] of [[{ draw: 500 }, "--draw 500"], [{ limit: 4 }, "--limit 4"], [
      { shortest: 9 },
      "--shortest 9",
    ]] as const
  ) {
    const notes: string[] = [];
    assert.equal(chooseCases(prompts, choice, (line) => notes.push(line)).length, 3);
    assert.deepEqual(notes, [`${says}: there are 3 cases, and all of them are taken.`]);
  }
  const silent: string[] = [];
  for (const choice of [{}, { draw: 3 }, { limit: 2 }]) {
    chooseCases(prompts, choice, (line) => silent.push(line));
  }
  assert.deepEqual(silent, []);
});

Deno.test("places are shared out in proportion, all of them, and every group has one where it can", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 300 }),
    (sizes, wanted) => {
      const places = Math.min(wanted, sizes.reduce((sum, size) => sum + size, 0));
      const given = shares(sizes, places);
      assert.equal(given.reduce((sum, one) => sum + one, 0), places);
      if (places >= sizes.length) assert.ok(given.every((one) => one >= 1));
      assert.ok(given.every((one, at) => one <= (sizes[at] ?? 0)), `${sizes} ${places}: ${given}`);
    },
  ));
});

Deno.test("tools, settings and turns are part of a case's hash, a schema that is not sent and wordings are not", () => {
  const hash = (more: Record<string, unknown>) => parsePromptSet([{ prompt: "x", ...more }], "x").sha256;
  const schema = { type: "object" };
  assert.equal(hash({}), hash({ schema, wordings: { a: "y" } }));
  const others = [
    { tools: [{ name: "a" }] },
    { settings: { temperature: 1 } },
    { turns: ["y"] },
    { schema, settings: { response_format: "schema" } },
    { settings: { thinking: "off" } },
  ].map(hash);
  assert.equal(new Set([hash({}), ...others]).size, others.length + 1);
});
