/** What the catalogue's tests share: small true GGUF files, and a server that misbehaves as told. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Model, parseRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { concat } from "../../lib/endpoint/bytes.ts";
import type { PullEvent, PullOptions } from "../../lib/catalog/pull.ts";
import { realSleep } from "../../scripts/cli.ts";

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const encoder = new TextEncoder();
const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: number) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
const string = (text: string) => join(u64(encoder.encode(text).length), encoder.encode(text));

export const join = (...parts: readonly Uint8Array[]) => concat(parts);

/** A GGUF file (version 3) with one tensor of `bytes` bytes, which differ from seed to seed. */
export function tinyGguf(bytes = 4096, seed = 1): Uint8Array<ArrayBuffer> {
  const text = (key: string, value: string) => join(string(key), u32(8), string(value));
  const number = (key: string, value: number) => join(string(key), u32(4), u32(value));
  const pairs = [
    text("general.architecture", "llama"),
    text("general.license", "apache-2.0"),
    number("general.file_type", 3),
    number("llama.context_length", 2048),
    number("llama.block_count", 2),
    number("llama.embedding_length", 64),
    number("llama.attention.head_count", 4),
    number("llama.attention.head_count_kv", 2),
    text("tokenizer.chat_template", "{{ messages }}"),
  ];
  const tensor = join(string("weights"), u32(1), u64(bytes), u32(24), u64(0));
  const head = join(encoder.encode("GGUF"), u32(3), u64(1), u64(pairs.length), ...pairs, tensor);
  const data = Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8) * 17 + seed * 101) & 255);
  return join(head, new Uint8Array((32 - head.length % 32) % 32), data);
}

/** How the server treats one request; the first fault of the list that is left is used up by each GET. */
export type Fault =
  | { readonly kind: "drop"; readonly afterBytes: number }
  | { readonly kind: "stall"; readonly afterBytes: number }
  | { readonly kind: "silent" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string> }
  | { readonly kind: "ignore-range" }
  /** Bytes without end and without a stated length. */
  | { readonly kind: "endless" }
  | { readonly kind: "wrong-range" };

export interface Request_ {
  readonly path: string;
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly authorization: string | null;
}

/** A file server on loopback with ranges and entity tags, which logs what it was asked. */
export function fileServer(
  initial: { content: Uint8Array<ArrayBuffer>; faults?: Fault[]; etag?: string | null },
) {
  const state = {
    content: initial.content,
    etag: initial.etag === undefined ? '"v1"' : initial.etag,
    faults: [...initial.faults ?? []],
    /** Sent with every answer, and with a redirect to `cdn` where that is set. */
    headers: {} as Record<string, string>,
    redirectTo: null as string | null,
    /** Milliseconds between chunks of 16 KiB: for a test that kills in the middle. */
    pauseMs: 0,
  };
  const log: Request_[] = [];
  const hanging = new Set<() => void>();
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen() {},
    onError: () => new Response(null),
  }, (request) => {
    const range = request.headers.get("range");
    log.push({
      path: new URL(request.url).pathname,
      range,
      ifRange: request.headers.get("if-range"),
      authorization: request.headers.get("authorization"),
    });
    if (state.redirectTo !== null) {
      return new Response(null, { status: 302, headers: { ...state.headers, location: state.redirectTo } });
    }
    return answer(request, range);
  });

  function answer(request: Request, range: string | null): Response | Promise<Response> {
    const fault = state.faults.shift();
    if (fault?.kind === "status") {
      return new Response("no", { status: fault.status, headers: fault.headers ?? {} });
    }
    if (fault?.kind === "silent") {
      return new Promise((resolve) => hanging.add(() => resolve(new Response(null, { status: 500 }))));
    }
    if (fault?.kind === "endless") {
      const block = new Uint8Array(65_536);
      return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(block) }));
    }
    const headers = new Headers(state.headers);
    if (state.etag !== null) headers.set("etag", state.etag);
    const asked = /^bytes=(\d+)-$/.exec(range ?? "")?.[1];
    const ifRange = request.headers.get("if-range");
    const fresh = ifRange !== null && ifRange !== state.etag;
    const from = asked === undefined || fresh || fault?.kind === "ignore-range" ? 0 : Number(asked);
    if (from >= state.content.length && from > 0) {
      headers.set("content-range", `bytes */${state.content.length}`);
      return new Response(null, { status: 416, headers });
    }
    const said = fault?.kind === "wrong-range" ? Math.max(0, from - 1) : from;
    const partial = asked !== undefined && !fresh && fault?.kind !== "ignore-range";
    if (partial) {
      headers.set("content-range", `bytes ${said}-${state.content.length - 1}/${state.content.length}`);
    }
    headers.set("content-length", String(state.content.length - from));
    return new Response(body(state.content.subarray(from), fault), { status: partial ? 206 : 200, headers });
  }

  function body(
    bytes: Uint8Array<ArrayBuffer>,
    fault: Fault | undefined,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    const limit = fault?.kind === "drop" || fault?.kind === "stall" ? fault.afterBytes : Infinity;
    let at = 0;
    return new ReadableStream({
      async pull(controller) {
        if (at >= limit) {
          if (fault?.kind === "stall") await new Promise<void>((resolve) => hanging.add(resolve));
          return controller.error(new Error("dropped on purpose"));
        }
        if (at >= bytes.length) return controller.close();
        if (state.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, state.pauseMs));
        const end = Math.min(at + 16384, bytes.length, limit);
        controller.enqueue(bytes.slice(at, end));
        at = end;
      },
    });
  }

  return {
    state,
    log,
    url: `http://127.0.0.1:${server.addr.port}`,
    async [Symbol.asyncDispose]() {
      for (const release of hanging) release();
      await server.shutdown();
    },
  };
}

