/** The chat task, as people run it, against endpoints that don't take every request. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runTask } from "./bench/command.ts";
import { startFake } from "./fake_endpoint.ts";

for (const [systemMessage, says] of [["refuse", "refuses"], ["drop", "drops"]] as const) {
  Deno.test(`chat: where a service ${says} system messages, their text opens the question, and chat says so`, async () => {
    const fake = startFake({ models: { one: { systemMessage, words: ["Ahoy."] } }, strict: true });
    try {
      const args = [
        "one",
        "--system",
        "Talk like a sailor.",
        "--prompt",
        "Hello?",
        "--endpoint",
        fake.baseUrl,
      ];
      const { code, stdout, stderr } = await runTask("chat", args);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "Ahoy.\n");
      assert.match(stderr, new RegExp(`it ${says} system messages.*: their text opens the user message`));
      const { messages } = Object(fake.log.at(-1)?.body);
      assert.deepEqual(messages, [{ role: "user", content: "Talk like a sailor.\n\nHello?" }]);
    } finally {
      await fake.stop();
    }
  });
}

Deno.test("chat: a model file that is none, and one whose parts are missing, are refused in one line", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "big-00001-of-00002.gguf");
    await Deno.writeTextFile(path, "no model");
    const { code, stderr } = await runTask("chat", [path, "--prompt", "Hello?"]);
    assert.ok(code === 1 || code === 2, stderr);
    assert.match(stderr, /^error: [^\n]*big-00001-of-00002\.gguf[^\n]*\n$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
