/** One engine process: how it is started, what it reports, how it ends. */
import { reasonOf } from "../errors.ts";
import { TextLineStream } from "../program.ts";
import { type EngineReport, engineReport } from "./options.ts";

/** How an engine process came to its end. */
export interface EngineExit {
  readonly code: number;
  readonly signal: string | null;
}

/** Why a model was not loaded. */
export type FailedReport = Extract<EngineReport, { state: "failed" }>;

const stopDeadlineMs = 3000;
const errorTailChars = 2000;

/** What an engine needs: native code is outside Deno's sandbox, so the other flags add little to it. */
const permissions = [
  "--allow-ffi",
  "--allow-read",
  "--allow-env",
  "--allow-sys",
  "--allow-run",
  "--allow-net=127.0.0.1",
];

/** Where the engine's program is. */
export function programUrl(): string {
  return new URL("./process.ts", import.meta.url).href;
}

/** A child process that runs one model; it ends when its standard input closes. */
export class EngineProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly exited: Promise<EngineExit>;
  readonly #report: Promise<EngineReport | null>;
  #errorTail = "";

  constructor(denoPath: string, configPath: string | undefined) {
    const config = configPath === undefined ? [] : ["--config", configPath];
    this.#child = new Deno.Command(denoPath, {
      args: ["run", "--quiet", "--no-prompt", ...config, ...permissions, programUrl()],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.exited = this.#child.status.then(({ code, signal }) => ({ code, signal }));
    this.#report = this.#readReport();
    void this.#readErrors();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Hands over the orders and resolves with the report; throws when the process ends without one. */
  async begin(orders: Record<string, unknown>): Promise<EngineReport> {
    try {
      await this.#input.write(new TextEncoder().encode(JSON.stringify(orders) + "\n"));
    } catch {
      // It ended before it could read: the missing report below says why.
    }
    return await this.#report ?? await this.#endWithoutReport();
  }

  async stop(): Promise<void> {
    // The process ends itself when its input closes; closing fails where it is gone already.
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.#kill(), stopDeadlineMs);
    await this.exited;
    clearTimeout(timer);
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // Already gone: nothing is left to end.
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
      // To the end, also after the report: an output that nobody reads would block the process.
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
