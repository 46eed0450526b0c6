/** One engine process: start, report and end. */
import { reasonOf } from "../errors.ts";
import { type Environment, plainEnvironment, TextLineStream } from "../program.ts";
import { type EngineReport, engineReport } from "./options.ts";

/** How an engine process ended. */
export interface EngineExit {
  readonly code: number;
  readonly signal: string | null;
}

/** Why a model was not loaded. */
export type FailedReport = Extract<EngineReport, { state: "failed" }>;

const stopDeadlineMs = 3000;
const errorTailChars = 2000;

/** Permissions of an engine. Native code is outside Deno's sandbox, so the other flags add little. */
export const enginePermissions = [
  "--allow-ffi",
  "--allow-read",
  "--allow-env",
  "--allow-sys",
  "--allow-run",
  "--allow-net=127.0.0.1",
];

/** URL of the program that an engine process runs. */
export function programUrl(): string {
  return new URL("./engine_program.ts", import.meta.url).href;
}

/** A child process that runs one model; it ends when its standard input closes. */
export class EngineProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  /** Resolves when the process has ended. */
  readonly exited: Promise<EngineExit>;
  readonly #report: Promise<EngineReport | null>;
  #errorTail = "";

  constructor(denoPath: string, configPath: string | undefined, env: Environment) {
    const config = configPath === undefined ? [] : ["--config", configPath];
    this.#child = new Deno.Command(denoPath, {
      clearEnv: true,
      env: plainEnvironment(env),
      args: ["run", "--quiet", "--no-prompt", ...config, ...enginePermissions, programUrl()],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.exited = this.#child.status.then(({ code, signal }) => ({ code, signal }));
    this.#report = this.#readReport();
    void this.#readErrors();
  }

  /** The process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Sends the order and resolves with the report; a process that ends without one counts as failed. */
  async begin(order: Record<string, unknown>): Promise<EngineReport> {
    try {
      await this.#input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    } catch {
      // The process ended before it could read: the missing report below gives the reason.
    }
    return await this.#report ?? await this.#endWithoutReport();
  }

  /** Ends the process; resolves when it has ended. */
  async stop(): Promise<void> {
    // The process ends itself when its input closes; closing fails where it has already ended.
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.#kill(), stopDeadlineMs);
    await this.exited;
    clearTimeout(timer);
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // Already gone.
    }
  }

  async #endWithoutReport(): Promise<FailedReport> {
    const { code, signal } = await this.exited;
    if (signal === "SIGKILL") {
      return { state: "failed", fault: "memory", reason: "the system ended the engine while it loaded" };
    }
    const lastLine = this.#errorTail.trim().split("\n").at(-1) ?? "";
    const how = signal ?? `exit code ${code}`;
    const reason = `it ended while it loaded (${how})${lastLine === "" ? "" : `: ${lastLine}`}`;
    return { state: "failed", fault: "engine", reason };
  }

  /** Resolves with the report, or null where the output ends without one. */
  #readReport(): Promise<EngineReport | null> {
    const { promise, resolve } = Promise.withResolvers<EngineReport | null>();
    const read = async () => {
      // Read to the end, also after the report: unread output would block the process.
      for await (
        const line of this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
          new TextLineStream(),
        )
      ) {
        if (line.startsWith('{"state":')) resolve(readReportLine(line));
      }
      resolve(null);
    };
    void read();
    return promise;
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#errorTail = (this.#errorTail + text).slice(-errorTailChars);
    }
  }
}

function readReportLine(line: string): EngineReport {
  try {
    return engineReport.parse(JSON.parse(line));
  } catch (error) {
    return { state: "failed", fault: "engine", reason: `its report can't be read: ${reasonOf(error)}` };
  }
}
