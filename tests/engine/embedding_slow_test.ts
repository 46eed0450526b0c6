/** An embedding model in an engine process. The model is made up; all-MiniLM-L6-v2 was tried by hand. */
import assert from "node:assert/strict";
import { join } from "node:path";
import OpenAI from "openai";
import { startEngine } from "../../lib/engine/supervisor.ts";
import { CONTEXT, tinyBert } from "./tiny_bert.ts";

Deno.test("an embedding model answers /v1/embeddings with unit vectors, and writes no text", async () => {
  const folder = await Deno.makeTempDir();
  const modelPath = join(folder, "tiny-bert.gguf");
  await Deno.writeFile(modelPath, tinyBert());
  const engine = await startEngine({
    modelPath,
    modelId: "tiny-bert",
    gpu: "off",
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: () => performance.now(),
  });
  try {
    const client = new OpenAI({
      baseURL: engine.endpoint.baseUrl,
      apiKey: engine.endpoint.apiKey,
      maxRetries: 0,
    });
    const model = "tiny-bert";
    const embed = (input: string[]) => client.embeddings.create({ model, input });
    const { data, usage } = await embed(["the cat sits", "the market fell", "the cat sits"]);
    const [first = [], second = [], again = []] = data.map(({ embedding }) => [...embedding]);
    assert.equal(first.length, 32);
    const dot = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
    assert.ok(Math.abs(dot(first, first) - 1) < 1e-5, "of length 1");
    assert.ok(dot(first, again) > 0.9999, "the same text has the same vector");
    assert.ok(dot(first, second) < 0.999, "another text has another");
    assert.equal(usage.prompt_tokens, 3 * 5, "three words, and a token before and after them");
    assert.equal(engine.contextTokens, CONTEXT);
    await assert.rejects(embed(["cat ".repeat(CONTEXT)]), /has 66 tokens, and this model takes 63/);
    const messages = [{ role: "user" as const, content: "Hi" }];
    await assert.rejects(client.chat.completions.create({ model, messages }), /writes no text/);
  } finally {
    await engine.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
