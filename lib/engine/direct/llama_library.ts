/**
 * llama.cpp called directly, from the libraries that node-llama-cpp ships and has loaded. On a processor this
 * saves what node-llama-cpp does between two tokens: it makes new compute threads for each of them, and hands
 * every step to another thread and back. Threads that stay, one of which does nothing but decode
 * (decode_thread.ts), are measurably faster.
 *
 * Structs are written by offset, so the library is refused unless each of them looks as expected.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { reasonOf } from "../../errors.ts";
import {
  baseSymbols,
  batchSymbols,
  contextFields,
  type Field,
  type Functions,
  ggmlSymbols,
  KNOWN_RELEASE,
  loadSymbols,
  modelFields,
  readField,
  samplerSymbols,
  threadpool,
} from "./llama_symbols.ts";
import { hasKnownTokenArrays } from "./token_array.ts";
import { hasKnownBatches } from "./token_batch.ts";

/** The opened libraries. */
export interface LlamaLibrary {
  readonly llama: Functions<typeof loadSymbols>;
  /** The path of the opened `llama` library, for the decoding thread. */
  readonly libraryPath: string;
  readonly ggml: Functions<typeof ggmlSymbols>;
  readonly base: Functions<typeof baseSymbols>;
}

/** The libraries, or why llama.cpp can't be called directly here. */
export type OpenedLibrary =
  | { readonly kind: "open"; readonly library: LlamaLibrary }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Opens the libraries that node-llama-cpp uses on this processor, and checks the layout of every struct that
 * is written by offset. `getLlama` must have loaded them before.
 *
 * ```ts ignore
 * const opened = await openLlamaLibrary();
 * if (opened.kind === "refused") console.error(opened.reason);
 * ```
 */
export async function openLlamaLibrary(): Promise<OpenedLibrary> {
  try {
    const { folder, release } = await installed();
    if (release !== KNOWN_RELEASE) {
      return refused(`node-llama-cpp ${release} is installed, and only ${KNOWN_RELEASE} is known`);
    }
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const libraryPath = pathOf("llama", folder, names);
    const llama = Deno.dlopen(libraryPath, { ...loadSymbols, ...samplerSymbols, ...batchSymbols }).symbols;
    const ggml = Deno.dlopen(pathOf("ggml", folder, names), ggmlSymbols).symbols;
    const base = Deno.dlopen(pathOf("ggml-base", folder, names), baseSymbols).symbols;
    const fault = layoutFault({
      model: llama.llama_model_default_params(),
      context: llama.llama_context_default_params(),
      threadpool: threadpoolParams(base, 3),
    });
    if (fault !== null) return refused(fault);
    if (!hasKnownTokenArrays(llama)) return refused("llama_token_data_array has another layout");
    if (!hasKnownBatches(llama)) return refused("llama_batch has another layout");
    return { kind: "open", library: { llama, libraryPath, ggml, base } };
  } catch (error) {
    // Another platform or file layout: node-llama-cpp's own way works everywhere.
    return refused(reasonOf(error));
  }
}

const refused = (reason: string): OpenedLibrary => ({ kind: "refused", reason });

async function installed(): Promise<{ folder: string; release: string }> {
  const require = createRequire(import.meta.resolve("node-llama-cpp"));
  const os = { linux: "linux", windows: "win", darwin: "mac" }[String(Deno.build.os)];
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const root = dirname(dirname(require.resolve(`@node-llama-cpp/${os}-${arch}`)));
  const { version } = JSON.parse(await Deno.readTextFile(join(root, "package.json")));
  return { folder: join(root, "bins", `${os}-${arch}`), release: String(version) };
}

function pathOf(library: string, folder: string, names: readonly string[]): string {
  const pattern = new RegExp(`^(lib)?${library}(\\.v[\\d.]+\\d)?\\.(so|dylib|dll)$`);
  const name = names.find((one) => pattern.test(one));
  if (name === undefined) throw new Deno.errors.NotFound(`no file of the library ${library} in ${folder}`);
  return join(folder, name);
}

/** `struct ggml_threadpool_params` for a number of threads, as ggml fills it in. */
export function threadpoolParams(base: LlamaLibrary["base"], threads: number): Uint8Array<ArrayBuffer> {
  const params = new Uint8Array(threadpool.bytes);
  base.ggml_threadpool_params_init(params, threads);
  return params;
}

/** The structs that llama.cpp filled with its defaults, the thread pool's for three threads. */
export interface DefaultStructs {
  readonly model: Uint8Array;
  readonly context: Uint8Array;
  readonly threadpool: Uint8Array;
}

/**
 * The first field that doesn't hold llama.cpp's documented default, in words; null where all of them do. A
 * field that is not where it is expected would be written over another one.
 */
export function layoutFault({ model, context, threadpool: pool }: DefaultStructs): string | null {
  const threads = { n_threads: { offset: threadpool.n_threads, type: "i32", initial: 3 } } as const;
  return fieldFault("llama_model_params", modelFields, model) ??
    fieldFault("llama_context_params", contextFields, context) ??
    fieldFault("ggml_threadpool_params", threads, pool);
}

function fieldFault(
  struct: string,
  fields: Readonly<Record<string, Field>>,
  bytes: Uint8Array,
): string | null {
  for (const [name, field] of Object.entries(fields)) {
    const value = readField(bytes, field);
    if (value !== field.initial) return `${struct}.${name} is ${value}, not ${field.initial}`;
  }
  return null;
}
