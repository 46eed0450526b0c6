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
  /** Resolves when the process has ended. */
  readonly exited: Promise<ProcessExit>;
  /** The end of what it wrote to standard error, once that is read to its end. */
  readonly errors: Promise<string>;

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
    this.exited = this.#child.status.then(({ code, signal }) => ({ code, signal }));
    this.errors = this.#readErrors();
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

  async #readErrors(): Promise<string> {
    let tail = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      tail = (tail + text).slice(-ERROR_TAIL_CHARS);
    }
    return tail.trim();
  }
}

/** The last line of what a program complained. */
export const lastLine = (text: string): string => text.split("\n").at(-1) ?? "";
