/** A Deno program in a process of its own, which reads lines of JSON and ends when its input closes. */
import { TextLineStream } from "./program.ts";

/** How a process ended. */
export interface ProcessExit {
  readonly code: number;
  readonly signal: string | null;
}

/** What to run. */
export interface ProgramCommand {
  readonly denoPath: string;
  readonly args: readonly string[];
  /** Its whole environment; null: that of the program that starts it. */
  readonly env: Readonly<Record<string, string>> | null;
}

const STOP_DEADLINE_MS = 3000;
const ERROR_TAIL_CHARS = 4000;

/** A running program. */
export class ChildProgram {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #errors = "";
  /** Resolves when the process has ended, and what it wrote to standard error is read. */
  readonly exited: Promise<ProcessExit>;

  constructor({ denoPath, args, env }: ProgramCommand) {
    this.#child = new Deno.Command(denoPath, {
      args: [...args],
      // Its output appears in messages and records.
      env: { ...env, NO_COLOR: "1" },
      clearEnv: env !== null,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    const read = this.#readErrors();
    this.exited = this.#child.status.then(async ({ code, signal }) => {
      await read;
      return { code, signal };
    });
  }

  /** The process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What the program writes; it has to be read to the end, since unread output would block the process. */
  get output(): ReadableStream<Uint8Array> {
    return this.#child.stdout;
  }

  /** `output` in lines. */
  lines(): ReadableStream<string> {
    return this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  }

  /** The end of what it has written to standard error. */
  get errors(): string {
    return this.#errors.trim();
  }

  /** The last line of `errors`. */
  get lastError(): string {
    return this.errors.split("\n").at(-1) ?? "";
  }

  /** Sends one line of JSON; without effect where the process has ended. */
  async write(value: unknown): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`)).catch(() => {});
  }

  /** Ends the process at once. */
  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has already gone.
    }
  }

  /** Closes its input, at which it ends itself, and kills it where it doesn't; resolves when it has ended. */
  async stop(): Promise<void> {
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.kill(), STOP_DEADLINE_MS);
    await this.exited;
    clearTimeout(timer);
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#errors = (this.#errors + text).slice(-ERROR_TAIL_CHARS);
    }
  }
}
