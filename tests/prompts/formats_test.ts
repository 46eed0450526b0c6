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
