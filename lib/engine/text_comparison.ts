/** Two models read a text in a process of their own; their predictions are compared per token. */
import { z } from "zod";
import { ChildProgram, lastLine, type ProcessExit } from "../child_program.ts";
import type { Clock } from "../clock.ts";
import { UserError } from "../errors.ts";
import type { Environment } from "../program.ts";
import { type EngineOptions, engineOptions, loadFault } from "./options.ts";
import { engineCommand } from "./supervisor.ts";

/** The one line that the process reads. */
export const textOrder = z.object({
  text: z.string(),
  /** Tokens per block. Each block is read from its start, and its second half is compared. */
  blockTokens: z.int().min(16),
  /** Most tokens of the text that are read. */
  mostTokens: z.int().min(16),
  models: z.tuple([engineOptions, engineOptions]),
});
export type TextOrder = z.infer<typeof textOrder>;

const numbers = z.array(z.number());

const readBlock = z.object({
  state: z.literal("block"),
  /** Kullback-Leibler divergence of the second model's prediction from the first's, per token, in nats. */
  kl: numbers,
  /** Minus the logarithm of the probability that each model gave to the token of the text. */
  surprise: z.tuple([numbers, numbers]),
  /** Whether both models hold the same token for the likeliest. */
  sameTop: z.array(z.boolean()),
  /** The tokens on which the predictions are furthest apart. */
  furthest: z.array(z.object({
    /** The text right before the token. */
    before: z.string(),
    /** The token of the text. */
    token: z.string(),
    /** What each model holds for the likeliest. */
    top: z.tuple([z.string(), z.string()]),
    kl: z.number(),
  })),
});
/** One block of text, read by both models. */
export type ReadBlock = z.infer<typeof readBlock>;

const settings = z.object({
  threads: z.int(),
  kv_cache: z.string(),
  batch_tokens: z.int(),
  flash_attention: z.enum(["on", "off", "auto"]),
});

/** The lines that the process writes. */
const textReport = z.discriminatedUnion("state", [
  z.object({
    state: z.literal("ready"),
    /** Tokens of the whole text. */
    tokens: z.int(),
    blocks: z.int(),
    vocabulary: z.int(),
    settings: z.tuple([settings, settings]),
  }),
  readBlock,
  z.object({ state: z.literal("failed"), fault: loadFault, model: z.int().nullable(), reason: z.string() }),
]);
export type TextReport = z.infer<typeof textReport>;
/** How long the text is, and what the models read it with. */
export type TextReading = Omit<Extract<TextReport, { state: "ready" }>, "state">;

/** What a comparison needs from outside. */
export interface TextComparisonOptions {
  /** The Deno that runs the process: `Deno.execPath()`. */
  readonly denoPath: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onBlock?: (done: number, all: number) => void;
}

/** A text that two models have read. */
export interface ComparedText {
  readonly reading: TextReading;
  readonly blocks: readonly ReadBlock[];
  /** Seconds from the start of the process to its end, loading included. */
  readonly seconds: number;
}

/**
 * Lets two models read a text and compares their predictions of every token in the second half of each block.
 *
 * @throws {UserError} where a model can't be loaded, the models split the text
 * differently, or the text is too short
 *
 * ```ts ignore
 * const models = [{ modelPath: "a.gguf", modelId: "a", gpu: "off" }, { modelPath: "b.gguf", modelId: "b", gpu: "off" }];
 * const { blocks } = await compareOverText({ text, blockTokens: 512, mostTokens: 16_384, models }, options);
 * ```
 */
export async function compareOverText(
  order: TextOrder,
  { denoPath, env, clock, signal, onBlock }: TextComparisonOptions,
): Promise<ComparedText> {
  signal.throwIfAborted();
  const startedAt = clock();
  const child = new ChildProgram(engineCommand(TEXT_PROGRAM, { denoPath, env }));
  const kill = () => child.kill();
  signal.addEventListener("abort", kill, { once: true });
  try {
    await child.write(order);
    let reading: TextReading | null = null;
    const blocks: ReadBlock[] = [];
    for await (const line of child.lines()) {
      if (!line.startsWith('{"state":')) continue;
      const report = textReport.parse(JSON.parse(line));
      if (report.state === "failed") throw readingFailed(report, order.models);
      if (report.state === "ready") reading = report;
      else blocks.push(report);
      onBlock?.(blocks.length, reading?.blocks ?? 0);
    }
    signal.throwIfAborted();
    if (reading !== null && blocks.length === reading.blocks) {
      return { reading, blocks, seconds: (clock() - startedAt) / 1000 };
    }
    throw endedEarly(await child.exited, lastLine(await child.errors));
  } finally {
    signal.removeEventListener("abort", kill);
    child.kill();
    await child.exited;
  }
}

const TEXT_PROGRAM = new URL("./text_program.ts", import.meta.url).href;

function endedEarly({ code, signal }: ProcessExit, lastError: string): UserError {
  return new UserError(
    signal === "SIGKILL"
      ? "the system ended the process that reads the text: memory ran out; close other programs or give a smaller --block"
      : `the process that reads the text ended (${signal ?? `exit code ${code}`}): ${lastError}`,
    1,
  );
}

function readingFailed(
  { fault, model, reason }: Extract<TextReport, { state: "failed" }>,
  models: readonly EngineOptions[],
): Error {
  const id = model === null ? "" : `${models[model]?.modelId ?? "a model"}: `;
  return new UserError(`${id}${reason}`, fault === "options" ? 2 : 1);
}
