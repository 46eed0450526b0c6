/** Code that a model wrote may do anything: nothing of it leaves its process, and none of it passes tests that it should fail. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runTests, type TestRun } from "../../lib/quality/code/run_tests.ts";

const expectsThree = `Deno.test("three", async () => assertEquals(await add(1, 2), 3));`;

async function run(code: string, tests = expectsThree, limitS = 6): Promise<TestRun> {
  return await runTests("```ts\n" + code + "\n```", tests, {
    denoPath: Deno.execPath(),
    limitS,
    word: crypto.randomUUID(),
  });
}

/** Every reason that was given, in one text. */
function reasonsOf(result: TestRun): string {
  if (result.kind === "no code") return result.kind;
  return result.kind === "ran"
    ? result.tests.map(({ reason }) => reason ?? "PASSED").join("; ")
    : result.reason;
}

async function fails(code: string, reason: RegExp, tests?: string, limitS?: number): Promise<void> {
  const found = reasonsOf(await run(code, tests, limitS));
  assert.doesNotMatch(found, /PASSED/, code);
  assert.ok(reason.test(found), `${code}\n=> ${found}`);
}

Deno.test("it reads and writes no file, and sees no environment", async () => {
  const folder = await Deno.makeTempDir();
  const secret = join(folder, "secret.json").replaceAll("\\", "/");
  await Deno.writeTextFile(secret, `"secret"`);
  const no = /Requires (read|write|env|sys|run) access/;
  // As text that no scan of the code finds.
  const imported = (specifier: string) =>
    `const add = () => (0, eval)("imp" + "ort(${JSON.stringify(specifier).replaceAll('"', "'")})");`;
  try {
    await fails(`import fs from "node:fs"; const add = () => fs.readFileSync("${secret}", "utf8");`, no);
    await fails(`const add = () => Deno.readTextFileSync("${secret}");`, no);
    await fails(`const add = () => fetch("file://${secret}");`, no);
    await fails(`const add = () => Deno.writeTextFileSync("${folder}/new", "");`, no);
    await fails(`const add = () => Deno.env.toObject();`, no);
    await fails(`const add = () => Deno.hostname();`, no);
    await fails(imported(`file://${secret}`), no);
    await fails(
      `import s from "file://${secret}" with { type: "json" }; const add = () => s;`,
      /it imports file:/,
    );
    await fails(
      `import s from "data:application/json,3" with { type: "json" }; const add = () => s;`,
      /it imports data:/,
    );
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["secret.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("it reaches no network, no package and no other program", async () => {
  let reached = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    reached++;
    return new Response("export default 3;", { headers: { "content-type": "text/javascript" } });
  });
  const url = `http://127.0.0.1:${server.addr.port}/add.js`;
  const hidden = (specifier: string) =>
    `const add = async () => (await (0, eval)("imp" + "ort('${specifier}')")).default;`;
  try {
    await fails(`const add = async () => (await fetch("${url}")).status;`, /Requires net access/);
    await fails(
      `const add = async () => await Deno.connect({ port: ${server.addr.port} });`,
      /Requires net access/,
    );
    await fails(`const add = () => new WebSocket("${url.replace("http", "ws")}");`, /Requires net access/);
    await fails(hidden(url), /--no-remote|Requires import access/);
    await fails(hidden("npm:zod@4.6.7"), /--no-npm/);
    await fails(hidden("jsr:@std/assert"), /--no-remote|JSR/);
    await fails(`import add from "npm:left-pad";`, /it imports npm:left-pad|no code/);
    await fails(`import cp from "node:child_process"; const add = () => cp.execSync("id");`, /Requires/);
    await fails(`const add = () => new Deno.Command("/bin/sh").outputSync();`, /Requires (run|env) access/);
    await fails(`import p from "node:process"; const add = () => p.kill(p.ppid, 9);`, /Requires run access/);
    assert.equal(reached, 0);
  } finally {
    await server.shutdown();
  }
});

