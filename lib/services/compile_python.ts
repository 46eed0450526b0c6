/** The Python environment that compiling needs, with exact versions, and the programs that run in it. */
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import type { ProgramEnd, RunProgram } from "../program.ts";
import { readIfThere, removeIfThere, statIfThere } from "../catalog/files.ts";

/** The steps of compiling, in order. */
export type CompileStep = "environment" | "weights" | "onnx" | "check";

/** How the environment is made, and how programs run in it. */
export interface PythonOptions {
  /** Holds the environment and the results of the steps. */
  readonly workDir: string;
  /** The folder with the Python programs and the lists of exact versions. */
  readonly scriptsDir: string;
  readonly run: RunProgram;
  readonly signal: AbortSignal;
  readonly onStep: (step: CompileStep, state: "running" | "done before") => void;
  readonly onLine: (line: string) => void;
}

const PYTHON_VERSIONS = ["3.11", "3.12", "3.13"];
/** Commands to try, in this order: those that the converter supports first. */
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

/** The path of the environment's Python; there once `PythonEnvironment.python` has returned. */
export function pythonIn(workDir: string): string {
  const windows = Deno.build.os === "windows";
  return join(venvIn(workDir), windows ? "Scripts" : "bin", windows ? "python.exe" : "python");
}

/** A build environment below a work folder: created when it is first needed, and kept. */
export class PythonEnvironment {
  readonly #options: PythonOptions;
  #python: string | null = null;

  constructor(options: PythonOptions) {
    this.#options = options;
  }

  /** Whether the environment exists, with the versions for either purpose. */
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
   * The environment's Python, with the exact versions for a purpose. Converting and building need different
   * versions of one package, so that package is reinstalled in between; everything else is shared.
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
    for (const python of PYTHONS) {
      const probe = [...python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
      const end = await this.#options.run(probe, { timeoutMs: 10_000, signal: this.#options.signal });
      const version = end?.code === 0 ? end.stdout.trim() : "";
      if (PYTHON_VERSIONS.includes(version)) return python;
      if (version !== "") seen.push(version);
    }
    const found = seen.length === 0 ? "none was found" : `found ${[...new Set(seen)].join(", ")}`;
    throw new UserError(
      `compiling needs Python ${PYTHON_VERSIONS.join(", ")}: ${found}: install one of them`,
      1,
    );
  }
}

/**
 * Runs one program of a step, without network.
 *
 * @throws {UserError} with the error that the program printed last
 */
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
  if (end === null) {
    return new UserError(`${basename(program)} can't be run, so the step "${step}" failed`, 1);
  }
  const lines = `${end.stdout}\n${end.stderr}`.split("\n").map((line) => line.trim()).filter((line) =>
    line !== ""
  );
  const last = lines.findLast((line) => /error|no space|killed|refus|must/i.test(line)) ?? lines.at(-1) ??
    "it printed nothing";
  if (/no space left|disk quota/i.test(lines.join("\n"))) {
    return new UserError(
      `the disk is full (step "${step}"): free some space and start again; finished steps are not repeated`,
      1,
    );
  }
  if (end.code === null || end.code > 128 || end.code < 0) {
    return new UserError(
      `the system ended the step "${step}", probably because memory ran out: ${last.slice(0, 200)}`,
      1,
    );
  }
  return new UserError(`the step "${step}" failed: ${last.slice(0, 300)}`, 1);
}
