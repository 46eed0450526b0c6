/** A notebook holds calls and prose: one import besides "podium", short cells, and nothing of the machinery. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { notebookNames, parsePercent } from "../../scripts/notebook/files.ts";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "notebooks");
const cellsOf = async (name: string) =>
  parsePercent(await Deno.readTextFile(join(folder, `${name}.ts`)), name).filter(({ type }) =>
    type === "code"
  );

Deno.test("no cell of a notebook has more than 15 lines", async () => {
  for (const name of await notebookNames(folder)) {
    for (const { source } of await cellsOf(name)) {
      assert.ok(source.split("\n").length <= 15, `${name}:\n${source}`);
    }
  }
});

Deno.test("a notebook imports podium, and at most one other module", async () => {
  for (const name of await notebookNames(folder)) {
    const cells = await cellsOf(name);
    const modules = cells.flatMap(({ source }) => [...source.matchAll(/^import [^;]* from "([^"]+)";/gms)])
      .map(([, module]) => module);
    assert.ok(modules.includes("podium"), name);
    assert.ok(modules.length <= 2, `${name} imports ${modules.join(", ")}`);
  }
});

Deno.test("no notebook builds a table, or knows of its own test", async () => {
  for (const name of await notebookNames(folder)) {
    for (const { source } of await cellsOf(name)) {
      assert.doesNotMatch(source, /TableView|PODIUM_SHORT|new Map\b|\btable\(\s*\[/, name);
    }
  }
});

Deno.test("a lesson has two or three knobs, and checks at least one prediction", async () => {
  for (const name of await notebookNames(folder)) {
    const code = (await cellsOf(name)).map(({ source }) => source).join("\n");
    const knobs = [...code.matchAll(/\/\/ knob: \S/g)].length;
    assert.ok(knobs === 2 || knobs === 3, `${name} has ${knobs} knobs`);
    assert.match(code, /^const guess = .*; \/\/ your prediction: \S/m, name);
    assert.match(code, /^checkGuess\(guess, /m, name);
  }
});

Deno.test("a lesson says how long it takes", async () => {
  for (const name of await notebookNames(folder)) {
    assert.match(await Deno.readTextFile(join(folder, `${name}.ts`)), /\*About \d\d minutes\.\*/, name);
  }
});
