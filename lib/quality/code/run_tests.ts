/** Runs a case's tests against the code in an answer, in a process without permissions and with limited resources. */
import { reasonOf } from "../../errors.ts";
import { answerCode, importsOf, preparedTests, testNames } from "./answer_code.ts";

/** The process's standard input. */
export interface TestOrder {
  /** Opens the line with the result; a secret of this process and its child. */
  readonly word: string;
  readonly code: string;
  readonly tests: string;
  /** Names that the tests use. */
  readonly names: readonly string[];
  readonly limitMs: number;
}

/** What the process says. */
export type TestReport =
  | { readonly kind: "not loaded"; readonly reason: string }
  | { readonly kind: "ran"; readonly tests: readonly TestResult[] };

interface TestResult {
  readonly name: string;
  /** Why it failed; null when it passed. */
  readonly reason: string | null;
}

/** The result of the tests of one answer. */
export type TestRun =
  /** The answer holds no code. */
  | { readonly kind: "no code" }
  /** The code was not run, or did not load. */
  | { readonly kind: "not loaded"; readonly reason: string }
  | { readonly kind: "ran"; readonly tests: readonly TestResult[] }
  /** The process gave no result. */
  | { readonly kind: "ended"; readonly reason: string };

/** Megabytes of V8 heap for each of the two threads. */
const HEAP_MB = 128;
/** Kilobytes of writable memory: twice the 512 MB that V8 reserves for code, and half a gigabyte. */
const DATA_KB = 1_600_000;
/** Blocks of 512 bytes that a file may have: Deno's own caches are smaller. */
const FILE_BLOCKS = 32_768;
/** Longest start on a busy machine. */
const START_MS = 20_000;
/** Output beyond this is ignored. */
const MAX_OUTPUT_CHARS = 2_000_000;

export interface TestOptions {
  /** The Deno that runs the tests: `Deno.execPath()`. */
  readonly denoPath: string;
  readonly limitS: number;
  /** Hard to guess. */
  readonly word: string;
}

/**
 * Runs tests against the code in an answer.
 *
 * The process has no permission, no network, no packages, no environment, and an empty cache in a folder that
 * is removed afterwards. Its time, its V8 heap and, on Linux, its memory, its processor time and the size of
 * a file are limited. The code itself runs in a thread that can't reach the tests.
 *
 * @param tests a TypeScript module; it may use the answer's top-level names, and
 * those of Deno's `@std/assert`
 *
 * ```ts ignore
 * const run = await runTests("```ts\nconst add = (a, b) => a + b;\n```", "assertEquals(add(1, 2), 3);", {
 *   denoPath: Deno.execPath(), limitS: 5, word: crypto.randomUUID(),
 * });
 * ```
 */
export async function runTests(answer: string, tests: string, options: TestOptions): Promise<TestRun> {
  const code = answerCode(answer);
  if (code === null) return { kind: "no code" };
  const [refused] = importsOf(code);
  if (refused !== undefined) {
    return {
      kind: "not loaded",
      reason: `it imports ${refused}, and the code may import only the runtime's modules`,
    };
  }
  const order: TestOrder = {
    word: options.word,
    code: `${code}\n;${scope}`,
    tests: preparedTests(tests),
    names: testNames(tests),
    limitMs: options.limitS * 1000,
  };
  const folder = await Deno.makeTempDir({ prefix: "podium-tests-" });
  try {
    return await runProcess(order, folder, options.denoPath);
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

/**
 * Finds the answer's top-level names from outside, exported or not, and separates them
 * from those of the language.
 */
const scope = `export const podiumAnswerScope = (name) => {
  try {
    const value = eval(name);
    return [value !== globalThis[name], value];
  } catch {
    return [false, null];
  }
};`;

async function runProcess(order: TestOrder, folder: string, denoPath: string): Promise<TestRun> {
  const child = startProcess(denoPath, folder, Math.ceil(order.limitMs / 1000));
  let stopped: string | null = null;
  const stop = (reason: string) => {
    stopped ??= reason;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const timer = setTimeout(() => stop("the time limit is over"), order.limitMs + START_MS);
  try {
    const [stdout, stderr] = await Promise.all([
      readBounded(child.stdout, () => stop("it wrote too much")),
      readBounded(child.stderr, () => stop("it wrote too much")),
      give(child, order),
    ]);
    const { code, signal } = await child.status;
    const line = stdout.split("\n").find((one) => one.startsWith(`${order.word} `));
    if (line !== undefined) return JSON.parse(line.slice(order.word.length + 1)) as TestReport;
    return { kind: "ended", reason: stopped ?? endReason(stderr, signal ?? `exit code ${code}`) };
  } finally {
    clearTimeout(timer);
  }
}

/** Without permissions, and with limits on memory, processor time and files where the system has them. */
function startProcess(denoPath: string, folder: string, limitS: number): Deno.ChildProcess {
  const flags = ["--quiet", "--no-prompt", "--no-remote", "--no-npm", "--no-config", "--no-lock"];
  const heap = `--v8-flags=--max-old-space-size=${HEAP_MB}`;
  const command = [denoPath, "run", ...flags, heap, new URL("./test_program.ts", import.meta.url).href];
  // Where a system lacks a limit, the others still apply.
  const limited = 'ulimit -d "$1"; ulimit -t "$2"; ulimit -f "$3"; shift 3; exec "$@"';
  const limits = [DATA_KB, 2 * limitS + 10, FILE_BLOCKS].map(String);
  const [program = "", ...args] = Deno.build.os === "windows"
    ? command
    : ["/bin/sh", "-c", limited, "sh", ...limits, ...command];
  return new Deno.Command(program, {
    args,
    cwd: folder,
    clearEnv: true,
    env: { DENO_DIR: folder, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function give(child: Deno.ChildProcess, order: TestOrder): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(JSON.stringify(order)));
    await writer.close();
  } catch {
    // It ended before it read its input: its exit says why.
  }
}

async function readBounded(stream: ReadableStream<Uint8Array>, tooMuch: () => void): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    if (text.length > MAX_OUTPUT_CHARS) tooMuch();
    else text += decoder.decode(bytes, { stream: true });
  }
  return text;
}

function endReason(stderr: string, how: string): string {
  if (/out of memory|heap limit|allocation failed/i.test(stderr)) return "it ran out of memory";
  if (how === "SIGXCPU" || how === "SIGKILL") return "the time limit is over";
  if (how === "SIGXFSZ") return "it wrote too large a file";
  const last = stderr.trim().split("\n").at(-1) ?? "";
  return `its process ended (${how})${last === "" ? "" : `: ${reasonOf(last)}`}`;
}
