/**
 * Turns a model of your own into one that Foundry Local runs: GGUF file or Hugging Face folder -> 32-bit
 * Hugging Face folder -> ONNX Runtime GenAI, in a Python environment of its own. Each step leaves a complete
 * folder or none, so a second call continues where the first one stopped. Then both models answer the same
 * prompts, as a check.
 */
import { basename, join } from "node:path";
import { z } from "zod";
import {
  entriesOf,
  folderBytes,
  freeBytes,
  makeFolder,
  readIfThere,
  removeIfThere,
  statIfThere,
} from "../catalog/files.ts";
import { reasonOf, UserError } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";
import {
  type CompileStep,
  PythonEnvironment,
  pythonIn,
  type PythonOptions,
  runStep,
} from "./compile_python.ts";

/** How the weights are stored: `int4-mixed` keeps sensitive layers in 8 bits, and so answers like the original. */
export type CompilePrecision = "int4-mixed" | "int4" | "int8" | "fp32";

/** What is compiled, and how. */
export interface CompileOptions extends PythonOptions {
  /** A GGUF file, or a Hugging Face folder with config.json, tokenizer and safetensors. */
  readonly source: string;
  readonly precision: CompilePrecision;
}

/** A compiled model, and the original that it is compared with. */
interface Compiled {
  /** The original with 32-bit weights, which both sides of the comparison can read. */
  readonly originalDir: string;
  /** `genai_config.json` and the ONNX files. */
  readonly compiledDir: string;
  readonly sizeMb: number;
  readonly contextTokens: number;
}

/** The build environment with PyTorch, as measured on Linux; smaller where PyTorch comes without CUDA. */
const ENVIRONMENT_BYTES = 6.8e9;
const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

/**
 * Compiles a model.
 *
 * @throws {UserError} where the source is neither, disk or memory is too small, there is no suitable Python,
 * or a step fails: with the last line of its output; the results of earlier steps are kept
 *
 * ```ts ignore
 * const compiled = await compileModel({ source: "SmolLM2-135M-Instruct.Q4_1.gguf", ...options });
 * ```
 */
export async function compileModel(options: CompileOptions): Promise<Compiled> {
  const source = await describeSource(options.source);
  const builder = new Builder(options, source);
  await builder.checkSpace();
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
  readonly #source: CompileSource;
  readonly #environment: PythonEnvironment;

  constructor(options: CompileOptions, source: CompileSource) {
    this.#options = options;
    this.#source = source;
    this.#environment = new PythonEnvironment(options);
  }

  /** 32-bit weights exist twice while they are written, and once more in the builder. */
  async checkSpace(): Promise<void> {
    const { workDir } = this.#options;
    await makeFolder(workDir);
    const weightBytes = this.#source.parameters * 4;
    const environment = await this.#environment.isReady() ? 0 : ENVIRONMENT_BYTES;
    const needed = environment + weightBytes * 2.5;
    const free = await freeBytes(workDir);
    if (free < needed) {
      const part = environment === 0 ? "" : ` (${gb(environment)} of it for the build environment)`;
      throw new UserError(
        `compiling takes ${gb(needed)} of disk${part}; ${workDir} has ${gb(free)} free: ` +
          "free some space, or name another folder with --work",
        1,
      );
    }
    const ram = weightBytes * 2.5 + 1e9;
    const { available } = Deno.systemMemoryInfo();
    if (available < ram) {
      throw new UserError(
        `compiling takes about ${gb(ram)} of memory; ${gb(available)} are free: ` +
          "close other programs, or compile on a larger machine and copy the result",
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

  /** A source that has changed gets new folders. */
  get #name(): string {
    const stem = basename(this.#source.path).replace(/\.gguf$/i, "").replaceAll(/[^\w.-]/g, "_");
    return `${stem}-${this.#source.mark}`;
  }

  /** A complete folder, or none: it is built under another name and then renamed. */
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
      await removeIfThere(part, true).catch(() => {}); // a program that is still ending may hold a file open
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

interface CompileSource {
  readonly kind: "gguf" | "huggingface";
  readonly path: string;
  readonly parameters: number;
  /** Changes when the source does. */
  readonly mark: string;
}

const hfConfig = z.looseObject({ model_type: z.string() });

/** @throws {UserError} where the path is neither a GGUF file nor a Hugging Face folder */
async function describeSource(path: string): Promise<CompileSource> {
  const stat = await statIfThere(path);
  if (stat === null) throw new UserError(`there is no ${path}: give a GGUF file or a Hugging Face folder`);
  const mark = `${stat.size}-${stat.mtime?.getTime() ?? 0}`;
  if (stat.isFile) return { kind: "gguf", path, parameters: await ggufParameters(path), mark };
  const config = await readIfThere(join(path, "config.json"));
  const weights = (await entriesOf(path)).filter(({ name }) => name.endsWith(".safetensors"));
  if (config === null || weights.length === 0 || !isConfig(config)) {
    throw new UserError(
      `${path} is not a Hugging Face model folder: it needs config.json, tokenizer files and *.safetensors`,
    );
  }
  let bytes = 0;
  for (const { name } of weights) bytes += (await Deno.stat(join(path, name))).size;
  // Weights usually have 16 bits; a folder with 32 bits then counts as twice its size,
  // which errs on the safe side.
  return { kind: "huggingface", path, parameters: bytes / 2, mark };
}

async function ggufParameters(path: string): Promise<number> {
  const { gguf } = await import("@huggingface/gguf");
  const { tensorInfos } = await gguf(path, { allowLocalFile: true }).catch((cause: unknown) => {
    throw new UserError(`${path} is not a GGUF file: ${reasonOf(cause)}`, 2, { cause });
  });
  const values = (shape: readonly bigint[]) => shape.reduce((product, side) => product * Number(side), 1);
  return sumOf(tensorInfos.map(({ shape }) => values(shape)));
}

function isConfig(text: string): boolean {
  try {
    return hfConfig.safeParse(JSON.parse(text)).success;
  } catch {
    return false; // not JSON: the error message says what is needed
  }
}

const comparedAnswer = z.object({
  prompt: z.string(),
  original: z.string(),
  compiled: z.string(),
  agreement: z.number().min(0).max(1),
  original_tokens_per_s: z.number().nonnegative(),
  compiled_tokens_per_s: z.number().nonnegative(),
});

/**
 * One prompt, answered by both models: `agreement` is the share of the original's tokens that the compiled
 * model would have chosen too, given the same text before each.
 */
export type ComparedAnswer = z.infer<typeof comparedAnswer>;

/**
 * Lets the original and the compiled model answer the same prompts, without sampling.
 *
 * @throws {UserError} where one of them can't be run
 *
 * ```ts ignore
 * const rows = await compareWithOriginal(compiled, ["What is the capital of France?"], 32, options);
 * ```
 */
export async function compareWithOriginal(
  { originalDir, compiledDir }: Pick<Compiled, "originalDir" | "compiledDir">,
  prompts: readonly string[],
  maxTokens: number,
  options: PythonOptions,
): Promise<ComparedAnswer[]> {
  const promptsPath = join(options.workDir, "prompts.json");
  await Deno.writeTextFile(promptsPath, JSON.stringify(prompts));
  const program = join(options.scriptsDir, "compare.py");
  const python = pythonIn(options.workDir);
  const command = [python, program, originalDir, compiledDir, String(maxTokens), promptsPath];
  options.onStep("check", "running");
  const { stdout } = await runStep("check", command, options);
  const last = stdout.trim().split("\n").at(-1) ?? "";
  return z.array(comparedAnswer).parse(JSON.parse(last));
}
