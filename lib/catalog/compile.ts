/**
 * Makes a model of one's own into one that Foundry Local runs: GGUF file or Hugging Face folder -> 32-bit
 * Hugging Face folder -> ONNX Runtime GenAI, in a Python environment of its own. Every step leaves a whole folder
 * or none, so that a second call goes on where the first one ended.
 */
import { basename, join } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import type { ProgramEnd, RunProgram } from "../program.ts";
import { entriesOf, folderBytes, makeFolder, readIfThere, removeIfThere, statIfThere } from "./store.ts";
import { freeBytes } from "./transfer.ts";

/** How the weights are stored: mixed keeps the sensitive layers finer, and answers as the original does. */
export type CompilePrecision = "int4-mixed" | "int4" | "int8" | "fp32";

export type CompileStep = "environment" | "weights" | "onnx" | "check";

export interface CompileOptions {
  /** A GGUF file, or a Hugging Face folder with config.json, tokenizer and safetensors. */
  readonly source: string;
  readonly precision: CompilePrecision;
  /** Where the environment and the steps' results are kept. */
  readonly workDir: string;
  /** The folder with the Python programs and the lists of exact versions. */
  readonly scriptsDir: string;
  /** Called `python3.11` and the like; @default those that the converter knows */
  readonly pythons?: readonly (readonly string[])[];
  readonly run: RunProgram;
  readonly signal: AbortSignal;
  readonly onStep: (step: CompileStep, state: "running" | "done before") => void;
  readonly onLine: (line: string) => void;
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

interface Source {
  readonly kind: "gguf" | "huggingface";
  readonly path: string;
  readonly parameters: number;
  /** Changes when the source does. */
  readonly mark: string;
}

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

const hfConfig = z.looseObject({ model_type: z.string() });

async function describeSource(path: string): Promise<Source> {
  const stat = await statIfThere(path);
  if (stat === null) throw new UserError(`there is no ${path}: give a GGUF file or a Hugging Face folder`);
  const mark = `${stat.size}-${stat.mtime?.getTime() ?? 0}`;
  if (stat.isFile) {
    const { gguf } = await import("@huggingface/gguf");
    const parsed = await gguf(path, { allowLocalFile: true }).catch((cause: unknown) => {
      throw new UserError(`${path} is not a GGUF file: ${reasonOf(cause)}`, 2, { cause });
    });
    const values = (shape: readonly bigint[]) => shape.reduce((product, side) => product * Number(side), 1);
    const parameters = parsed.tensorInfos.reduce((sum, { shape }) => sum + values(shape), 0);
    return { kind: "gguf", path, parameters, mark };
  }
  const config = await readIfThere(join(path, "config.json"));
  const entries = await entriesOf(path);
  const weights = entries.filter(({ name }) => name.endsWith(".safetensors"));
  if (config === null || weights.length === 0 || !isConfig(config)) {
    throw new UserError(
      `${path} is not a Hugging Face model folder: it needs config.json, tokenizer files and *.safetensors`,
    );
  }
  let bytes = 0;
  for (const { name } of weights) bytes += (await Deno.stat(join(path, name))).size;
  // 16-bit weights are the rule; a folder of 32-bit ones is taken for twice its size, on the safe side.
  return { kind: "huggingface", path, parameters: bytes / 2, mark };
}

function isConfig(text: string): boolean {
  try {
    return hfConfig.safeParse(JSON.parse(text)).success;
  } catch {
    return false; // torn: the message says what is needed
  }
}

class Builder {
  readonly #options: CompileOptions;
  readonly #source: Source;
  /** The environment's Python, once it is made. */
  #python: string | null = null;

  constructor(options: CompileOptions, source: Source) {
    this.#options = options;
    this.#source = source;
  }

  /** Weights in 32 bits are held twice while they are written, and once more by the builder. */
  async checkRoom(): Promise<void> {
    const { workDir } = this.#options;
    await makeFolder(workDir);
    const weightBytes = this.#source.parameters * 4;
    const environment = await statIfThere(this.#readyMark) === null ? ENVIRONMENT_BYTES : 0;
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
      const python = await this.#environment("convert");
      this.#options.onStep("weights", "running");
      await this.#run([python, this.#script("gguf_to_hf.py"), this.#source.path, part], "weights");
    });
  }

