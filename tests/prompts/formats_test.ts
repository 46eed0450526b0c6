import assert from "node:assert/strict";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { assertionOf, readAssertions } from "../../lib/prompts/promptfoo_checks.ts";

const folder = "tests/prompts/formats";
const golden = `${folder}/expected.json`;

/** What matters of every case of every file: what is sent, and what is expected. */
async function readAll(): Promise<unknown> {
  const read: Record<string, unknown> = {};
  const files = [
    "promptfooconfig.yaml",
    "evals.jsonl",
    "alpaca.json",
    "sharegpt.jsonl",
    "chat.jsonl",
    "own.csv",
  ];
  for (const name of files) {
    const notes: string[] = [];
    const { prompts } = await loadPromptSet(`${folder}/${name}`, { note: (line) => notes.push(line) });
    read[name] = {
      notes,
      cases: prompts.map(({ id, task, messages, checks, reference, aspects, tools, wordings }) => ({
        id,
        task,
        messages,
        checks,
        ...(reference === null ? {} : { reference }),
        ...(aspects.length === 0 ? {} : { aspects }),
        ...(tools.length === 0 ? {} : { tools }),
        ...(wordings.size === 0 ? {} : { wordings: Object.fromEntries(wordings) }),
      })),
    };
  }
  return read;
}

Deno.test("files of other tools are recognised, and mean what they mean there", async () => {
  const read = `${JSON.stringify(await readAll(), null, 2)}\n`;
  if (Deno.env.get("PODIUM_GOLDEN") === "update") await Deno.writeTextFile(golden, read);
  assert.equal(read, await Deno.readTextFile(golden));
});

Deno.test("promptfoo's assertions become checks where a check means the same, and are named where none does", () => {
  const leftOut = new Set<string>();
  const cells = [
    "equals: a (b)",
    "not-contains-any: x, y",
    "starts-with: Dear",
    "similar(0.8): hello",
    "Yes: sure",
  ];
  const { checks } = readAssertions(
    [...cells.map(assertionOf), { type: "contains", value: "z", weight: 0 }],
    leftOut,
  );
  assert.deepEqual(checks.map(({ kind, pattern, texts, absent }) => [kind, pattern ?? texts, absent]), [
    ["regex", "\\Aa \\(b\\)\\z", false],
    ["not_contains", ["x", "y"], undefined],
    ["regex", "\\ADear", false],
    ["regex", "\\AYes: sure\\z", false],
  ]);
  assert.deepEqual([...leftOut], ["similar"]);
  assert.equal(new Set(checks.map(({ name }) => name)).size, checks.length);
});

Deno.test("objects and lists where a text belongs are JSON in what is sent, checked and said", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const load = async (json: unknown) => {
    const notes: string[] = [];
    await Deno.writeTextFile(path, JSON.stringify(json));
    const said = await loadPromptSet(path, { note: (line) => notes.push(line) })
      .then(({ prompts }) => JSON.stringify(prompts), (error: Error) => error.message);
    return notes.join() + said;
  };
  const assertion = (value: unknown) => ({ vars: { x: "h9" }, assert: [value] });
  const cases: [unknown, RegExp][] = [
    [[{ instruction: "Sum", input: { a: 1 }, output: "x" }], /Sum\\n\\n\{\\"a\\":1\}/],
    [[{ instruction: "Sum", input: ["q", { r: 2 }], output: "x" }], /\[\\"q\\",\{\\"r\\":2\}\]/],
    [
      [{ conversations: [{ from: { x: 1 }, value: "hi" }, { from: "gpt", value: "yo" }] }],
      /role is "\{\\"x\\":1\}"/,
    ],
    [
      { prompts: ["{{x}}"], tests: [assertion({ type: "contains", value: [1, { b: 2 }] })] },
      /"1","\{\\"b\\":2\}"/,
    ],
    [{ prompts: ["{{x}}"], tests: [assertion({ type: "starts-with", value: { a: 1 } })] }, /\{\\+"a\\+":1/],
    [{ prompts: ["{{x}}"], tests: [assertion({ type: { k: 1 }, value: "q" })] }, /left out: \{"k":1\}/],
    [
      { labels: [{ n: "h9" }], task: "classify", cases: [{ l: "h9" }], prompt: "{{l}}", expected: "{{l}}" },
      /h9/,
    ],
    [{ name: "t", tests: [], prompts: ["x"] }, /"tests" is \[\], expected a list of promptfoo's tests/],
  ];
  try {
    for (const [json, says] of cases) {
      const read = await load(json);
      assert.match(read, says);
      assert.doesNotMatch(read, /\[object /);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("tests without a prompt take the template, and code that makes tests is not run", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(
      path,
      JSON.stringify([{ vars: { city: "Bonn" }, assert: ["icontains: rhine"] }]),
    );
    await assert.rejects(loadPromptSet(path), /has tests and no prompt: give --template "…\{\{city\}\}…"/);
    const { prompts } = await loadPromptSet(path, { template: "River of {{city}}?" });
    assert.equal(prompts[0]?.messages[0]?.content, "River of Bonn?");
    await Deno.writeTextFile(path, JSON.stringify({ prompts: ["{{x}}"], tests: "file://make_tests.py" }));
    await assert.rejects(loadPromptSet(path), /make_tests\.py is not read: give files of data/);
    await Deno.writeTextFile(
      path,
      JSON.stringify({ prompts: ["{{x}} {{y}}"], tests: [{ vars: { x: "1" } }] }),
    );
    await assert.rejects(loadPromptSet(path), /test 1: the variable "y" has no value/);
  } finally {
    await Deno.remove(path);
  }
});
