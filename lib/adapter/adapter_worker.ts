/**
 * The adapter's thread, with the permissions that the registry states and no others. It passes requests to
 * the adapter and its text back; adapter_program.ts starts it, together with the adapter's module.
 */
import { reasonOf } from "../errors.ts";
import type { Adapter, AdapterRequest, LoadContext } from "./adapter.ts";
import type { AdapterCall, AdapterLine } from "./adapter_lines.ts";
import { StopScanner } from "../openai/streamed_text.ts";

/** The messages to the thread: first `load`, then calls. */
export type WorkerCall = { readonly kind: "load"; readonly context: LoadContext } | AdapterCall;

interface Thread {
  onmessage: ((event: MessageEvent<WorkerCall>) => void) | null;
  postMessage(line: AdapterLine): void;
}

/** Longest time without reading messages, such as the cancelling of a request. */
const TURN_MS = 20;

// Both need no permission: the cache of the Web keeps files on disk, and a worker would bring it back.
Reflect.deleteProperty(globalThis, "caches");
Reflect.deleteProperty(globalThis, "Worker");

// Standard output belongs to the protocol; what an adapter prints goes to standard error.
console.log = console.info = console.debug = console.error;

/** Serves `adapter`, the namespace of the module, to the thread that started this one. */
export function serveAdapter(exports: Record<string, unknown>, thread: Thread): void {
  const startedAt = performance.now();
  const open = new Map<number, AbortController>();
  let loaded: { readonly adapter: Adapter<unknown>; readonly model: unknown } | null = null;
  const load = async (context: LoadContext): Promise<AdapterLine> => {
    try {
      const adapter = adapterOf(exports);
      const at = performance.now();
      loaded = { adapter, model: await adapter.load(context) };
      return {
        kind: "ready",
        at: Math.floor(Date.now() / 1000),
        importMs: at - startedAt,
        loadMs: performance.now() - at,
      };
    } catch (error) {
      return { kind: "failed", reason: reasonOf(error) };
    }
  };
  const ask = async (number: number, request: AdapterRequest) => {
    if (loaded === null) return;
    const stop = new AbortController();
    open.set(number, stop);
    const say = (text: string) => thread.postMessage({ kind: "piece", ask: number, text });
    try {
      thread.postMessage({
        kind: "end",
        ask: number,
        ...await answer(loaded.adapter, loaded.model, request, stop.signal, say),
      });
    } catch (error) {
      thread.postMessage({ kind: "error", ask: number, reason: reasonOf(error), status: statusOf(error) });
    } finally {
      open.delete(number);
    }
  };
  thread.onmessage = ({ data }) => {
    if (data.kind === "load") void load(data.context).then((line) => thread.postMessage(line));
    else if (data.kind === "ask") void ask(data.ask, data.request);
    else if (data.kind === "cancel") open.get(data.ask)?.abort();
  };
}

function adapterOf({ load, generate, countTokens }: Record<string, unknown>): Adapter<unknown> {
  if (!isFunction<Load>(load) || !isFunction<Generate>(generate)) {
    const lacking = Object.entries({ load, generate }).filter(([, value]) => !isFunction(value));
    throw new TypeError(
      `it exports no function ${
        lacking.map(([name]) => `"${name}"`).join(" and no ")
      }: an adapter exports both ` +
        '"load" and "generate" by name',
    );
  }
  if (countTokens === undefined) return { load, generate };
  if (isFunction<Count>(countTokens)) return { load, generate, countTokens };
  throw new TypeError('its "countTokens" is not a function: make it one or leave it out');
}

type Load = Adapter<unknown>["load"];
type Generate = Adapter<unknown>["generate"];
type Count = NonNullable<Adapter<unknown>["countTokens"]>;

/** Its parameters and result are checked when it is called. */
const isFunction = <F>(value: unknown): value is F => typeof value === "function";

/** Runs one request: checks that the adapter yields text, and applies its limit and stop strings. */
async function answer(
  adapter: Adapter<unknown>,
  model: unknown,
  request: AdapterRequest,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<Pick<Extract<AdapterLine, { kind: "end" }>, "finish" | "tokens">> {
  const scanner = new StopScanner(request.stop);
  let [said, pieces, turnAt] = ["", 0, performance.now()];
  const emit = (text: string) => {
    said += text;
    if (text !== "") say(text);
  };
  const tokens = () => {
    if (adapter.countTokens === undefined) return null;
    const prompt = request.messages.map(({ content }) => content).join("\n");
    return { prompt: adapter.countTokens(model, prompt), output: adapter.countTokens(model, said) };
  };
  for await (const piece of adapter.generate(model, request, signal)) {
    if (typeof piece !== "string") throw new TypeError(`it yielded ${typeof piece}: an adapter yields text`);
    signal.throwIfAborted();
    const { text, stopped } = scanner.push(piece);
    emit(text);
    if (stopped) return { finish: "stop", tokens: tokens() };
    if (piece !== "" && ++pieces >= request.maxTokens) {
      emit(scanner.flush());
      return { finish: "length", tokens: tokens() };
    }
    if (performance.now() - turnAt > TURN_MS) {
      // An adapter that never awaits anything would block all messages.
      await new Promise((resolve) => setTimeout(resolve, 0));
      turnAt = performance.now();
    }
  }
  emit(scanner.flush());
  return { finish: "stop", tokens: tokens() };
}

/** As in many HTTP libraries, an error for a client's mistake carries a status. */
function statusOf(error: unknown): number | null {
  const status = typeof error === "object" && error !== null && "status" in error ? error.status : null;
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status < 500
    ? status
    : null;
}
