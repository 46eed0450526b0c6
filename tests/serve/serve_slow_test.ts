/** `deno task serve` with a real model: one document with --json, one address, and nothing left behind. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { realModel } from "../engine/real_model.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const flags = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys", "--allow-net", "--allow-run"];

const command = (args: string[]) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", ...flags, "scripts/serve.ts", ...args],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  });

/** A failed assertion must not leave a server behind. */
function endWithTest(child: Deno.ChildProcess) {
  let running = true;
  void child.status.then(() => running = false);
  const kill = () => {
    if (running) child.kill("SIGINT");
    running = false;
  };
  return { kill, [Symbol.dispose]: kill };
}

Deno.test({
  name: "serve loads, answers, and Ctrl-C ends it with 130",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await realModel();
    const child = command(["smollm2", "--port", "0", "--json", "--threads", "1", "--gpu", "off"]).spawn();
    using ending = endWithTest(child);
    const errors = new Response(child.stderr).text();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.trimEnd().endsWith("}")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(await errors);
      text += value;
    }
    const { url, models } = JSON.parse(text);
    assert.deepEqual(models, [{ id: "smollm2-135m-instruct:q4_1", device: "cpu" }]);
    const answer = await fetch(`${url}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({
        model: "smollm2",
        messages: [{ role: "user", content: "Write one sentence about the sea." }],
        max_tokens: 20,
        temperature: 0,
      }),
    });
    assert.match((await answer.json()).choices[0].message.content, /sea/i);
    ending.kill();
    assert.equal((await child.status).code, 130);
    assert.match(await errors, /loaded in .* s on cpu, 1 threads/);
    await reader.cancel();
    await assert.rejects(fetch(`${url}/models`));
  },
});

for (
  const [name, args, message] of [
    ["an unknown model", ["nosuch"], /nosuch/],
    ["a port that is none", ["--port", "x"], /--port/],
    ["an engine option that is none", ["smollm2:threads=0"], /threads=0/],
  ] as const
) {
  Deno.test(`wrong usage is one line and exit code 2: ${name}`, async () => {
    const { code, stderr, stdout } = await command([...args]).output();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.ok(!/\n\s+at /.test(text), text);
    assert.equal(stdout.length, 0);
  });
}
