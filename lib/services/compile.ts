/**
 * Makes a model of one's own into one that Foundry Local runs: GGUF file or Hugging Face folder -> 32-bit
 * Hugging Face folder -> ONNX Runtime GenAI, in a Python environment of its own. Every step leaves a whole folder
 * or none, so that a second call goes on where the first one ended.
 */
import { basename, join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { type CompileStep, PythonEnvironment, type PythonOptions, runStep } from "./compile_python.ts";
import { describeSource, type Source } from "./compile_source.ts";
import { folderBytes, freeBytes, makeFolder, removeIfThere, statIfThere } from "../catalog/files.ts";

/** How the weights are stored: mixed keeps the sensitive layers finer, and answers as the original does. */
export type CompilePrecision = "int4-mixed" | "int4" | "int8" | "fp32";

export interface CompileOptions extends PythonOptions {
  /** A GGUF file, or a Hugging Face folder with config.json, tokenizer and safetensors. */
  readonly source: string;
  readonly precision: CompilePrecision;
}

export interface Compiled {
  /** 32-bit weights: the original, in a shape that both sides of the check can read. */
  readonly originalDir: string;
  /** `genai_config.json` and the ONNX files. */
  readonly compiledDir: string;
  readonly sizeMb: number;
  readonly contextTokens: number;
}

/** The build environment with PyTorch, as measured on Linux; less where PyTorch brings no CUDA. */
const ENVIRONMENT_BYTES = 6.8e9;
const GB = 1e9;

/**
 * Compiles a model.
 *
 * @throws {UserError} where the source is neither, the disk or the memory is too small, no Python fits, or a step
 * fails: with its last line; what the steps before it made is kept
 *
 * ```ts ignore
 * const compiled = await compileModel({ source: "SmolLM2-135M-Instruct.Q4_1.gguf", ...options });
 * ```
 */
export async function compileModel(options: CompileOptions): Promise<Compiled> {
  const source = await describeSource(options.source);
  const builder = new Builder(options, source);
  await builder.checkRoom();
  const originalDir = source.kind === "huggingface" ? source.path : await builder.weights();
  const compiledDir = await builder.onnx(originalDir);
  return {
    originalDir,
    compiledDir,
    sizeMb: Math.round(await folderBytes(compiledDir) / 1e6),
    contextTokens: await contextOf(compiledDir),
  };
}

class Builder {
  readonly #options: CompileOptions;
  readonly #source: Source;
  readonly #environment: PythonEnvironment;

  constructor(options: CompileOptions, source: Source) {
    this.#options = options;
    this.#source = source;
    this.#environment = new PythonEnvironment(options);
  }

  /** Weights in 32 bits are held twice while they are written, and once more by the builder. */
  async checkRoom(): Promise<void> {
    const { workDir } = this.#options;
    await makeFolder(workDir);
    const weightBytes = this.#source.parameters * 4;
    const environment = await this.#environment.isReady() ? 0 : ENVIRONMENT_BYTES;
    const needed = environment + weightBytes * 2.5;
    const free = await freeBytes(workDir);
    if (free < needed) {
      const parts = environment === 0
        ? ""
        : ` (${(environment / GB).toFixed(1)} GB of it for the build environment)`;
      throw new UserError(
        `compiling takes ${(needed / GB).toFixed(1)} GB of disk${parts}, ${workDir} has ${
          (free / GB).toFixed(1)
        } GB free: ` +
          "free some space, or name another folder with --work",
        1,
      );
    }
    const ram = weightBytes * 2.5 + 1 * GB;
    const { available } = Deno.systemMemoryInfo();
    if (available < ram) {
      throw new UserError(
        `compiling takes about ${(ram / GB).toFixed(1)} GB of memory, ${
          (available / GB).toFixed(1)
        } GB are free: ` +
          "end other programs, or compile on a larger machine and copy the result",
        1,
      );
    }
  }

  async weights(): Promise<string> {
    const target = join(this.#options.workDir, `${this.#name}-hf`);
    return await this.#step("weights", target, async (part) => {
      const python = await this.#environment.python("convert");
      this.#options.onStep("weights", "running");
      const program = join(this.#options.scriptsDir, "gguf_to_hf.py");
      await runStep("weights", [python, program, this.#source.path, part], this.#options);
    });
  }

  async onnx(originalDir: string): Promise<string> {
    const { workDir, precision } = this.#options;
    const target = join(workDir, `${this.#name}-${precision}`);
    return await this.#step("onnx", target, async (part) => {
      const python = await this.#environment.python("build");
      this.#options.onStep("onnx", "running");
      const [bits, extra] = BUILDER[precision];
      const builder = [python, "-m", "onnxruntime_genai.models.builder", "-i", originalDir, "-o", part];
      const cache = join(workDir, "builder-cache");
      const command = [...builder, "-p", bits, "-e", "cpu", "-c", cache, ...extra];
      await runStep("onnx", command, this.#options);
    });
  }

  /** Sources that changed get folders of their own. */
  get #name(): string {
    const stem = basename(this.#source.path).replace(/\.gguf$/i, "").replaceAll(/[^\w.-]/g, "_");
    return `${stem}-${this.#source.mark}`;
  }

  /** A whole folder, or none: it is made under another name. */
  async #step(step: CompileStep, target: string, make: (part: string) => Promise<void>): Promise<string> {
    if (await statIfThere(target) !== null) {
      this.#options.onStep(step, "done before");
      return target;
    }
    const part = `${target}.part`;
    await removeIfThere(part, true);
    try {
      await make(part);
      await Deno.rename(part, target);
      return target;
    } finally {
      await removeIfThere(part, true).catch(() => {}); // a program that is still dying may hold a file
    }
  }
}

const BUILDER: Record<CompilePrecision, readonly [string, readonly string[]]> = {
  "int4-mixed": ["int4", ["--extra_options", "algo_config=k_quant_mixed"]],
  int4: ["int4", []],
  int8: ["int8", []],
  fp32: ["fp32", []],
};

const genaiConfig = z.looseObject({ model: z.looseObject({ context_length: z.number().int().positive() }) });

async function contextOf(dir: string): Promise<number> {
  const text = await Deno.readTextFile(join(dir, "genai_config.json"));
  return genaiConfig.parse(JSON.parse(text)).model.context_length;
}
