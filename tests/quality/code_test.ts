/** Code in answers: what is taken for it, and what its tests say. Hostile code is in `hostile_code_slow_test.ts`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseChecks } from "../../lib/prompts/checks.ts";
import { parsePromptSet } from "../../lib/prompts/prompts.ts";
import { runCheck } from "../../lib/quality/check.ts";
import { answerCode, importsOf, preparedTests } from "../../lib/quality/code/answer_code.ts";
import { testAnswers } from "../../lib/quality/code/test_runs.ts";
import { runTests } from "../../lib/quality/code/run_tests.ts";

Deno.test("the code of an answer is its first block that defines something", () => {
  const two = "const two = () => 2;";
  assert.equal(answerCode(`Sure!\n\`\`\`ts\n${two}\n\`\`\`\n\`\`\`ts\nconsole.log(two());\n\`\`\``), two);
  assert.equal(
    answerCode(`\`\`\`sh\nnpm i\n\`\`\`\n\`\`\`javascript\n${two}\n\`\`\``),
    two,
    "not the shell's",
  );
  assert.equal(answerCode(`\`\`\`ts\n${two}`), two, "cut before the closing mark");
  assert.equal(answerCode(two), two, "without a block");
  assert.equal(answerCode("```python\ndef two(): return 2\n```"), null);
  assert.equal(
    answerCode("Write the function two() => 2 in the class Two. It returns 2."),
    null,
    "the task, repeated",
  );
});

Deno.test("imports are found in code, and not in comments and texts", () => {
  const found = (code: string) => importsOf(code).join();
  assert.equal(found('import x from "./secret.json" with { type: "json" };'), "./secret.json");
  assert.equal(
    found('import { a,\n b } from "npm:zod";\nexport * from "data:text/javascript,1";'),
    "npm:zod,data:text/javascript,1",
  );
  assert.equal(
    found('import "https://x.test/a.ts"; await import(`file:///etc/passwd`);'),
    "https://x.test/a.ts,file:///etc/passwd",
  );
  assert.equal(found("const f = (m) => import(m);"), "a module by a computed name");
  assert.equal(found('import { createHash } from "node:crypto";'), "");
  assert.equal(
    found(
      '// import "x"\nconst s = "import y from \'z\'"; /import("q")/.test(s); import.meta.url; a.import("b");',
    ),
    "",
  );
});

Deno.test("a test file's imports of the answer become names of the answer", () => {
  const text = preparedTests(
    'import { assertEquals } from "jsr:@std/assert@1";\nimport type { T } from "./a.ts";\nimport d, { b as c } from "../a.ts";\nimport os from "node:path";',
  );
  assert.match(text, /const d = fromAnswer\("default"\); const c = fromAnswer\("b"\);/);
  assert.match(text, /node:path/);
  assert.doesNotMatch(text, /jsr:|import type/);
});

const run = (code: string, tests: string) =>
  runTests(code, tests, { denoPath: Deno.execPath(), limitS: 20, word: crypto.randomUUID() });

/** Reasons by test; a test that passed has none. */
async function reasons(code: string, tests: string): Promise<(string | null)[]> {
  const result = await run(code, tests);
  assert.equal(result.kind, "ran", JSON.stringify(result));
  return result.kind === "ran" ? result.tests.map(({ reason }) => reason) : [];
}

Deno.test("tests pass, fail with the reason, and count one by one", async () => {
  const tests = `import { add } from "./add.ts";
    Deno.test("adds", () => assertEquals(add(1, 2), 3));
    Deno.test({ name: "nothing", fn: () => assertEquals(add(0, 0), 0) });`;
  assert.deepEqual(
    await reasons("export function add(a: number, b: number): number { return a + b; }", tests),
    [null, null],
  );
  assert.deepEqual(await reasons("export const add = (a: number, b: number) => a - b;", tests), [
    "got -1, expected 3",
    null,
  ]);
  assert.deepEqual(await reasons("const plus = (a, b) => a + b;", tests), ["the answer has no add"]);
  assert.deepEqual(await run("const a = (b { return }", tests), {
    kind: "not loaded",
    reason: "SyntaxError: Expected ',', got '{'",
  });
});