  async onnx(originalDir: string): Promise<string> {
    const { workDir, precision } = this.#options;
    const target = join(workDir, `${this.#name}-${precision}`);
    return await this.#step("onnx", target, async (part) => {
      const python = await this.#environment("build");
      this.#options.onStep("onnx", "running");
      const [bits, extra] = BUILDER[precision];
      const builder = [python, "-m", "onnxruntime_genai.models.builder", "-i", originalDir, "-o", part];
      const cache = join(workDir, "builder-cache");
      await this.#run([...builder, "-p", bits, "-e", "cpu", "-c", cache, ...extra], "onnx");
    });
  }

  /** Sources that changed get folders of their own. */
  get #name(): string {
    const stem = basename(this.#source.path).replace(/\.gguf$/i, "").replaceAll(/[^\w.-]/g, "_");
    return `${stem}-${this.#source.mark}`;
  }

  get #venv(): string {
    return join(this.#options.workDir, "environment");
  }

  get #readyMark(): string {
    return join(this.#venv, "ready.txt");
  }

  #script(name: string): string {
    return join(this.#options.scriptsDir, name);
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

  /**
   * Python with the exact versions for a purpose. Converting and building need different versions of one package,
   * so that one is exchanged between them; everything else is shared.
   */
  async #environment(purpose: "convert" | "build"): Promise<string> {
    const python = this.#python ??= await this.#makeEnvironment();
    const list = this.#script(`${purpose}.txt`);
    const wanted = await Deno.readTextFile(list);
    if (await readIfThere(this.#readyMark) === wanted) return python;
    this.#options.onStep("environment", "running");
    await removeIfThere(this.#readyMark);
    const uv = await this.#hasUv();
    const install = uv ? ["uv", "pip", "install", "--python", python, "-r", list] : [
      python,
      "-m",
      "pip",
      "install",
      "--disable-pip-version-check",
      "--no-input",
      "--progress-bar=off",
      "-r",
      list,
    ];
    await this.#run(install, "environment");
    await Deno.writeTextFile(this.#readyMark, wanted);
    return python;
  }

  async #makeEnvironment(): Promise<string> {
    const windows = Deno.build.os === "windows";
    const python = join(this.#venv, windows ? "Scripts" : "bin", windows ? "python.exe" : "python");
    if (await statIfThere(python) !== null) return python;
    this.#options.onStep("environment", "running");
    const base = await this.#findPython();
    const make = await this.#hasUv()
      ? ["uv", "venv", "--python", base.join(" "), this.#venv]
      : [...base, "-m", "venv", this.#venv];
    await this.#run(make, "environment");
    return python;
  }

  async #hasUv(): Promise<boolean> {
    const end = await this.#options.run(["uv", "--version"], {
      timeoutMs: 10_000,
      signal: this.#options.signal,
    });
    return end?.code === 0;
  }

  async #findPython(): Promise<readonly string[]> {
    const seen: string[] = [];
    for (const python of this.#options.pythons ?? PYTHONS) {
      const probe = [...python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
      const end = await this.#options.run(probe, { timeoutMs: 10_000, signal: this.#options.signal });
      const version = end?.code === 0 ? end.stdout.trim() : "";
      if (PYTHON_VERSIONS.includes(version)) return python;
      if (version !== "") seen.push(version);
    }
    const found = seen.length === 0 ? "none was found" : `found ${[...new Set(seen)].join(", ")}`;
    throw new UserError(
      `compiling needs Python ${PYTHON_VERSIONS.join(", ")}: ${found}: install one of these`,
      1,
    );
  }

  async #run(command: readonly string[], step: CompileStep): Promise<void> {
    const { run, signal, onLine } = this.#options;
    const end = await run(command, {
      signal,
      onLine,
      env: { HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1", HF_TOKEN: "" },
    });
    if (end?.code === 0) return;
    throw stepFailure(step, command, end);
  }
}

const PYTHON_VERSIONS = ["3.11", "3.12", "3.13"];
const PYTHONS: readonly (readonly string[])[] = [
  ["python3.11"],
  ["python3.12"],
  ["python3"],
  ["python"],
  ["py", "-3.11"],
  ["py", "-3.12"],
  ["python3.13"],
];

const BUILDER: Record<CompilePrecision, readonly [string, readonly string[]]> = {
  "int4-mixed": ["int4", ["--extra_options", "algo_config=k_quant_mixed"]],
  int4: ["int4", []],
  int8: ["int8", []],
  fp32: ["fp32", []],
};

function stepFailure(
  step: CompileStep,
  [program = ""]: readonly string[],
  end: ProgramEnd | null,
): UserError {
  if (end === null) return new UserError(`${basename(program)} can't be run, so ${step} can't be made`, 1);
  const lines = `${end.stdout}\n${end.stderr}`.split("\n").map((line) => line.trim()).filter((line) =>
    line !== ""
  );
  const told = lines.findLast((line) => /error|no space|killed|refus|must/i.test(line)) ?? lines.at(-1) ??
    "no reason given";
  if (/no space left|disk quota/i.test(lines.join("\n"))) {
    return new UserError(
      `the disk ran full while making ${step}: free some space and start again, it goes on here`,
      1,
    );
  }
  if (end.code === null || end.code > 128 || end.code < 0) {
    return new UserError(
      `${step} was ended by the system, most likely for want of memory: ${told.slice(0, 200)}`,
      1,
    );
  }
  return new UserError(`${step} failed: ${told.slice(0, 300)}`, 1);
}

const genaiConfig = z.looseObject({ model: z.looseObject({ context_length: z.number().int().positive() }) });

async function contextOf(dir: string): Promise<number> {
  const text = await Deno.readTextFile(join(dir, "genai_config.json"));
  return genaiConfig.parse(JSON.parse(text)).model.context_length;
}

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
  { originalDir, compiledDir }: Compiled,
  prompts: readonly string[],
  maxTokens: number,
  options: Pick<CompileOptions, "workDir" | "scriptsDir" | "run" | "signal" | "onStep" | "onLine">,
): Promise<ComparedAnswer[]> {
  const windows = Deno.build.os === "windows";
  const python = join(
    options.workDir,
    "environment",
    windows ? "Scripts" : "bin",
    windows ? "python.exe" : "python",
  );
  const asked = join(options.workDir, "prompts.json");
  await Deno.writeTextFile(asked, JSON.stringify(prompts));
  const command = [
    python,
    join(options.scriptsDir, "compare.py"),
    originalDir,
    compiledDir,
    String(maxTokens),
    asked,
  ];
  options.onStep("check", "running");
  const end = await options.run(command, { signal: options.signal, onLine: options.onLine });
  if (end?.code !== 0) throw stepFailure("check", command, end);
  const last = end.stdout.trim().split("\n").at(-1) ?? "";
  return z.array(comparedRow).parse(JSON.parse(last));
}
