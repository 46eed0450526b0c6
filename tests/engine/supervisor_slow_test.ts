/** Engines end with the program that started them, and what can't be loaded says why in one line. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { UserError } from "../../lib/errors.ts";
import type { StartOptions } from "../../lib/engine/supervisor.ts";
import { startEngine } from "../../lib/engine/supervisor.ts";
import { isAlive, post, realEngine, realModel, until } from "./real_model.ts";

const options = async (): Promise<StartOptions> => ({
  modelPath: await realModel(),
  modelId: "tiny",
  gpu: "off",
  denoPath: Deno.execPath(),
  env: Deno.env,
  clock: () => performance.now(),
});

Deno.test("an engine that was stopped is gone, also while it answers, and stopping twice is no fault", async () => {
  await using engine = await realEngine();
  const endless = { model: "smollm2", prompt: "Once", max_tokens: 3000, ignore_eos: true, stream: true };
  const answer = await post(engine, "/completions", endless);
  const reader = answer.body?.getReader();
  await reader?.read();
  await Promise.all([engine.stop(), engine.stop()]);
  assert.equal(isAlive(engine.pid), false);
  await reader?.cancel().catch(() => {});
});

Deno.test("an engine that is still loading is ended by the signal", async () => {
  const stop = new AbortController();
  const starting = startEngine({ ...await options(), signal: stop.signal });
  setTimeout(() => stop.abort(new Error("changed my mind")), 200);
  await assert.rejects(starting, /changed my mind/);
  await assert.rejects(startEngine({ ...await options(), signal: stop.signal }), /changed my mind/);
});

Deno.test({
  name: "a parent that is killed leaves no engine behind",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const parent = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--allow-read",
        "--allow-env",
        "--allow-run",
        "--allow-net=127.0.0.1",
        fileURLToPath(new URL("./parent.ts", import.meta.url)),
        await realModel(),
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = parent.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const engine = Number((await output.read()).value);
    assert.ok(isAlive(engine), `engine ${engine} runs`);
    parent.kill("SIGKILL");
    await parent.status;
    await until(() => !isAlive(engine));
    await output.cancel();
  },
});

Deno.test({
  name: "an engine that the system ends exits cleanly, and its parent learns of it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using engine = await realEngine();
    Deno.kill(engine.pid, "SIGTERM");
    assert.deepEqual(await engine.exited, { code: 0, signal: null });
    await engine.stop();
  },
});

Deno.test("what can't be loaded is one line that names the file or the value, and leaves no process", async (t) => {
  const dir = await Deno.makeTempDir();
  const good = await Deno.readFile(await realModel());
  const damaged = good.slice(0, 200_000);
  damaged.fill(0xff, 100, 3000);
  const files: Record<string, Uint8Array> = {
    "cut.gguf": good.slice(0, good.length - 5_000_000),
    "head.gguf": good.slice(0, 2000),
    "damaged.gguf": damaged,
    "page.gguf": new TextEncoder().encode("<html>not found</html>"),
    "empty.gguf": new Uint8Array(),
  };
  for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(`${dir}/${name}`, bytes);
  const cases: [string, Partial<StartOptions>, RegExp][] = [
    ["cut short", { modelPath: `${dir}/cut.gguf` }, /cut\.gguf.*incomplete.*pull the model again/],
    ["only a head", { modelPath: `${dir}/head.gguf` }, /head\.gguf.*pull the model again/],
    ["damaged", { modelPath: `${dir}/damaged.gguf` }, /damaged\.gguf.*header can't be read.*pull/],
    ["a web page", { modelPath: `${dir}/page.gguf` }, /page\.gguf is not a GGUF file/],
    ["empty", { modelPath: `${dir}/empty.gguf` }, /empty\.gguf is not a GGUF file/],
    ["missing", { modelPath: `${dir}/none.gguf` }, /no model file at .*none\.gguf/],
    ["a folder", { modelPath: dir }, /can't be read/],
    ["a context beyond the model's", { contextTokens: 1_000_000 }, /context of 8192 tokens at most.*1000000/],
    [
      "a quantised cache without flash attention",
      { kvCache: "q4_0", flashAttention: false },
      /KV cache of q4_0 needs flash attention/,
    ],
    [
      "a GPU of another system",
      { gpu: Deno.build.os === "darwin" ? "cuda" : "metal" },
      /--gpu (metal|cuda): no/,
    ],
  ];
  for (const [name, change, message] of cases) {
    await t.step(name, async () => {
      await assert.rejects(startEngine({ ...await options(), ...change }), (error: unknown) => {
        assert.ok(error instanceof UserError, `${error}`);
        assert.match(error.message, message);
        assert.ok(!error.message.includes("\n"), error.message);
        return true;
      });
    });
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test({
  name: "an engine gets no keys and tokens of its parent's environment",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    Deno.env.set("HF_TOKEN", "hf_secret");
    try {
      await using engine = await realEngine();
      const { stdout } = await new Deno.Command("cat", { args: [`/proc/${engine.pid}/environ`] }).output();
      const environment = new TextDecoder().decode(stdout);
      assert.ok(environment.includes("PATH="), environment);
      assert.ok(!environment.includes("hf_secret"));
    } finally {
      Deno.env.delete("HF_TOKEN");
    }
  },
});

Deno.test("a file whose chat template doesn't parse is loaded with the plain one, and says so", async () => {
  const dir = await Deno.makeTempDir();
  const bytes = await Deno.readFile(await realModel());
  const at = new TextDecoder("latin1").decode(bytes.subarray(0, 4_000_000)).indexOf("{% for message");
  assert.ok(at > 0);
  bytes.set(new TextEncoder().encode("{% fxr"), at);
  const modelPath = `${dir}/broken.gguf`;
  await Deno.writeFile(modelPath, bytes);
  {
    await using engine = await realEngine({ modelPath });
    assert.equal(engine.chatTemplate, "plain");
    assert.match(
      engine.chatTemplateNote ?? "",
      /chat template in broken\.gguf \(tokenizer\.chat_template\) is not valid Jinja/,
    );
    const body = { model: "smollm2", max_tokens: 4, messages: [{ role: "user", content: "Hello" }] };
    const answer = await (await post(engine, "/chat/completions", body)).json();
    assert.ok(answer.usage.completion_tokens > 0);
  }
  await Deno.remove(dir, { recursive: true });
});

for (const direct of [true, false]) {
  Deno.test(`cache format, batch and mapping are options, recorded as used, ${direct ? "directly" : "by way of node-llama-cpp"}`, async () => {
    const body = { model: "smollm2", prompt: "The capital of France is", max_tokens: 4, temperature: 0 };
    await using plain = await realEngine({ direct });
    const batchTokens = plain.direct ? 256 : 512;
    assert.deepEqual(plain.settings, { kvCache: "f16", batchTokens, mmap: true, parallel: 1 });
    await plain.stop();
    for (const kvCache of ["q8_0", "q4_0"] as const) {
      await using engine = await realEngine({ direct, kvCache, batchTokens: 64, mmap: false });
      assert.deepEqual(engine.settings, { kvCache, batchTokens: 64, mmap: false, parallel: 1 });
      const { choices } = await (await post(engine, "/completions", body)).json();
      if (kvCache === "q8_0") assert.match(choices[0].text, /Paris/);
      const long = await post(engine, "/completions", { ...body, prompt: "sea ".repeat(200) });
      assert.equal((await long.json()).usage.completion_tokens, 4);
    }
  });
}