Deno.test("functions, classes, closures, iterators, promises and callbacks work as if they were the tests' own", async () => {
  const code = `
    class Stack<T> { #items: T[] = []; push(item: T) { this.#items.push(item); return this; }
      pop() { return this.#items.pop(); } get size() { return this.#items.length; } }
    function counter() { let n = 0; return { up() { return ++n; }, get value() { return n; } }; }
    function* upTo(n: number) { for (let i = 0; i < n; i++) yield i; }
    const later = async (x: number) => { await null; if (x < 0) throw new RangeError("below 0"); return 2 * x; };
    function sortInPlace(list: number[]) { return list.sort((a, b) => a - b); }
    const sorted = (list: number[]) => [...list].sort((a, b) => a - b);
    const memo = (f: (x: number) => number) => { const m = new Map(); return (x: number) => m.get(x) ?? (m.set(x, f(x)), m.get(x)); };
    const each = async (list: number[], f: (x: number) => Promise<number>) => { const found = []; for (const x of list) found.push(await f(x)); return found; };
    class Mine extends Error {}
    const fails = (x: string) => { if (x === "") throw new RangeError("empty"); throw new Mine("mine"); };
    const count = (text: string) => { const m = new Map<string, number>(); for (const c of text) m.set(c, (m.get(c) ?? 0) + 1); return m; };
    const tree = { left: { value: 1 }, right: [new Date(0), null, undefined, 1n, /a/g] };`;
  const tests = `
    test("class", () => { const s = new Stack(); s.push(1).push(2); assertEquals(s.size, 2); assertEquals(s.pop(), 2); assert(s instanceof Stack); });
    test("closure", () => { const c = counter(); c.up(); c.up(); assertEquals(c.value, 2); });
    test("generator", () => assertEquals([...upTo(3)], [0, 1, 2]));
    test("promise", async () => { assertEquals(await later(2), 4); assert(later(1) instanceof Promise); await assertRejects(() => later(-1), RangeError, "below"); });
    test("promise of the tests", async () => assertEquals(await each([1, 2], async (x) => { await null; return x + 1; }), [2, 3]));
    test("in place", () => { const list = [3, 1]; assertStrictEquals(sortInPlace(list), list); assertEquals(list, [1, 3]); });
    test("a copy", () => { const list = [3, 1]; assertEquals(sorted(list), [1, 3]); assertEquals(list, [3, 1]); });
    test("callback", () => { let n = 0; const f = memo((x) => { n++; return x * x; }); assertEquals([f(3), f(3), n], [9, 9, 1]); });
    test("errors", () => { assertThrows(() => fails(""), RangeError, "empty"); assertThrows(() => fails("a"), Mine, "mine"); });
    test("map", () => assertEquals(count("aab"), new Map([["a", 2], ["b", 1]])));
    test("data", () => assertEquals(tree, { left: { value: 1 }, right: [new Date(0), null, undefined, 1n, /a/g] }));
    test("not equal", () => assertEquals(count("a"), new Map([["a", 2]])));`;
  const found = await reasons(code, tests);
  assert.deepEqual(found.slice(0, -1), Array(11).fill(null));
  assert.match(found.at(-1) ?? "", /^got Map\(1\) \{ "a" => 1 \}, expected Map/);
});

Deno.test("an answer is run once, its result is kept, and the check says what the tests said", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const json = {
      kind: "tests",
      tests: "test('one', () => assertEquals(two(), 2)); test('two', () => assert(two() > 2));",
    };
    const [check] = parseChecks([json], "case");
    assert.ok(check !== undefined);
    const { prompts: [prompt] } = parsePromptSet([{ id: "p", prompt: "two", checks: [json] }], "set");
    assert.ok(prompt !== undefined);
    const content = "```ts\nconst two = () => 2;\n```";
    const answers = [{ prompt_id: "p", content }, { prompt_id: "p", content }, {
      prompt_id: "p",
      content: "Two.",
    }];
    const runs = await testAnswers(folder, answers, [prompt]);
    assert.equal(runs.size, 2);
    const score = (text: string, testRuns = runs) => runCheck(check, text, { ...prompt, testRuns });
    assert.equal(score(content).detail, "1 of 2 tests pass; two: false is not true");
    assert.equal(score(content).credit, 0.5);
    assert.ok(!score(content).passed);
    assert.ok(score("Two.").offFormat);
    assert.ok(!score(content, new Map()).supported, "what was not run is not judged");
    const path = join(folder, "tests.json");
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("false is not true", "kept"));
    const again = await testAnswers(folder, answers, [prompt]);
    assert.match(runCheck(check, content, { ...prompt, testRuns: again }).detail, /kept/);
    await Deno.writeTextFile(path, "damaged");
    assert.match(score(content, await testAnswers(folder, answers, [prompt])).detail, /false is not true/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