Deno.test("its time, memory, threads and output are limited", async () => {
  await fails(`const add = () => { for (;;); };`, /time limit/, undefined, 1);
  await fails(`const add = () => 3; for (;;);`, /time limit/, undefined, 1);
  await fails(`const add = () => new Promise(() => {});`, /time limit/, undefined, 1);
  await fails(
    `const add = () => { for (;;); };`,
    /time limit/,
    `Deno.test("t", () => { assertThrows(() => add()); });`,
    1,
  );
  await fails(
    `const add = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`,
    /time limit/,
    undefined,
    1,
  );
  await fails(
    `const add = () => { const a = []; for (;;) a.push(new Array(1e5).fill({})); };`,
    /memory/,
    undefined,
    60,
  );
  await fails(
    `import p from "node:process"; const add = () => { for (;;) p.stdout.write("x".repeat(1e5)); };`,
    /too much|time limit/,
  );
  const log = `const add = () => { for (let i = 0; i < 1e5; i++) console.log("x".repeat(1000)); return 3; };`;
  assert.equal(reasonsOf(await run(log, undefined, 60)), "PASSED", "what it prints goes nowhere");
});

Deno.test({
  name: "memory beside V8's heap is limited by the system",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await fails(
      `const add = () => { const a = []; for (;;) a.push(new Uint8Array(5e7).fill(1)); };`,
      /allocation failed|memory/,
      undefined,
      60,
    );
    await fails(
      `const add = () => { const a = []; for (let i = 0; i < 20; i++) a.push(new WebAssembly.Memory({ initial: 4000 })); for (const m of a) new Uint8Array(m.buffer).fill(1); return 4; };`,
      /could not allocate|memory/,
      undefined,
      60,
    );
    await fails(
      `import w from "node:worker_threads"; const add = () => { for (let i = 0; i < 20; i++) new w.Worker("for (;;);", { eval: true }); return 4; };`,
      /memory|ended|got 4/,
    );
  },
});

Deno.test("it can't fake a pass", async () => {
  const wrong = /got |ended|time limit|not loaded|can only be called|not a function|not supported/;
  for (
    const code of [
      `Deno.exit(0); const add = () => 4;`,
      `const add = () => { Deno.exit(0); };`,
      `import p from "node:process"; const add = () => p.exit(0);`,
      `import p from "node:process"; const add = () => p.abort();`,
      `const add = () => { close(); return 4; }; self.close();`,
      `Object.is = () => true; Object.prototype.toString = () => ""; Array.prototype.every = () => true; JSON.stringify = () => "[]"; Error = function () {}; globalThis.Promise = class {}; const add = () => 4;`,
      `function assertEquals() {} function test() {} globalThis.assertEquals = () => {}; Deno.test = () => {}; const add = () => 4;`,
      `const add = () => { postMessage(null); postMessage({ kind: "ran", tests: [] }); return 4; };`,
      `import fs from "node:fs"; const add = () => { fs.writeSync(1, '\\n{"kind":"ran","tests":[{"name":"three","reason":null}]}\\n'); return 4; };`,
      `class Three { valueOf() { return 3; } toString() { return "3"; } } const add = () => new Three();`,
      `const add = () => new Proxy({}, { get: () => () => 3, has: () => true, getPrototypeOf: () => Number.prototype });`,
      `const old = MessagePort.prototype.postMessage; let port; MessagePort.prototype.postMessage = function (m) { port = this; return old.call(this, m); };
       const add = () => { for (let i = 0; i < 99; i++) port?.postMessage({ kind: "reply", n: i, thrown: false, value: 4 }); return 4; };`,
    ]
  ) await fails(code, wrong, undefined, 3);
  // Through a function that the tests pass.
  const passing = `Deno.test("three", () => assertEquals(add((x) => x), 3));`;
  const poison = `"globalThis.assertEquals = () => {}"`;
  await fails(`const add = (f) => { f.constructor(${poison})(); return 4; };`, wrong, passing);
  await fails(
    `const add = (f) => { try { f.call.constructor(${poison})(); } catch {} return 4; };`,
    wrong,
    passing,
  );
  await fails(
    `const add = (f) => { Object.setPrototypeOf(f, null); f.call = 3; return 4; };`,
    /got|only be called/,
    passing,
  );
  // An assertion that fails in a callback counts, whatever the code does with it.
  await fails(
    `const add = (f) => { try { f(1); } catch {} return 3; };`,
    /got 1, expected 2/,
    `Deno.test("t", () => { add((x) => assertEquals(x, 2)); });`,
  );
});
