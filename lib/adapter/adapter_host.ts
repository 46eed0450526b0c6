/** One process of a custom model: its start, permissions, messages and end. */
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { AdapterPermissions, AdapterSpec } from "../catalog/model.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { AdapterRequest } from "./adapter.ts";
import { type AdapterCall, type AdapterLine, adapterLine, type AdapterOrder } from "./adapter_lines.ts";
import { ChildProgram, lastLine, type ProcessExit, type ProgramCommand } from "../child_program.ts";
import { ApiError } from "../openai/api_error.ts";
import { type Environment, plainEnvironment } from "../program.ts";

/** Longest line and answer of a process; a longer one ends it, since no model writes that much. */
const MAX_LINE_CHARS = 8 * 1024 * 1024;
const MAX_ANSWER_CHARS = 16 * 1024 * 1024;

/** A checked order, and the command that runs it. */
export interface AdapterCommand extends ProgramCommand {
  readonly order: AdapterOrder;
}

/**
 * Checks that the module may run, and with which flags.
 *
 * @param name of the model, for messages
 * @throws {UserError} where the module is not there or lies outside the registry's folder
 */
export async function adapterCommand(
  name: string,
  spec: AdapterSpec,
  { denoPath, configPath, env }: {
    readonly denoPath: string;
    readonly configPath?: string;
    readonly env: Environment;
  },
): Promise<AdapterCommand> {
  const module = await checkedModule(name, spec);
  const permissions = absolutePaths(spec.permissions);
  const adapterFolder = dirname(fileURLToPath(import.meta.url));
  // The process must read code to load it. The adapter's own thread may not.
  const code = [adapterFolder, dirname(adapterFolder), dirname(module)];
  const heapMb = Math.ceil(spec.memoryMb);
  return {
    denoPath,
    // Variables that the model may read are stated by name; all of them only where it may read all.
    env: permissions.env === true ? null : plainEnvironment(env, permissions.env),
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--unstable-worker-options",
      ...(permissions.import === undefined ? ["--no-remote"] : []),
      `--v8-flags=--max-old-space-size=${heapMb}`,
      ...(configPath === undefined ? [] : ["--config", configPath]),
      ...permissionFlags({
        ...permissions,
        read: permissions.read === true || [...permissions.read ?? [], ...code],
      }),
      new URL("./adapter_program.ts", import.meta.url).href,
    ],
    order: {
      module: pathToFileURL(module).href,
      options: spec.options,
      folder: resolve(spec.folder),
      permissions,
      memoryBytes: spec.memoryMb * 1e6,
    },
  };
}

async function checkedModule(name: string, { module, folder, statedAbsolute }: AdapterSpec): Promise<string> {
  const remedy = `fix "module" of ${name} in the registry, or put the module there`;
  let real: string;
  try {
    real = await Deno.realPath(module);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`the adapter of ${name}, ${module}, can't be read: ${why}; ${remedy}`);
  }
  if (!(await Deno.stat(real)).isFile) {
    throw new UserError(`the adapter of ${name}, ${module}, is not a file: ${remedy}`);
  }
  const within = relative(await Deno.realPath(folder), real);
  if (!statedAbsolute && (isAbsolute(within) || within.startsWith(".."))) {
    throw new UserError(
      `the adapter of ${name}, ${module}, is a link to a file outside the registry's folder: ` +
        "put the module itself there, or state its absolute path in the registry",
    );
  }
  return real;
}

/** Flags and threads take paths literally, so relative ones must be resolved first. */
function absolutePaths({ read, write, ffi, ...others }: AdapterPermissions): AdapterPermissions {
  const absolute = (list: AdapterPermissions["read"]) =>
    list === true || list === undefined ? list : list.map((path) => resolve(path));
  return { ...others, read: absolute(read), write: absolute(write), ffi: absolute(ffi) };
}

/**
 * Deno's flags for the permissions of an adapter.
 *
 * ```ts
 * const flags = permissionFlags({ read: ["/data,1"], net: true });
 * if (flags.join(" ") !== "--allow-read=/data,,1 --allow-net") throw new Error(flags.join(" "));
 * ```
 */
export function permissionFlags(permissions: AdapterPermissions): string[] {
  return Object.entries(permissions).flatMap(([kind, list]) => {
    if (list === undefined) return [];
    // A comma separates the values; within one it is doubled.
    const values = list === true
      ? ""
      : `=${list.map((value: string) => value.replaceAll(",", ",,")).join(",")}`;
    return [`--allow-${kind}${values}`];
  });
}

/** The message of a process whose adapter is loaded. */
export type ReadyLine = Extract<AdapterLine, { kind: "ready" }>;
/** How an answer ended. */
export type EndLine = Extract<AdapterLine, { kind: "end" }>;
type UseLine = Extract<AdapterLine, { kind: "use" }>;

interface OpenAsk {
  /** Length of the answer so far. */
  chars: number;
  readonly emit: (text: string) => void;
  readonly end: (line: EndLine) => void;
  readonly fail: (error: ApiError) => void;
}

/** A running process. Once it has ended, by itself or by `stop`, it is never used again. */
export class AdapterHost {
  readonly #child: ChildProgram;
  readonly #open = new Map<number, OpenAsk>();
  readonly #ready = Promise.withResolvers<ReadyLine>();
  #use = Promise.withResolvers<UseLine>();
  #asks = 0;
  #broken: string | null = null;
  /** Resolves with the reason for its end. */
  readonly ended: Promise<string>;
  #gone = false;

