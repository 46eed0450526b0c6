/** Runs other programs: bounded in time, without a shell, with a plain environment; splits lines. */
import { reasonOf } from "./errors.ts";

/** How a program ended, and what it wrote. */
export interface ProgramEnd {
  /** Null when the program was ended at its time limit. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Ends the program after so long. @default no limit */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Each line of either stream, as it comes. */
  readonly onLine?: (line: string) => void;
}

/** Runs a program; null when it doesn't exist or this task may not run it. */
export type RunProgram = (
  command: readonly string[],
  options?: ProgramOptions,
) => Promise<ProgramEnd | null>;

/** The end of a program's output is kept, up to this length. */
const KEPT_CHARS = 200_000;

/**
 * Runs a program without a shell and without input, and keeps what it wrote.
 *
 * @returns null when the program doesn't exist or may not be run
 * @throws the signal's reason, when `signal` is aborted: the program is ended then
 *
 * ```ts ignore
 * const end = await runProgram(["foundry", "--version"], { timeoutMs: 1500 });
 * ```
 */
export const runProgram: RunProgram = async ([program = "", ...args], options = {}) => {
  const { timeoutMs, signal, cwd, env, onLine } = options;
  signal?.throwIfAborted();
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env: { ...env } }),
    }).spawn();
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
  let timedOut = false;
  const end = () => endChild(child);
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    end();
  }, timeoutMs);
  signal?.addEventListener("abort", end, { once: true });
  const given = Promise.withResolvers<void>();
  try {
    const reading = Promise.all([kept(child.stdout, onLine), kept(child.stderr, onLine)]);
    const status = await child.status;
    // A grandchild may keep the pipes open for ever: what it writes later is not waited for.
    const late = setTimeout(given.resolve, 500);
    await Promise.race([reading, given.promise]);
    clearTimeout(late);
    signal?.throwIfAborted();
    const [stdout, stderr] = await Promise.race([reading, Promise.resolve(["", ""] as const)]);
    return { code: timedOut ? null : status.code, stdout, stderr };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
};

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable;
}

function endChild(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It ended at this very moment.
    if (!(error instanceof TypeError)) throw error;
  }
}

async function kept(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Promise<string> {
  let text = "";
  let line = "";
  const decoder = new TextDecoder();
  try {
    for await (const piece of stream) {
      const more = decoder.decode(piece, { stream: true });
      text = (text + more).slice(-KEPT_CHARS);
      if (onLine === undefined) continue;
      const lines = (line + more).split(/\r\n|[\r\n]/);
      line = lines.pop() ?? "";
      for (const one of lines) onLine(one);
    }
  } catch (error) {
    text += `\n${reasonOf(error)}`;
  }
  if (line !== "") onLine?.(line);
  return text;
}

/** Reads environment variables: `Deno.env`. */
export interface Environment {
  get(name: string): string | undefined;
}

/** What programs need from the environment: paths, language, devices. No keys, no tokens. */
const plainVariables = [
  ..."PATH HOME TMPDIR LANG LC_ALL NO_COLOR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR".split(" "),
  ..."DENO_DIR DENO_CERT DENO_TLS_CA_STORE DENO_NO_UPDATE_CHECK NPM_CONFIG_REGISTRY".split(" "),
  ..."LD_LIBRARY_PATH DYLD_LIBRARY_PATH CUDA_PATH CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES".split(" "),
  ..."VK_ICD_FILENAMES VK_DRIVER_FILES GGML_VK_VISIBLE_DEVICES".split(" "),
  ..."SystemRoot SystemDrive windir ComSpec PATHEXT TEMP TMP USERPROFILE APPDATA LOCALAPPDATA".split(" "),
  ..."ProgramData ProgramFiles NUMBER_OF_PROCESSORS PROCESSOR_ARCHITECTURE".split(" "),
];

/**
 * The environment for a child process that is to see no keys and tokens: the variables of the system, of Deno
 * and of the devices, and those that `named` names. Start the child with `clearEnv: true`.
 *
 * ```ts
 * const all = new Map([["PATH", "/bin"], ["OPENAI_API_KEY", "sk-1"]]);
 * if (Object.keys(plainEnvironment(all)).join() !== "PATH") throw new Error("no key");
 * ```
 */
export function plainEnvironment(env: Environment, named: readonly string[] = []): Record<string, string> {
  const found = [...plainVariables, ...named].map((name) => [name, env.get(name)] as const);
  return Object.fromEntries(found.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** A port of this machine on which nothing listens now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * Splits text into its lines, without their ends.
 *
 * ```ts
 * const lines = ReadableStream.from(["a\nb", "c\r\n", "d"]).pipeThrough(new TextLineStream());
 * if ((await Array.fromAsync(lines)).join("|") !== "a|bc|d") throw new Error("three lines");
 * ```
 */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(text, controller) {
        const lines = (rest + text).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
