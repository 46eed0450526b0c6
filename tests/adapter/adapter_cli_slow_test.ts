/** An adapter goes through the same commands as any other model: list, chat, bench, quality, serve. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { folder } from "./adapter_fixture.ts";

const root = join(folder, "..", "..");
const summariser = "extractive-notes";
const allow = ["read", "write", "env", "sys", "net", "run"].map((kind) => `--allow-${kind}`);

const command = (script: string, args: readonly string[]) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", ...allow, join("scripts", script), ...args],
    cwd: root,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });

async function outputOf(script: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await command(script, args).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("it is listed, and chats", async () => {
  const { models } = JSON.parse(await outputOf("models.ts", "list", "--json"));
  const entry = models.find(({ alias }: { alias: string }) => alias === summariser);
  assert.deepEqual([entry.default, entry.variants[0].format], [false, "adapter"]);
  const answer = await outputOf("chat.ts", summariser, "--prompt", "Notes:\nThe lift fails since Monday.");
  assert.equal(answer, "The lift fails since Monday.\n");
});

Deno.test("it is measured and scored, and its token counts are marked as estimates", async () => {
  const out = await Deno.makeTempDir();
  try {
    const args = [
      "--models",
      `${summariser},${summariser}`,
      "--prompt",
      "Notes:\nThe lift fails.",
      "--rounds",
      "2",
    ];
    const summary = JSON.parse(await outputOf("bench.ts", ...args, "--warmup", "0", "--out", out, "--json"));
    assert.deepEqual(summary.candidates.map(({ id }: { id: string }) => id), [
      `${summariser}:rules`,
      `${summariser}:rules#2`,
    ]);
    for (const { requests, tokens, load_s, memory_mb } of summary.candidates) {
      assert.ok(requests.ok >= 2, "a disturbed block is made up for");
      assert.deepEqual([requests.failed, tokens.source], [0, "chunks"]);
      assert.ok(load_s > 0 && memory_mb > 20, `${load_s} s, ${memory_mb} MB`);
    }
    const report = JSON.parse(
      await outputOf("quality.ts", "capture", "--models", summariser, "--out", out, "--json"),
    );
    const invented = report.candidates[0].checks.find(({ name }: { name: string }) =>
      name === "nothing invented"
    );
    assert.equal(invented.pass_rate.rate, 1);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("it is served and routed to", async () => {
  const serving = command("serve.ts", [summariser, "--port", "0", "--json"]).spawn();
  const lines = serving.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let said = "";
    while (!/\}\s*$/.test(said)) {
      const { value, done } = await lines.read();
      assert.ok(!done, `it ended: ${said}`);
      said += value;
    }
    const { url } = JSON.parse(said);
    for (const model of [summariser, "auto"]) {
      const response = await fetch(`${url}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model,
          messages: [{ role: "user", content: "Notes:\nThe lift fails since Monday." }],
        }),
      });
      const { choices } = await response.json();
      assert.equal(choices[0].message.content, "The lift fails since Monday.");
      assert.equal(response.headers.get("x-podium-model"), summariser);
    }
  } finally {
    serving.kill(Deno.build.os === "windows" ? "SIGKILL" : "SIGINT");
    await Promise.all([serving.status, lines.cancel(), serving.stderr.cancel()]);
  }
});