  constructor({ order, ...command }: AdapterCommand) {
    this.#child = new ChildProgram(command);
    this.ended = Promise.all([this.#child.exited, this.#child.errors, this.#readLines()])
      .then(([exit, errors]) => {
        this.#gone = true;
        return this.#settle(exit, errors);
      });
    // Nothing may be waiting for these.
    this.#ready.promise.catch(() => {});
    this.#use.promise.catch(() => {});
    void this.#send(order);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Resolves when the adapter is loaded; rejects with the reason when it can't be. */
  get ready(): Promise<ReadyLine> {
    return this.#ready.promise;
  }

  /** Gets one answer. An aborted `signal` asks the adapter to end it; this resolves once it has. */
  async ask(
    request: AdapterRequest,
    emit: (text: string) => void,
    signal: AbortSignal,
  ): Promise<EndLine> {
    if (this.#gone) throw endedError(await this.ended);
    const ask = ++this.#asks;
    const cancel = () => void this.#send({ kind: "cancel", ask });
    signal.addEventListener("abort", cancel, { once: true });
    try {
      return await new Promise((end, fail) => {
        this.#open.set(ask, { chars: 0, emit, end, fail });
        void this.#send({ kind: "ask", ask, request });
      });
    } finally {
      this.#open.delete(ask);
      signal.removeEventListener("abort", cancel);
    }
  }

  /** The process's memory and processor time; zeros where it has ended. */
  async use(): Promise<{ readonly residentMb: number; readonly cpuS: number }> {
    const asked = this.#use.promise;
    await this.#send({ kind: "use" });
    return await Promise.race([asked, this.ended.then(() => ({ residentMb: 0, cpuS: 0 }))]);
  }

  /** Ends the process at once; open requests fail with `reason`. */
  kill(reason: string): Promise<string> {
    this.#broken ??= reason;
    this.#child.kill();
    return this.ended;
  }

  /** Asks the process to end; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#broken ??= "it was stopped";
    await this.#child.stop();
    await this.ended;
  }

  #send(line: AdapterOrder | AdapterCall): Promise<void> {
    return this.#child.write(line);
  }

  async #readLines(): Promise<void> {
    const decoder = new TextDecoder();
    let parts: string[] = [];
    let chars = 0;
    for await (const bytes of this.#child.output) {
      const [first = "", ...others] = decoder.decode(bytes, { stream: true }).split("\n");
      parts.push(first);
      chars += first.length;
      for (const next of others) {
        const line = parseLine(parts.join(""));
        if (line !== null) this.#take(line);
        [parts, chars] = [[next], next.length];
      }
      if (chars > MAX_LINE_CHARS) {
        [parts, chars] = [[], 0];
        void this.kill(`it wrote more than ${MAX_LINE_CHARS} characters without a line break`);
      }
    }
  }

  #take(line: AdapterLine): void {
    switch (line.kind) {
      case "ready":
        return this.#ready.resolve(line);
      case "failed":
        return this.#ready.reject(new Error(permissionAdvice(line.reason)));
      case "piece":
        return this.#takePiece(line.ask, line.text);
      case "end":
        return this.#open.get(line.ask)?.end(line);
      case "error":
        return this.#open.get(line.ask)?.fail(
          new ApiError(line.status ?? 500, `the adapter failed: ${permissionAdvice(line.reason)}`, {
            code: "adapter_error",
          }),
        );
      case "use": {
        this.#use.resolve(line);
        this.#use = Promise.withResolvers();
        return;
      }
      case "broken":
        this.#broken ??= permissionAdvice(line.reason);
    }
  }

  #takePiece(ask: number, text: string): void {
    const open = this.#open.get(ask);
    if (open === undefined) return;
    open.chars += text.length;
    if (open.chars <= MAX_ANSWER_CHARS) return open.emit(text);
    void this.kill(`its answer has more than ${MAX_ANSWER_CHARS} characters`);
  }

  #settle({ code, signal }: ProcessExit, errors: string): string {
    const reason = this.#broken ?? causeOf(signal ?? `exit code ${code}`, errors);
    this.#ready.reject(new Error(reason));
    for (const { fail } of this.#open.values()) fail(endedError(reason));
    return reason;
  }
}

function causeOf(how: string, errors: string): string {
  if (/heap out of memory|Reached heap limit|Allocation failed/i.test(errors)) {
    return `it ran out of the memory that it may use ("memory_mb")`;
  }
  return `its process ended (${how})${errors === "" ? "" : `: ${reasonOf(lastLine(errors))}`}`;
}

const endedError = (reason: string) =>
  new ApiError(503, `the adapter's process ended: ${reason}; the next request starts it again`, {
    code: "adapter_ended",
  });

/** Null for a line that is not of the protocol: adapters may write to standard output too. */
function parseLine(text: string): AdapterLine | null {
  if (!text.startsWith('{"kind":')) return null;
  try {
    return adapterLine.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** The reason in words of the registry, where permissions are stated, not of Deno's flags. */
function permissionAdvice(reason: string): string {
  return reason
    .replace(
      /, run again with the --allow-(\w+) flag.*$/,
      ': allow it under "permissions" ("$1") of the model in the registry',
    )
    .replace(
      /^A remote specifier was requested: ("[^"]+"), but --no-remote is specified.*$/,
      'it imports $1 from the network: allow the host under "permissions" ("import") of the model in the registry',
    );
}
