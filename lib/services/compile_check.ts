/** Whether a compiled model still says what the original says. */
import { join } from "node:path";
import { z } from "zod";
import type { Compiled } from "./compile.ts";
import { pythonIn, type PythonOptions, runStep } from "./compile_python.ts";

const comparedRow = z.object({
  prompt: z.string(),
  original: z.string(),
  compiled: z.string(),
  agreement: z.number().min(0).max(1),
  original_tokens_per_s: z.number().nonnegative(),
  compiled_tokens_per_s: z.number().nonnegative(),
});

/**
 * One question to both: `agreement` is the share of the original's tokens that the compiled model would have
 * chosen too, given the same text before.
 */
export type ComparedAnswer = z.infer<typeof comparedRow>;

/**
 * Asks the original and the compiled model the same questions, without sampling.
 *
 * @throws {UserError} where one of them can't be run
 *
 * ```ts ignore
 * const rows = await compareAnswers(compiled, ["What is the capital of France?"], 32, options);
 * ```
 */
export async function compareAnswers(
  { originalDir, compiledDir }: Pick<Compiled, "originalDir" | "compiledDir">,
  prompts: readonly string[],
  maxTokens: number,
  options: PythonOptions,
): Promise<ComparedAnswer[]> {
  const asked = join(options.workDir, "prompts.json");
  await Deno.writeTextFile(asked, JSON.stringify(prompts));
  const command = [
    pythonIn(options.workDir),
    join(options.scriptsDir, "compare.py"),
    originalDir,
    compiledDir,
    String(maxTokens),
    asked,
  ];
  options.onStep("check", "running");
  const end = await runStep("check", command, options);
  const last = end.stdout.trim().split("\n").at(-1) ?? "";
  return z.array(comparedRow).parse(JSON.parse(last));
}
