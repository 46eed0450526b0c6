/** What tasks do without the permission to start programs, and that `models` starts no others than its own. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { startFake } from "./fake_endpoint.ts";

const flags = ["--no-prompt", "--allow-read", "--allow-write", "--allow-env", "--allow-sys", "--allow-net"];

async function script(name: string, args: readonly string[], more: readonly string[] = []) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", ...flags, ...more, `scripts/${name}.ts`, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

const run = "reports/2026-11-21T07-30-18-gzss";

async function withCopy(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "podium-test-" });
  try {
    for await (const { name } of Deno.readDir(run)) await Deno.copyFile(join(run, name), join(folder, name));
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("list, fit, annotate, check, report and chat with an endpoint start no program", () =>
  withCopy(async (folder) => {
    const fake = startFake({ models: { one: { words: ["hello"] } }, strict: true });
    try {
      const prompts = "prompts/ten.json";
      const calls: [string, string[], RegExp][] = [
        ["models", ["list"], /smollm2/],
        ["models", ["fit"], /GB RAM/],
        ["models", ["cache"], /disk/],
        ["quality", ["annotate", folder, "--prompts", prompts], /answers to rate/],
        ["quality", ["check", folder, "--prompts", prompts], /Answers: /],
        ["report", [folder], /smollm2/i],
        ["chat", ["one", "--prompt", "hi", "--endpoint", fake.baseUrl], /hello/],
      ];
      for (const [name, args, says] of calls) {
        const { code, out, err } = await script(name, args);
        assert.equal(code, 0, `${name} ${args.join(" ")}: ${err}`);
        assert.match(out, says, `${name} ${args.join(" ")}`);
        assert.doesNotMatch(err, /NotCapable|permission/i, err);
      }
    } finally {
      await fake.stop();
    }
  }));

Deno.test("models compile says which permission it needs; models may not start a shell", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json"));
  const [allowed = ""] = /--allow-run=\S+/.exec(tasks.models.command) ?? [];
  assert.equal(allowed, "--allow-run=python3,python,py,foundry");
  const { code, err } = await script("models", ["compile", "x.gguf"], [allowed]);
  assert.equal(code, 2);
  assert.match(err, /compiling needs permission to run programs: .* deno run -A scripts\/models\.ts compile/);
});
