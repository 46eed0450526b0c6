/** Logits that are read directly are the model's: as node-llama-cpp reads them, and as llama.cpp's own tool does. */
import assert from "node:assert/strict";
import { getLlama } from "node-llama-cpp";
import { compareOverText, type TextOrder } from "../../lib/engine/text_comparison.ts";
import { UserError } from "../../lib/errors.ts";
import { realClock } from "../../scripts/cli.ts";
import { realModel } from "./real_model.ts";

const text = await Deno.readTextFile(new URL("../../prompts/fidelity.txt", import.meta.url));

const read = (order: Omit<TextOrder, "text">, of = text) =>
  compareOverText({ ...order, text: of }, {
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: realClock,
    signal: new AbortController().signal,
  });

const options = (modelPath: string) => ({ modelPath, modelId: "model", gpu: "off" as const });
const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

Deno.test("the perplexity is the one that llama.cpp's own tool prints, and a model does not differ from itself", async () => {
  const model = options(await realModel());
  const { blocks, reading } = await read({ blockTokens: 512, mostTokens: 1024, models: [model, model] });
  assert.deepEqual([reading.vocabulary, blocks.length, blocks[0]?.kl.length], [49_152, 2, 255]);
  assert.ok(blocks.every(({ kl, sameTop }) => kl.every((one) => one === 0) && sameTop.every(Boolean)));
  // llama-perplexity -m SmolLM2-135M-Instruct.Q4_1.gguf -f prompts/fidelity.txt -c 512 --chunks 2
  // [1]43.7522,[2]46.9762
  const [first = [], second = []] = blocks.map(({ surprise }) => surprise[0]);
  assert.ok(Math.abs(Math.exp(mean(first)) / 43.7522 - 1) < 0.01, `${Math.exp(mean(first))}`);
  assert.ok(Math.abs(Math.exp(mean([...first, ...second])) / 46.9762 - 1) < 0.01);
});

Deno.test("each probability is the one that node-llama-cpp reads", async () => {
  const modelPath = await realModel();
  const short = text.slice(0, 800);
  const { blocks } = await read({
    blockTokens: 64,
    mostTokens: 128,
    models: [options(modelPath), options(modelPath)],
  }, short);
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, progressLogs: false });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 64, batchSize: 64 });
  const tokens = model.tokenize(short).slice(0, 64);
  const evaluated = await context.getSequence().controlledEvaluate(
    tokens.map((token, at) =>
      at % 4 !== 0 || at < 32 ? token : [token, { generateNext: { probabilities: true } }]
    ),
  );
  for (let row = 0; row < 31; row += 4) {
    const next = tokens[32 + row + 1];
    assert.ok(next !== undefined);
    const wanted = evaluated[32 + row]?.next?.probabilities?.get(next) ?? NaN;
    const found = Math.exp(-(blocks[0]?.surprise[0][row] ?? NaN));
    assert.ok(Math.abs(found - wanted) < 0.002 + 0.02 * wanted, `at ${row}: ${found} is not ${wanted}`);
  }
  await llama.dispose();
});

Deno.test("a quantised KV cache changes the predictions a little", async () => {
  const model = options(await realModel());
  const { blocks } = await read({
    blockTokens: 128,
    mostTokens: 256,
    models: [model, { ...model, kvCache: "q4_0" }],
  });
  const kl = mean(blocks.flatMap((block) => block.kl));
  assert.ok(kl > 0.005 && kl < 0.2, `${kl}`);
  assert.equal(blocks[0]?.furthest.length, 3);
  assert.match(text, new RegExp(RegExp.escape(blocks[0]?.furthest[0]?.before ?? "none")));
});

Deno.test("models of different vocabularies, and texts that are too short, are refused with what to do", async () => {
  const [a, b] = [options(await realModel()), options(await realModel("gemma-3-270m"))];
  const refused = (wanted: RegExp) => (error: unknown) =>
    error instanceof UserError && error.exitCode === 2 && wanted.test(error.message);
  await assert.rejects(
    read({ blockTokens: 64, mostTokens: 256, models: [a, b] }),
    refused(/different vocabularies \(49152 and 262144 tokens/),
  );
  await assert.rejects(
    read({ blockTokens: 512, mostTokens: 16_384, models: [a, a] }, "Hello there."),
    refused(/the text has 3 tokens, and two blocks of 512 are the least/),
  );
});
