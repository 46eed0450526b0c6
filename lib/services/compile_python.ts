/** The Python that compiling takes: an environment of its own with exact versions, and programs run in it. */
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import type { ProgramEnd, RunProgram } from "../program.ts";
import { readIfThere, removeIfThere, statIfThere } from "../catalog/files.ts";

export type CompileStep = "environment" | "weights" | "onnx" | "check";

/** What is needed to make the environment, and to run programs in it. */
export interface PythonOptions {
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

const venvIn = (workDir: string) => join(workDir, "environment");

/** Where the environment's Python is, once it is made. */
export function pythonIn(workDir: string): string {
  const windows = Deno.build.os === "windows";
  return join(venvIn(workDir), windows ? "Scripts" : "bin", windows ? "python.exe" : "python");
}

/** A build environment below a work folder; made when it is first asked for, kept for the next time. */
export class PythonEnvironment {
  readonly #options: PythonOptions;
  #python: string | null = null;

  constructor(options: PythonOptions) {
    this.#options = options;
  }

  /** Whether it is there already, with the versions of one purpose or the other. */
  async isReady(): Promise<boolean> {
    return await statIfThere(this.#readyMark) !== null;
  }

  get #venv(): string {
    return venvIn(this.#options.workDir);
  }

  get #readyMark(): string {
    return join(this.#venv, "ready.txt");
  }

  /**
   * Python with the exact versions for a purpose. Converting and building need different versions of one package,
   * so that one is exchanged between them; everything else is shared.
   */
  async python(purpose: "convert" | "build"): Promise<string> {
    const python = this.#python ??= await this.#makeEnvironment();
    const list = join(this.#options.scriptsDir, `${purpose}.txt`);
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
    await runStep("environment", install, this.#options);
    await Deno.writeTextFile(this.#readyMark, wanted);
    return python;
  }

  async #makeEnvironment(): Promise<string> {
    const python = pythonIn(this.#options.workDir);
    if (await statIfThere(python) !== null) return python;
    this.#options.onStep("environment", "running");
    const base = await this.#findPython();
    const make = await this.#hasUv()
      ? ["uv", "venv", "--python", base.join(" "), this.#venv]
      : [...base, "-m", "venv", this.#venv];
    await runStep("environment", make, this.#options);
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
}

/** Runs one program of a step, without network. @throws {UserError} with the program's own last word */
export async function runStep(
  step: CompileStep,
  command: readonly string[],
  { run, signal, onLine }: Pick<PythonOptions, "run" | "signal" | "onLine">,
): Promise<ProgramEnd> {
  const end = await run(command, {
    signal,
    onLine,
    env: { HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1", HF_TOKEN: "" },
  });
  if (end?.code === 0) return end;
  throw stepFailure(step, command, end);
}

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
