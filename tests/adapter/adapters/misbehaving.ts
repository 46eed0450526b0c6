/** An adapter that does what its prompt says, also what no adapter should do. */
import type { AdapterRequest, LoadContext } from "../../../lib/adapter/adapter.ts";

const kept: unknown[] = [];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export function load({ options, folder }: LoadContext) {
  if (options.fail === "throw") throw new Error("its weights\nare lost");
  if (options.fail === "loop") { for (;;); }
  return { folder, greeting: String(options.greeting ?? "You said:") };
}

export async function* generate(
  { folder, greeting }: { readonly folder: string; readonly greeting: string },
  { prompt, maxTokens }: AdapterRequest,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const [order = "", argument = ""] = prompt.split(" ");
  switch (order) {
    case "pid":
      return yield String(Deno.pid);
    case "throw":
      yield "so far";
      throw new Error("it broke\nin the middle");
    case "refuse":
      throw Object.assign(new Error("one word is too few"), { status: 422 });
    case "number":
      // @ts-expect-error: no adapter may yield a number, and this one does.
      return yield 7;
    case "loop":
      yield "so far";
      for (;;);
    case "leak":
      for (;;) kept.push(new Array(10_000).fill(kept.length));
    // What is outside V8's heap is memory as well.
    case "hoard":
      for (;;) {
        kept.push(new Uint8Array(8e6).fill(1));
        await pause(1);
      }
    case "flood":
      for (;;) yield "x ";
    case "deaf":
      yield "so far";
      for (;;) await pause(1000);
    case "wait":
      yield "so far";
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return;
    case "reject":
      void Promise.reject(new Error("nobody catches this"));
      return await pause(60_000);
    case "print":
      console.log("a line of its own");
      Deno.stdout.writeSync(new TextEncoder().encode('{"kind":"ready"}\n{"kind":"piece","ask":1,"te'));
      return yield "printed";
    case "read":
      return yield await Deno.readTextFile(argument);
    case "folder":
      return yield folder;
    case "limit":
      return yield String(maxTokens);
    default:
      yield greeting;
      for (const word of prompt.split(" ")) yield ` ${word}`;
  }
}
