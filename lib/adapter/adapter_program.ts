/**
 * The program that runs one custom model in a process of its own. The adapter runs in a separate
 * thread, so that this thread always responds: it ends the process when its input closes (even if the
 * parent was killed while the adapter looped), and when the adapter uses more memory than it may.
 * adapter_host.ts starts it, never a person.
 */
import process from "node:process";
import { TextLineStream } from "../program.ts";
import type { AdapterCall, AdapterLine, AdapterOrder } from "./adapter_lines.ts";
import type { WorkerCall } from "./adapter_worker.ts";

const MEMORY_CHECK_MS = 100;

/** Writes a whole line at once, on a line of its own even where the adapter wrote to standard output. */
function tell(line: AdapterLine): void {
  let rest = new TextEncoder().encode(`\n${JSON.stringify(line)}\n`);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

function end(reason: string): never {
  tell({ kind: "broken", reason });
  Deno.exit(1);
}

/** The adapter's thread. Its code and Podium's load as one program, so that neither waits for the other. */
function startThread({ module, permissions }: AdapterOrder): Worker {
  const glue = new URL("./adapter_worker.ts", import.meta.url).href;
  const program = [
    `import { serveAdapter } from ${JSON.stringify(glue)};`,
    `import * as adapter from ${JSON.stringify(module)};`,
    "serveAdapter(adapter, self);",
  ].join("\n");
  const url = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
  const none = { read: false, write: false, net: false, env: false, sys: false, run: false, ffi: false };
  const stated = Object.fromEntries(Object.entries(permissions).filter(([, value]) => value !== undefined));
  const options = { type: "module" as const, deno: { permissions: { ...none, import: false, ...stated } } };
  return new Worker(url, options);
}

function watchMemory(limitBytes: number): void {
  setInterval(() => {
    const bytes = process.memoryUsage.rss();
    if (bytes <= limitBytes) return;
    const megabytes = (value: number) => Math.round(value / 1e6);
    end(`it used ${megabytes(bytes)} MB of memory, and may use ${megabytes(limitBytes)} MB ("memory_mb")`);
  }, MEMORY_CHECK_MS);
}

function use(): AdapterLine {
  const { user, system } = process.cpuUsage();
  return { kind: "use", residentMb: process.memoryUsage.rss() / 1e6, cpuS: (user + system) / 1e6 };
}

async function main(): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  let thread: Worker | null = null;
  for await (const text of lines) {
    // Both kinds of line come from adapter_host.ts, which belongs to this program.
    if (thread === null) {
      const order: AdapterOrder = JSON.parse(text);
      watchMemory(order.memoryBytes);
      thread = startThread(order);
      thread.onmessage = ({ data }: MessageEvent<AdapterLine>) => tell(data);
      thread.onerror = (event) => {
        event.preventDefault();
        end(event.message.replaceAll(/\s+/g, " ").trim());
      };
      const { options, folder } = order;
      thread.postMessage({ kind: "load", context: { options, folder } } satisfies WorkerCall);
    } else {
      const call: AdapterCall = JSON.parse(text);
      if (call.kind === "use") tell(use());
      else thread.postMessage(call satisfies WorkerCall);
    }
  }
  Deno.exit(0);
}

if (import.meta.main) {
  // A terminal sends Ctrl-C to the whole group; the parent decides when its children end.
  Deno.addSignalListener("SIGINT", () => {});
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
  await main();
}
