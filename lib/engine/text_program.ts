/**
 * The program in which two models read one text, block by block, so that the logits of both are in one memory
 * and never leave it. text_comparison.ts starts it: the order is one JSON line on standard input, the reports
 * are JSON lines on standard output, and the process ends when its input closes.
 */
import { reasonOf } from "../errors.ts";
import { loadDirectModel, makeDirectContext } from "./direct/direct_evaluator.ts";
import { type LlamaLibrary, openLlamaLibrary } from "./direct/llama_library.ts";
import { TextLogits } from "./direct/text_logits.ts";
import { flashAttentionOf, openRuntime, settingsOf } from "./load.ts";
import { logitDifference } from "./logit_difference.ts";
import { defaultThreads, type EngineOptions, LoadError } from "./options.ts";
import { readOrder, writeReport } from "./program_lines.ts";
import { type TextOrder, textOrder, type TextReport } from "./text_comparison.ts";

/** Tokens reported per block with the text around them. */
const FURTHEST = 3;
/** Tokens of text shown before one of them. */
const BEFORE = 12;

const report = (line: TextReport) => writeReport(line);

/** Which of the two models something went wrong with. */
class ModelFault extends LoadError {
  constructor(readonly model: number | null, fault: LoadError["fault"], message: string) {
    super(fault, message);
  }
}

async function openLibrary() {
  const complaints: string[] = [];
  const llama = await openRuntime({ gpu: "off" }, complaints);
  const opened = await openLlamaLibrary();
  if (opened.kind === "open") return { library: opened.library, mathCores: llama.cpuMathCores, complaints };
  throw new ModelFault(
    null,
    "engine",
    `the probabilities of the whole vocabulary are read from llama.cpp directly, which is not possible here: ` +
      opened.reason,
  );
}

async function openTexts(
  { models, blockTokens }: TextOrder,
  library: LlamaLibrary,
  mathCores: number,
  complaints: readonly string[],
) {
  const weights = new Map<string, Awaited<ReturnType<typeof loadDirectModel>>>();
  const open = async (options: EngineOptions, index: number) => {
    const { kvCache, batchTokens } = settingsOf(options, "direct");
    const threads = options.threads ?? defaultThreads(mathCores);
    const flashAttention = flashAttentionOf(options);
    const contextTokens = Math.max(blockTokens, options.contextTokens ?? 0);
    const key = JSON.stringify([options.modelPath, options.mmap]);
    const model = weights.get(key) ?? await loadDirectModel(library, options.modelPath, options.mmap);
    weights.set(key, model);
    if (model === null) {
      const why = complaints.find((line) => line !== "") ?? "llama.cpp can't read it";
      throw new ModelFault(index, "file", `its file can't be loaded: ${why}`);
    }
    const made = { contextTokens, parallel: 1, threads, flashAttention, kvCache, batchTokens };
    const context = await makeDirectContext(library, model, made, true);
    if (context === null) {
      throw new ModelFault(index, "memory", `no context of ${contextTokens} tokens could be made for it`);
    }
    return {
      logits: new TextLogits(library, model, context, blockTokens),
      settings: {
        threads,
        kv_cache: kvCache,
        batch_tokens: Math.min(batchTokens, blockTokens),
        flash_attention: flashAttention === undefined ? "auto" : flashAttention ? "on" : "off",
      } as const,
    };
  };
  return [await open(models[0], 0), await open(models[1], 1)] as const;
}

/** @throws {ModelFault} where the models don't share a vocabulary, and so have no probabilities to compare */
function commonTokens(first: TextLogits, second: TextLogits, text: string): Int32Array {
  const [tokens, others] = [first.tokenize(text), second.tokenize(text)];
  const same = first.vocabularySize === second.vocabularySize && tokens.length === others.length &&
    tokens.every((token, at) => token === others[at]);
  if (same) return tokens;
  throw new ModelFault(
    null,
    "options",
    `the two models have different vocabularies (${first.vocabularySize} and ${second.vocabularySize} tokens; the ` +
      `text has ${tokens.length} and ${others.length}): give two variants or settings of one model`,
  );
}

async function main(): Promise<void> {
  const order = textOrder.parse(JSON.parse(await readOrder()));
  const { library, mathCores, complaints } = await openLibrary();
  const [first, second] = await openTexts(order, library, mathCores, complaints);
  const tokens = commonTokens(first.logits, second.logits, order.text);
  const { blockTokens } = order;
  const blocks = Math.floor(Math.min(tokens.length, order.mostTokens) / blockTokens);
  if (blocks < 2) {
    throw new ModelFault(
      null,
      "options",
      `the text has ${tokens.length} tokens, and two blocks of ${blockTokens} are the least: give a longer text ` +
        "or a smaller --block",
    );
  }
  report({
    state: "ready",
    tokens: tokens.length,
    blocks,
    vocabulary: first.logits.vocabularySize,
    settings: [first.settings, second.settings],
  });
  // Their threads don't compete then, and the text takes half the time.
  const together = first.settings.threads + second.settings.threads <= mathCores;
  for (let at = 0; at < blocks; at++) {
    const block = tokens.slice(at * blockTokens, (at + 1) * blockTokens);
    report(await compareBlock([first.logits, second.logits], block, together));
  }
}

/** The second half of a block is compared, so that every prediction has the first half before it. */
async function compareBlock(
  [first, second]: readonly [TextLogits, TextLogits],
  block: Int32Array,
  together: boolean,
): Promise<TextReport> {
  const from = Math.floor(block.length / 2);
  const read = block.slice();
  // Every text begins with the model's own first token, as in llama.cpp's tool.
  if (first.beginning !== null) read[0] = first.beginning;
  const rows = together
    ? await Promise.all([first.read(read, from), second.read(read, from)])
    : [await first.read(read, from), await second.read(read, from)];
  const size = first.vocabularySize;
  const differences = Array.from({ length: block.length - 1 - from }, (_, row) => {
    const [a, b] = rows.map((logits) => logits.subarray(row * size, (row + 1) * size));
    if (a === undefined || b === undefined) throw new Error("two models are compared");
    return logitDifference(a, b, block[from + row + 1] ?? 0);
  });
  const furthest = differences.map(({ kl, top }, row) => ({ kl, top, at: from + row + 1 }))
    .sort((a, b) => b.kl - a.kl).slice(0, FURTHEST);
  return {
    state: "block",
    kl: differences.map(({ kl }) => kl),
    surprise: [
      differences.map(({ surprise }) => surprise[0]),
      differences.map(({ surprise }) => surprise[1]),
    ],
    sameTop: differences.map(({ top }) => top[0] === top[1]),
    furthest: furthest.map(({ kl, top, at }) => ({
      before: first.textOf(block.subarray(Math.max(0, at - BEFORE), at)),
      token: first.textOf(block.subarray(at, at + 1)),
      top: [first.textOf([top[0]]), first.textOf([top[1]])],
      kl,
    })),
  };
}

if (import.meta.main) {
  // A terminal sends Ctrl-C to the whole group; the parent decides when its processes end.
  Deno.addSignalListener("SIGINT", () => {});
  try {
    await main();
    Deno.exit(0);
  } catch (error) {
    const [fault, model] = error instanceof ModelFault
      ? [error.fault, error.model]
      : [error instanceof LoadError ? error.fault : "engine" as const, null];
    report({ state: "failed", fault, model, reason: reasonOf(error) });
    Deno.exit(1);
  }
}