/** A registry of one model; `source` fields are those of models.json. */
export function registryOf(variant: Record<string, unknown>, entry: Record<string, unknown> = {}): Registry {
  const full = {
    alias: "tiny",
    license: "MIT",
    ...entry,
    variants: [{ name: "q4", file: "tiny.gguf", ...variant }],
  };
  return parseRegistry(JSON.stringify({ models: [full] }), "test");
}

export function only(registry: Registry) {
  const [entry] = registry.models;
  const [variant] = entry?.variants ?? [];
  if (entry === undefined || variant === undefined) throw new Error("the registry holds no variant");
  return { entry, variant };
}

/** Impatient surroundings for `pull`, with everything that was told. */
export function surroundings(env: Record<string, string> = {}) {
  const events: PullEvent[] = [];
  const controller = new AbortController();
  const options: PullOptions = {
    fetch,
    sleep: realSleep,
    clock: () => performance.now(),
    env: new Map(Object.entries(env)),
    onTerms: () => true,
    onProgress: (event) => events.push(event),
    signal: controller.signal,
    retry: { connectMs: 2_000, stallMs: 250, retries: 3, backoffMs: 5, maxRetryAfterMs: 5_000 },
  };
  return { options, events, abort: () => controller.abort(new Error("stopped")) };
}

/** A folder that is gone when the test is over. */
export async function scratch() {
  const dir = await Deno.makeTempDir({ prefix: "podium-test-" });
  return { dir, [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
}

export type { Model };

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The `models` task as its own process, with the flags of deno.json. */
export function startModels(args: readonly string[], env: Record<string, string> = {}) {
  const flags = [
    "run",
    "-q",
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
    "--allow-net",
  ];
  const command = new Deno.Command(Deno.execPath(), {
    args: [...flags, "--allow-run=python3,python,py", "scripts/models.ts", ...args],
    cwd: root,
    env: { HF_HUB_OFFLINE: "", HF_TOKEN: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  return command.spawn();
}

/** The same, run to its end. */
export async function models(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await startModels(args, env).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Waits until something is so; gives up after ten seconds. */
export async function until(so: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await so()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never so: ${what}`);
}

/** Writes a registry file of one model and returns its path. */
export async function registryFile(
  dir: string,
  variant: Record<string, unknown>,
  entry: Record<string, unknown> = {},
) {
  const full = {
    alias: "tiny",
    license: "MIT",
    ...entry,
    variants: [{ name: "q4", file: "tiny.gguf", ...variant }],
  };
  await Deno.writeTextFile(`${dir}/models.json`, JSON.stringify({ models: [full] }));
  return `${dir}/models.json`;
}
